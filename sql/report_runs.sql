-- report_runs: one row per run of $task, the last twelve.
-- Reads       gs.run
-- Output      verb, start in UTC, seconds, status
-- Source      one row of gs.run per verb that writes
-- Invariants  newest first
SELECT
    run_id,
    verb,
    strftime(started_at AT TIME ZONE 'UTC', '%Y-%m-%d %H:%M:%S') AS started_at,
    seconds,
    status
FROM gs.run
WHERE task = $task
ORDER BY run_id DESC
LIMIT 12
