-- feature_catalogue: one row per common feature and modality.
-- Reads       feature, feature_quality, feature_service, feature_divergence
-- Output      coverage, drift, jensen_shannon (bits), auprc_alone in [0, 1]; NULL where nothing is known
-- Source      Suri et al. 2020, section 3
-- Invariants  features of a set stand together, columns of the modalities last
SELECT
    f.feature,
    f.kind,
    f.feature_set AS "set",
    f.servable,
    f.type,
    q.modality,
    q.coverage,
    q.distinct_values,
    q.drift,
    d.jensen_shannon,
    q.auprc_alone,
    q.leak,
    array_to_string(list_transform(list_zip(s.services, s.versions), lambda x: concat(x[1], ' v', x[2])), ', ') AS services,
    s.cost_ms,
    s.failures
FROM feature AS f
JOIN feature_quality AS q USING (feature)
JOIN feature_service AS s USING (feature)
JOIN feature_divergence AS d USING (feature, modality)
ORDER BY f.kind = 'column', f.feature_set NULLS LAST, f.feature, q.modality
