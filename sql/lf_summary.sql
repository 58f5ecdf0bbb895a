-- lf_summary: one row per labeling function, silent ones included.
-- Reads       lf, pattern_vote, vote_pattern, pattern_gold, gold_label, lf_learned
-- Output      coverage, overlaps, conflicts: fractions of all entities in scope; accuracies in [0, 1], NULL where nothing is known
-- Source      Ratner et al. 2017, section 4; learned_accuracy = E[vote = Y] under the label model, over the LF's votes
-- Invariants  conflicts <= overlaps <= coverage
WITH total AS (
    SELECT CAST(sum(n_entities) AS DOUBLE) AS n
    FROM vote_pattern
),
pattern AS (
    SELECT
        p.pattern_id,
        p.n_entities,
        p.n_votes,
        count(DISTINCT v.said) > 1 OR list_has_any(list(DISTINCT v.said), list(DISTINCT v.ruled_out)) AS in_conflict
    FROM vote_pattern AS p
    JOIN pattern_vote AS v USING (pattern_id)
    GROUP BY p.pattern_id, p.n_entities, p.n_votes
),
fired AS (
    SELECT
        v.lf,
        list_sort(list(DISTINCT v.label)) AS polarity,
        CAST(sum(p.n_entities) AS BIGINT) AS n_votes,
        coalesce(sum(p.n_entities) FILTER (WHERE p.n_votes > 1), 0) AS n_overlapping,
        coalesce(sum(p.n_entities) FILTER (WHERE p.in_conflict), 0) AS n_conflicting
    FROM pattern_vote AS v
    JOIN pattern AS p USING (pattern_id)
    GROUP BY v.lf
),
judged AS (
    SELECT
        v.lf,
        CAST(coalesce(sum(g.n) FILTER (WHERE v.said = g.gold OR v.ruled_out <> g.gold), 0) AS BIGINT) AS n_correct,
        CAST(coalesce(sum(g.n) FILTER (WHERE v.said <> g.gold OR v.ruled_out = g.gold), 0) AS BIGINT) AS n_incorrect
    FROM pattern_vote AS v
    JOIN pattern_gold AS g USING (pattern_id)
    GROUP BY v.lf
)
SELECT
    f.lf,
    coalesce(s.polarity, CAST([] AS VARCHAR[])) AS polarity,
    coalesce(s.n_votes, 0) AS n_votes,
    coalesce(s.n_votes / t.n, 0) AS coverage,
    coalesce(s.n_overlapping / t.n, 0) AS "overlaps",
    coalesce(s.n_conflicting / t.n, 0) AS conflicts,
    CASE WHEN (SELECT count(*) FROM gold_label) > 0 THEN coalesce(j.n_correct, 0) END AS n_correct,
    CASE WHEN (SELECT count(*) FROM gold_label) > 0 THEN coalesce(j.n_incorrect, 0) END AS n_incorrect,
    j.n_correct / (j.n_correct + j.n_incorrect) AS empirical_accuracy,
    l.learned_accuracy
FROM lf AS f
CROSS JOIN total AS t
LEFT JOIN fired AS s USING (lf)
LEFT JOIN judged AS j USING (lf)
LEFT JOIN lf_learned AS l USING (lf)
WHERE f.status = 'ok'
ORDER BY f.lf
