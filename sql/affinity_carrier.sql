-- affinity_carrier: the prototypes that carried each cluster, at most $n each: their own cluster is nearer to them than the others.
-- Reads       affinity, prototype, affinity_cluster
-- Output      carry = inside - outside, in [-2, 2]: mean affinity of the entities of the prototype's own cluster, and of the others
-- Source      Das et al. 2019, section 3.2
-- Invariants  rank <= $n; a prototype stands in the cluster of the entity it comes from
WITH likeliest AS (
    SELECT
        entity_id,
        cluster
    FROM affinity_cluster
    WHERE affinity_function = $coding
    QUALIFY row_number() OVER (PARTITION BY entity_id ORDER BY p DESC, cluster) = 1
),
score AS (
    SELECT
        affinity.affinity_function,
        affinity.entity_id,
        affinity.block * $width + unnest(generate_series(0, len(affinity.s) - 1)) AS prototype_id,
        unnest(affinity.s) AS s
    FROM affinity
    WHERE affinity.affinity_function = $coding OR starts_with(affinity.affinity_function, concat($coding, ':'))
),
owned AS (
    SELECT
        prototype.affinity_function,
        prototype.prototype_id,
        prototype.entity_id,
        prototype."row",
        prototype."col",
        likeliest.cluster
    FROM prototype
    JOIN likeliest USING (entity_id)
),
carried AS (
    SELECT
        owned.affinity_function,
        owned.prototype_id,
        owned.entity_id,
        owned."row",
        owned."col",
        owned.cluster,
        avg(score.s) FILTER (likeliest.cluster = owned.cluster AND score.entity_id <> owned.entity_id) AS inside,
        avg(score.s) FILTER (likeliest.cluster <> owned.cluster) AS outside
    FROM score
    JOIN owned USING (affinity_function, prototype_id)
    JOIN likeliest ON likeliest.entity_id = score.entity_id
    GROUP BY ALL
)
SELECT
    cluster,
    row_number() OVER (PARTITION BY cluster ORDER BY inside - outside DESC, affinity_function, prototype_id) AS rank,
    affinity_function,
    prototype_id,
    entity_id,
    "row",
    "col",
    inside,
    outside,
    inside - outside AS carry
FROM carried
WHERE inside IS NOT NULL AND outside IS NOT NULL
QUALIFY rank <= $n
ORDER BY cluster, rank
