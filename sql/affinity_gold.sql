-- affinity_gold: gold label and likeliest cluster of every entity of one affinity coding that has gold.
-- Reads       affinity_cluster, affinity_map, gold_label, entity
-- Output      named: the class of the cluster, NULL where it has no name
-- Source      Das et al. 2019, section 5.1
-- Invariants  one row per entity
WITH likeliest AS (
    SELECT
        affinity_function,
        entity_id,
        cluster
    FROM affinity_cluster
    WHERE affinity_function = $coding
    QUALIFY row_number() OVER (PARTITION BY entity_id ORDER BY p DESC, cluster) = 1
)
SELECT
    likeliest.entity_id,
    entity.split,
    likeliest.cluster,
    affinity_map.label AS named,
    gold_label.label AS gold
FROM likeliest
JOIN gold_label USING (entity_id)
JOIN entity USING (entity_id)
LEFT JOIN affinity_map USING (affinity_function, cluster)
ORDER BY likeliest.entity_id
