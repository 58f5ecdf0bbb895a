-- show_conflicts: entities on which two labeling functions vote for different classes, a deterministic sample.
-- Reads       entity_pattern, pattern_vote, gold_label, entity
-- Output      entity_id, label_a, label_b, gold (NULL where unknown, and on the test split), then the columns of entity
-- Source      conflicts_between(a, b)
-- Invariants  the same rows each time: smallest MD5 of the key first
SELECT
    p.entity_id,
    x.label AS label_a,
    y.label AS label_b,
    g.label AS gold,
    e.* EXCLUDE (entity_id)
FROM entity_pattern AS p
JOIN pattern_vote AS x ON x.pattern_id = p.pattern_id
JOIN pattern_vote AS y ON y.pattern_id = p.pattern_id AND (x.said <> y.said OR x.said = y.ruled_out OR x.ruled_out = y.said)
JOIN entity AS e ON e.entity_id = p.entity_id
LEFT JOIN gold_label AS g ON g.entity_id = p.entity_id AND e.split <> 'test'
WHERE x.lf = $a AND y.lf = $b
ORDER BY md5(CAST(p.entity_id AS VARCHAR))
LIMIT $n
