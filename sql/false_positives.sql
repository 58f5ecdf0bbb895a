-- false_positives(lf): one row per entity of the dev split on which a labeling function is wrong.
-- Reads       votes, gold_label, entity_vote
-- Output      entity_id, voted, gold
-- Source      gold of the dev split only: the test split stays unseen
-- Invariants  voted <> gold
SELECT
    v.entity_id,
    v.label AS voted,
    g.label AS gold
FROM votes AS v
JOIN gold_label AS g ON g.entity_id = v.entity_id AND g.label <> v.label
JOIN entity_vote AS e ON e.entity_id = v.entity_id
WHERE v.lf = $lf AND e.split = 'dev'
ORDER BY v.entity_id
