-- explain_label(id): one row per source of evidence for the label of an entity, largest first.
-- Reads       entity_pattern, pattern_vote, vote_symbol, pattern_label, label_evidence, label_interaction, class
-- Output      evidence = log-odds (counted votes, for majority vote) of the best class against the second; vote NULL = abstain
-- Source      score of a class = class balance + sum of what every vote adds for it + what votes of several LFs add together
-- Invariants  the evidence sums to the log-odds of best against second; an entity without votes has no row
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
        v.symbol,
        y.hard
    FROM pattern_vote AS v
    JOIN pattern AS p USING (pattern_id)
    JOIN vote_symbol AS y ON y.symbol = v.symbol
),
said AS (
    SELECT coalesce(map_from_entries(list((lf, hard)) FILTER (WHERE hard IS NOT NULL)), CAST(map() AS MAP(VARCHAR, VARCHAR))) AS votes
    FROM voted
),
added AS (
    SELECT
        coalesce(w.lf, '(class balance)') AS source,
        v.symbol AS vote,
        w.label,
        w.weight
    FROM label_evidence AS w
    LEFT JOIN voted AS v ON v.lf = w.lf
    WHERE w.vote IS NOT DISTINCT FROM v.symbol
    UNION ALL
    SELECT
        array_to_string(i.lfs, ' with ') AS source,
        array_to_string(list_transform(i.votes, lambda vote: coalesce(vote, '–')), ', ') AS vote,
        i.label,
        i.weight
    FROM label_interaction AS i
    CROSS JOIN said AS s
    WHERE list_transform(i.lfs, lambda lf: coalesce(s.votes[lf], '')) = list_transform(i.votes, lambda vote: coalesce(vote, ''))
),
evidence AS (
    SELECT
        source,
        vote,
        coalesce(sum(weight) FILTER (WHERE label = (SELECT label FROM best)), 0)
        - coalesce(sum(weight) FILTER (WHERE label = (SELECT label FROM second)), 0) AS evidence
    FROM added
    WHERE EXISTS (SELECT label FROM best)
    GROUP BY source, vote
)
SELECT
    source,
    vote,
    evidence
FROM evidence
WHERE vote IS NOT NULL OR evidence <> 0
ORDER BY abs(evidence) DESC, source
