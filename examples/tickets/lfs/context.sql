-- What the warehouse knows beside the text: tables that exist already.

-- lf: cancel_soon -> refund
-- owner: finance, tags: orders
-- written within an hour of the order
FROM ticket JOIN orders USING (order_id)
WHERE created_at < ordered_at + INTERVAL 1 HOUR;

-- lf: order_was_late -> delivery
-- owner: logistics, tags: orders
FROM ticket JOIN orders USING (order_id)
WHERE is_late AND created_at < delivered_at;

-- lf: queue_prior
-- owner: support, tags: routing
-- several classes from one LF: NULL abstains
SELECT
    ticket_id,
    CASE queue WHEN 'billing' THEN 'refund' WHEN 'logistics' THEN 'delivery' WHEN 'general' THEN 'other' END AS label
FROM ticket;
