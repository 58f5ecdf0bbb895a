-- report_calibration_labels: one row per confidence bin of width 0.1 that holds a label of the label model with gold.
-- Reads       gold_label, entity_vote, pattern_summary
-- Output      mean_confidence and accuracy in [0, 1] with its Wilson 95 % interval low, high; n entities
-- Source      reliability diagram (DeGroot & Fienberg 1983) over gold of dev and test; ties have no label and are left out
-- Invariants  bin <= mean_confidence <= bin + 0.1
WITH scored AS (
    SELECT
        s.confidence,
        s.label = g.label AS is_correct
    FROM gold_label AS g
    JOIN entity_vote AS e ON e.entity_id = g.entity_id AND e.split IN ('dev', 'test')
    JOIN pattern_summary AS s ON s.pattern_id = e.pattern_id
    WHERE s.label IS NOT NULL
),
binned AS (
    SELECT
        least(floor(confidence * 10 + 1e-9), 9) / 10 AS bin,
        CAST(count(*) AS DOUBLE) AS n,
        CAST(avg(CAST(confidence AS DECIMAL(18, 12))) AS DOUBLE) AS mean_confidence,
        count(*) FILTER (WHERE is_correct) / count(*) AS accuracy,
        1.959963984540054 AS z
    FROM scored
    GROUP BY bin
)
SELECT
    'label model' AS model,
    bin,
    CAST(n AS BIGINT) AS n,
    round(mean_confidence, 9) AS mean_confidence,
    accuracy,
    greatest(0, (accuracy + z * z / (2 * n) - z * sqrt(accuracy * (1 - accuracy) / n + z * z / (4 * n * n))) / (1 + z * z / n)) AS low,
    least(1, (accuracy + z * z / (2 * n) + z * sqrt(accuracy * (1 - accuracy) / n + z * z / (4 * n * n))) / (1 + z * z / n)) AS high
FROM binned
ORDER BY bin
