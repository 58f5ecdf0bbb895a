-- report_trials: the trials of the last search for options of an end model, the best first.
-- Reads       trial
-- Output      value: log loss on weakly labelled rows of the dev split, NULL where training diverged; seconds
-- Source      groundswell train --search
-- Invariants  gold judged none of them
SELECT
    trial_id,
    CAST(options AS VARCHAR) AS options,
    value,
    seconds
FROM trial
ORDER BY value NULLS LAST, trial_id
