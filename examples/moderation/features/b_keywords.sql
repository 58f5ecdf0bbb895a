-- Set B: what keyword services find in the words of a post or of a picture.

-- feature: keywords   kind: service   set: B   servable: yes
-- nouns and phrases found in the body or read from the picture
SELECT post_id, keywords FROM text_post UNION ALL BY NAME SELECT post_id, keywords FROM image_post;

-- feature: keyword_rules   kind: rule   set: B   servable: yes
-- names of the keyword rules that fired
SELECT post_id, keyword_rules FROM text_post UNION ALL BY NAME SELECT post_id, keyword_rules FROM image_post;
