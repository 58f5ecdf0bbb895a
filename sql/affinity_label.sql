-- affinity_label: one row per entity and class of every affinity coding whose clusters have names.
-- Reads       affinity_cluster, affinity_map
-- Output      label: the class; p in [0, 1]: what the clusters of that class weigh together
-- Source      Das et al. 2019, section 2
-- Invariants  p sums to 1 per affinity_function and entity when every cluster has a name
SELECT
    affinity_function,
    entity_id,
    label,
    sum(p) AS p
FROM affinity_cluster
JOIN affinity_map USING (affinity_function, cluster)
GROUP BY ALL
