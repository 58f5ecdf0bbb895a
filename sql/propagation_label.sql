-- propagation_label: one row per entity that propagation labels; a labeling function reads it.
-- Reads       propagation_score, propagation_threshold
-- Output      label: the class whose score is furthest above its threshold, as a ratio
-- Source      Suri et al. 2020, section 4.4
-- Invariants  one row per entity; no seed, which would only repeat its own gold label
SELECT
    s.entity_id,
    s.label
FROM propagation_score AS s
JOIN propagation_threshold AS t USING (label)
WHERE s.n_hops > 0 AND s.score >= t.threshold
QUALIFY row_number() OVER (PARTITION BY s.entity_id ORDER BY s.score / t.threshold DESC, s.label) = 1
