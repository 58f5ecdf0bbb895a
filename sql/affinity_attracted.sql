-- affinity_attracted: the entities one prototype attracts most, at most $n, without the one it comes from.
-- Reads       affinity, prototype
-- Output      s: affinity to the prototype, in [-1, 1] for cosines; largest first
-- Source      Das et al. 2019, eq. 4
-- Invariants  at most $n rows
SELECT
    affinity.entity_id,
    affinity.s[CAST($prototype % $width AS BIGINT) + 1] AS s
FROM affinity
JOIN prototype
    ON prototype.affinity_function = affinity.affinity_function AND prototype.prototype_id = $prototype
WHERE affinity.affinity_function = $coding AND affinity.block = $prototype // $width AND affinity.entity_id <> prototype.entity_id
ORDER BY s DESC, md5(CAST(affinity.entity_id AS VARCHAR))
LIMIT $n
