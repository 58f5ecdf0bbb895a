-- affinity_typical: the most typical entities of each cluster of one affinity coding, at most $n each.
-- Reads       affinity_cluster, affinity_map
-- Output      rank from 1; size: entities whose likeliest cluster it is; label NULL: the cluster has no name yet
-- Source      Das et al. 2019, section 2.2
-- Invariants  rank <= $n; an entity stands in one cluster only
WITH likeliest AS (
    SELECT
        affinity_function,
        entity_id,
        cluster,
        p
    FROM affinity_cluster
    WHERE affinity_function = $coding
    QUALIFY row_number() OVER (PARTITION BY entity_id ORDER BY p DESC, cluster) = 1
),
ranked AS (
    SELECT
        *,
        row_number() OVER (PARTITION BY cluster ORDER BY p DESC, md5(CAST(entity_id AS VARCHAR))) AS rank,
        count(*) OVER (PARTITION BY cluster) AS size
    FROM likeliest
)
SELECT
    ranked.cluster,
    affinity_map.label,
    ranked.size,
    ranked.rank,
    ranked.entity_id,
    ranked.p
FROM ranked
LEFT JOIN affinity_map USING (affinity_function, cluster)
WHERE ranked.rank <= $n
ORDER BY ranked.cluster, ranked.rank
