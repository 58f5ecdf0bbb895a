-- What speaks against a scam.

-- lf: everyday_topic -> ok
-- owner: trust-and-safety, tags: topics
FROM entity WHERE list_has_any(topics, ['travel', 'family', 'food', 'sport', 'culture', 'crafts', 'events', 'news']);

-- lf: other_policies -> ok
-- owner: trust-and-safety, tags: topics
-- may break a rule, but another one
FROM entity WHERE list_has_any(topics, ['retail', 'health', 'weapons']) AND NOT coalesce(list_contains(keyword_rules, 'asks for deposit'), false);

-- lf: everyday_place -> ok
-- owner: trust-and-safety, tags: topics
FROM entity WHERE list_has_any(setting, ['beach', 'garden', 'kitchen', 'gym', 'forest', 'museum', 'workshop', 'studio', 'street']);

-- lf: everyday_things -> ok
-- owner: trust-and-safety, tags: objects
FROM entity WHERE list_has_any(objects, ['dog', 'child', 'fruit', 'bowl', 'herbs', 'camera', 'jacket', 'statue', 'crowd', 'shoes', 'bicycle']);

-- lf: link_to_news_or_forum -> ok
-- owner: trust-and-safety, tags: url
FROM entity WHERE list_has_any(url_category, ['news', 'forum', 'community', 'blog', 'shop']);

-- lf: calm_author -> ok
-- owner: trust-and-safety, tags: reports
FROM entity WHERE user_reports = 0 AND list_contains(tone, 'neutral') AND keyword_rules = [];
