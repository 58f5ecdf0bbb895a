-- conflicts_between(a, b): one row per entity on which two labeling functions vote for different classes.
-- Reads       votes, gold_label
-- Output      entity_id, label_a, label_b, gold (NULL where unknown)
-- Source      the rows behind lf_pair.n_conflict
-- Invariants  label_a <> label_b
SELECT
    x.entity_id,
    x.label AS label_a,
    y.label AS label_b,
    g.label AS gold
FROM votes AS x
JOIN votes AS y ON y.entity_id = x.entity_id AND y.label <> x.label
LEFT JOIN gold_label AS g ON g.entity_id = x.entity_id
WHERE x.lf = $a AND y.lf = $b
ORDER BY x.entity_id
