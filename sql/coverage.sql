-- coverage: one row per split and modality.
-- Reads       pattern_split, vote_pattern, pattern_vote
-- Output      n_covered: at least one vote; n_overlapping: at least two; n_conflicting: votes for at least two classes
-- Source      Ratner et al. 2017, section 4, row-level statistics
-- Invariants  n_conflicting <= n_overlapping <= n_covered <= n_entities
WITH labels AS (
    SELECT
        pattern_id,
        count(DISTINCT said) > 1 OR list_has_any(list(DISTINCT said), list(DISTINCT ruled_out)) AS in_conflict
    FROM pattern_vote
    GROUP BY pattern_id
)
SELECT
    s.split,
    s.modality,
    CAST(sum(s.n_entities) AS BIGINT) AS n_entities,
    CAST(coalesce(sum(s.n_entities) FILTER (WHERE p.n_votes > 0), 0) AS BIGINT) AS n_covered,
    CAST(coalesce(sum(s.n_entities) FILTER (WHERE p.n_votes > 1), 0) AS BIGINT) AS n_overlapping,
    CAST(coalesce(sum(s.n_entities) FILTER (WHERE l.in_conflict), 0) AS BIGINT) AS n_conflicting,
    sum(s.n_entities * p.n_votes) / sum(s.n_entities) AS mean_votes
FROM pattern_split AS s
JOIN vote_pattern AS p USING (pattern_id)
LEFT JOIN labels AS l USING (pattern_id)
GROUP BY s.split, s.modality
ORDER BY s.split, s.modality
