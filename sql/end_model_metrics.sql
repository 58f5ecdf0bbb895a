-- end_model_metrics: one row per split, modality and metric of end model $model_id; modality NULL = all modalities of the split.
-- Reads       predictions, gold_label, entity; $positive = the last class in class order (used for two classes)
-- Output      metric average_precision, f1, accuracy in [0, 1], log_loss >= 0 (nats); n = entities with gold and a prediction
-- Source      step-wise average precision, ties form one step (Davis & Goadrich 2006); K > 2: mean over the classes found in gold
-- Invariants  a value is NULL where gold has no positives; a NULL predicted_label counts as wrong; of several gold rows the latest counts
WITH gold AS (
    SELECT
        entity_id,
        CAST(label AS VARCHAR) AS label
    FROM gold_label
    QUALIFY row_number() OVER (PARTITION BY entity_id ORDER BY annotated_at DESC NULLS LAST, source, label) = 1
),
scored AS (
    SELECT
        entity.split,
        entity.modality,
        gold.label,
        CAST(predictions.predicted_label AS VARCHAR) AS predicted_label,
        CAST(predictions.p AS MAP(VARCHAR, DOUBLE)) AS p
    FROM predictions
    JOIN gold USING (entity_id)
    JOIN entity USING (entity_id)
    WHERE predictions.model_id = $model_id
),
cell AS (
    SELECT split, modality, label, predicted_label, p
    FROM scored
    WHERE modality IS NOT NULL
    UNION ALL
    SELECT split, NULL AS modality, label, predicted_label, p
    FROM scored
),
class_row AS (
    SELECT
        split,
        modality,
        label,
        predicted_label,
        cardinality(p) AS n_classes,
        unnest(map_entries(p)) AS entry
    FROM cell
),
one_vs_rest AS (
    SELECT
        split,
        modality,
        entry.key AS class,
        CASE WHEN coalesce(isnan(entry.value), TRUE) THEN error('a predicted probability is NULL or NaN') ELSE entry.value END AS score,
        label = entry.key AS is_gold,
        coalesce(predicted_label = entry.key, FALSE) AS is_predicted
    FROM class_row
    WHERE n_classes > 2 OR entry.key = CAST($positive AS VARCHAR)
),
step AS (
    SELECT
        split,
        modality,
        class,
        score,
        count(*) AS n,
        count(*) FILTER (WHERE is_gold) AS tp
    FROM one_vs_rest
    GROUP BY ALL
),
cumulated AS (
    SELECT
        split,
        modality,
        class,
        tp,
        sum(tp) OVER descending AS cumulated_tp,
        sum(n) OVER descending AS cumulated_n
    FROM step
    WINDOW descending AS (PARTITION BY split, modality, class ORDER BY score DESC)
),
class_precision AS (
    SELECT
        split,
        modality,
        class,
        sum(tp * cumulated_tp / cumulated_n) / nullif(sum(tp), 0) AS value
    FROM cumulated
    GROUP BY ALL
),
class_f1 AS (
    SELECT
        split,
        modality,
        class,
        CASE
            WHEN bool_or(is_gold)
                THEN 2.0 * count(*) FILTER (WHERE is_gold AND is_predicted)
                    / (count(*) FILTER (WHERE is_gold) + count(*) FILTER (WHERE is_predicted))
        END AS value
    FROM one_vs_rest
    GROUP BY ALL
),
metric AS (
    SELECT split, modality, 'average_precision' AS metric, avg(value) AS value
    FROM class_precision
    GROUP BY ALL
    UNION ALL
    SELECT split, modality, 'f1' AS metric, avg(value) AS value
    FROM class_f1
    GROUP BY ALL
    UNION ALL
    SELECT split, modality, 'accuracy' AS metric, avg(CAST(coalesce(predicted_label = label, FALSE) AS INTEGER)) AS value
    FROM cell
    GROUP BY ALL
    UNION ALL
    SELECT split, modality, 'log_loss' AS metric, avg(-ln(greatest(coalesce(map_extract_value(p, label), 0), 2.220446049250313e-16))) AS value
    FROM cell
    GROUP BY ALL
),
size AS (
    SELECT split, modality, count(*) AS n
    FROM cell
    GROUP BY ALL
)
SELECT
    metric.split,
    metric.modality,
    metric.metric,
    metric.value,
    size.n
FROM metric
JOIN size
    ON size.split IS NOT DISTINCT FROM metric.split
    AND size.modality IS NOT DISTINCT FROM metric.modality
ORDER BY metric.split, metric.modality NULLS FIRST, metric.metric
