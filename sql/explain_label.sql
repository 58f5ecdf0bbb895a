-- explain_label(id): one row per piece of evidence for the label of an entity.
-- Reads       entity_pattern, pattern_label, pattern_vote, label_evidence, class
-- Output      source = LF or '(class balance)'; vote NULL = abstain; evidence = log-odds of the best class against the second
-- Source      additive form of naive Bayes; under majority vote the unit is votes
-- Invariants  the sum of evidence is the log-odds of the label where the model factorises
WITH pattern AS (
    SELECT pattern_id
    FROM entity_pattern
    WHERE entity_id = $id
),
ranked AS (
    SELECT
        l.label,
        row_number() OVER (ORDER BY l.p DESC, c.position) AS place
    FROM pattern_label AS l
    JOIN pattern AS p USING (pattern_id)
    JOIN class AS c USING (label)
),
best AS (
    SELECT label FROM ranked WHERE place = 1
),
second AS (
    SELECT label FROM ranked WHERE place = 2
),
voted AS (
    SELECT
        v.lf,
        v.symbol AS vote
    FROM pattern_vote AS v
    JOIN pattern AS p USING (pattern_id)
),
evidence AS (
    SELECT
        coalesce(w.lf, '(class balance)') AS source,
        v.vote,
        sum(w.weight) FILTER (WHERE w.label = (SELECT label FROM best))
        - sum(w.weight) FILTER (WHERE w.label = (SELECT label FROM second)) AS evidence
    FROM label_evidence AS w
    LEFT JOIN voted AS v ON v.lf = w.lf
    WHERE w.vote IS NOT DISTINCT FROM v.vote
    GROUP BY w.lf, v.vote
)
SELECT
    source,
    vote,
    evidence
FROM evidence
WHERE evidence IS NOT NULL AND (vote IS NOT NULL OR evidence <> 0)
ORDER BY abs(evidence) DESC, source
