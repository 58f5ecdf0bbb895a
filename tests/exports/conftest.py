"""A published shop with a trained end model, and Arrow rows that hold everything an encoder must tell apart."""

from __future__ import annotations

from datetime import date, datetime, timedelta
from decimal import Decimal
from pathlib import Path

import numpy as np
import pyarrow as pa
import pytest
from support import GOLD, project, workspace

from groundswell.end_models import EndModel, end_model, infer_features

CLASSES = ("refund", "delivery", "it's other")

TICKETS = """
CREATE TABLE ticket AS
SELECT
    i AS ticket_id,
    ['refund please', 'parcel late', 'hello there'][i % 3 + 1] AS body,
    ['billing', 'logistics', NULL, 'it''s'][i % 4 + 1] AS queue,
    CASE WHEN i % 11 = 0 THEN NULL WHEN i % 13 = 0 THEN CAST('NaN' AS DOUBLE) ELSE i % 3 + (i % 7) / 7 END AS score,
    TIMESTAMP '2026-01-01' + to_hours(i) AS created_at,
    i % 5 = 0 AS vip
FROM range(300) AS t(i);
CREATE TABLE ticket_gold AS
SELECT ticket_id, ['refund', 'delivery', 'it''s other'][ticket_id % 3 + 1] AS label FROM ticket WHERE ticket_id % 7 = 0;
"""

LFS = """-- lf: says_refund -> refund
FROM ticket WHERE body ILIKE '%refund%';

-- lf: by_words
SELECT ticket_id, CASE WHEN body ILIKE '%late%' THEN 'delivery' WHEN body ILIKE '%hello%' THEN 'it''s other' END AS label FROM ticket;

-- lf: label -> delivery
FROM ticket WHERE queue = 'logistics' AND body ILIKE '%late%';
"""

CONFIG = f"""
[project]
name = "shop"
[warehouse]
from = "warehouse.duckdb"
[modality.text]
from = "ticket"
key  = "ticket_id"
[task.intent]
classes = ["refund", "delivery", "it's other"]
{GOLD}
end_model = {{ features = ["queue", "score", "created_at", "vip"], max_epochs = 4 }}
"""


@pytest.fixture(autouse=True, scope="session")
def one_torch_thread():
    """Torch's own threads beside DuckDB's fight for the cores."""
    import torch

    before = torch.get_num_threads()
    torch.set_num_threads(1)
    yield
    torch.set_num_threads(before)


@pytest.fixture(scope="session")
def shop(tmp_path_factory, one_torch_thread) -> Path:
    """A project that was run and trained; tests only look at it."""
    folder = project(tmp_path_factory.mktemp("exports") / "shop", LFS, sql=TICKETS, config=CONFIG)
    with workspace(folder) as shop:
        shop.run()
        shop.train()
    return folder


def rows(n: int, seed: int = 0) -> pa.Table:
    """Rows of every kind of number and category that depend on a class y in 0..2; p says so."""
    r = np.random.default_rng(seed)
    y, words = r.integers(0, 3, n), np.array(["it's", 'b\\n"', "C", "", "line\nend", "rare", "RARE"])
    hours = [timedelta(hours=int(k) * 30 + int(h), microseconds=int(h)) for k, h in zip(y, r.integers(0, 100, n))]
    p = np.full((n, 3), 0.1)
    p[np.arange(n), y] = 0.8
    return pa.table({
        "entity_id": range(n),
        "x": pa.array([None if u < 0.1 else float("nan") if u < 0.2 else float(v) for u, v in zip(r.random(n), y + r.normal(0, 0.7, n))], pa.float64()),
        "narrow": pa.array(r.normal(size=n), pa.float32()),
        "i": pa.array([None if u < 0.1 else int(v) for u, v in zip(r.random(n), r.integers(-9, 9, n))]),
        "money": pa.array([Decimal(int(v)) / 100 for v in r.integers(0, 10_000, n)], pa.decimal128(9, 2)),
        "same": pa.array(np.full(n, 7.0)),
        "at": pa.array([datetime(2026, 3, 28) + h for h in hours], pa.timestamp("us")),
        "at_tz": pa.array([None if h.seconds == 3600 else datetime(2026, 3, 28) + h for h in hours], pa.timestamp("us", "Europe/Berlin")),
        "day": pa.array([date(1969, 12, 1) + timedelta(days=int(v)) for v in r.integers(0, 60, n)]),
        "word": pa.array([None if u < 0.1 else str(words[(k + 3 * (u > 0.5)) % 7]) for u, k in zip(r.random(n), y)]),
        "order": pa.array([f"v{v}" for v in r.integers(0, 4, n)]).dictionary_encode(),
        "flag": pa.array([None if u < 0.1 else bool(k % 2) for u, k in zip(r.random(n), y)]),
        "code": pa.array(r.integers(0, 4, n)),
        "p": p.tolist(),
    })  # fmt: skip


