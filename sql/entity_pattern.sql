-- entity_pattern: one row per entity in scope.
-- Reads       entity_vote
-- Output      entity_id, pattern_id
-- Source      which row of vote_pattern an entity has
-- Invariants  as many rows as entity
SELECT
    entity_id,
    pattern_id
FROM entity_vote
