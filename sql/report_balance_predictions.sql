-- report_balance_predictions: one row per class, in class order.
-- Reads       class, predictions
-- Output      n_predictions: entities the end model gives this class
-- Source      the last station of the class balance
-- Invariants  sum(n_predictions) = predictions that are not NULL
SELECT
    c.label,
    count(p.predicted_label) AS n_predictions
FROM class AS c
LEFT JOIN predictions AS p ON CAST(p.predicted_label AS VARCHAR) = c.label
GROUP BY c.label, c.position
ORDER BY c.position
