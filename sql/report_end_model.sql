-- report_end_model: the newest end model.
-- Reads       end_model
-- Output      features: the inputs a deployed model needs, all servable; sha256: of its artefact; created_at in UTC
-- Source      groundswell train
-- Invariants  at most one row
SELECT
    model_id,
    method,
    features,
    artefact,
    sha256,
    strftime(created_at AT TIME ZONE 'UTC', '%Y-%m-%d %H:%M') AS created_at
FROM end_model
ORDER BY model_id DESC
LIMIT 1
