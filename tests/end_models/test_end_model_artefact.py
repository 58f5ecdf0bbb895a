"""Saved end models: same bits back, same hash for the same model, tampering found."""

import json

import numpy as np
import pytest

from groundswell.end_models import Feature, FeatureSpec, end_model, load_end_model
from groundswell.errors import EndModelError


@pytest.fixture(scope="module")
def fitted(mixed):
    options = {"text_buckets": 2**10, "max_epochs": 4, "class_weight": "balanced"}
    return end_model(**options).fit(mixed.source(mixed.table(300)), mixed.spec, ("a", "b"), dev=mixed.source(mixed.table(100, seed=1)))


def test_round_trip(fitted, mixed, tmp_path):
    sha256 = fitted.save(tmp_path / "one")
    again = load_end_model(tmp_path / "one", sha256, spec=mixed.spec, classes=["a", "b"])
    batch = mixed.batch(mixed.table(100, seed=2))
    np.testing.assert_array_equal(again.predict(batch), fitted.predict(batch))
    assert (again.classes, again.inputs, again.history_) == (("a", "b"), fitted.inputs, fitted.history_)
    assert fitted.save(tmp_path / "two") == again.save(tmp_path / "three") == sha256 and len(sha256) == 64


def test_model_card_says_what_it_is(fitted, tmp_path):
    fitted.save(tmp_path)
    card = json.loads((tmp_path / "model_card.json").read_text())
    assert card["method"] == "logistic" and card["classes"] == ["a", "b"] and card["features"] == ["x", "c", "t"]
    assert card["servable_inputs"] == ["x", "c", "t"] and card["training_rows"] == 300 and card["seed"] == 0
    assert card["dev_loss"] == min(h["dev_loss"] for h in card["loss_curve"]) and card["options"]["learning_rate"] > 0
    assert {"torch", "numpy", "scikit-learn", "pyarrow"} == set(card["versions"])


def test_warnings_survive_with_their_codes(mixed, tmp_path):
    model = end_model(text_buckets=64, max_epochs=1).fit(mixed.source(mixed.table(60)), mixed.spec, ("a", "b"))
    model.save(tmp_path)
    assert [w.code for w in model.warnings_] == ["EM203"] and load_end_model(tmp_path).warnings_ == model.warnings_


@pytest.mark.parametrize("name", ["weights.npz", "encoder.json", "model_card.json", "sha256.txt"])
def test_any_changed_file_is_found(fitted, tmp_path, name):
    fitted.save(tmp_path)
    data = bytearray((tmp_path / name).read_bytes())
    data[len(data) // 2] ^= 1
    (tmp_path / name).write_bytes(bytes(data))
    with pytest.raises(EndModelError) as e:
        load_end_model(tmp_path)
    assert e.value.code == "EM108"


def test_a_consistent_forgery_is_found_by_the_callers_hash(fitted, mixed, tmp_path):
    sha256 = fitted.save(tmp_path)
    end_model(text_buckets=64, max_epochs=1).fit(mixed.source(mixed.table(60)), mixed.spec, ("a", "b")).save(tmp_path)
    load_end_model(tmp_path)
    with pytest.raises(EndModelError) as e:
        load_end_model(tmp_path, sha256)
    assert e.value.code == "EM108"


@pytest.mark.parametrize("name", ["weights.npz", "sha256.txt"])
def test_missing_file(fitted, tmp_path, name):
    fitted.save(tmp_path)
    (tmp_path / name).unlink()
    with pytest.raises(EndModelError, match=name) as e:
        load_end_model(tmp_path)
    assert e.value.code == "EM116"


@pytest.mark.parametrize(
    "expected",
    [
        {"classes": ["b", "a"]},
        {"spec": FeatureSpec((Feature("x", "numeric"), Feature("c", "categorical")))},
        {"spec": FeatureSpec((Feature("x", "categorical"), Feature("c", "categorical"), Feature("t", "text")))},
    ],
)
def test_other_features_or_classes(fitted, tmp_path, expected):
    fitted.save(tmp_path)
    with pytest.raises(EndModelError) as e:
        load_end_model(tmp_path, **expected)
    assert e.value.code == "EM109"


def test_save_before_fit(tmp_path):
    with pytest.raises(EndModelError) as e:
        end_model().save(tmp_path)
    assert e.value.code == "EM110"
