"""Why an end model says what it says about a row: what each feature, category and n-gram adds to the log-odds."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Iterator, Protocol

import numpy as np
import pyarrow as pa
import scipy.sparse as sp

from .encode import EncodedRows, Encoder
from .leave_out import left_out

START, ABSENT, TOGETHER = "(start)", "(absent)", "(together)"


class Attributable(Protocol):
    """An end model that can say what each encoded column adds; see `EncodedModel`."""

    classes: tuple[str, ...]
    encoder_: Encoder
    temperature_: float

    def require_fitted(self) -> None: ...

    def scores(self, rows: EncodedRows) -> np.ndarray: ...

    def attribution(self, rows: EncodedRows, best: np.ndarray, second: np.ndarray) -> tuple[np.ndarray, np.ndarray, sp.csr_matrix]: ...


@dataclass(frozen=True)
class Contribution:
    """What one piece of a feature adds to the log-odds of the best class against the second; piece None = the feature as a whole."""

    feature: str
    piece: str | None
    evidence: float


@dataclass(frozen=True)
class Attribution:
    """One row: its best and second class, and contributions that sum to the log-odds of the one against the other, largest first."""

    best: str
    second: str
    contributions: tuple[Contribution, ...]


def contributions(model: Attributable, batch: pa.RecordBatch) -> list[Attribution]:
    """An attribution for each row of a batch, after temperature.

    START is what a row without anything has; the others are what each piece adds: exact for logistic regression and for trees,
    integrated gradients for other networks. Text is split into its n-grams, categories and lists into values; ABSENT is what
    values add by not being there. A fusion of modalities is explained feature by feature, by leaving each out (`left_out`), TOGETHER
    being what no single one adds. Raises as `predict`.
    """
    model.require_fitted()
    if hasattr(model, "parts"):
        return _by_leaving_out(model, batch)
    rows = model.encoder_.encode(batch)
    best, second = np.argsort(-model.scores(rows), axis=1, kind="stable")[:, :2].T
    start, dense, sparse = (part / model.temperature_ for part in model.attribution(rows, best, second))
    found = []
    for i in range(batch.num_rows):
        named = _named(model.encoder_, batch.slice(i, 1), rows.part(i, i + 1), dense[i], sparse[i])
        ordered = sorted((c for c in named if c.evidence), key=lambda c: (-abs(c.evidence), c.feature, c.piece or ""))
        parts = (Contribution(START, None, float(start[i])), *ordered)
        found.append(Attribution(model.classes[best[i]], model.classes[second[i]], tuple(sorted(parts, key=lambda c: -abs(c.evidence)))))
    return found


def _by_leaving_out(model: Attributable, batch: pa.RecordBatch) -> list[Attribution]:
    best, second, start, added, together = left_out(model, batch)
    found = []
    for i in range(batch.num_rows):
        pieces = [Contribution(name, None, float(evidence[i])) for name, evidence in [*added.items(), (TOGETHER, together)] if evidence[i]]
        ordered = sorted((Contribution(START, None, float(start[i])), *pieces), key=lambda c: (-abs(c.evidence), c.feature))
        found.append(Attribution(model.classes[best[i]], model.classes[second[i]], tuple(ordered)))
    return found


def _named(encoder: Encoder, batch: pa.RecordBatch, row: EncodedRows, dense: np.ndarray, sparse: sp.csr_matrix) -> Iterator[Contribution]:
    """Contributions of one row: dense (D,), sparse CSR (1, S)."""
    present, at_dense, at_sparse = set(row.sparse.indices.tolist()), 0, 0
    for column in encoder.columns:
        name = column.feature.name
        if column.dense_width:
            yield Contribution(name, None, float(dense[at_dense : at_dense + column.dense_width].sum()))
        mine = (sparse.indices >= at_sparse) & (sparse.indices < at_sparse + column.sparse_width)
        pieces = column.pieces(batch.column(name)) if mine.any() else {}
        absent = 0.0
        for index, evidence in zip(sparse.indices[mine], sparse.data[mine]):
            if index in present:
                yield Contribution(name, pieces.get(int(index) - at_sparse, "(other)"), float(evidence))
            else:
                absent += float(evidence)
        yield Contribution(name, ABSENT, absent)
        at_dense, at_sparse = at_dense + column.dense_width, at_sparse + column.sparse_width
