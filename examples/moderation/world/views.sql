-- What the warehouse offers beside its tables: the posts without what services say of them, and both modalities over common columns.

CREATE OR REPLACE VIEW text_item AS
SELECT
    post_id,
    user_id,
    posted_at,
    url,
    split
FROM text_post;

CREATE OR REPLACE VIEW image_item AS
SELECT
    post_id,
    user_id,
    posted_at,
    url,
    mean_colour,
    embedding,
    split
FROM image_post;

-- empty in a world without pixels
CREATE TABLE IF NOT EXISTS image_file (
    post_id BIGINT,
    image BLOB
);

CREATE OR REPLACE VIEW user_report_count AS
SELECT
    user_id,
    count(*) AS user_reports
FROM report
GROUP BY user_id;

CREATE OR REPLACE VIEW text_post_features AS
SELECT
    p.* EXCLUDE (body),
    coalesce(r.user_reports, 0) AS user_reports
FROM text_post AS p
LEFT JOIN user_report_count AS r USING (user_id);

CREATE OR REPLACE VIEW image_post_features AS
SELECT
    p.*,
    coalesce(r.user_reports, 0) AS user_reports
FROM image_post AS p
LEFT JOIN user_report_count AS r USING (user_id);
