"""sql/end_model_metrics.sql against scikit-learn and the methods sheet."""

from importlib.resources import files

import duckdb
import numpy as np
import pytest
from sklearn import metrics

QUERY = files("groundswell.sql").joinpath("end_model_metrics.sql").read_text(encoding="utf-8")


def run(rows, positive="yes", gold=None, query=QUERY, model_id=1):
    """rows: (split, modality, gold label or None, predicted label, {class: p}) -> {(split, modality, metric): (value, n)}."""
    with duckdb.connect() as c:
        c.execute("CREATE TABLE entity (entity_id BIGINT, modality VARCHAR, split VARCHAR)")
        c.execute("CREATE TABLE gold_label (entity_id BIGINT, label VARCHAR, source VARCHAR, annotated_at TIMESTAMPTZ)")
        c.execute("CREATE TABLE predictions (model_id BIGINT, entity_id BIGINT, predicted_label VARCHAR, confidence DOUBLE, p MAP(VARCHAR, DOUBLE))")
        for i, (split, modality, label, predicted, p) in enumerate(rows):
            c.execute("INSERT INTO entity VALUES (?, ?, ?)", [i, modality, split])
            if label is not None:
                c.execute("INSERT INTO gold_label VALUES (?, ?, 'gold', NULL)", [i, label])
            values = [i, predicted, 0.5, list(p), list(p.values())]
            c.execute("INSERT INTO predictions SELECT 1, $1, $2, $3, map($4, $5::DOUBLE[])", values)
        for row in gold or []:
            c.execute("INSERT INTO gold_label VALUES (?, ?, ?, ?)", row)
        found = c.execute(query, {"model_id": model_id, "positive": positive}).fetchall()
    assert len({r[:3] for r in found}) == len(found)
    return {r[:3]: r[3:] for r in found}


def binary(y, scores, split="test", modality="text", cut=0.5):
    names = ("no", "yes")
    return [(split, modality, names[a], names[int(s > cut)], {"no": 1 - s, "yes": s}) for a, s in zip(y, scores)]


def test_average_precision_of_the_sheet():
    found = run(binary((1, 0, 1, 1, 0, 0), (0.9, 0.8, 0.8, 0.4, 0.3, 0.1)))
    assert found["test", "text", "average_precision"] == (pytest.approx(0.805556, abs=1e-6), 6)
    assert found["test", None, "average_precision"] == found["test", "text", "average_precision"]


def test_two_classes_against_scikit_learn_with_ties_by_split_and_modality():
    r = np.random.default_rng(0)
    rows, cells = [], {}
    for split in ("dev", "test"):
        for modality in ("text", "image"):
            y = r.integers(0, 2, 60)
            s = np.clip(np.round(0.3 * y + r.random(60) * 0.7, 1), 0.0, 1.0)
            rows += binary(y, s, split, modality)
            cells[split, modality] = (y, s)
        cells[split, None] = tuple(np.concatenate([cells[split, m][i] for m in ("text", "image")]) for i in (0, 1))
    found = run(rows)
    assert len(found) == 2 * 3 * 4
    for (split, modality), (y, s) in cells.items():
        expected = {
            "average_precision": metrics.average_precision_score(y, s),
            "f1": metrics.f1_score(y, s > 0.5),
            "accuracy": metrics.accuracy_score(y, s > 0.5),
            "log_loss": metrics.log_loss(y, np.column_stack([1 - s, s])),
        }
        for metric, value in expected.items():
            assert found[split, modality, metric] == (pytest.approx(value, abs=1e-9), len(y)), metric


@pytest.mark.parametrize("k", [3, 5])
def test_many_classes_are_macro_averages(k):
    r = np.random.default_rng(k)
    names = np.array(list("abcde")[:k])
    p = r.dirichlet(np.ones(k), 80)
    y = np.array([r.choice(k, p=row**2 / (row**2).sum()) for row in p])
    guess = p.argmax(1)
    found = run([("test", "m", names[a], names[g], dict(zip(names, map(float, q)))) for a, g, q in zip(y, guess, p)], positive=names[-1])
    expected = {
        "average_precision": metrics.average_precision_score(np.eye(k)[y], p, average="macro"),
        "f1": metrics.f1_score(y, guess, average="macro"),
        "accuracy": (y == guess).mean(),
        "log_loss": metrics.log_loss(y, p),
    }
    for metric, value in expected.items():
        assert found["test", "m", metric] == (pytest.approx(value, abs=1e-9), 80)


def test_a_class_absent_from_gold_is_left_out_of_the_average():
    p = {"a": 0.2, "b": 0.3, "c": 0.5}
    found = run([("test", "m", "a", "a", p), ("test", "m", "b", "c", p)], positive="c")
    assert found["test", "m", "average_precision"][0] == 0.5 and found["test", "m", "f1"][0] == 0.5


def test_no_positives_is_null_and_constant_scores_are_the_positive_rate():
    found = run(binary((0, 0), (0.9, 0.1)))
    assert found["test", "text", "average_precision"] == (None, 2) and found["test", "text", "f1"] == (None, 2)
    assert found["test", "text", "accuracy"] == (0.5, 2)
    assert run(binary((1, 0, 0, 0), (0.3,) * 4))["test", "text", "average_precision"][0] == 0.25


def test_missing_pieces():
    rows = binary((1, 0), (0.8, 0.2)) + [
        ("test", "text", None, "yes", {"no": 0.5, "yes": 0.5}),  # no gold: not counted
        ("test", "text", "yes", None, {"no": 0.5, "yes": 0.5}),  # a tie: wrong
        ("test", None, "yes", "yes", {"no": 0.0, "yes": 1.0}),  # no modality: in the total only
    ]
    found = run(rows)
    assert found["test", "text", "accuracy"] == (pytest.approx(2 / 3), 3) and found["test", None, "accuracy"] == (0.75, 4)
    assert run(rows, model_id=2) == {}


def test_of_several_gold_rows_the_latest_counts():
    gold = [(0, "no", "first", "2026-01-01"), (0, "yes", "second", "2026-01-02"), (0, "no", "undated", None)]
    found = run([("test", "text", None, "yes", {"no": 0.1, "yes": 0.9})], gold=gold)
    assert found["test", "text", "accuracy"] == (1.0, 1)


def test_a_certain_mistake_has_a_finite_loss_and_nan_is_an_error():
    assert run(binary((1,), (0.0,)))["test", "text", "log_loss"][0] == pytest.approx(-np.log(2.220446049250313e-16))
    with pytest.raises(duckdb.Error, match="NULL or NaN"):
        run(binary((1, 0), (0.5, 0.5)), query=QUERY.replace("CAST(predictions.p AS", "CAST(map(['no', 'yes'], [.5, 'nan'::DOUBLE]) AS"))
    with pytest.raises(duckdb.Error, match="NULL or NaN"):
        run([("test", "text", "yes", "yes", {"no": 0.5, "yes": None})])


def test_it_reads_the_same_through_sqlglot():
    import sqlglot

    again = sqlglot.parse_one(QUERY, read="duckdb").sql("duckdb")
    rows = binary((1, 0, 1, 1, 0, 0), (0.9, 0.8, 0.8, 0.4, 0.3, 0.1))
    assert run(rows, query=again) == run(rows)
