-- pattern_vote: one row per vote of a vote pattern.
-- Reads       pattern_code, vote_slot, vote_symbol
-- Output      label: "class" or "!class"; said: the class voted for; ruled_out: the class voted against; symbol: what the label model reads; ballot
-- Source      the packed code of a vote: 0 abstains, c is the symbol at position first + c - 1 of its LF
-- Invariants  rows per pattern = vote_pattern.n_votes
SELECT
    p.pattern_id,
    p.lf,
    y.label,
    CASE WHEN NOT starts_with(y.label, '!') THEN y.label END AS said,
    CASE WHEN starts_with(y.label, '!') THEN y.label[2:] END AS ruled_out,
    y.symbol,
    y.ballot
FROM (
    SELECT
        c.pattern_id,
        s.lf,
        s.first,
        CAST((c.words[s.word + 1] >> s.shift) & ((1 << s.bits) - 1) AS INTEGER) AS code
    FROM pattern_code AS c
    CROSS JOIN vote_slot AS s
) AS p
JOIN vote_symbol AS y ON y.position = p.first + p.code - 1
WHERE p.code > 0
