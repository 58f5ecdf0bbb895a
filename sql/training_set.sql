-- training_set: one row per covered entity.
-- Reads       entity_vote, pattern_summary
-- Output      label = the most probable class, NULL on a tie; confidence in [1/K, 1]; entropy in nats; n_votes >= 1
-- Source      the current label model
-- Invariants  entities without a vote are not in it
SELECT
    e.entity_id,
    e.modality,
    e.split,
    s.label,
    s.confidence,
    s.entropy,
    s.n_votes
FROM entity_vote AS e
JOIN pattern_summary AS s USING (pattern_id)
