-- feature: title_words   kind: rule   set: T   servable: yes   modalities: text
-- the words of a title, without those that say the label outright: a title that names the gender would teach nothing about photos
SELECT
    product_id,
    list_filter(list_distinct(string_split(lower(title), ' ')), lambda w: len(w) > 2 AND NOT regexp_matches(w, '^(men|women|boy|girl|kid|unisex)')) AS title_words
FROM title;
