-- report_live_metric: live metrics of the end model, one row per review and metric, all reviews together first.
-- Reads       live_metric
-- Output      value in [0, 1] with its 95 % interval, NULL where no reviewed row tells; reviewed_at in UTC, NULL = all reviews
-- Source      rows drawn with known probabilities; ratios of Horvitz-Thompson totals
-- Invariants  low <= value <= high
SELECT
    strftime(reviewed_at AT TIME ZONE 'UTC', '%Y-%m-%d %H:%M') AS reviewed_at,
    metric,
    value,
    low,
    high,
    n_reviewed
FROM live_metric
ORDER BY live_metric.reviewed_at DESC NULLS FIRST, metric
