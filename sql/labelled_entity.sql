-- labelled_entity: one row per labelled entity of one split, with everything an end model may read.
-- Reads       entity, entity_vote, pattern_label, gold_label, class
-- Output      the columns of entity; p: K probabilities in class order that sum to 1; weight: that of the entity's modality, 1 by default
-- Source      the current label model; where $gold, what people said comes first; shuffled by a hash of the key
-- Invariants  the same order each time; without $gold only covered entities
WITH soft AS (
    SELECT
        l.pattern_id,
        list(l.p ORDER BY c.position) AS p
    FROM pattern_label AS l
    JOIN class AS c USING (label)
    GROUP BY l.pattern_id
),
told AS (
    SELECT
        g.entity_id,
        list_transform(range(len($classes)), lambda k: CASE WHEN k = c.position THEN 1.0 ELSE 0.0 END) AS p
    FROM gold_label AS g
    JOIN class AS c ON c.label = g.label
    WHERE $gold
)
SELECT
    e.*,
    coalesce(t.p, s.p) AS p,
    coalesce(CAST($weights AS DOUBLE[])[list_position(CAST($modalities AS VARCHAR[]), e.modality)], 1.0) AS weight
FROM entity AS e
JOIN entity_vote AS v ON v.entity_id = e.entity_id
LEFT JOIN soft AS s ON s.pattern_id = v.pattern_id
LEFT JOIN told AS t ON t.entity_id = e.entity_id
WHERE e.split = $split AND (s.p IS NOT NULL OR t.p IS NOT NULL)
ORDER BY md5(CAST(e.entity_id AS VARCHAR))
