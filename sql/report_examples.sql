-- report_examples: up to $n entities per labeling function and verdict, of the train and dev splits.
-- Reads       gold_label, entity_vote, pattern_vote, entity
-- Output      verdict right, wrong or unjudged (no gold); voted; gold; entity: all its columns as JSON
-- Source      smallest MD5 of the key first, among the $pool smallest judged and the $pool smallest unjudged ones
-- Invariants  no entity of the test split; the same rows each time
WITH judged AS (
    SELECT
        e.entity_id,
        e.pattern_id,
        g.label AS gold,
        md5(CAST(e.entity_id AS VARCHAR)) AS turn
    FROM gold_label AS g
    JOIN entity_vote AS e ON e.entity_id = g.entity_id
    WHERE e.split <> 'test'
    ORDER BY turn
    LIMIT $pool
),
unjudged AS (
    SELECT
        e.entity_id,
        e.pattern_id,
        CAST(NULL AS VARCHAR) AS gold,
        md5(CAST(e.entity_id AS VARCHAR)) AS turn
    FROM entity_vote AS e
    ANTI JOIN gold_label AS g ON g.entity_id = e.entity_id
    WHERE e.split <> 'test'
    ORDER BY turn
    LIMIT $pool
),
candidate AS (
    SELECT entity_id, pattern_id, gold, turn FROM judged
    UNION ALL
    SELECT entity_id, pattern_id, gold, turn FROM unjudged
),
sampled AS (
    SELECT
        v.lf,
        CASE WHEN c.gold IS NULL THEN 'unjudged' WHEN v.said = c.gold OR v.ruled_out <> c.gold THEN 'right' ELSE 'wrong' END AS verdict,
        v.label AS voted,
        c.gold,
        c.entity_id,
        c.turn
    FROM candidate AS c
    JOIN pattern_vote AS v ON v.pattern_id = c.pattern_id
    QUALIFY row_number() OVER (PARTITION BY v.lf, verdict ORDER BY c.turn) <= $n
)
SELECT
    s.lf,
    s.verdict,
    s.voted,
    s.gold,
    to_json(e) AS entity
FROM sampled AS s
JOIN entity AS e ON e.entity_id = s.entity_id
ORDER BY s.lf, s.verdict, s.turn
