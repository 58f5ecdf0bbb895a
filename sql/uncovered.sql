-- uncovered(n): up to n entities without a vote.
-- Reads       entity_vote, vote_pattern
-- Output      entity_id, modality
-- Source      a deterministic sample: smallest MD5 of the key
-- Invariants  the same rows each time
SELECT
    e.entity_id,
    e.modality
FROM entity_vote AS e
JOIN vote_pattern AS p USING (pattern_id)
WHERE p.n_votes = 0
ORDER BY md5(CAST(e.entity_id AS VARCHAR))
LIMIT $n
