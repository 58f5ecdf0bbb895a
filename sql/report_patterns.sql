-- report_patterns: one row per vote pattern, the $n most frequent ones with votes.
-- Reads       vote_pattern, pattern_summary, entity_vote, gold_label
-- Output      votes (lf -> label), the label and confidence the pattern gets; n_gold, n_correct over gold of train and dev
-- Source      the label model's answer is a function of the pattern
-- Invariants  the test split's gold is not read: a pattern may be a single row
WITH top AS (
    SELECT pattern_id, n_entities, n_votes, votes
    FROM vote_pattern
    WHERE n_votes > 0
    ORDER BY n_entities DESC, pattern_id
    LIMIT $n
),
judged AS (
    SELECT
        e.pattern_id,
        count(*) AS n_gold,
        count(*) FILTER (WHERE g.label = s.label) AS n_correct
    FROM gold_label AS g
    JOIN entity_vote AS e ON e.entity_id = g.entity_id AND e.split <> 'test'
    JOIN top AS t ON t.pattern_id = e.pattern_id
    JOIN pattern_summary AS s ON s.pattern_id = e.pattern_id
    GROUP BY e.pattern_id
)
SELECT
    t.pattern_id,
    t.n_entities,
    t.n_votes,
    t.votes,
    s.label,
    s.confidence,
    coalesce(j.n_gold, 0) AS n_gold,
    coalesce(j.n_correct, 0) AS n_correct
FROM top AS t
LEFT JOIN pattern_summary AS s ON s.pattern_id = t.pattern_id
LEFT JOIN judged AS j ON j.pattern_id = t.pattern_id
ORDER BY t.n_entities DESC, t.pattern_id
