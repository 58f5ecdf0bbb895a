-- condition before; the same condition as it is evaluated; what it needs. body, title: text; n: number; tags: list

-- case-insensitive search
body ILIKE '%Free%';
CONTAINS(LOWER(body), 'free');
free;

body ILIKE 'Free%' OR body ILIKE '%Gift' OR body ILIKE 'Gift card';
STARTS_WITH(LOWER(body), 'free') OR ENDS_WITH(LOWER(body), 'gift') OR LOWER(body) = 'gift card';
free|gift|gift card;

body NOT ILIKE '%free%';
NOT (CONTAINS(LOWER(body), 'free'));
nothing;

-- wildcards inside a pattern stay, and cut what is needed
body ILIKE '%free_gift%card%';
LOWER(body) LIKE '%free_gift%card%';
free;

body LIKE '%FREE%';
CONTAINS(body, 'FREE');
free;

body LIKE '100_%';
body LIKE '100_%';
100;

body ILIKE '%';
LOWER(body) LIKE '%';
nothing;

-- an escape is left alone
body ILIKE '%100$%%' ESCAPE '$';
body ILIKE '%100$%%' ESCAPE '$';
nothing;

-- letters outside ASCII: DuckDB lowers them itself, and they are never needed
body ILIKE '%Gewähr%';
LOWER(body) LIKE LOWER('%Gewähr%');
gew;

UPPER(body) ILIKE '%free%';
UPPER(body) ILIKE '%free%';
free;

-- other types keep their meaning: a list that contains a value is no text
contains(tags, 'free');
CONTAINS(tags, 'free');
nothing;

-- needs: AND takes the rarer side, OR both, NOT and IS NULL none
n > 3 AND (body LIKE '%win%' AND title LIKE '%giveaway%');
n > 3 AND (CONTAINS(body, 'win') AND CONTAINS(title, 'giveaway'));
giveaway;

body LIKE '%win%' OR n > 3;
CONTAINS(body, 'win') OR n > 3;
nothing;

body LIKE '%win%' OR title LIKE '%win%';
CONTAINS(body, 'win') OR CONTAINS(title, 'win');
nothing;

contains(body, 'win') IS NULL;
CONTAINS(body, 'win') IS NULL;
nothing;

CASE WHEN body LIKE '%win%' THEN 'x' WHEN suffix(body, 'gift') THEN 'y' END;
CASE WHEN CONTAINS(body, 'win') THEN 'x' WHEN SUFFIX(body, 'gift') THEN 'y' END;
gift|win;

CASE WHEN body LIKE '%win%' THEN 'x' ELSE 'y' END;
CASE WHEN CONTAINS(body, 'win') THEN 'x' ELSE 'y' END;
nothing;

-- short words would let every row pass
body LIKE '%my%';
CONTAINS(body, 'my');
nothing;

-- regular expressions
regexp_matches(body, '(?i)\b(check(ing)?|visit) +(out|mine)\b');
REGEXP_MATCHES(body, '(?i)\b(check(ing)?|visit) +(out|mine)\b');
check|checking|visit;

regexp_matches(body, 'https?://|www\.');
REGEXP_MATCHES(body, 'https?://|www\.');
http://|https://|www.;

regexp_matches(body, 'a.*b|free');
REGEXP_MATCHES(body, 'a.*b|free');
nothing;

regexp_matches(body, '[Ff]ree{2,}[^x]gift', 'i');
REGEXP_MATCHES(body, '[Ff]ree{2,}[^x]gift', 'i');
gift;

regexp_matches(body, '\Qfree.gift\E');
REGEXP_MATCHES(body, '\Qfree.gift\E');
nothing;

regexp_matches(body, '(free)*|x');
REGEXP_MATCHES(body, '(free)*|x');
nothing;
