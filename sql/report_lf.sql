-- report_lf: one row per labeling function, broken ones included.
-- Reads       lf, lf_summary
-- Output      the columns of lf_summary; low, high: Wilson 95 % interval of empirical_accuracy, NULL without gold
-- Source      Wilson 1927 with z = 1.959964; n = n_correct + n_incorrect
-- Invariants  low <= empirical_accuracy <= high
WITH judged AS (
    SELECT
        *,
        CAST(n_correct + n_incorrect AS DOUBLE) AS n,
        1.959963984540054 AS z
    FROM lf_summary
)
SELECT
    f.lf,
    f.kind,
    coalesce(s.polarity, CAST([] AS VARCHAR[])) AS polarity,
    s.n_votes,
    s.coverage,
    s."overlaps",
    s.conflicts,
    s.n_correct,
    s.n_incorrect,
    s.empirical_accuracy,
    greatest(0, (s.empirical_accuracy + s.z * s.z / (2 * s.n) - s.z * sqrt(s.empirical_accuracy * (1 - s.empirical_accuracy) / s.n + s.z * s.z / (4 * s.n * s.n)))
    / (1 + s.z * s.z / s.n)) AS low,
    least(1, (s.empirical_accuracy + s.z * s.z / (2 * s.n) + s.z * sqrt(s.empirical_accuracy * (1 - s.empirical_accuracy) / s.n + s.z * s.z / (4 * s.n * s.n)))
    / (1 + s.z * s.z / s.n)) AS high,
    s.learned_accuracy,
    f.sql,
    f.path,
    f.line,
    f.owner,
    f.tags,
    f.status,
    f.error
FROM lf AS f
LEFT JOIN judged AS s ON s.lf = f.lf
ORDER BY f.lf
