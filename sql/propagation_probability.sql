-- propagation_probability: one row per reached entity and class; a labeling function that gives probabilities reads it.
-- Reads       propagation_score, propagation_threshold
-- Output      p in [0, 1]: the score after class-mass normalisation
-- Source      Zhu, Ghahramani and Lafferty 2003, section 4
-- Invariants  p sums to 1 per entity; no seed, which would only repeat its own gold label
SELECT
    s.entity_id,
    s.label,
    s.score * t.mass_weight / sum(s.score * t.mass_weight) OVER (PARTITION BY s.entity_id) AS p
FROM propagation_score AS s
JOIN propagation_threshold AS t USING (label)
WHERE s.n_hops > 0
