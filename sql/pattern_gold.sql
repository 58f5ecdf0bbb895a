-- pattern_gold: one row per vote pattern and gold label.
-- Reads       gold_label, entity_pattern
-- Output      n >= 1 entities of that pattern with that gold label
-- Source      counts from which the accuracies of LFs follow without touching rows again
-- Invariants  sum(n) = labelled entities in scope
SELECT
    p.pattern_id,
    g.label AS gold,
    count(*) AS n
FROM gold_label AS g
JOIN entity_pattern AS p USING (entity_id)
GROUP BY p.pattern_id, g.label
