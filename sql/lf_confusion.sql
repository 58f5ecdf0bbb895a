-- lf_confusion: one row per labeling function, gold label and vote that occur together.
-- Reads       pattern_vote, pattern_gold
-- Output      n >= 1 entities with that gold label on which the LF votes so; abstains are left out
-- Source      the counts behind empirical_accuracy of lf_summary
-- Invariants  sum(n) = n_correct + n_incorrect of the LF
SELECT
    v.lf,
    g.gold,
    v.label AS vote,
    CAST(sum(g.n) AS BIGINT) AS n
FROM pattern_vote AS v
JOIN pattern_gold AS g USING (pattern_id)
GROUP BY v.lf, g.gold, v.label
ORDER BY v.lf, g.gold, v.label
