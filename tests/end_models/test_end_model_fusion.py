"""Fusion of modalities: what each scheme does on worlds where the best answer is known."""

from __future__ import annotations

import numpy as np
import pyarrow as pa
import pytest

from groundswell.end_models import end_model, infer_features, load_end_model
from groundswell.end_models.fusion_schemes import RIDGE, unit, vectors
from groundswell.errors import EndModelError

CLASSES = ("no", "yes")
VIEWS = {"text": ["shared", "words"], "image": ["shared", "pixels"]}
FAST = {"max_epochs": 40, "batch_size": 128}


def world(n: int, seed: int, weak: float = 0.15, shared: float = 1.0, pixels: float = 1.0, alike: bool = False) -> tuple[pa.RecordBatch, np.ndarray]:
    """Rows of text (gold labels) and of images (labels wrong with probability `weak`), and true classes.

    Features are normal with these distances between the classes; alike: pixels repeat what is shared.
    """
    random = np.random.default_rng(seed)
    y, image = random.integers(0, 2, n), random.random(n) < 0.5
    common = shared * (2 * y - 1) + random.normal(size=n)
    own = (common if alike else pixels * (2 * y - 1)) + random.normal(size=n) * (0.1 if alike else 1)
    told = np.where(image & (random.random(n) < weak), 1 - y, y)
    p = np.where(image[:, None], np.where(np.eye(2)[told] == 1, 1 - weak, weak), np.eye(2)[told])
    words = pa.array(np.where(random.random(n) < 0.2 + 0.5 * y, "spam", "ham"), mask=image)
    vectors = pa.array([[float(v), 0.5 * float(v)] if i else None for v, i in zip(own, image)], pa.list_(pa.float32()))
    return pa.RecordBatch.from_pydict({
        "entity_id": pa.array(np.arange(n)), "modality": pa.array(np.where(image, "image", "text")), "shared": pa.array(common), "words": words, "pixels": vectors,
        "p": pa.array(p.tolist(), pa.list_(pa.float64())),
    }), y  # fmt: skip


