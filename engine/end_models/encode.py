"""Rows of features as numbers: a dense float32 block and a sparse CSR block, encoded with statistics of the training rows."""

from __future__ import annotations

from dataclasses import asdict, dataclass

import numpy as np
import pyarrow as pa
import scipy.sparse as sp

from ..errors import Diagnostic
from .batches import needed
from .columns import EncoderOptions, column_encoder
from .features import FeatureSpec


@dataclass(frozen=True)
class EncodedRows:
    """n encoded rows.

    dense   float32 (n, D)   numeric features: z-score, missing flag
    sparse  CSR float32 (n, S)   categorical one-hots and text n-grams
    p       float32 (n, K)   probabilistic labels; K = 0 for rows to predict
    weight  float32 (n,)     row weights
    """

    dense: np.ndarray
    sparse: sp.csr_matrix
    p: np.ndarray
    weight: np.ndarray

    def __len__(self) -> int:
        return len(self.weight)

    @property
    def nbytes(self) -> int:
        s = self.sparse
        return sum(a.nbytes for a in (self.dense, s.data, s.indices, s.indptr, self.p, self.weight))

    def take(self, rows: np.ndarray) -> EncodedRows:
        return EncodedRows(self.dense[rows], self.sparse[rows], self.p[rows], self.weight[rows])

    def part(self, start: int, stop: int) -> EncodedRows:
        """The rows from start up to stop."""
        return EncodedRows(self.dense[start:stop], self.sparse[start:stop], self.p[start:stop], self.weight[start:stop])


def stacked(parts: list[EncodedRows]) -> EncodedRows:
    """The rows of all parts, in order."""
    if len(parts) == 1:
        return parts[0]
    return EncodedRows(
        np.concatenate([r.dense for r in parts]),
        sp.vstack([r.sparse for r in parts], format="csr"),
        np.concatenate([r.p for r in parts]),
        np.concatenate([r.weight for r in parts]),
    )


class Encoder:
    """Fitted on the training rows in one streamed pass: `observe` every block, `freeze`, then `encode`."""

    def __init__(self, spec: FeatureSpec, options: EncoderOptions = EncoderOptions()):
        spec.check()
        self.spec, self.options = spec, options
        self.columns = [column_encoder(f, options) for f in spec.features]

    def observe(self, batch: pa.RecordBatch) -> None:
        self._require(batch)
        for column in self.columns:
            column.observe(batch.column(column.feature.name))

    def freeze(self) -> list[Diagnostic]:
        """Ends the pass; warnings about features that carry nothing."""
        return [w for column in self.columns for w in column.freeze()]

    @property
    def widths(self) -> tuple[int, int]:
        """(D, S): columns of the dense and of the sparse block."""
        return sum(c.dense_width for c in self.columns), sum(c.sparse_width for c in self.columns)

    def encode(self, batch: pa.RecordBatch, p: np.ndarray | None = None, weight: np.ndarray | None = None) -> EncodedRows:
        """The rows of a batch, encoded. Unseen categories are out of vocabulary; NULL is missing.

        p float (n, K), weight float (n,). Raises EndModelError EM105 naming all missing columns, EM104, EM113.
        """
        self._require(batch)
        n = batch.num_rows
        p = np.zeros((n, 0), np.float32) if p is None else p.astype(np.float32)
        weight = np.ones(n, np.float32) if weight is None else weight.astype(np.float32)
        return EncodedRows(self._dense(batch), self._sparse(batch), p, weight)

    def _require(self, batch: pa.RecordBatch) -> None:
        needed(batch, *self.spec.names)

    def _dense(self, batch: pa.RecordBatch) -> np.ndarray:
        parts = [c.dense(batch.column(c.feature.name)) for c in self.columns if c.dense_width]
        return np.concatenate(parts, axis=1) if parts else np.zeros((batch.num_rows, 0), np.float32)

    def _sparse(self, batch: pa.RecordBatch) -> sp.csr_matrix:
        parts = [c.sparse(batch.column(c.feature.name)) for c in self.columns if c.sparse_width]
        found = sp.hstack(parts, format="csr") if parts else sp.csr_matrix((batch.num_rows, 0), dtype=np.float32)
        found.sort_indices()
        return found

    def state(self) -> dict:
        """JSON: features, options, and each column's statistics or vocabulary."""
        return {"features": self.spec.as_json(), "options": asdict(self.options), "columns": [c.state() for c in self.columns]}

    @classmethod
    def restored(cls, state: dict) -> Encoder:
        """The encoder that `state` describes."""
        encoder = cls(FeatureSpec.from_json(state["features"]), EncoderOptions(**state["options"]))
        for column, kept in zip(encoder.columns, state["columns"], strict=True):
            column.restore(kept)
        return encoder
