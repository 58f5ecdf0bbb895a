-- Set A: what is known of the link and of the author.

-- feature: url_category   kind: service   set: A   servable: yes
-- what kind of site the link leads to
SELECT post_id, url_category FROM text_post UNION ALL BY NAME SELECT post_id, url_category FROM image_post;

-- feature: url_reputation   kind: service   set: A   servable: yes
-- what blocklists and registries say about the host
SELECT post_id, url_reputation FROM text_post UNION ALL BY NAME SELECT post_id, url_reputation FROM image_post;

-- feature: user_reports   kind: aggregate   set: A   servable: no
-- reports against the author in the half-year before the first post
SELECT post_id, count(report_id) AS user_reports FROM text_post LEFT JOIN report USING (user_id) GROUP BY post_id
UNION ALL BY NAME
SELECT post_id, count(report_id) AS user_reports FROM image_post LEFT JOIN report USING (user_id) GROUP BY post_id;
