-- Comments about the video.

-- lf: talks_about_the_song -> ham
-- tags: keyword
FROM comment WHERE regexp_matches(content, '(?i)\b(song|music|lyrics|beat|voice|dance|sings?|singing|singer|melody|tune)\b');

-- lf: praises -> ham
-- tags: keyword
FROM comment WHERE regexp_matches(content, '(?i)\b(love|loved|awesome|amazing|great|best|beautiful|perfect|nice|cool|hot|legend|favou?rite|omg|lol|haha)\b');

-- lf: short -> ham
-- tags: length
FROM comment WHERE len(string_split(trim(content), ' ')) < 5;

-- lf: counts_views -> ham
-- tags: regex
FROM comment WHERE regexp_matches(content, '(?i)\b(views?|billion|million|years? ago|201[0-9]|still (listen|watch)\w*|remember|childhood|miss)\b');

-- lf: names_the_artist -> ham
-- tags: join
-- the artist of the video, by any part of the name
FROM comment
WHERE regexp_matches(content, '(?i)\b(' || lower(artist) || '|psy|gangnam|katy|perry|lmfao|shuffl\w*|eminem|slim shady|rihanna|shakira|waka)\b');
