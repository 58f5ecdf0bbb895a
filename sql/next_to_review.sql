-- next_to_review(n): up to n entities where a human answer helps most, of different vote patterns first.
-- Reads       review_score, pattern_split, entity_vote, gold_label, unanswerable
-- Output      entity_id, pattern_id, score: KL divergence in nats of the label model from what people said of the pattern
-- Source      Biegel et al. 2021 (Active WeaSuL), section 3.2: maxKL
-- Invariants  entities of the train split without gold; the same rows each time: smallest MD5 of the key first
WITH seen AS (
    SELECT entity_id FROM gold_label
    UNION
    SELECT entity_id FROM unanswerable
),
asked AS (
    SELECT
        e.pattern_id,
        count(*) AS n
    FROM seen AS s
    JOIN entity_vote AS e ON e.entity_id = s.entity_id
    WHERE e.split = 'train'
    GROUP BY e.pattern_id
),
left_over AS (
    SELECT
        s.pattern_id,
        CAST(sum(s.n_entities) AS BIGINT) - coalesce(any_value(a.n), 0) AS n
    FROM pattern_split AS s
    LEFT JOIN asked AS a ON a.pattern_id = s.pattern_id
    WHERE s.split = 'train'
    GROUP BY s.pattern_id
),
top AS (
    SELECT
        r.pattern_id,
        r.score
    FROM review_score AS r
    JOIN left_over AS o ON o.pattern_id = r.pattern_id AND o.n > 0
    ORDER BY r.score DESC, md5(CAST(r.pattern_id AS VARCHAR))
    LIMIT $n
),
candidate AS (
    SELECT
        e.entity_id,
        t.pattern_id,
        t.score,
        row_number() OVER (PARTITION BY t.pattern_id ORDER BY md5(CAST(e.entity_id AS VARCHAR))) AS turn
    FROM entity_vote AS e
    JOIN top AS t ON t.pattern_id = e.pattern_id
    ANTI JOIN seen AS s ON s.entity_id = e.entity_id
    WHERE e.split = 'train'
)
SELECT
    entity_id,
    pattern_id,
    score
FROM candidate
WHERE turn <= $n
ORDER BY turn, score DESC, md5(CAST(pattern_id AS VARCHAR))
LIMIT $n
