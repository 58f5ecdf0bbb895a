-- Set D: what the crawler says of the linked page.

-- feature: page_categories   kind: service   set: D   servable: yes
-- categories of the linked page
SELECT post_id, page_categories FROM text_post UNION ALL BY NAME SELECT post_id, page_categories FROM image_post;

-- feature: page_words   kind: service   set: D   servable: yes
-- salient words of the linked page
SELECT post_id, page_words FROM text_post UNION ALL BY NAME SELECT post_id, page_words FROM image_post;

-- feature: page_entities   kind: service   set: D   servable: yes
-- names on the linked page
SELECT post_id, page_entities FROM text_post UNION ALL BY NAME SELECT post_id, page_entities FROM image_post;

-- feature: page_layout   kind: service   set: D   servable: yes
-- how the linked page is built
SELECT post_id, page_layout FROM text_post UNION ALL BY NAME SELECT post_id, page_layout FROM image_post;

-- feature: page_language   kind: service   set: D   servable: yes
-- language of the linked page
SELECT post_id, page_language FROM text_post UNION ALL BY NAME SELECT post_id, page_language FROM image_post;
