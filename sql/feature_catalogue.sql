-- feature_catalogue: one row per common feature and modality.
-- Reads       feature, feature_quality
-- Output      coverage, drift, auprc_alone in [0, 1]; NULL where nothing is known
-- Source      Suri et al. 2020, section 3
-- Invariants  features of a set stand together, columns of the modalities last
SELECT
    f.feature,
    f.kind,
    f.feature_set AS "set",
    f.servable,
    q.modality,
    q.coverage,
    q.distinct_values,
    q.drift,
    q.auprc_alone,
    q.leak
FROM feature AS f
JOIN feature_quality AS q USING (feature)
ORDER BY f.kind = 'column', f.feature_set NULLS LAST, f.feature, q.modality
