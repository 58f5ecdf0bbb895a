-- report_study: one row per study, arm and metric.
-- Reads       study
-- Output      value: mean over seeds; spread: sample standard deviation; seeds: how many; n_rows: entities judged
-- Source      Suri et al. 2020, section 6
-- Invariants  studies in name order; what `train` measured is not among them
SELECT
    study,
    arm,
    metric,
    avg(value) AS value,
    stddev_samp(value) AS spread,
    count(value) AS seeds,
    count(*) AS tried,
    max(n_rows) AS n_rows
FROM study
WHERE study NOT IN ('evaluation', 'affinity', 'modality shares')
GROUP BY study, arm, metric
ORDER BY study, length(arm), arm, metric
