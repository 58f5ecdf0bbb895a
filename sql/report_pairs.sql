-- report_pairs: one row per pair of labeling functions that both vote, lf_a < lf_b; share_j(c) = votes of LF j for class c / n, n = all entities in scope.
-- Reads       lf_pair, pattern_vote, vote_pattern
-- Output      agreement_excess = (n_agree - n * sum_c share_a(c) * share_b(c)) / votes of the rarer LF, in [-1, 1]; conflict_excess the same with n_conflict and c <> d
-- Source      what two LFs would do if each drew its votes independently with its own class shares; a copy of an LF has 1 - its coverage
-- Invariants  0 where two LFs meet as often as chance would have it
WITH total AS (
    SELECT CAST(sum(n_entities) AS DOUBLE) AS n
    FROM vote_pattern
),
votes_for AS (
    SELECT v.lf, v.label, CAST(sum(p.n_entities) AS DOUBLE) AS n
    FROM pattern_vote AS v
    JOIN vote_pattern AS p ON p.pattern_id = v.pattern_id
    GROUP BY v.lf, v.label
),
votes_of AS (
    SELECT lf, sum(n) AS n
    FROM votes_for
    GROUP BY lf
),
expected AS (
    SELECT
        a.lf AS lf_a,
        b.lf AS lf_b,
        coalesce(sum(a.n * b.n) FILTER (WHERE a.label = b.label), 0) / any_value(t.n) AS agree,
        coalesce(sum(a.n * b.n) FILTER (WHERE a.label <> b.label), 0) / any_value(t.n) AS conflict
    FROM votes_for AS a
    JOIN votes_for AS b ON a.lf < b.lf
    CROSS JOIN total AS t
    GROUP BY a.lf, b.lf
)
SELECT
    p.lf_a,
    p.lf_b,
    p.n_both,
    p.n_agree,
    p.n_conflict,
    round(e.agree, 6) AS expected_agree,
    round(e.conflict, 6) AS expected_conflict,
    round((p.n_agree - e.agree) / least(a.n, b.n), 6) AS agreement_excess,
    round((p.n_conflict - e.conflict) / least(a.n, b.n), 6) AS conflict_excess
FROM lf_pair AS p
JOIN expected AS e ON e.lf_a = p.lf_a AND e.lf_b = p.lf_b
JOIN votes_of AS a ON a.lf = p.lf_a
JOIN votes_of AS b ON b.lf = p.lf_b
ORDER BY p.lf_a, p.lf_b
