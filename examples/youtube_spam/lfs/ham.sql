-- Comments about the video. Advertising borrows these words, but it is long or carries a link.

-- lf: talks_about_the_song -> ham
-- tags: keyword
FROM comment
WHERE regexp_matches(content, '(?i)\b(song|music|lyrics|beat|voice|dance|sings?|singing|singer|melody|tune)\b')
  AND length(content) < 140 AND NOT regexp_matches(content, '(?i)\bmy\b|http|check');

-- lf: praises -> ham
-- tags: keyword
FROM comment
WHERE regexp_matches(content, '(?i)\b(love|loved|awesome|amazing|great|best|beautiful|perfect|nice|cool|hot|legend|favou?rite|omg|lol|haha)\b')
  AND length(content) < 140 AND NOT regexp_matches(content, '(?i)\bmy\b|http|check');

-- lf: short -> ham
-- tags: length
FROM comment
WHERE len(string_split(trim(content), ' ')) < 6 AND content NOT ILIKE '%http%' AND content NOT ILIKE '%subscribe%';

-- lf: counts_views -> ham
-- tags: regex
FROM comment
WHERE regexp_matches(content, '(?i)\b(views|billion|million|years? ago|still (listen|watch)\w*|remember|childhood|miss)\b')
  AND length(content) < 140 AND content NOT ILIKE '%http%';

-- lf: names_the_artist -> ham
-- tags: keyword
-- the artist of the video, by any part of the name
FROM comment
WHERE regexp_matches(content, '(?i)\b(' || lower(artist) || '|psy|gangnam|katy|perry|lmfao|shuffl\w*|eminem|slim shady|rihanna|shakira|waka)\b')
  AND length(content) < 140 AND content NOT ILIKE '%http%';

-- lf: asks_back -> ham
-- tags: regex
-- wonders about the video: who, why, how
FROM comment
WHERE regexp_matches(content, '(?i)^(who|why|how|what|when|is|does|did|anyone)\b') AND length(content) < 140;
