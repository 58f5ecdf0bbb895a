-- show_conflicts: entities on which two labeling functions vote for different classes, a deterministic sample.
-- Reads       votes, gold_label, entity
-- Output      entity_id, label_a, label_b, gold (NULL where unknown, and on the test split), then the columns of entity
-- Source      conflicts_between(a, b)
-- Invariants  the same rows each time: smallest MD5 of the key first
SELECT
    x.entity_id,
    x.label AS label_a,
    y.label AS label_b,
    g.label AS gold,
    e.* EXCLUDE (entity_id)
FROM votes AS x
JOIN votes AS y ON y.entity_id = x.entity_id AND y.label <> x.label
JOIN entity AS e ON e.entity_id = x.entity_id
LEFT JOIN gold_label AS g ON g.entity_id = x.entity_id AND e.split <> 'test'
WHERE x.lf = $a AND y.lf = $b
ORDER BY md5(CAST(x.entity_id AS VARCHAR))
LIMIT $n
