-- report_modality_shares: how far each group of features moves the end model's predictions, one row per group and modality of rows.
-- Reads       study
-- Output      value: mean absolute change of the log-odds of the best class when the group is left out; low, high: 95 % interval
-- Source      groundswell train; no label is looked at
-- Invariants  value >= 0
SELECT
    arm,
    value,
    low,
    high,
    n_rows
FROM study
WHERE study = 'modality shares'
ORDER BY arm
