-- false_positives(lf): one row per entity of the dev split on which a labeling function is wrong.
-- Reads       entity_vote, pattern_vote, gold_label
-- Output      entity_id, voted, gold
-- Source      gold of the dev split only: the test split stays unseen
-- Invariants  voted <> gold
SELECT
    e.entity_id,
    v.label AS voted,
    g.label AS gold
FROM entity_vote AS e
JOIN pattern_vote AS v ON v.pattern_id = e.pattern_id
JOIN gold_label AS g ON g.entity_id = e.entity_id AND (v.said <> g.label OR v.ruled_out = g.label)
WHERE v.lf = $lf AND e.split = 'dev'
ORDER BY e.entity_id
