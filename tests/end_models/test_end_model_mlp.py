"""The multilayer network: what logistic regression cannot learn, and the same promises as every end model."""

import numpy as np
import pyarrow as pa
import pytest
import torch

from groundswell.end_models import Feature, FeatureSpec, end_model, load_end_model
from groundswell.errors import EndModelError

SMALL = {"hidden": [32, 16], "max_epochs": 30, "batch_size": 64, "learning_rate": 0.01, "text_buckets": 2**8}
XOR = FeatureSpec((Feature("a", "numeric", "double"), Feature("b", "numeric", "double")))


def exclusive_or(n: int, seed: int) -> pa.Table:
    """Two numbers of which exactly one is positive where the class is 1."""
    x = np.random.default_rng(seed).normal(size=(n, 2))
    y = (x[:, 0] > 0) != (x[:, 1] > 0)
    return pa.table({"a": x[:, 0], "b": x[:, 1], "p": np.stack([1.0 - y, y], 1).tolist(), "y": y.astype(int)})


def accuracy(model, table, mixed) -> float:
    return float((model.predict(mixed.batch(table)).argmax(axis=1) == table["y"].to_numpy()).mean())


def test_learns_what_is_not_linear(mixed):
    train, test = exclusive_or(2000, 0), exclusive_or(1000, 1)
    scores = {m: accuracy(end_model(m, **o).fit(mixed.source(train), XOR, ("no", "yes")), test, mixed) for m, o in (("mlp", SMALL), ("logistic", {"max_epochs": 30}))}
    assert scores["mlp"] > 0.95 and scores["logistic"] < 0.65


@pytest.mark.parametrize("k", [2, 4])
def test_learns_k_classes_from_all_kinds_of_features(mixed, k):
    model = end_model("mlp", **SMALL).fit(mixed.source(mixed.table(1500, k)), mixed.spec, mixed.classes(k), dev=mixed.source(mixed.table(300, k, 1)))
    test = mixed.table(500, k, 2)
    assert accuracy(model, test, mixed) > 0.9
    assert np.allclose(model.predict(mixed.batch(test)).sum(axis=1), 1, atol=1e-12)


def test_same_seed_same_bits_whatever_the_global_generator(mixed):
    table, found = mixed.table(600), []
    for seed, state in ((0, 1), (0, 2), (1, 1)):
        torch.manual_seed(state)
        model = end_model("mlp", **SMALL | {"max_epochs": 3}).fit(mixed.source(table), mixed.spec, ("a", "b"), seed=seed)
        found.append(model.predict(mixed.batch(table)))
    assert np.array_equal(found[0], found[1]) and not np.array_equal(found[0], found[2])


def test_prediction_uses_no_dropout(mixed):
    table = mixed.table(400)
    model = end_model("mlp", **SMALL | {"max_epochs": 2, "dropout": 0.5}).fit(mixed.source(table), mixed.spec, ("a", "b"))
    assert np.array_equal(model.predict(mixed.batch(table)), model.predict(mixed.batch(table)))


def test_a_continued_fit_gives_the_same_bits(mixed, tmp_path):
    table, dev = mixed.table(600), mixed.table(200, seed=1)
    options = SMALL | {"max_epochs": 6, "patience": 20}

    class Killed(Exception):
        pass

    def kill(event):
        if event.get("epoch") == 3:
            raise Killed

    def fit(folder, on_event=None):
        return end_model("mlp", **options).fit(mixed.source(table), mixed.spec, ("a", "b"), dev=mixed.source(dev), checkpoint=folder, on_event=on_event)

    with pytest.raises(Killed):
        fit(tmp_path / "k", kill)
    whole, continued = fit(tmp_path / "w"), fit(tmp_path / "k")
    assert np.array_equal(whole.predict(mixed.batch(table)), continued.predict(mixed.batch(table)))


def test_saved_and_loaded(mixed, tmp_path):
    table = mixed.table(400)
    model = end_model("mlp", **SMALL | {"max_epochs": 2}).fit(mixed.source(table), mixed.spec, ("a", "b"))
    loaded = load_end_model(tmp_path, model.save(tmp_path))
    assert loaded.own == {"hidden": [32, 16], "dropout": 0.1}
    assert np.array_equal(model.predict(mixed.batch(table)), loaded.predict(mixed.batch(table)))


@pytest.mark.parametrize(("option", "value"), [("hidden", []), ("hidden", [0]), ("hidden", 64), ("dropout", 1.0), ("hiden", [4])])
def test_impossible_options(option, value):
    with pytest.raises(EndModelError) as error:
        end_model("mlp", **{option: value})
    assert error.value.code == "EM107"
