-- judged_entity: one row per entity with gold, and what each arm says of it.
-- Reads       gold_label, entity_vote, predictions, pattern_label, pattern_vote, class
-- Output      gold = position of the class; end_model, label_model, majority: K probabilities in class order, NULL where the arm is silent
-- Source      majority: 1 / t for each of the t classes with most votes
-- Invariants  at most $most entities per split, those with the smallest hash of the key, in that order
WITH soft AS (
    SELECT
        l.pattern_id,
        list(l.p ORDER BY c.position) AS p
    FROM pattern_label AS l
    JOIN class AS c USING (label)
    GROUP BY l.pattern_id
),
tally AS (
    SELECT
        v.pattern_id,
        c.position,
        count(*) AS n
    FROM pattern_vote AS v
    JOIN class AS c USING (label)
    GROUP BY v.pattern_id, c.position
),
most AS (
    SELECT
        pattern_id,
        max(n) AS n
    FROM tally
    GROUP BY pattern_id
),
winner AS (
    SELECT
        t.pattern_id,
        list(t.position) AS positions
    FROM tally AS t
    JOIN most AS m ON m.pattern_id = t.pattern_id AND m.n = t.n
    GROUP BY t.pattern_id
)
SELECT
    e.entity_id,
    e.split,
    e.modality,
    c.position AS gold,
    list_transform($classes, lambda k: p.p[k]) AS end_model,
    s.p AS label_model,
    list_transform(range(len($classes)), lambda k: CASE WHEN list_contains(w.positions, k) THEN 1.0 / len(w.positions) WHEN w.positions IS NOT NULL THEN 0.0 END) AS majority
FROM gold_label AS g
JOIN class AS c ON c.label = g.label
JOIN entity_vote AS e ON e.entity_id = g.entity_id
LEFT JOIN predictions AS p ON p.entity_id = g.entity_id
LEFT JOIN soft AS s ON s.pattern_id = e.pattern_id
LEFT JOIN winner AS w ON w.pattern_id = e.pattern_id
QUALIFY row_number() OVER (PARTITION BY e.split ORDER BY md5(CAST(e.entity_id AS VARCHAR))) <= $most
ORDER BY md5(CAST(e.entity_id AS VARCHAR))
