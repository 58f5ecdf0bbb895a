-- What the warehouse offers beside its tables: both modalities over common columns.

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
