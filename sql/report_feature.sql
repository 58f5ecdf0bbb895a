-- report_feature: one row per common feature and modality.
-- Reads       gs.feature, gs.feature_quality, gs.feature_service, gs.feature_divergence
-- Output      coverage, drift, jensen_shannon (bits), auprc_alone in [0, 1]; NULL where nothing is known
-- Source      Suri et al. 2020, section 3
-- Invariants  features of a set stand together, columns of the modalities last
SELECT
    f.feature,
    f.kind,
    f.feature_set,
    f.type,
    f.servable,
    s.services,
    s.versions,
    s.cost_ms,
    s.failures,
    q.modality,
    q.coverage,
    q.distinct_values,
    q.drift,
    d.jensen_shannon,
    q.auprc_alone,
    q.leak
FROM gs.feature AS f
JOIN gs.feature_quality AS q ON q.feature = f.feature
JOIN gs.feature_service AS s ON s.feature = f.feature
JOIN gs.feature_divergence AS d ON d.feature = q.feature AND d.modality = q.modality
ORDER BY f.kind = 'column', f.feature_set NULLS LAST, f.feature, q.modality
