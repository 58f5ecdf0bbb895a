-- What the ticket says. A rule votes where its words occur and abstains elsewhere.

-- lf: says_refund -> refund
-- owner: cx-analytics, tags: text
FROM ticket WHERE body ILIKE '%refund%' OR body ILIKE '%money back%';

-- lf: returns_it -> refund
-- owner: cx-analytics, tags: text
FROM ticket WHERE regexp_matches(body, '(?i)\b(return this|send it back|take it back|pay it back)\b');

-- lf: broken -> refund
-- owner: cx-analytics, tags: text
FROM ticket WHERE body ILIKE '%damaged%' OR body ILIKE '%broken%' OR body ILIKE '%crushed%';

-- lf: asks_where -> delivery
-- owner: cx-analytics, tags: text
FROM ticket WHERE regexp_matches(body, '(?i)\bwhere is|when will it arrive|still waiting\b');

-- lf: says_parcel -> delivery
-- owner: logistics, tags: text
FROM ticket WHERE body ILIKE '%parcel%' OR body ILIKE '%package%' OR body ILIKE '%delivery%';

-- lf: names_carrier_trouble -> delivery
-- owner: logistics, tags: text
FROM ticket WHERE body ILIKE '%courier%' OR body ILIKE '%driver%' OR body ILIKE '%tracking%' OR body ILIKE '%depot%';

-- lf: account_words -> other
-- owner: cx-analytics, tags: text
FROM ticket WHERE regexp_matches(body, '(?i)\b(password|log in|app crashes|unsubscribe|newsletter)\b');

-- lf: asks_about_products -> other
-- owner: cx-analytics, tags: text
FROM ticket WHERE regexp_matches(body, '(?i)\b(do you (sell|have)|also made in|which cable|warranty|gift cards?)\b');
