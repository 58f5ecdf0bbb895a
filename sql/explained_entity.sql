-- explained_entity: what is known about one entity.
-- Reads       entity, entity_vote, vote_pattern, pattern_summary, gold_label
-- Output      one row; label and confidence NULL where no labeling function votes
-- Source      the current label model
-- Invariants  at most one row
SELECT
    e.*,
    s.label,
    s.confidence,
    p.n_votes,
    p.pattern_id,
    p.n_entities AS n_same_votes,
    g.label AS gold
FROM entity AS e
JOIN entity_vote AS v ON v.entity_id = e.entity_id
JOIN vote_pattern AS p ON p.pattern_id = v.pattern_id
LEFT JOIN pattern_summary AS s ON s.pattern_id = v.pattern_id
LEFT JOIN gold_label AS g ON g.entity_id = e.entity_id
WHERE CAST(e.entity_id AS VARCHAR) = $key
