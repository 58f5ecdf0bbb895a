-- lf_pair: one row per pair of labeling functions, lf_a < lf_b.
-- Reads       lf, pattern_vote, vote_pattern
-- Output      agreement = n_agree / n_both in [0, 1], NULL when they never meet; correlation of the two "votes at all" indicators in [-1, 1]
-- Source      Pearson's phi over all entities in scope, from the counts of vote patterns
-- Invariants  n_both = n_agree + n_conflict
WITH total AS (
    SELECT CAST(sum(n_entities) AS DOUBLE) AS n
    FROM vote_pattern
),
single AS (
    SELECT
        f.lf,
        coalesce(sum(p.n_entities), 0) AS n
    FROM lf AS f
    LEFT JOIN pattern_vote AS v USING (lf)
    LEFT JOIN vote_pattern AS p USING (pattern_id)
    WHERE f.status = 'ok'
    GROUP BY f.lf
),
met AS (
    SELECT
        a.lf AS lf_a,
        b.lf AS lf_b,
        sum(p.n_entities) AS n_both,
        coalesce(sum(p.n_entities) FILTER (WHERE a.said <> b.said OR a.said = b.ruled_out OR a.ruled_out = b.said), 0) AS n_conflict
    FROM pattern_vote AS a
    JOIN pattern_vote AS b ON b.pattern_id = a.pattern_id AND a.lf < b.lf
    JOIN vote_pattern AS p ON p.pattern_id = a.pattern_id
    GROUP BY a.lf, b.lf
)
SELECT
    a.lf AS lf_a,
    b.lf AS lf_b,
    CAST(coalesce(m.n_both, 0) AS BIGINT) AS n_both,
    CAST(coalesce(m.n_both - m.n_conflict, 0) AS BIGINT) AS n_agree,
    CAST(coalesce(m.n_conflict, 0) AS BIGINT) AS n_conflict,
    CAST(m.n_both - m.n_conflict AS DOUBLE) / m.n_both AS agreement,
    (t.n * coalesce(m.n_both, 0) - CAST(a.n AS DOUBLE) * b.n)
    / sqrt(nullif(CAST(a.n AS DOUBLE) * (t.n - a.n) * b.n * (t.n - b.n), 0)) AS correlation
FROM single AS a
JOIN single AS b ON a.lf < b.lf
CROSS JOIN total AS t
LEFT JOIN met AS m ON m.lf_a = a.lf AND m.lf_b = b.lf
ORDER BY lf_a, lf_b
