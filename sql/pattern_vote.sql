-- pattern_vote: one row per vote of a vote pattern.
-- Reads       pattern_code, vote_slot, class
-- Output      pattern_id, lf, label; a pattern without votes has no row
-- Source      the packed code of a vote: 0 abstains, c + 1 is the class at position c
-- Invariants  rows per pattern = vote_pattern.n_votes
SELECT
    p.pattern_id,
    s.lf,
    c.label
FROM pattern_code AS p
CROSS JOIN vote_slot AS s
JOIN class AS c ON c.position + 1 = (p.words[s.word + 1] >> s.shift) & ((1 << s.bits) - 1)
