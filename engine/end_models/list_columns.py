"""How a column of lists becomes numbers: several categories per row, or an embedding. The contract is that of `columns`."""

from __future__ import annotations

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
import scipy.sparse as sp

from ..errors import Diagnostic, EndModelError
from .features import Feature, is_list
from .vocabulary import MISSING, VocabularyColumn


def unsuitable(feature: Feature, found: pa.DataType) -> EndModelError:
    """EM113: the column's type does not suit the feature's kind."""
    hint = "name another kind, or cast it in the query"
    return EndModelError("EM113", f'feature "{feature.name}" is {feature.kind}, but its column is {found}', hint=hint)


class MultivaluedColumn(VocabularyColumn):
    """Multi-hot over the training vocabulary.

    A value counts once per row. NULL is missing; an empty list is a row that has nothing, not a missing one.
    """

    def observe(self, column: pa.Array) -> None:
        self.count(pc.value_counts(self._pairs(column)[1]))

    def freeze(self) -> list[Diagnostic]:
        self.keep_frequent()
        if len(self.vocabulary):
            return []
        return [Diagnostic("EM201", f'feature "{self.feature.name}" has no value {self.options.min_count} times or more in the training rows', hint="leave it out")]

    def sparse(self, column: pa.Array) -> sp.csr_matrix:
        rows, values = self._pairs(column)
        places = pc.fill_null(pc.index_in(values, self.vocabulary), -2).to_numpy(zero_copy_only=False) + 2
        missing = np.flatnonzero(pc.is_null(column).to_numpy(zero_copy_only=False))
        at = np.concatenate([rows, missing]), np.concatenate([places, np.full(len(missing), MISSING, places.dtype)])
        found = sp.csr_matrix((np.ones(len(at[0]), np.float32), at), (len(column), self.sparse_width))
        found.data[:] = 1  # several unknown values of one row are one "out of vocabulary"
        return found

    def _pairs(self, column: pa.Array) -> tuple[np.ndarray, pa.Array]:
        """(row, value) of every value, each once per row, NULL values left out. Raises EM113."""
        if not is_list(column.type):
            raise unsuitable(self.feature, column.type)
        rows, values = pc.list_parent_indices(column), pc.list_flatten(column).cast(pa.string())
        pairs = pa.table({"row": rows, "value": values}).filter(pc.is_valid(values)).group_by(["row", "value"]).aggregate([])
        return pairs["row"].to_numpy().astype(np.int64), pairs["value"].combine_chunks()


class EmbeddingColumn:
    """The vector, and a missing flag: d + 1 dense columns; zeros where it is NULL. d is that of the training rows.

    Vectors are moved and scaled, all dimensions alike, so that those of the training rows have mean zero and a mean square length
    of 1, as rows of n-grams have: directions stay, and a network whose vectors are 300 long learns at the same pace as any other.
    """

    sparse_width = 0

    def __init__(self, feature: Feature, options):
        self.feature = feature
        self.size, self.scale = 0, 1.0
        self.mean = np.zeros(0)
        self._n, self._squares = 0, 0.0

    @property
    def dense_width(self) -> int:
        return self.size + 1

    def observe(self, column: pa.Array) -> None:
        """Learn the length from the first vector. Raises EM113 for vectors of different lengths, EM104 for NaN and inf."""
        lengths = self._lengths(column)
        if not self.size and len(lengths):
            self.size = int(lengths[0])
        vectors = self._checked(column, lengths).astype(float)
        self.mean = self.mean + vectors.sum(axis=0) if len(self.mean) else vectors.sum(axis=0)
        self._n, self._squares = self._n + len(vectors), self._squares + float((vectors * vectors).sum())

    def freeze(self) -> list[Diagnostic]:
        if self.size:
            self.mean = self.mean / self._n
            spread = self._squares / self._n - float(self.mean @ self.mean)
            self.scale = 1 / np.sqrt(spread) if spread > 1e-12 * max(self._squares / self._n, 1e-300) else 1.0
            return []
        return [Diagnostic("EM201", f'feature "{self.feature.name}" is missing in every training row', hint="leave it out")]

    def dense(self, column: pa.Array) -> np.ndarray:
        if not self.size:  # missing in every training row: nothing was learned about vectors
            return np.ones((len(column), 1), np.float32)
        vectors = self._checked(column, self._lengths(column))
        present = pc.is_valid(column).to_numpy(zero_copy_only=False)
        found = np.zeros((len(column), self.dense_width), np.float32)
        found[present, : self.size] = (vectors - self.mean) * self.scale
        found[~present, self.size] = 1
        return found

    def sparse(self, column: pa.Array) -> None:
        return None

    def _lengths(self, column: pa.Array) -> np.ndarray:
        if not is_list(column.type):
            raise unsuitable(self.feature, column.type)
        return pc.list_value_length(pc.drop_null(column)).to_numpy(zero_copy_only=False)

    def _checked(self, column: pa.Array, lengths: np.ndarray) -> np.ndarray:
        """float32 (present rows, size)."""
        if len(lengths) and not (lengths == self.size).all():
            other = int(lengths[lengths != self.size][0])
            raise EndModelError("EM113", f'feature "{self.feature.name}" has vectors of length {self.size} and {other}', hint="one embedding model per feature")
        values = pc.list_flatten(pc.drop_null(column))
        if not (pa.types.is_floating(values.type) or pa.types.is_integer(values.type)):
            raise unsuitable(self.feature, column.type)
        vectors = values.cast(pa.float32()).to_numpy(zero_copy_only=False).reshape(len(lengths), self.size)
        if not np.isfinite(vectors).all():
            raise EndModelError("EM104", f'feature "{self.feature.name}" holds a NaN or infinite value', hint="map bad vectors to NULL in the query")
        return vectors

    def state(self) -> dict:
        return {"size": self.size, "mean": [float(m) for m in self.mean], "scale": float(self.scale)}

    def restore(self, state: dict) -> None:
        self.size, self.mean, self.scale = state["size"], np.array(state["mean"]), state["scale"]
