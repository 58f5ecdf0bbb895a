-- report_lineage: one row per output of $task and input it was last built from; labeling functions are counted, not listed.
-- Reads       gs.lineage, gs.run
-- Output      run_id of the last build; input_hash NULL for the labeling functions together
-- Source      gs.lineage names every table a run wrote and every relation it was made of
-- Invariants  one run per output
WITH newest AS (
    SELECT l.output, max(l.run_id) AS run_id
    FROM gs.lineage AS l
    JOIN gs.run AS r ON r.run_id = l.run_id
    WHERE r.task = $task
    GROUP BY l.output
),
read AS (
    SELECT
        l.run_id,
        l.output,
        CASE WHEN starts_with(l.input, 'lf:') THEN 'labeling functions' ELSE l.input END AS input,
        CASE WHEN NOT starts_with(l.input, 'lf:') THEN l.input_hash END AS input_hash
    FROM gs.lineage AS l
    JOIN newest AS n ON n.output = l.output AND n.run_id = l.run_id
)
SELECT
    output,
    input,
    count(*) AS n_inputs,
    run_id,
    input_hash
FROM read
GROUP BY output, input, run_id, input_hash
ORDER BY run_id, output, input
