-- conflicts_between(a, b): one row per entity on which two labeling functions vote for different classes.
-- Reads       entity_pattern, pattern_vote, gold_label
-- Output      entity_id, label_a, label_b, gold (NULL where unknown)
-- Source      the rows behind lf_pair.n_conflict
-- Invariants  label_a <> label_b
SELECT
    p.entity_id,
    x.label AS label_a,
    y.label AS label_b,
    g.label AS gold
FROM entity_pattern AS p
JOIN pattern_vote AS x ON x.pattern_id = p.pattern_id
JOIN pattern_vote AS y ON y.pattern_id = p.pattern_id AND (x.said <> y.said OR x.said = y.ruled_out OR x.ruled_out = y.said)
LEFT JOIN gold_label AS g ON g.entity_id = p.entity_id
WHERE x.lf = $a AND y.lf = $b
ORDER BY p.entity_id
