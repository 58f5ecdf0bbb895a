-- Comments that want something from the reader.

-- lf: asks_to_subscribe -> spam
-- tags: keyword
FROM comment WHERE regexp_matches(content, '(?i)\b(subscribe|subscribing|subcribe|sub to|subs)\b');

-- lf: asks_to_check_out -> spam
-- tags: keyword
FROM comment WHERE regexp_matches(content, '(?i)\bcheck\s?(it |me |this |my |us |them )?out\b') OR content ILIKE '%check my%';

-- lf: my_channel -> spam
-- tags: keyword
FROM comment WHERE regexp_matches(content, '(?i)\b(my|our) (\w+ )?(channel|chanel|page|profile|website|site|blog|videos?|vids?|covers?|songs?|tracks?)\b');

-- lf: has_link -> spam
-- tags: regex
FROM comment WHERE regexp_matches(content, '(?i)https?://|www\.|\.com\b|\.net\b|\.org\b|bit\.ly');

-- lf: asks_please -> spam
-- tags: keyword
FROM comment WHERE regexp_matches(content, '(?i)\b(please|plz|pls)\b');

-- lf: promises_money -> spam
-- tags: keyword
FROM comment WHERE regexp_matches(content, '(?i)\$ ?\d|\b(free|money|earn|giveaway|gift|win|paypal|donate|gofundme)\b');

-- lf: follow_me -> spam
-- tags: keyword
FROM comment WHERE regexp_matches(content, '(?i)\b(follow|visit|join|vote|share|add) (me|my|us|our|this|the|for)\b|\bfacebook\b|\btwitter\b|\binstagram\b');

-- lf: own_music -> spam
-- tags: keyword
FROM comment WHERE regexp_matches(content, '(?i)\b(i am|im|i''m|we are|i&#39;m) (a |an |the )?(\w+ )?(rapper|singer|artist|producer|band|musician|dj|youtuber)\b|\bmy (first|new|latest) (song|rap|video|track)\b');

-- lf: very_long -> spam
-- tags: length
FROM comment WHERE length(content) > 280;
