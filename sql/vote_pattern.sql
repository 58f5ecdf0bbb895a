-- vote_pattern: one row per distinct row of the label matrix.
-- Reads       pattern_code, pattern_vote
-- Output      n_entities >= 1; n_votes and votes (lf -> symbol, for most LFs a class) without abstains; the pattern without votes, if any, has 0
-- Source      Ratner et al. 2017, section 4: everything a label model needs
-- Invariants  sum(n_entities) = entities in scope
WITH voted AS (
    SELECT
        pattern_id,
        CAST(count(*) AS INTEGER) AS n_votes,
        map_from_entries(list((lf, symbol) ORDER BY lf)) AS votes
    FROM pattern_vote
    GROUP BY pattern_id
)
SELECT
    p.pattern_id,
    p.n_entities,
    coalesce(v.n_votes, 0) AS n_votes,
    coalesce(v.votes, CAST(map() AS MAP(VARCHAR, VARCHAR))) AS votes
FROM pattern_code AS p
LEFT JOIN voted AS v USING (pattern_id)
ORDER BY p.pattern_id
