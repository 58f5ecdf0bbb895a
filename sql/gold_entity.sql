-- gold_entity: one row per entity of one split with gold, with everything an end model may read.
-- Reads       entity, gold_label, class
-- Output      the columns of entity, and p: 1 for the gold class, in class order
-- Source      people's labels; shuffled by a hash of the key
-- Invariants  the same order each time
SELECT
    e.*,
    list_transform(range(len($classes)), lambda k: CASE WHEN k = c.position THEN 1.0 ELSE 0.0 END) AS p
FROM entity AS e
JOIN gold_label AS g ON g.entity_id = e.entity_id
JOIN class AS c ON c.label = g.label
WHERE e.split = $split
ORDER BY md5(CAST(e.entity_id AS VARCHAR))
