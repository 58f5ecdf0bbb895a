-- show_uncovered: entities without a vote, a deterministic sample.
-- Reads       entity_vote, vote_pattern, entity
-- Output      the columns of entity
-- Source      uncovered(n)
-- Invariants  the same rows each time: smallest MD5 of the key first
SELECT e.*
FROM entity_vote AS v
JOIN vote_pattern AS p USING (pattern_id)
JOIN entity AS e ON e.entity_id = v.entity_id
WHERE p.n_votes = 0
ORDER BY md5(CAST(e.entity_id AS VARCHAR))
LIMIT $n
