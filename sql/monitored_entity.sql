-- monitored_entity: one row per entity of the test split that has a prediction: what live metrics are estimated on.
-- Reads       entity_vote, predictions, pattern_label, gold_label, unanswerable, class
-- Output      predicted = position of the predicted class; end_model, label_model: K probabilities in class order, label_model NULL where it is silent
-- Source      the newest end model; $modalities: those that are watched; gold = position of the class people gave, known: they were asked
-- Invariants  in the order of a hash of the key
WITH soft AS (
    SELECT
        l.pattern_id,
        list(l.p ORDER BY c.position) AS p
    FROM pattern_label AS l
    JOIN class AS c USING (label)
    GROUP BY l.pattern_id
)
SELECT
    e.entity_id,
    e.modality,
    c.position AS predicted,
    list_transform($classes, lambda k: p.p[k]) AS end_model,
    s.p AS label_model,
    k.position AS gold,
    g.entity_id IS NOT NULL OR u.entity_id IS NOT NULL AS known
FROM entity_vote AS e
JOIN predictions AS p ON p.entity_id = e.entity_id
JOIN class AS c ON c.label = p.predicted_label
LEFT JOIN soft AS s ON s.pattern_id = e.pattern_id
LEFT JOIN gold_label AS g ON g.entity_id = e.entity_id
LEFT JOIN class AS k ON k.label = g.label
LEFT JOIN unanswerable AS u ON u.entity_id = e.entity_id
WHERE e.split = 'test' AND list_contains($modalities, e.modality)
ORDER BY md5(CAST(e.entity_id AS VARCHAR))
