-- show_lf: entities a labeling function votes on, a deterministic sample.
-- Reads       entity_pattern, pattern_vote, gold_label, entity
-- Output      entity_id, voted, gold (NULL where unknown, and on the test split), then the columns of entity
-- Source      $which = 'all', 'wrong' or 'right' against gold of the train and dev splits: the test split stays unseen
-- Invariants  the same rows each time: smallest MD5 of the key first
SELECT
    p.entity_id,
    v.label AS voted,
    g.label AS gold,
    e.* EXCLUDE (entity_id)
FROM entity_pattern AS p
JOIN pattern_vote AS v ON v.pattern_id = p.pattern_id
JOIN entity AS e ON e.entity_id = p.entity_id
LEFT JOIN gold_label AS g ON g.entity_id = p.entity_id AND e.split <> 'test'
WHERE
    v.lf = $lf
    AND ($which = 'all' OR ($which = 'wrong' AND (v.said <> g.label OR v.ruled_out = g.label)) OR ($which = 'right' AND (v.said = g.label OR v.ruled_out <> g.label)))
ORDER BY md5(CAST(p.entity_id AS VARCHAR))
LIMIT $n
