-- Posts from the inside out: author, scene, what services make of it. The rows are those of the table `numbered`, of the modality
-- that parameters.sql was run with.

-- latent: what nobody in the organization sees. level = how ill-meaning the author is; users of both modalities are the same people.
CREATE OR REPLACE TEMP VIEW latent AS
WITH written AS (
    SELECT
        n,
        getvariable('first_id') + n AS i
    FROM numbered
),
authored AS (
    SELECT
        i,
        n // getvariable('posts_per_community') * 100 + 1 + CAST(floor(100 * pow(draw(i, 'author'), 2)) AS BIGINT) AS user_id
    FROM written
),
meant AS (
    SELECT
        i,
        user_id,
        getvariable('level_bins')[1 + at_random(user_id, 'level', 4096)] AS level
    FROM authored
)
SELECT
    i,
    user_id,
    level,
    getvariable('scene_bins')[1 + level * 4096 + at_random(i, 'scene', 4096)] AS scene,
    draw(i, 'link') < getvariable('link_share') AS has_link
FROM meant;

-- judged: what is true of each post.
CREATE OR REPLACE TEMP VIEW judged AS
SELECT
    i,
    scene,
    level,
    violates(i, scene, level, 'scam') AS scam,
    violates(i, scene, level, 'spam') AS spam,
    violates(i, scene, level, 'counterfeit') AS counterfeit,
    violates(i, scene, level, 'weapon_sale') AS weapon_sale,
    violates(i, scene, level, 'health_claim') AS health_claim
FROM latent;

-- seen: the scene as each service takes it.
CREATE OR REPLACE TEMP VIEW seen AS
SELECT
    *,
    perceived(i, scene, 'url_category') AS url_category_scene,
    perceived(i, scene, 'keywords') AS keywords_scene,
    perceived(i, scene, 'keyword_rules') AS keyword_rules_scene,
    perceived(i, scene, 'topics') AS topics_scene,
    perceived(i, scene, 'subtopics') AS subtopics_scene,
    perceived(i, scene, 'objects') AS objects_scene,
    perceived(i, scene, 'setting') AS setting_scene,
    perceived(i, scene, 'page_categories') AS page_categories_scene,
    perceived(i, scene, 'page_words') AS page_words_scene,
    perceived(i, scene, 'page_entities') AS page_entities_scene
FROM latent;

-- post: one row per post with the output of fourteen services. NULL = not applicable or failed, [] = nothing found.
CREATE OR REPLACE TEMP VIEW post AS
SELECT
    i AS post_id,
    user_id,
    getvariable('starts') + to_seconds(at_random(i, 'posted at', getvariable('seconds'))) AS posted_at,
    CASE
        WHEN has_link
            THEN 'https://' || pick(i, 'host one', getvariable('noise_words')[:64]).replace(' ', '-') || pick(i, 'host two', ['.com', '.net', '.org', '.shop', '.info', '.co'])
                || '/' || coalesce(token(i, 'page_words_noun', page_words_scene), 'page') || '-' || printf('%x', hash(i, 'slug') % 16777216)
    END AS url,
    answer(i, 'url_category', has_link, [token(i, 'url_category', url_category_scene)]) AS url_category,
    answer(i, 'url_reputation', has_link, [token(i, 'url_reputation', level)]) AS url_reputation,
    answer(i, 'keywords', true, [token(i, 'keywords_noun', keywords_scene), token(i, 'keywords_verb', keywords_scene), noise(i, 'keywords_other', getvariable('noise_words'))]) AS keywords,
    answer(i, 'keyword_rules', true, [token(i, 'keyword_rules_rule', keyword_rules_scene), token(i, 'keyword_rules_manner', level)]) AS keyword_rules,
    answer(i, 'topics', true, [token(i, 'topics', topics_scene)]) AS topics,
    answer(i, 'subtopics', true, [token(i, 'subtopics_fine', subtopics_scene), noise(i, 'subtopics_other', getvariable('noise_words'))]) AS subtopics,
    answer(i, 'objects', true, [token(i, 'objects_named', objects_scene), noise(i, 'objects_other', getvariable('noise_words'))]) AS objects,
    answer(i, 'setting', true, [token(i, 'setting', setting_scene)]) AS setting,
    answer(i, 'tone', true, [token(i, 'tone', level)]) AS tone,
    answer(i, 'page_categories', has_link, [token(i, 'page_categories', page_categories_scene)]) AS page_categories,
    answer(i, 'page_words', has_link, [token(i, 'page_words_noun', page_words_scene), noise(i, 'page_words_other', getvariable('noise_words'))]) AS page_words,
    answer(i, 'page_entities', has_link, [token(i, 'page_entities_name', page_entities_scene), noise(i, 'page_entities_other', getvariable('noise_words'))]) AS page_entities,
    answer(i, 'page_layout', has_link, [token(i, 'page_layout', level)]) AS page_layout,
    answer(i, 'page_language', has_link, [noise(i, 'page_language', getvariable('languages'))]) AS page_language,
    i, level, scene, keywords_scene, page_words_scene, has_link
FROM seen;
