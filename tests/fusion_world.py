"""Two modalities as Arrow rows: numbers, categories, lists and vectors that depend on the class, own ones and shared ones."""

from __future__ import annotations

import numpy as np
import pyarrow as pa

from groundswell.end_models import FeatureSpec, end_model, infer_features

CLASSES = ("no", "yes", "odd")
SHARED, TEXT, IMAGE = ("shared", "topic", "tags"), ("words", "old"), ("pixels", "light", "colour")
VIEWS = {"text": [*SHARED, *TEXT], "image": [*SHARED, *IMAGE]}
FAST = {"max_epochs": 6, "batch_size": 128}


def rows(n: int, seed: int = 0, k: int = 2, vectors: bool = True, lists: bool = True) -> pa.RecordBatch:
    """Rows of text and image, a tenth of the values missing; p says the class (text) or almost (image)."""
    r = np.random.default_rng(seed)
    y, image = r.integers(0, k, n), r.random(n) < 0.5
    gone = lambda: r.random(n) < 0.1  # noqa: E731
    number = lambda: y + r.normal(0, 0.8, n)  # noqa: E731
    word = lambda *choice: np.array(choice)[(y + (r.random(n) < 0.3)) % len(choice)]  # noqa: E731
    light, pixels = number(), np.stack([number(), r.normal(size=n)], 1)
    p = np.where(image[:, None], 0.8 * np.eye(k)[y] + 0.2 / k, np.eye(k)[y])
    shared = np.where(r.random(n) < 0.05, np.nan, number())
    found = {
        "entity_id": pa.array(np.arange(n)), "modality": pa.array(np.where(image, "image", "text")),
        "shared": pa.array(shared, mask=gone()), "topic": pa.array(word("cats", "pills", "it's"), mask=gone()),
        "tags": pa.array([None if m else list(t) for m, t in zip(gone(), word("a", "ab", "abc"))], pa.list_(pa.string())),
        "words": pa.array(number(), mask=image), "old": pa.array(word("x", "y", "z"), mask=image | gone()),
        "pixels": pa.array([[float(a), float(b)] if i and not m else None for (a, b), i, m in zip(pixels, image, gone())], pa.list_(pa.float32())),
        "light": pa.array(light, mask=~image | gone()), "colour": pa.array(word("red", "grey", "blue"), mask=~image), "p": pa.array(p.tolist(), pa.list_(pa.float64())),
    }  # fmt: skip
    left = {name: column for name, column in found.items() if (vectors or name != "pixels") and (lists or name != "tags")}
    return pa.RecordBatch.from_pydict(left)


def spec(batch: pa.RecordBatch) -> FeatureSpec:
    return infer_features(batch.schema, pa.Table.from_batches([batch]), exclude=["entity_id", "modality", "p"])[0]


def fused(scheme: str, base: str = "logistic", k: int = 2, n: int = 1200, **given):
    """A fitted fusion over `rows`, with a temperature of its own."""
    train, dev = rows(n, 0, k, **given), rows(400, 1, k, **given)
    views = {m: [f for f in features if f in train.schema.names] for m, features in VIEWS.items()}
    options = FAST if base != "boosted_trees" else {"trees": 10}
    model = end_model("fusion", scheme=scheme, base=base, views=views, old=["text"], **options, **({"hidden": [16, 8]} if base == "mlp" else {}))
    return model.fit(lambda: iter([train]), spec(train), CLASSES[:k], dev=lambda: iter([dev]))
