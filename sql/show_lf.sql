-- show_lf: entities a labeling function votes on, a deterministic sample.
-- Reads       votes, gold_label, entity
-- Output      entity_id, voted, gold (NULL where unknown, and on the test split), then the columns of entity
-- Source      $which = 'all', 'wrong' or 'right' against gold of the train and dev splits: the test split stays unseen
-- Invariants  the same rows each time: smallest MD5 of the key first
SELECT
    v.entity_id,
    v.label AS voted,
    g.label AS gold,
    e.* EXCLUDE (entity_id)
FROM votes AS v
JOIN entity AS e ON e.entity_id = v.entity_id
LEFT JOIN gold_label AS g ON g.entity_id = v.entity_id AND e.split <> 'test'
WHERE
    v.lf = $lf
    AND ($which = 'all' OR ($which = 'wrong' AND g.label <> v.label) OR ($which = 'right' AND g.label = v.label))
ORDER BY md5(CAST(v.entity_id AS VARCHAR))
LIMIT $n
