-- Rule services are plain SQL: what a text is written in, what stands in it.

-- feature: language   kind: rule   set: B
-- the language whose small words stand in the text most often
SELECT ticket_id, CASE
    WHEN regexp_matches(body, '(?i)\b(der|die|und|nicht|ist|bitte)\b') THEN 'de'
    WHEN regexp_matches(body, '(?i)\b(le|les|est|pas|vous|merci)\b') THEN 'fr'
    WHEN regexp_matches(body, '(?i)\b(the|is|my|it|and|to|for|this)\b') THEN 'en'
END AS language FROM ticket;

-- feature: marks   kind: rule   set: B
-- signs beside the words: links, emoji, shouting, exclamation marks, a question; [] where there is none
SELECT ticket_id, list_filter([
    CASE WHEN regexp_matches(body, '(?i)https?://|www\.') THEN 'link' END,
    CASE WHEN regexp_matches(body, '[\x{1F300}-\x{1FAFF}\x{2600}-\x{27BF}]') THEN 'emoji' END,
    CASE WHEN length(body) >= 12 AND body = upper(body) THEN 'shouting' END,
    CASE WHEN contains(body, '!!') THEN 'exclamation' END,
    CASE WHEN contains(body, '?') THEN 'question' END
], lambda mark: mark IS NOT NULL) AS marks FROM ticket;

-- feature: keywords   kind: rule   set: B
SELECT ticket_id, list_distinct(regexp_extract_all(lower(body), '\b(refund|money|return|parcel|package|courier|late|tracking|invoice|password)\b')) AS keywords FROM ticket;

-- feature: orders_so_far   kind: aggregate   set: A
-- orders of the same customer until the ticket was written: nothing that comes later is counted
SELECT t.ticket_id, count(earlier.order_id) AS orders_so_far
FROM ticket AS t
JOIN orders AS o ON o.order_id = t.order_id
LEFT JOIN orders AS earlier ON earlier.customer_id = o.customer_id AND earlier.ordered_at <= t.created_at
GROUP BY t.ticket_id;

-- feature: topics   kind: service   set: C
-- a topic model fitted on the tickets themselves (resources/topics.py)
SELECT ticket_id, topics_of_text(body) AS topics FROM ticket;
