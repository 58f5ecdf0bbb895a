-- votes: one row per vote; no row means abstain.
-- Reads       entity_pattern, pattern_vote
-- Output      entity_id, lf, label; soft votes and ruled-out classes stand in soft_vote and excluded_vote
-- Source      Ratner et al. 2017, section 4: the non-empty cells of the label matrix
-- Invariants  at most one row per entity and LF
SELECT
    e.entity_id,
    v.lf,
    v.label
FROM entity_pattern AS e
JOIN pattern_vote AS v USING (pattern_id)
WHERE v.ballot = 'vote'
