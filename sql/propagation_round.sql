-- propagation_round: what one more round of the clamped iteration makes of the scores.
-- Reads       edge, propagation_score
-- Output      entity_id, label, score in [0, 1], n_hops: the columns of propagation_score
-- Source      Zhu, Ghahramani and Lafferty 2003, section 2
-- Invariants  seeds (n_hops = 0) keep their score; the same rows as propagation_score
SELECT
    f.entity_id,
    f.label,
    CASE WHEN f.n_hops = 0 THEN f.score ELSE m.score END AS score,
    f.n_hops
FROM propagation_score AS f
LEFT JOIN (
    SELECT
        e.dst AS entity_id,
        g.label,
        sum(e.weight * g.score) / sum(e.weight) AS score
    FROM edge AS e
    JOIN propagation_score AS g ON g.entity_id = e.src
    GROUP BY ALL
) AS m ON m.entity_id = f.entity_id AND m.label = f.label
