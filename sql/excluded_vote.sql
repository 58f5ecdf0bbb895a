-- excluded_vote: one row per class that an LF rules out for an entity.
-- Reads       entity_pattern, pattern_vote
-- Output      entity_id, lf, label: the class it cannot be
-- Source      labeling functions with "-> !class"
-- Invariants  at most one row per entity and LF
SELECT
    e.entity_id,
    v.lf,
    v.label[2:] AS label
FROM entity_pattern AS e
JOIN pattern_vote AS v USING (pattern_id)
WHERE v.ballot = 'exclude'
