"""Fusions explained by leaving features out; strange rows; artefacts of others."""

import json
import math

import numpy as np
import pyarrow as pa
import pytest
from fusion_world import CLASSES, IMAGE, SHARED, TEXT, fused, rows, spec

from groundswell.end_models import load_end_model
from groundswell.end_models.contributions import START, TOGETHER, contributions
from groundswell.end_models.views import present, without
from groundswell.errors import EndModelError


@pytest.fixture(scope="module")
def late():
    return fused("late")


def gap(model, batch, found) -> float:
    p = dict(zip(model.classes, model.predict(batch)[0]))
    return math.log(p[found.best] / p[found.second])


@pytest.mark.parametrize("scheme, base, k", [
    ("early", "logistic", 2), ("early", "boosted_trees", 2), ("intermediate", "mlp", 3), ("devise", "mlp", 2), ("late", "logistic", 3), ("late", "mlp", 2), ("late", "boosted_trees", 2),
])  # fmt: skip
def test_they_sum_to_the_log_odds(scheme, base, k):
    model, batch = fused(scheme, base, k, n=600), rows(40, 5, k)
    for i, found in enumerate(contributions(model, batch)):
        row = batch.slice(i, 1)
        assert sum(c.evidence for c in found.contributions) == pytest.approx(gap(model, row, found), abs=1e-5)
        named = {c.feature for c in found.contributions} - {START, TOGETHER}
        assert named <= {f for f in (*SHARED, *TEXT, *IMAGE) if present(row, [f])[0]}
        assert model.classes[int(model.predict(row).argmax())] == found.best


def test_late_fusion_of_logistic_parts_is_explained_exactly(late):
    """Nothing is left over, and a feature adds what the weights of the part that reads it say."""
    batch = rows(60, 5)
    image = np.array(batch.column("modality").to_pylist()) == "image"
    for i, found in enumerate(contributions(late, batch)):
        pieces = {c.feature: c.evidence for c in found.contributions}
        assert abs(pieces.pop(TOGETHER, 0.0)) < 1e-5
        b, s = late.classes.index(found.best), late.classes.index(found.second)
        for name, part in (("shared", late.parts["old"]), *((("light", late.parts["image"]),) if image[i] else ())):
            value = batch.column(name)[i].as_py()
            if value is None or value != value:
                assert name not in pieces
                continue
            place = sum(c.dense_width for c in part.encoder_.columns[: part.encoder_.spec.names.index(name)])
            column = part.encoder_.columns[part.encoder_.spec.names.index(name)]
            w = part.network_.dense_weight.detach().numpy().astype(float)[place : place + 2]
            z = (value - column.mean) / column.sd
            expected = (z * (w[0, b] - w[0, s]) - (w[1, b] - w[1, s])) / part.temperature_ / late.temperature_
            assert pieces[name] == pytest.approx(expected, abs=2e-5)


def test_what_no_single_feature_adds_is_said():
    """A network in which features matter together leaves a remainder on some rows."""
    left = [abs(c.evidence) for found in contributions(fused("intermediate", "mlp"), rows(50, 6)) for c in found.contributions if c.feature == TOGETHER]
    assert max(left) > 0.01


def test_a_row_keeps_its_parts_when_its_only_own_feature_is_left_out(late):
    """An image of which light alone is known: leaving it out is not to make a text of it."""
    image = rows(200, 7)
    image = image.filter(pa.array(np.array(image.column("modality").to_pylist()) == "image"))
    row = without(image, ["pixels", "colour"])
    row = row.filter(row.column("light").is_valid()).slice(0, 1)
    pieces = {c.feature: c.evidence for c in contributions(late, row)[0].contributions}
    parts = late.applies(row)
    assert parts["image"].all() and not late.applies(without(row, IMAGE))["image"].any()
    before, after = (late.logits(batch, parts)[0] / late.temperature_ for batch in (row, without(row, ["light"])))
    b, s = np.argsort(-before)[:2]
    assert pieces["light"] == pytest.approx((before[b] - before[s]) - (after[b] - after[s]), abs=1e-9)


# -- strange rows -------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("scheme", ["early", "intermediate", "devise", "late"])
def test_unseen_categories_nan_and_rows_of_nothing(scheme):
    model, batch = fused(scheme, n=500), rows(30, 8)
    strange = batch.set_column(batch.schema.get_field_index("topic"), "topic", pa.array(["never seen"] * 30))
    strange = strange.set_column(batch.schema.get_field_index("shared"), "shared", pa.array([float("nan")] * 30))
    other = strange.set_column(batch.schema.get_field_index("topic"), "topic", pa.array(["nor this"] * 30))
    other = other.set_column(batch.schema.get_field_index("shared"), "shared", pa.nulls(30, pa.float64()))
    assert np.array_equal(model.predict(strange), model.predict(other))
    nothing = model.predict(without(batch, [f.name for f in model.spec_.features]))
    assert np.isfinite(nothing).all() and np.ptp(nothing, axis=0).max() < 1e-12


def test_a_number_that_is_nan_does_not_make_an_image(late):
    """NaN is no value: a row whose own features are all NaN or NULL goes through the shared part alone."""
    batch = without(rows(20, 9), IMAGE)
    nan = batch.set_column(batch.schema.get_field_index("light"), "light", pa.array([float("nan")] * 20))
    assert np.array_equal(late.predict(nan), late.predict(batch)) and not late.applies(nan)["image"].any()


def test_an_infinite_number_and_a_missing_column_are_named(late):
    batch = rows(10, 9)
    infinite = batch.set_column(batch.schema.get_field_index("light"), "light", pa.array([float("inf")] * 10))
    with pytest.raises(EndModelError, match="EM104.*light"):
        late.predict(infinite)
    with pytest.raises(EndModelError, match='EM105.*"light", "colour"'):
        late.predict(batch.drop_columns(["light", "colour"]))


# -- artefacts ----------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("name", ["weights.npz", "encoder.json", "model_card.json", "sha256.txt"])
def test_any_changed_file_of_a_fusion_is_found(late, tmp_path, name):
    late.save(tmp_path)
    data = bytearray((tmp_path / name).read_bytes())
    data[len(data) // 2] ^= 1
    (tmp_path / name).write_bytes(bytes(data))
    with pytest.raises(EndModelError, match="EM108"):
        load_end_model(tmp_path)


def test_a_fusion_of_other_features_or_classes_is_refused(late, tmp_path):
    sha, train = late.save(tmp_path / "one"), rows(300, 0)
    assert load_end_model(tmp_path / "one", sha, spec=spec(train), classes=CLASSES[:2]).save(tmp_path / "two") == sha
    with pytest.raises(EndModelError, match="EM109"):
        load_end_model(tmp_path / "one", spec=spec(rows(300, 0, lists=False)))
    with pytest.raises(EndModelError, match="EM109"):
        load_end_model(tmp_path / "one", classes=["yes", "no"])
    other = fused("early", n=300).save(tmp_path / "one")
    assert other != sha
    with pytest.raises(EndModelError, match="EM108"):
        load_end_model(tmp_path / "one", sha)


def test_what_was_found_out_stays_with_the_model(late, tmp_path):
    late.about_ = {"modality_shares": [{"rows": "image", "value": 0.5}]}
    sha = late.save(tmp_path)
    assert json.loads((tmp_path / "model_card.json").read_text())["about"] == late.about_ == load_end_model(tmp_path, sha).about_
