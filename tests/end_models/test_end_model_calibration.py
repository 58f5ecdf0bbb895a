"""Temperature scaling against a grid, and inside a fit."""

import numpy as np
import pyarrow as pa
import pytest

from groundswell.end_models import end_model, load_end_model
from groundswell.end_models.calibration import best_temperature, cross_entropy


SMALL = {"text_buckets": 2**10, "batch_size": 64}


@pytest.mark.parametrize("true", [0.4, 1.0, 3.0])
def test_the_temperature_that_made_the_labels_is_found(true):
    """Labels drawn from softmax(z / T): the minimiser is near T (20,000 rows), and no point of a grid is better."""
    rng = np.random.default_rng(0)
    z = rng.normal(0, 2, (20_000, 3))
    e = np.exp(z / true - (z / true).max(axis=1, keepdims=True))
    truth = e / e.sum(axis=1, keepdims=True)
    p = np.eye(3)[(rng.random((20_000, 1)) > truth.cumsum(axis=1)).sum(axis=1)]
    weight = np.ones(len(z))
    found = best_temperature(z, p, weight)
    assert found == pytest.approx(true, rel=0.05)
    grid = [cross_entropy(z / t, p, weight) for t in np.geomspace(0.1, 10, 60)]
    assert cross_entropy(z / found, p, weight) <= min(grid) + 1e-9


def test_a_fit_is_calibrated_on_dev_and_keeps_its_labels(mixed, tmp_path):
    """Trained hard on few hard labels: probabilities come closer to the soft labels of dev, the order of classes stays."""
    train, dev = mixed.table(80), mixed.table(400, seed=1)
    hard = train.set_column(train.column_names.index("p"), "p", _hard(train))
    model = end_model("logistic", **SMALL | {"max_epochs": 40, "learning_rate": 0.3, "patience": 40})
    model.fit(mixed.source(hard), mixed.spec, ("a", "b"), dev=mixed.source(dev))
    batch = mixed.batch(dev)
    p, z, labels = model.predict(batch), model.logits(batch), np.array(dev["p"].to_pylist())
    ones = np.ones(len(labels))
    assert model.temperature_ > 1.05
    assert cross_entropy(np.log(p), labels, ones) < cross_entropy(z, labels, ones) - 0.001
    assert np.array_equal(p.argmax(axis=1), z.argmax(axis=1))
    loaded = load_end_model(tmp_path, model.save(tmp_path))
    assert np.array_equal(loaded.predict(batch), p)


def _hard(table: pa.Table) -> pa.Array:
    """The gold classes as one-hot labels."""
    return pa.array(np.eye(2)[table["y"].to_numpy()].tolist())
