-- Set C: what model services say a post is about.

-- feature: topics   kind: service   set: C   servable: yes
-- broad topics
SELECT post_id, topics FROM text_post UNION ALL BY NAME SELECT post_id, topics FROM image_post;

-- feature: subtopics   kind: service   set: C   servable: yes
-- fine topics of a large taxonomy
SELECT post_id, subtopics FROM text_post UNION ALL BY NAME SELECT post_id, subtopics FROM image_post;

-- feature: objects   kind: service   set: C   servable: yes
-- objects named in the text or seen in the picture
SELECT post_id, objects FROM text_post UNION ALL BY NAME SELECT post_id, objects FROM image_post;

-- feature: setting   kind: service   set: C   servable: yes
-- where it takes place
SELECT post_id, setting FROM text_post UNION ALL BY NAME SELECT post_id, setting FROM image_post;

-- feature: tone   kind: service   set: C   servable: yes
-- how it speaks to the reader
SELECT post_id, tone FROM text_post UNION ALL BY NAME SELECT post_id, tone FROM image_post;
