-- The relations of the warehouse, one view each; build.py copies them to Parquet, posts chunk by chunk.

-- The body says what the post is about; the extractor behind `keywords` reads its words. NULL in a world without bodies.
CREATE OR REPLACE TEMP VIEW text_post AS
SELECT
    * EXCLUDE (i, level, scene, keywords_scene, page_words_scene, has_link),
    CASE
        WHEN getvariable('with_text') THEN concat_ws(
            ' ',
            pick(i, 'opener', ['Hi all,', 'Hello everyone!', 'Friends,', 'Quick note:', 'So,', 'Listen:', 'Good morning.']),
            coalesce(token(i, 'keywords_verb', keywords_scene), 'more about the'),
            coalesce(token(i, 'keywords_noun', keywords_scene), 'day') || pick(i, 'stop', ['.', '!', '...', ',']),
            pick(i, 'filler', ['I thought of you when I saw this:', 'People keep asking about it:', 'No time to write more:', 'You know how it is:', 'Here is']),
            coalesce(token_of(i, 'body noun', 'keywords_noun', scene), 'something else'), 'and', pick(i, 'aside', getvariable('noise_words')) || '.',
            url
        )
    END AS body,
    CASE WHEN draw(i, 'split') < 0.9 THEN 'train' ELSE 'dev' END AS split
FROM post;

-- Pictures have features of their own: what a detector sees, the mean colour, an embedding. test = the first n_test pictures.
CREATE OR REPLACE TEMP VIEW image_post AS
SELECT
    * EXCLUDE (i, level, scene, keywords_scene, page_words_scene, has_link),
    answer(i, 'detected_objects', true, [
        token(i, 'detected_objects_seen', perceived(i, scene, 'detected_objects')), noise(i, 'detected_objects_other', getvariable('noise_words'))
    ]) AS detected_objects,
    mean_colour(i, scene) AS mean_colour,
    embedding(i, scene) AS embedding,
    CASE WHEN i < getvariable('first_id') + getvariable('n_test') THEN 'test' ELSE 'train' END AS split
FROM post;

-- What a picture shows, for the renderer: up to three things on a ground of its mean colour.
CREATE OR REPLACE TEMP VIEW picture AS
SELECT
    i AS post_id,
    mean_colour(i, scene) AS mean_colour,
    [token_of(i, 'first thing', 'objects_named', scene), token_of(i, 'second thing', 'objects_named', scene), token_of(i, 'third thing', 'objects_named', scene)] AS things
FROM latent;

-- The page behind a link, as the crawler keeps it.
CREATE OR REPLACE TEMP VIEW page AS
SELECT
    url,
    concat_ws(' ', coalesce(token(i, 'page_words_noun', page_words_scene), 'welcome'), 'and', pick(i, 'page title', getvariable('noise_words')), '|', pick(i, 'page site', getvariable('noise_words'))) AS title,
    page_categories AS categories,
    posted_at - to_hours(1 + at_random(i, 'crawled', 400)) AS crawled_at
FROM post
WHERE has_link;

-- Answers of people: every text post, and the pictures of the test set.
CREATE OR REPLACE TEMP VIEW human_label AS
SELECT
    i AS post_id,
    verdict(called(i, scam, 'scam')) AS scam,
    verdict(called(i, spam, 'spam')) AS spam,
    verdict(called(i, counterfeit, 'counterfeit')) AS counterfeit,
    verdict(called(i, weapon_sale, 'weapon_sale')) AS weapon_sale,
    verdict(called(i, health_claim, 'health_claim')) AS health_claim
FROM judged
WHERE getvariable('modality') = 'text' OR i < getvariable('first_id') + getvariable('n_test');

-- People write in communities of 100; a few write most of it.
CREATE OR REPLACE TEMP VIEW member AS
SELECT
    i AS user_id,
    TIMESTAMP '2019-01-01' + to_days(CAST(at_random(i, 'joined', 2300) AS INTEGER)) AS joined_at,
    pick(i, 'country', ['AT', 'BR', 'CA', 'DE', 'ES', 'FR', 'GB', 'ID', 'IN', 'JP', 'KE', 'MX', 'NG', 'PL', 'US']) AS country
FROM range(1, getvariable('n_users') + 1) AS t(i);

-- Reports against users, all from the half-year before the first post: counting them looks at nothing that comes later.
CREATE OR REPLACE TEMP VIEW report AS
SELECT
    i * 16 + k AS report_id,
    i AS user_id,
    TIMESTAMP '2025-03-01' + to_seconds(at_random(i * 16 + k, 'reported', 184 * 86400)) AS reported_at,
    pick(i * 16 + k, 'reason', ['scam', 'spam', 'spam', 'other', 'rude', 'other']) AS reason
FROM range(1, getvariable('n_users') + 1) AS t(i),
    unnest(range(CAST(token(i, 'user_reports', getvariable('level_bins')[1 + at_random(i, 'level', 4096)]) AS BIGINT))) AS u(k);
