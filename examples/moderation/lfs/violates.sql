-- What gives a scam away: no single sign does, two together often do. Rules over `entity` vote on posts of both modalities.

-- lf: deposit_for_money -> violates
-- owner: trust-and-safety, tags: keywords topics
-- somebody asks for a deposit in a post about money, prizes or flats
FROM entity
WHERE list_contains(keyword_rules, 'asks for deposit') AND list_has_any(topics, ['finance', 'giveaways', 'housing', 'security']);

-- lf: data_for_account -> violates
-- owner: trust-and-safety, tags: keywords topics
FROM entity
WHERE list_contains(keyword_rules, 'asks for data')
  AND (list_contains(topics, 'security') OR list_has_any(url_category, ['login page', 'mail form']));

-- lf: scam_phrase -> violates
-- owner: trust-and-safety, tags: keywords
FROM entity
WHERE list_has_any(keywords, ['double your', 'deposit into', 'claim your', 'you won the', 'pay the', 'release the', 'verify your', 'confirm your'])
  AND list_has_any(topics, ['finance', 'giveaways', 'security', 'promotion']);

-- lf: scam_nouns -> violates
-- owner: trust-and-safety, tags: keywords page
-- the post and the page it links to talk about the same suspicious thing
FROM entity
WHERE list_has_any(keywords, ['inheritance', 'winner', 'returns', 'voucher', 'transfer', 'fee', 'investors', 'password', 'account'])
  AND list_has_any(page_words, ['inheritance', 'winner', 'returns', 'voucher', 'transfer', 'fee', 'investors', 'password', 'account', 'deposit', 'prize']);

-- lf: scam_subtopic -> violates
-- owner: trust-and-safety, tags: topics keywords
FROM entity
WHERE regexp_matches(array_to_string(subtopics, '|'), 'guaranteed returns|prize notification|advance fee|account verification|fake rental')
  AND list_has_any(keyword_rules, ['asks for deposit', 'asks for data', 'promises money']);

-- lf: bare_money_page -> violates
-- owner: trust-and-safety, tags: page
-- a page about money that is a button or a countdown and little else
FROM entity
WHERE list_has_any(page_layout, ['single button', 'countdown'])
  AND list_has_any(page_categories, ['finance / landing page', 'giveaways / landing page', 'security / login page', 'finance / mail form']);

-- lf: dubious_host -> violates
-- owner: trust-and-safety, tags: url
FROM entity
WHERE list_has_any(url_reputation, ['new domain', 'on a blocklist']) AND list_has_any(url_category, ['landing page', 'login page', 'mail form'])
  AND list_has_any(topics, ['finance', 'giveaways', 'security']);

-- lf: reported_author -> violates
-- owner: trust-and-safety, tags: reports
FROM entity WHERE user_reports >= 3 AND list_has_any(keyword_rules, ['asks for deposit', 'asks for data']);

-- lf: reported_for_scam -> violates
-- owner: trust-and-safety, tags: reports
SELECT post.entity_id
FROM entity AS post
JOIN report USING (user_id)
WHERE report.reason = 'scam' AND list_has_any(post.topics, ['finance', 'giveaways', 'security']) AND list_contains(post.setting, 'screen');
