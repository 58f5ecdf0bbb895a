-- report_totals: one row, the size of a task.
-- Reads       coverage, gold_label, lf, vote_pattern
-- Output      counts of entities, covered, overlapping and conflicting ones, gold labels, vote patterns, healthy and broken LFs
-- Source      sums over the rows of coverage
-- Invariants  n_conflicting <= n_overlapping <= n_covered <= n_entities
SELECT
    CAST(coalesce(sum(n_entities), 0) AS BIGINT) AS n_entities,
    CAST(coalesce(sum(n_covered), 0) AS BIGINT) AS n_covered,
    CAST(coalesce(sum(n_overlapping), 0) AS BIGINT) AS n_overlapping,
    CAST(coalesce(sum(n_conflicting), 0) AS BIGINT) AS n_conflicting,
    (SELECT count(*) FROM gold_label) AS n_gold,
    (SELECT count(*) FROM vote_pattern) AS n_patterns,
    (SELECT count(*) FROM lf WHERE status = 'ok') AS n_lfs,
    (SELECT count(*) FROM lf WHERE status <> 'ok') AS n_broken
FROM coverage