def fitted(scheme: str, base: str = "logistic", n: int = 3000, seed: int = 0, **given):
    train, dev = world(n, seed, **given)[0], world(n // 4, seed + 1, **given)[0]
    spec, _ = infer_features(train.schema, pa.Table.from_batches([train]), exclude=["entity_id", "modality", "p"])
    model = end_model("fusion", scheme=scheme, base=base, views=VIEWS, old=["text"], **FAST)
    return model.fit(lambda: iter([train]), spec, CLASSES, dev=lambda: iter([dev]), seed=0)


def accuracy(model, seed: int = 9, modality: str = "image", **given) -> float:
    rows, y = world(4000, seed, **given)
    chosen = np.array(rows.column("modality").to_pylist()) == modality
    return float((model.predict(rows).argmax(axis=1) == y)[chosen].mean())


def best(features: int) -> float:
    """Accuracy of the Bayes rule on `features` independent normal features of distance 1 to either side."""
    from scipy.stats import norm

    return float(norm.cdf(np.sqrt(features)))


@pytest.mark.parametrize("scheme, base, least", [
    ("early", "logistic", 0.89), ("early", "mlp", 0.9), ("intermediate", "mlp", 0.9), ("late", "logistic", 0.88), ("late", "mlp", 0.88), ("auto", "logistic", 0.88),
    ("devise", "logistic", 0.89),
])  # fmt: skip
def test_images_gain_by_what_both_views_hold(scheme, base, least):
    """The Bayes rule is right on .921 of images with both views, on .841 with one of them."""
    model = fitted(scheme, base)
    assert best(1) < 0.85 and least <= accuracy(model) <= best(2) + 0.015
    assert accuracy(model, modality="text") > best(1) - 0.01


def test_what_stands_after_the_trunks_decides_what_they_can_say():
    """Logits of two linear trunks are too little for one linear model on top; hidden layers are enough."""
    assert best(1) - 0.01 < accuracy(fitted("intermediate", "logistic")) < accuracy(fitted("intermediate", "mlp"))


def test_projection_leaves_the_old_model_alone():
    text = accuracy(fitted("devise", "mlp"), modality="text")
    assert text == pytest.approx(accuracy(fitted("early", "mlp"), modality="text"), abs=0.02)


@pytest.mark.parametrize("scheme", ["early", "intermediate", "devise", "late"])
def test_rows_need_no_modality_to_be_predicted(scheme):
    model = fitted(scheme, n=800)
    rows, _ = world(300, 5)
    assert np.array_equal(model.predict(rows.drop_columns(["modality", "p", "entity_id"])), model.predict(rows))
    assert np.abs(model.predict(rows).sum(axis=1) - 1).max() < 1e-12


@pytest.mark.parametrize("scheme, base", [("early", "boosted_trees"), ("late", "boosted_trees"), ("intermediate", "mlp"), ("devise", "logistic"), ("late", "logistic")])
def test_a_saved_fusion_predicts_the_same_bits(scheme, base, tmp_path):
    options = {} if base != "boosted_trees" else {"trees": 20}
    train = world(600, 0)[0]
    spec, _ = infer_features(train.schema, pa.Table.from_batches([train]), exclude=["entity_id", "modality", "p"])
    model = end_model("fusion", scheme=scheme, base=base, views=VIEWS, old=["text"], **(options or FAST)).fit(lambda: iter([train]), spec, CLASSES, seed=0)
    sha = model.save(tmp_path / "a")
    again = load_end_model(tmp_path / "a", sha, spec=spec, classes=CLASSES)
    rows = world(200, 7)[0]
    assert np.array_equal(again.predict(rows), model.predict(rows)) and again.save(tmp_path / "b") == sha
    weights = tmp_path / "a" / "weights.npz"
    weights.write_bytes(weights.read_bytes()[:-1] + b"x")
    with pytest.raises(EndModelError, match="EM108"):
        load_end_model(tmp_path / "a", sha)


def test_views_that_say_the_same_are_fused_early_and_that_is_told():
    model = fitted("auto", alike=True)
    assert model.scheme_ == "early" and "EM209" in {w.code for w in model.warnings_}
    assert fitted("auto").scheme_ == "late"


def test_correlation_of_views_is_that_of_their_centred_logits():
    model = fitted("late", n=1000)
    rows = world(1000, 0)[0]
    image = rows.filter(pa.array(np.array(rows.column("modality").to_pylist()) == "image"))
    gap = [np.diff(model.parts[name].logits(image), axis=1)[:, 0] for name in ("old", "image")]
    assert model.arrays["correlation"][0] == pytest.approx(np.corrcoef(*gap)[0, 1], abs=1e-9)


def test_the_projection_is_the_least_squares_one():
    model = fitted("devise", "mlp", n=800)
    rows = world(800, 0)[0]
    image = rows.filter(pa.array(np.array(rows.column("modality").to_pylist()) == "image"))
    x, y = (unit(model.parts[name].hidden(image).astype(float)) for name in ("A", "B"))
    padded = np.concatenate([y, np.sqrt(RIDGE * len(y)) * np.eye(y.shape[1])])
    expected = np.linalg.lstsq(padded, np.concatenate([x, np.zeros((y.shape[1], x.shape[1]))]), rcond=None)[0]
    assert model.arrays["projection"] == pytest.approx(expected, abs=1e-6)
    assert model.arrays["length"][0] == pytest.approx(np.linalg.norm(model.parts["A"].hidden(image), axis=1).mean(), rel=1e-5)


def test_late_fusion_adds_log_probabilities_less_the_balance():
    model = fitted("late", n=800)
    rows = world(50, 3)[0]
    image = rows.filter(pa.array(np.array(rows.column("modality").to_pylist()) == "image"))
    a, b = (np.log(model.parts[name].predict(image)) for name in ("old", "image"))
    assert model.logits(image) == pytest.approx(a + b - model.arrays["log_balance image"], abs=1e-9)
    assert set(model.parts["old"].encoder_.spec.names) == {"shared"} and set(model.parts["image"].encoder_.spec.names) == {"pixels"}


def test_a_modality_without_a_labelled_row_is_left_out_or_refused():
    train = world(600, 0)[0]
    text = train.filter(pa.array(np.array(train.column("modality").to_pylist()) == "text"))
    spec, _ = infer_features(train.schema, pa.Table.from_batches([train]), exclude=["entity_id", "modality", "p"])
    with pytest.raises(EndModelError, match="EM124"):
        end_model("fusion", scheme="intermediate", views=VIEWS, old=["text"], **FAST).fit(lambda: iter([text]), spec, CLASSES)
    three = {**VIEWS, "video": ["shared"]}
    model = end_model("fusion", scheme="intermediate", views=three, old=["text"], **FAST).fit(lambda: iter([train]), spec, CLASSES)
    assert "EM208" in {w.code for w in model.warnings_} and "video" not in model.parts


@pytest.mark.parametrize("options, code", [
    ({"scheme": "eraly"}, "EM107"), ({"scheme": "devise", "base": "boosted_trees"}, "EM107"), ({"base": "fusion"}, "EM107"), ({"old": []}, "EM124"),
    ({"old": ["text", "image"]}, "EM124"), ({"learning_rat": 1}, "EM107"),
])  # fmt: skip
def test_fusions_that_cannot_be(options, code):
    with pytest.raises(EndModelError, match=code):
        end_model("fusion", **{"scheme": "late", "views": VIEWS, "old": ["text"], **options})


def test_late_fusion_needs_own_and_shared_features():
    train = world(300, 0)[0]
    spec, _ = infer_features(train.schema, pa.Table.from_batches([train]), exclude=["entity_id", "modality", "p"])
    for views in ({"text": ["shared", "words"], "image": ["shared"]}, {"text": ["words"], "image": ["pixels"]}):
        with pytest.raises(EndModelError, match="EM124"):
            end_model("fusion", scheme="late", views=views, old=["text"], **FAST).fit(lambda: iter([train]), spec, CLASSES)


def test_a_part_without_dev_rows_holds_out_a_tenth():
    train, dev = world(800, 0)[0], world(300, 1)[0]
    text_only = dev.filter(pa.array(np.array(dev.column("modality").to_pylist()) == "text"))
    spec, _ = infer_features(train.schema, pa.Table.from_batches([train]), exclude=["entity_id", "modality", "p"])
    model = end_model("fusion", scheme="late", views=VIEWS, old=["text"], **FAST).fit(lambda: iter([train]), spec, CLASSES, dev=lambda: iter([text_only]))
    n_image = sum(m == "image" for m in train.column("modality").to_pylist())
    assert model.parts["image"].rows_ == n_image - n_image // 10 and not any(w.code == "EM203" for w in model.warnings_)


def test_vectors_of_rows_that_have_none_are_null_and_leave_the_others_alone():
    x = np.arange(8, dtype=float).reshape(4, 2)
    assert vectors(x, np.array([False, True, False, True])).to_pylist() == [None, [2.0, 3.0], None, [6.0, 7.0]]
    assert vectors(x, np.zeros(4, bool)).to_pylist() == [None] * 4
