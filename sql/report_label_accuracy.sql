-- report_label_accuracy: one row per split and model, for majority vote and the label model.
-- Reads       gold_label, entity_vote, pattern_label, pattern_vote, vote_pattern, class; $positive = the class whose precision counts when K = 2
-- Output      accuracy (Wilson 95 % low, high) and average_precision on covered entities with gold; accuracy_all on all (no label = wrong); in [0, 1]
-- Source      t tied classes share the credit, 1 / t each; step-wise average precision, K > 2: mean over the classes found in gold
-- Invariants  accuracy_all <= accuracy; the same entities for both models
WITH judged AS (
    SELECT
        e.split,
        e.pattern_id,
        g.label AS gold,
        count(*) AS n
    FROM gold_label AS g
    JOIN entity_vote AS e ON e.entity_id = g.entity_id
    GROUP BY e.split, e.pattern_id, g.label
),
voted AS (
    SELECT pattern_id, label, count(*) AS n
    FROM pattern_vote
    GROUP BY pattern_id, label
),
score AS (
    SELECT 'label model' AS model, pattern_id, label, p AS score
    FROM pattern_label
    UNION ALL
    SELECT 'majority vote' AS model, l.pattern_id, l.label, coalesce(v.n, 0) / p.n_votes AS score
    FROM pattern_label AS l
    JOIN vote_pattern AS p ON p.pattern_id = l.pattern_id
    LEFT JOIN voted AS v ON v.pattern_id = l.pattern_id AND v.label = l.label
),
best AS (
    SELECT
        model,
        pattern_id,
        label,
        score,
        score >= max(score) OVER one_pattern - 1e-5 AS is_best
    FROM score
    WINDOW one_pattern AS (PARTITION BY model, pattern_id)
),
credit AS (
    SELECT
        model,
        pattern_id,
        label,
        score,
        CASE WHEN is_best THEN 1 / count(*) FILTER (WHERE is_best) OVER (PARTITION BY model, pattern_id) ELSE 0 END AS credit
    FROM best
),
scored AS (
    SELECT
        c.model,
        j.split,
        c.label,
        c.score,
        c.credit,
        j.gold,
        j.n
    FROM judged AS j
    JOIN credit AS c ON c.pattern_id = j.pattern_id
),
correct AS (
    SELECT
        model,
        split,
        sum(n) AS n_covered,
        sum(n * CAST(credit AS DECIMAL(18, 12))) AS n_correct
    FROM scored
    WHERE label = gold
    GROUP BY model, split
),
step AS (
    SELECT
        model,
        split,
        label,
        score,
        sum(n) AS n,
        coalesce(sum(n) FILTER (WHERE gold = label), 0) AS tp
    FROM scored
    WHERE (SELECT count(*) FROM class) > 2 OR label = $positive
    GROUP BY model, split, label, score
),
cumulated AS (
    SELECT
        model,
        split,
        label,
        score,
        tp,
        sum(tp) OVER descending / sum(n) OVER descending AS precision_here
    FROM step
    WINDOW descending AS (PARTITION BY model, split, label ORDER BY score DESC)
),
class_precision AS (
    SELECT
        model,
        split,
        label,
        sum(CAST(tp * precision_here AS DECIMAL(30, 12))) / nullif(sum(tp), 0) AS average_precision
    FROM cumulated
    GROUP BY model, split, label
),
ranked AS (
    SELECT model, split, avg(CAST(average_precision AS DECIMAL(18, 12))) AS average_precision
    FROM class_precision
    GROUP BY model, split
),
size AS (
    SELECT split, sum(n) AS n_gold
    FROM judged
    GROUP BY split
),
told AS (
    SELECT
        s.split,
        c.model,
        CAST(s.n_gold AS BIGINT) AS n_gold,
        CAST(c.n_covered AS DOUBLE) AS n_covered,
        CAST(round(c.n_correct / c.n_covered, 9) AS DOUBLE) AS accuracy,
        CAST(round(c.n_correct / s.n_gold, 9) AS DOUBLE) AS accuracy_all,
        round(r.average_precision, 9) AS average_precision,
        1.959963984540054 AS z
    FROM size AS s
    JOIN correct AS c ON c.split = s.split
    LEFT JOIN ranked AS r ON r.split = c.split AND r.model = c.model
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
