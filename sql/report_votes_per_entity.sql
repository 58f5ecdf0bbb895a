-- report_votes_per_entity: one row per number of votes.
-- Reads       vote_pattern
-- Output      n_entities with that many votes; n_conflicting of them have votes for two classes or more
-- Source      Ratner et al. 2018, section 3: label density decides what a label model can add
-- Invariants  sum(n_entities) = entities in scope
SELECT
    n_votes,
    CAST(sum(n_entities) AS BIGINT) AS n_entities,
    CAST(coalesce(sum(n_entities) FILTER (WHERE len(list_distinct(map_values(votes))) > 1), 0) AS BIGINT) AS n_conflicting
FROM vote_pattern
GROUP BY n_votes
ORDER BY n_votes
