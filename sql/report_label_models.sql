-- report_label_models: the last two label models, the current one first.
-- Reads       label_model
-- Output      chosen and reason: what "auto" settled on; disagreement with majority vote and expected accuracy in [0, 1]
-- Source      one row of label_model per fit
-- Invariants  at most two rows
SELECT
    model_id,
    method,
    coalesce(options ->> 'chosen', method) AS chosen,
    options ->> 'reason' AS reason,
    majority_disagreement,
    expected_accuracy,
    warnings,
    strftime(created_at AT TIME ZONE 'UTC', '%Y-%m-%d %H:%M') AS created_at
FROM label_model
ORDER BY is_current DESC, model_id DESC
LIMIT 2
