-- report_change: one row per labeling function whose votes differ between the last two runs of $task.
-- Reads       gs.run, gs.lf_run
-- Output      n_before NULL: new; n_after NULL: gone or failing; reason: why the last run evaluated it
-- Source      the last two runs of the verb "run" that ended well
-- Invariants  n_before and n_after differ
WITH last_run AS (
    SELECT run_id, row_number() OVER (ORDER BY run_id DESC) AS place
    FROM gs.run
    WHERE task = $task AND verb = 'run' AND status = 'ok'
    QUALIFY place <= 2
),
after AS (
    SELECT r.lf, r.n_votes, r.reason
    FROM gs.lf_run AS r
    JOIN last_run AS l ON l.run_id = r.run_id AND l.place = 1
    WHERE r.task = $task
),
before AS (
    SELECT r.lf, r.n_votes
    FROM gs.lf_run AS r
    JOIN last_run AS l ON l.run_id = r.run_id AND l.place = 2
    WHERE r.task = $task
)
SELECT
    coalesce(a.lf, b.lf) AS lf,
    b.n_votes AS n_before,
    a.n_votes AS n_after,
    a.reason
FROM after AS a
FULL JOIN before AS b ON b.lf = a.lf
WHERE (SELECT count(*) FROM last_run) = 2 AND a.n_votes IS DISTINCT FROM b.n_votes
ORDER BY lf