def source(table: pa.Table):
    return lambda: iter(table.to_batches())


def batch(table: pa.Table) -> pa.RecordBatch:
    """The rows as one batch."""
    return table.combine_chunks().to_batches()[0]


def fitted(method: str = "logistic", **options) -> EndModel:
    """A model over `rows`, with a temperature."""
    table = rows(600)
    features, _ = infer_features(table.schema, table, kinds={"code": "categorical"})
    assert len(features.features) == 12
    settings = {"max_epochs": 3, **({"hidden": [16, 8]} if method == "mlp" else {}), **options}
    return end_model(method, **settings).fit(source(table), features, CLASSES, dev=source(rows(200, seed=1)))


@pytest.fixture(scope="session")
def models(one_torch_thread) -> dict[str, EndModel]:
    """Method -> a fitted end model without text features."""
    return {method: fitted(method) for method in ("logistic", "mlp")}


@pytest.fixture(scope="session")
def text_models(one_torch_thread) -> dict[str, EndModel]:
    """Method -> a fitted end model that reads a number and a text."""
    table = text_rows(300)
    features, _ = infer_features(table.schema, table, kinds={"t": "text"})
    return {m: end_model(m, max_epochs=2, text_buckets=2**10).fit(source(table), features, ("a", "b")) for m in ("logistic", "mlp")}


def text_rows(n: int, seed: int = 0) -> pa.Table:
    """Rows with a number x and a text t."""
    r = np.random.default_rng(seed)
    y = r.integers(0, 2, n)
    texts = [None if i % 17 == 0 else " ".join(r.choice(["red", "green", "free", "money", "song"][k : k + 4], 4)) for i, k in enumerate(y)]
    return pa.table({"x": pa.array(y + r.normal(size=n)), "t": pa.array(texts), "p": np.stack([1 - y * 0.8, y * 0.8], 1).tolist()})


def inputs(model: EndModel, table: pa.Table) -> tuple[dict[str, np.ndarray], dict[str, list]]:
    """What a serving program hands over, made without the encoder: numbers (NaN = missing), categories (None = missing)."""
    numbers, categories = {}, {}
    for feature in model.encoder_.spec.features:
        values = table[feature.name].to_pylist()
        if feature.kind == "numeric":
            numbers[feature.name] = np.array([_number(v) for v in values])
        else:
            categories[feature.name] = [None if v is None else str(v).lower() if isinstance(v, bool) else str(v) for v in values]
    return numbers, categories


def _number(value) -> float:
    if value is None:
        return float("nan")
    if isinstance(value, datetime):
        return (value.replace(tzinfo=None) - (value.utcoffset() or timedelta(0)) - datetime(1970, 1, 1)) / timedelta(seconds=1)
    return float((value - date(1970, 1, 1)).days * 86_400) if isinstance(value, date) else float(value)


@pytest.fixture(scope="session")
def surprising() -> pa.Table:
    """Rows the models have not seen, with unseen categories."""
    table = rows(300, seed=2)
    words = ["unseen" if i % 9 == 0 else w for i, w in enumerate(table["word"].to_pylist())]
    return table.set_column(table.schema.get_field_index("word"), "word", pa.array(words, pa.string()))
