-- report_balance: one row per class, in class order.
-- Reads       class, pattern_vote, vote_pattern, pattern_summary, gold_label
-- Output      prior of the label model in [0, 1]; n_votes, n_labels, n_gold: counts
-- Source      the class balance at each station from votes to gold
-- Invariants  sum(n_labels) = covered entities without a tie
WITH voted AS (
    SELECT v.label, CAST(sum(p.n_entities) AS BIGINT) AS n
    FROM pattern_vote AS v
    JOIN vote_pattern AS p ON p.pattern_id = v.pattern_id
    GROUP BY v.label
),
labelled AS (
    SELECT s.label, CAST(sum(p.n_entities) AS BIGINT) AS n
    FROM pattern_summary AS s
    JOIN vote_pattern AS p ON p.pattern_id = s.pattern_id
    GROUP BY s.label
),
judged AS (
    SELECT label, count(*) AS n
    FROM gold_label
    GROUP BY label
)
SELECT
    c.label,
    c.prior,
    coalesce(v.n, 0) AS n_votes,
    coalesce(l.n, 0) AS n_labels,
    coalesce(g.n, 0) AS n_gold
FROM class AS c
LEFT JOIN voted AS v ON v.label = c.label
LEFT JOIN labelled AS l ON l.label = c.label
LEFT JOIN judged AS g ON g.label = c.label
ORDER BY c.position
