-- probabilistic_labels: one row per covered entity and class.
-- Reads       entity_vote, pattern_label
-- Output      p in [0, 1]
-- Source      the current label model's P(label | votes)
-- Invariants  p sums to 1 per entity
SELECT
    e.entity_id,
    l.label,
    l.p
FROM entity_vote AS e
JOIN pattern_label AS l USING (pattern_id)
