-- pattern_answer: one row per vote pattern and class that people named for some of its entities.
-- Reads       gold_label, entity_vote
-- Output      n >= 1 answers of gold/*.csv, train split only
-- Source      answers to questions: what bends the label model
-- Invariants  sum(n) = entities of the train split whose gold is an answer
SELECT
    e.pattern_id,
    g.label,
    count(*) AS n
FROM gold_label AS g
JOIN entity_vote AS e ON e.entity_id = g.entity_id
WHERE g.source <> 'warehouse' AND e.split = 'train'
GROUP BY e.pattern_id, g.label
ORDER BY e.pattern_id, g.label
