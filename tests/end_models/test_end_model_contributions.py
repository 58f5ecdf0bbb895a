"""Contributions add up to the model's own log-odds, and are the weights of a linear model."""

import numpy as np
import pyarrow as pa
import pytest

from groundswell.end_models import end_model
from groundswell.end_models.contributions import START, contributions

SMALL = {"text_buckets": 2**12, "max_epochs": 8, "batch_size": 64}

OPTIONS = {"logistic": SMALL, "mlp": SMALL | {"hidden": [16], "learning_rate": 0.01}, "boosted_trees": {"text_buckets": 2**12, "trees": 20}}


def fitted(mixed, method, k):
    options = OPTIONS[method]
    return end_model(method, **options).fit(mixed.source(mixed.table(800, k)), mixed.spec, mixed.classes(k), dev=mixed.source(mixed.table(200, k, 1)))


def astuple(attribution):
    return attribution.best, attribution.second, attribution.contributions


def rows(table: pa.Table):
    batch = table.combine_chunks().to_batches()[0]
    return [batch.slice(i, 1) for i in range(batch.num_rows)]


@pytest.mark.parametrize(("method", "tolerance"), [("logistic", 1e-4), ("mlp", 0.02), ("boosted_trees", 1e-9)])
@pytest.mark.parametrize("k", [2, 3])
def test_they_sum_to_the_log_odds(mixed, method, tolerance, k):
    model = fitted(mixed, method, k)
    for row in rows(mixed.table(30, k, 2)):
        best, second, found = astuple(contributions(model, row)[0])
        p = dict(zip(model.classes, model.predict(row)[0]))
        assert p[best] == max(p.values()) and second != best
        assert sum(c.evidence for c in found) == pytest.approx(np.log(p[best] / p[second]), abs=tolerance)


def test_pieces_of_a_linear_model_are_its_weights(mixed):
    model = fitted(mixed, "logistic", 2)
    batch = rows(pa.table({"entity_id": [1], "x": pa.array([None], pa.float64()), "c": ["v1"], "t": ["free money"], "p": [[0.5, 0.5]]}))[0]
    best, second, found = astuple(contributions(model, batch)[0])
    by_name = {(c.feature, c.piece): c.evidence for c in found}
    assert {piece for feature, piece in by_name if feature == "t"} >= {"free", "money", "free money"}
    b, s = model.classes.index(best), model.classes.index(second)
    weights = model.network_.sparse_weight.detach().numpy()
    place = 2 + model.encoder_.columns[1].vocabulary.to_pylist().index("v1")
    assert by_name["c", "v1"] == pytest.approx(float(weights[place, b] - weights[place, s]) / model.temperature_, rel=1e-5)
    missing = model.network_.dense_weight.detach().numpy()[1]
    assert by_name["x", None] == pytest.approx(float(missing[b] - missing[s]) / model.temperature_, rel=1e-5)
    bias = model.network_.bias.detach().numpy()
    assert by_name[START, None] == pytest.approx(float(bias[b] - bias[s]) / model.temperature_, rel=1e-5)


def test_a_word_of_a_class_speaks_for_it(mixed):
    """Words 0 to 5 belong to class a, 6 to 11 to class b (with an overlap): their evidence has the sign of their class."""
    model = fitted(mixed, "logistic", 2)
    batch = rows(pa.table({"entity_id": [1], "x": [0.5], "c": ["v0"], "t": ["red channel"], "p": [[0.5, 0.5]]}))[0]
    best, _, found = astuple(contributions(model, batch)[0])
    sign = 1 if best == "a" else -1
    by_piece = {c.piece: c.evidence * sign for c in found if c.feature == "t"}
    assert by_piece["red"] > 0 > by_piece["channel"]


def test_a_batch_is_explained_like_its_rows(mixed):
    table = mixed.table(20, 3, 2)
    for method in OPTIONS:
        model = fitted(mixed, method, 3)
        together = contributions(model, table.combine_chunks().to_batches()[0])
        for found, row in zip(together, rows(table)):
            alone = contributions(model, row)[0]
            assert (found.best, found.second) == (alone.best, alone.second)
            assert {(c.feature, c.piece): pytest.approx(c.evidence, abs=1e-5) for c in alone.contributions} == {
                (c.feature, c.piece): c.evidence for c in found.contributions
            }
