-- report_versions: one row per package the last run of $task used.
-- Reads       gs.run
-- Output      package, version
-- Source      gs.run.versions
-- Invariants  one row per package
WITH newest AS (
    SELECT versions
    FROM gs.run
    WHERE task = $task
    ORDER BY run_id DESC
    LIMIT 1
),
entry AS (
    SELECT unnest(map_entries(versions)) AS entry
    FROM newest
)
SELECT
    entry.key AS package,
    entry.value AS version
FROM entry
ORDER BY package
