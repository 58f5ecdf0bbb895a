-- report_confidence: one row per confidence bin of width 0.01 that holds a label.
-- Reads       pattern_summary, vote_pattern, gold_label, entity_vote
-- Output      threshold = lower end of the bin; n_labels; n_gold and n_correct over gold of dev and test
-- Source      sums from a threshold upward say how many labels stay and how often they are right
-- Invariants  sum(n_labels) = covered entities without a tie; n_correct <= n_gold <= n_labels
WITH labelled AS (
    SELECT
        s.pattern_id,
        s.label,
        p.n_entities,
        CAST(least(floor(s.confidence * 100 + 1e-9), 99) AS INTEGER) AS bin
    FROM pattern_summary AS s
    JOIN vote_pattern AS p ON p.pattern_id = s.pattern_id
    WHERE s.label IS NOT NULL
),
judged AS (
    SELECT
        l.bin,
        count(*) AS n_gold,
        count(*) FILTER (WHERE g.label = l.label) AS n_correct
    FROM gold_label AS g
    JOIN entity_vote AS e ON e.entity_id = g.entity_id AND e.split IN ('dev', 'test')
    JOIN labelled AS l ON l.pattern_id = e.pattern_id
    GROUP BY l.bin
),
counted AS (
    SELECT bin, CAST(sum(n_entities) AS BIGINT) AS n_labels
    FROM labelled
    GROUP BY bin
)
SELECT
    c.bin / 100 AS threshold,
    c.n_labels,
    coalesce(j.n_gold, 0) AS n_gold,
    coalesce(j.n_correct, 0) AS n_correct
FROM counted AS c
LEFT JOIN judged AS j ON j.bin = c.bin
ORDER BY threshold
