-- report_explained: up to $n entities each whose label is most certain, least certain or wrong, one per vote pattern, of train and dev.
-- Reads       pattern_summary, pattern_split, entity_vote, gold_label, pattern_label, pattern_vote, vote_symbol, label_evidence, label_interaction, class, vote_pattern, entity
-- Output      label, runner_up, confidence, gold; evidence: list of (source, vote, evidence), log-odds of label against runner-up; entity
-- Source      explain_label(id) for each of them; smallest MD5 of the key first
-- Invariants  no entity of the test split; evidence adds up to the log-odds where the model factorises
WITH seen AS (
    SELECT s.pattern_id, s.label, s.confidence, CAST(sum(p.n_entities) AS BIGINT) AS n
    FROM pattern_summary AS s
    JOIN pattern_split AS p ON p.pattern_id = s.pattern_id
    WHERE p.split <> 'test'
    GROUP BY s.pattern_id, s.label, s.confidence
),
judged AS (
    SELECT
        e.pattern_id,
        e.entity_id,
        g.label AS gold,
        md5(CAST(e.entity_id AS VARCHAR)) AS turn
    FROM gold_label AS g
    JOIN entity_vote AS e ON e.entity_id = g.entity_id
    WHERE e.split <> 'test'
),
mistaken AS (
    SELECT
        j.pattern_id,
        s.confidence,
        arg_min(j.entity_id, j.turn) AS entity_id
    FROM judged AS j
    JOIN seen AS s ON s.pattern_id = j.pattern_id AND s.label <> j.gold
    GROUP BY j.pattern_id, s.confidence
    ORDER BY s.confidence DESC, j.pattern_id
    LIMIT $n
),
certain AS (
    SELECT pattern_id FROM seen ORDER BY confidence DESC, n DESC, pattern_id LIMIT $n
),
uncertain AS (
    SELECT pattern_id FROM seen ORDER BY confidence, n DESC, pattern_id LIMIT $n
),
picked AS (
    SELECT 1 AS place, 'most certain' AS kind, pattern_id FROM certain
    UNION ALL
    SELECT 2 AS place, 'least certain' AS kind, pattern_id FROM uncertain
),
representative AS (
    SELECT
        pattern_id,
        arg_min(entity_id, md5(CAST(entity_id AS VARCHAR))) AS entity_id
    FROM entity_vote
    WHERE split <> 'test' AND pattern_id IN (SELECT pattern_id FROM picked)
    GROUP BY pattern_id
),
chosen AS (
    SELECT p.place, p.kind, p.pattern_id, r.entity_id
    FROM picked AS p
    JOIN representative AS r ON r.pattern_id = p.pattern_id
    UNION ALL
    SELECT 3 AS place, 'wrong' AS kind, pattern_id, entity_id FROM mistaken
),
ranked AS (
    SELECT
        l.pattern_id,
        l.label,
        row_number() OVER (PARTITION BY l.pattern_id ORDER BY l.p DESC, c.position) AS place
    FROM pattern_label AS l
    JOIN class AS c ON c.label = l.label
    WHERE l.pattern_id IN (SELECT pattern_id FROM chosen)
),
duel AS (
    SELECT
        pattern_id,
        any_value(label) FILTER (WHERE place = 1) AS best,
        any_value(label) FILTER (WHERE place = 2) AS second
    FROM ranked
    GROUP BY pattern_id
),
said AS (
    SELECT
        d.pattern_id,
        map_from_entries(list((v.lf, y.hard)) FILTER (WHERE y.hard IS NOT NULL)) AS votes
    FROM duel AS d
    JOIN pattern_vote AS v ON v.pattern_id = d.pattern_id
    JOIN vote_symbol AS y ON y.symbol = v.symbol
    GROUP BY d.pattern_id
),
added AS (
    SELECT
        d.pattern_id,
        coalesce(w.lf, '(class balance)') AS source,
        v.symbol AS vote,
        CASE w.label WHEN d.best THEN w.weight WHEN d.second THEN -w.weight ELSE 0 END AS evidence
    FROM duel AS d
    CROSS JOIN label_evidence AS w
    LEFT JOIN pattern_vote AS v ON v.pattern_id = d.pattern_id AND v.lf = w.lf
    WHERE w.vote IS NOT DISTINCT FROM v.symbol
    UNION ALL
    SELECT
        d.pattern_id,
        array_to_string(i.lfs, ' with ') AS source,
        array_to_string(list_transform(i.votes, lambda vote: coalesce(vote, '–')), ', ') AS vote,
        CASE i.label WHEN d.best THEN i.weight WHEN d.second THEN -i.weight ELSE 0 END AS evidence
    FROM duel AS d
    JOIN said AS s ON s.pattern_id = d.pattern_id
    CROSS JOIN label_interaction AS i
    WHERE list_transform(i.lfs, lambda lf: coalesce(s.votes[lf], '')) = list_transform(i.votes, lambda vote: coalesce(vote, ''))
),
weighed AS (
    SELECT
        pattern_id,
        source,
        vote,
        sum(evidence) AS evidence
    FROM added
    GROUP BY pattern_id, source, vote
),
told AS (
    SELECT
        pattern_id,
        list({'source': source, 'vote': vote, 'evidence': evidence} ORDER BY abs(evidence) DESC, source) AS evidence
    FROM weighed
    WHERE vote IS NOT NULL OR evidence <> 0
    GROUP BY pattern_id
)
SELECT
    c.kind,
    s.label,
    d.best,
    d.second AS runner_up,
    s.confidence,
    p.n_entities,
    g.label AS gold,
    t.evidence,
    to_json(e) AS entity
FROM chosen AS c
JOIN seen AS s ON s.pattern_id = c.pattern_id
JOIN duel AS d ON d.pattern_id = c.pattern_id
JOIN vote_pattern AS p ON p.pattern_id = c.pattern_id
JOIN entity AS e ON e.entity_id = c.entity_id
LEFT JOIN told AS t ON t.pattern_id = c.pattern_id
LEFT JOIN gold_label AS g ON g.entity_id = c.entity_id
ORDER BY c.place, CASE WHEN c.place = 2 THEN s.confidence ELSE -s.confidence END, c.pattern_id
