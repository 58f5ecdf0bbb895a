-- labelled_entity: one row per covered entity of one split, with everything an end model may read.
-- Reads       entity, entity_vote, pattern_label, class
-- Output      the columns of entity, and p: K probabilities in class order that sum to 1
-- Source      the current label model; shuffled by a hash of the key
-- Invariants  the same order each time
WITH soft AS (
    SELECT
        l.pattern_id,
        list(l.p ORDER BY c.position) AS p
    FROM pattern_label AS l
    JOIN class AS c USING (label)
    GROUP BY l.pattern_id
)
SELECT
    e.*,
    s.p
FROM entity AS e
JOIN entity_vote AS v ON v.entity_id = e.entity_id
JOIN soft AS s ON s.pattern_id = v.pattern_id
WHERE e.split = $split
ORDER BY md5(CAST(e.entity_id AS VARCHAR))
