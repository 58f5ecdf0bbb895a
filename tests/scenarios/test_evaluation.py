"""The table that `train` prints: every arm against the same rows, checked from the published tables by hand."""

import numpy as np
import pytest
from support import project, published, workspace

SHOP = """
CREATE TABLE ticket AS
SELECT
    i AS ticket_id,
    ['I want a refund', 'where is my parcel', 'hello there friend', 'money back please', 'it is late again'][1 + i % 5] || ' ' || (i * 7919 % 101) AS body,
    ['billing', 'logistics', NULL][1 + i % 3] AS queue
FROM range(600) AS t(i);
CREATE TABLE ticket_gold AS
SELECT ticket_id, CASE WHEN ticket_id % 11 = 0 THEN 'other' WHEN ticket_id % 5 IN (0, 3) THEN 'refund' WHEN ticket_id % 5 IN (1, 4) THEN 'delivery' ELSE 'other' END AS label
FROM ticket WHERE ticket_id % 2 = 0;
"""
LFS = """-- lf: refund -> refund
FROM ticket WHERE body ILIKE '%refund%' OR body ILIKE '%money%';
-- lf: parcel -> delivery
FROM ticket WHERE body ILIKE '%parcel%';
-- lf: queue
SELECT ticket_id, CASE queue WHEN 'billing' THEN 'refund' WHEN 'logistics' THEN 'delivery' END AS label FROM ticket;
"""
CONFIG = """
[project]
name = "shop"
[warehouse]
from = "warehouse.duckdb"
[modality.text]
from = "ticket"
key = "ticket_id"
[task.intent]
classes = ["refund", "delivery", "other"]
gold = { from = "ticket_gold", key = "ticket_id", label = "label" }
end_model = { method = "logistic", max_epochs = 3, text_buckets = 1024 }
"""


@pytest.fixture(scope="module")
def trained(tmp_path_factory):
    folder = project(tmp_path_factory.mktemp("judged") / "shop", LFS, sql=SHOP, config=CONFIG)
    with workspace(folder) as ws:
        ws.run()
        yield folder, ws.train().metrics


def value(rows, **wanted):
    (found,) = [r for r in rows if all(r[k] == v for k, v in wanted.items())]
    return found["value"], found["n"]


def test_every_arm_answers_for_the_same_rows(trained):
    folder, rows = trained
    n = dict(published(folder, "SELECT split, count(*) FROM intent.gold_label JOIN intent.entity USING (entity_id) GROUP BY 1"))
    assert {(r["arm"], r["split"]) for r in rows} == {(a, s) for a in ("end_model", "label_model", "majority") for s in n} | {("supervised", "test"), ("supervised", "dev")}
    assert all(r["n"] == n[r["split"]] for r in rows)


def test_accuracy_of_label_model_and_end_model_by_hand(trained):
    """An uncovered row gets the class balance of the label model."""
    folder, rows = trained
    (likeliest,) = published(folder, "SELECT label FROM intent.class ORDER BY prior DESC LIMIT 1")[0]
    query = """
        SELECT g.label, l.p, p.predicted_label FROM intent.gold_label AS g JOIN intent.entity AS e USING (entity_id) JOIN intent.predictions AS p USING (entity_id)
        LEFT JOIN (SELECT entity_id, arg_max(label, p) AS p FROM intent.probabilistic_labels GROUP BY 1) AS l USING (entity_id) WHERE e.split = 'test'"""
    found = published(folder, query)
    assert value(rows, arm="label_model", split="test", metric="accuracy")[0] == pytest.approx(np.mean([g == (label or likeliest) for g, label, _ in found]))
    assert value(rows, arm="end_model", split="test", metric="accuracy")[0] == pytest.approx(np.mean([g == label for g, _, label in found]))


def test_log_loss_of_the_label_model_by_hand(trained):
    """Covered rows by their posterior, uncovered ones by the class balance."""
    folder, rows = trained
    query = """
        SELECT coalesce(l.p, c.prior), l.p IS NULL FROM intent.gold_label AS g JOIN intent.entity AS e USING (entity_id) JOIN intent.class AS c USING (label)
        LEFT JOIN intent.probabilistic_labels AS l ON l.entity_id = g.entity_id AND l.label = g.label WHERE e.split = 'test'"""
    found = published(folder, query)
    assert any(uncovered for _, uncovered in found)
    assert value(rows, arm="label_model", split="test", metric="log_loss")[0] == pytest.approx(-np.mean([np.log(max(p, 1e-15)) for p, _ in found]), rel=1e-5)


def test_the_study_table_holds_the_same_numbers(trained):
    folder, rows = trained
    kept = {(arm, metric): (v, low, high, n) for arm, metric, v, low, high, n in published(folder, "SELECT arm, metric, value, low, high, n_rows FROM intent.study WHERE study = 'evaluation'")}
    assert kept == {(f"{r['arm']}/{r['split']}", r["metric"]): (r["value"], r["low"], r["high"], r["n"]) for r in rows}
    assert all(low <= v <= high for v, low, high, _ in kept.values())


def test_without_gold_there_is_nothing_to_judge(tmp_path):
    folder = project(tmp_path / "shop", LFS, sql=SHOP, config=CONFIG.replace('gold = { from = "ticket_gold", key = "ticket_id", label = "label" }', ""))
    with workspace(folder) as ws:
        ws.run()
        assert ws.train().metrics == []


def test_the_end_model_is_a_function_inside_queries(trained):
    folder, _ = trained
    with workspace(folder) as ws:
        query = """
            SELECT max(abs(predict_intent(e.body, e.queue)['refund'] - p.p['refund'])) AS apart, count(*) AS n
            FROM intent.entity AS e JOIN intent.predictions AS p USING (entity_id)"""
        found = ws.sql(query).to_pylist()[0]
    assert found["n"] == 600 and found["apart"] < 1e-12


def test_a_prediction_is_explained_by_what_adds_up_to_it(trained):
    from groundswell.training import explain_prediction

    folder, _ = trained
    with workspace(folder) as ws:
        for key, p in published(folder, "SELECT entity_id, p FROM intent.predictions WHERE entity_id < 20 ORDER BY 1"):
            found, confidence = explain_prediction(ws.store, ws.project, ws.task, key)
            assert confidence == pytest.approx(p[found.best]) and p[found.best] >= p[found.second] >= min(p.values())
            assert sum(c.evidence for c in found.contributions) == pytest.approx(np.log(p[found.best] / p[found.second]), abs=1e-3)


def test_predictions_are_explained_inside_queries(trained):
    folder, _ = trained
    with workspace(folder) as ws:
        query = """
            SELECT why.best, why.second, list_sum(list_transform(why.contributions, lambda c: c.evidence)) AS gap, p.p AS p
            FROM (SELECT entity_id, explain_intent(body, queue) AS why FROM intent.entity WHERE entity_id < 20)
            JOIN intent.predictions AS p USING (entity_id)"""
        found = ws.sql(query).to_pylist()
    assert len(found) >= 19
    for row in found:
        p = dict(row["p"])
        assert row["gap"] == pytest.approx(np.log(p[row["best"]] / p[row["second"]]), abs=1e-3)
