-- review_candidate: entities of the train split that nobody has been asked about, a few of each wanted pattern.
-- Reads       entity_vote, gold_label, unanswerable
-- Output      entity_id, pattern_id
-- Source      $patterns: the patterns wanted; smallest MD5 of the key first
-- Invariants  at most $n entities per pattern
SELECT
    e.entity_id,
    e.pattern_id
FROM entity_vote AS e
ANTI JOIN gold_label AS g ON g.entity_id = e.entity_id
ANTI JOIN unanswerable AS u ON u.entity_id = e.entity_id
WHERE e.split = 'train' AND list_contains($patterns, e.pattern_id)
QUALIFY row_number() OVER (PARTITION BY e.pattern_id ORDER BY md5(CAST(e.entity_id AS VARCHAR))) <= $n
ORDER BY e.pattern_id, md5(CAST(e.entity_id AS VARCHAR))
