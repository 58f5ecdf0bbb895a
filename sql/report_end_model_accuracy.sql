-- report_end_model_accuracy: one row per split, for the end model.
-- Reads       gold_label, entity_vote, vote_pattern, predictions, class; $positive = the class whose precision counts when K = 2
-- Output      accuracy (Wilson 95 % low, high) and average_precision on covered entities with gold; accuracy_all on all with gold; in [0, 1]
-- Source      as report_label_accuracy, so that the three models stand side by side; NULL predictions count as wrong
-- Invariants  n_covered <= n_gold
WITH scored AS (
    SELECT
        e.split,
        g.label AS gold,
        v.n_votes > 0 AS is_covered,
        coalesce(CAST(p.predicted_label AS VARCHAR) = g.label, FALSE) AS is_correct,
        CAST(p.p AS MAP(VARCHAR, DOUBLE)) AS p
    FROM gold_label AS g
    JOIN predictions AS p ON p.entity_id = g.entity_id
    JOIN entity_vote AS e ON e.entity_id = g.entity_id
    JOIN vote_pattern AS v ON v.pattern_id = e.pattern_id
),
step AS (
    SELECT
        s.split,
        c.label,
        map_extract_value(s.p, c.label) AS score,
        count(*) AS n,
        count(*) FILTER (WHERE s.gold = c.label) AS tp
    FROM scored AS s
    CROSS JOIN class AS c
    WHERE s.is_covered AND ((SELECT count(*) FROM class) > 2 OR c.label = $positive)
    GROUP BY ALL
),
cumulated AS (
    SELECT
        split,
        label,
        tp,
        sum(tp) OVER descending / sum(n) OVER descending AS precision_here
    FROM step
    WINDOW descending AS (PARTITION BY split, label ORDER BY score DESC)
),
class_precision AS (
    SELECT split, label, sum(CAST(tp * precision_here AS DECIMAL(30, 12))) / nullif(sum(tp), 0) AS average_precision
    FROM cumulated
    GROUP BY split, label
),
ranked AS (
    SELECT split, avg(CAST(average_precision AS DECIMAL(18, 12))) AS average_precision
    FROM class_precision
    GROUP BY split
),
told AS (
    SELECT
        s.split,
        'end model' AS model,
        count(*) AS n_gold,
        CAST(count(*) FILTER (WHERE s.is_covered) AS DOUBLE) AS n_covered,
        round(count(*) FILTER (WHERE s.is_covered AND s.is_correct) / nullif(count(*) FILTER (WHERE s.is_covered), 0), 9) AS accuracy,
        round(count(*) FILTER (WHERE s.is_correct) / count(*), 9) AS accuracy_all,
        round(any_value(r.average_precision), 9) AS average_precision,
        1.959963984540054 AS z
    FROM scored AS s
    LEFT JOIN ranked AS r ON r.split = s.split
    GROUP BY s.split
)
SELECT
    split,
    model,
    n_gold,
    CAST(n_covered AS BIGINT) AS n_covered,
    accuracy,
    round(greatest(0, (accuracy + z * z / (2 * n_covered) - z * sqrt(accuracy * (1 - accuracy) / n_covered + z * z / (4 * n_covered * n_covered))) / (1 + z * z / n_covered)), 9) AS low,
    round(least(1, (accuracy + z * z / (2 * n_covered) + z * sqrt(accuracy * (1 - accuracy) / n_covered + z * z / (4 * n_covered * n_covered))) / (1 + z * z / n_covered)), 9) AS high,
    accuracy_all,
    average_precision
FROM told
ORDER BY split, model DESC
