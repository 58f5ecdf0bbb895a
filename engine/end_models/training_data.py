"""Encoded training rows as a stream: cached up to a budget, shuffled through a bounded buffer, cut into minibatches of tensors."""

from __future__ import annotations

from dataclasses import dataclass
from itertools import chain
from typing import Iterator

import numpy as np
import pyarrow as pa
import torch

from ..errors import EndModelError
from .batches import BLOCK_ROWS, Batches, blocks, row_weights, soft_labels
from .encode import EncodedRows, Encoder, stacked
from .spool import Spool


@dataclass(frozen=True)
class TensorRows:
    """n encoded rows on a device: dense (n, D); sparse rows as indices, offsets (n + 1,), values; p (n, K); weight (n,)."""

    dense: torch.Tensor
    indices: torch.Tensor
    offsets: torch.Tensor
    values: torch.Tensor
    p: torch.Tensor
    weight: torch.Tensor

    def __len__(self) -> int:
        return len(self.weight)

    @classmethod
    def of(cls, rows: EncodedRows, device: torch.device) -> TensorRows:
        s = rows.sparse
        arrays = (rows.dense, s.indices.astype(np.int32), s.indptr.astype(np.int32), s.data, rows.p, rows.weight)
        return cls(*(torch.from_numpy(np.ascontiguousarray(a)).to(device) for a in arrays))

    def minibatches(self, size: int, start: int = 0) -> Iterator[TensorRows]:
        """Consecutive rows from `start` on, `size` at a time (the last may be fewer); views, not copies."""
        edges = [*range(start, len(self), size), len(self)]
        cuts = self.offsets[edges].tolist()
        for start, stop, low, high in zip(edges, edges[1:], cuts, cuts[1:]):
            yield TensorRows(
                self.dense[start:stop],
                self.indices[low:high],
                self.offsets[start : stop + 1] - low,
                self.values[low:high],
                self.p[start:stop],
                self.weight[start:stop],
            )


class Budget:
    """Bytes that caches may still take."""

    def __init__(self, size: int):
        self.left = size

    def take(self, size: int) -> bool:
        """Whether `size` bytes were free; they are taken then."""
        if size > self.left:
            return False
        self.left -= size
        return True


class EncodedSource:
    """Encoded blocks of a re-iterable source. The first blocks stay in memory while the budget lasts, the next ones in a temporary
    file, the others are read and encoded again on every pass; the rows and their order are the same either way."""

    def __init__(self, batches: Batches, encoder: Encoder, n_classes: int, budget: Budget, spool_bytes: int = 0):
        self._batches, self._encoder, self._k, self._budget = batches, encoder, n_classes, budget
        self._cache: list[EncodedRows] = []
        self._spool = Spool(spool_bytes)
        self._complete = False
        self.rows: int | None = None

    def encode(self, batch: pa.RecordBatch) -> EncodedRows:
        return self._encoder.encode(batch, soft_labels(batch, self._k), row_weights(batch))

    def __iter__(self) -> Iterator[EncodedRows]:
        """One pass. Raises EndModelError EM111 if the source gives another number of rows than in the pass before."""
        if self._complete:
            yield from self._cache
            yield from self._spool
        elif self.rows is None:
            yield from self._first_pass()
        else:
            yield from self._again()

    def _first_pass(self) -> Iterator[EncodedRows]:
        places = [self._in_memory, self._spool.append]  # a place that was full once is not asked again: blocks stay in order
        n = 0
        for batch in blocks(self._batches):
            encoded = self.encode(batch)
            n += batch.num_rows
            while places and not places[0](encoded):
                places.pop(0)
            yield encoded
        self._same_rows(n)
        self._complete = bool(places)

    def _in_memory(self, encoded: EncodedRows) -> bool:
        if not self._budget.take(encoded.nbytes):
            return False
        self._cache.append(encoded)
        return True

    def _again(self) -> Iterator[EncodedRows]:
        """What is kept, then the rest of the source, encoded once more."""
        kept, n = chain(self._cache, self._spool), 0
        for i, batch in enumerate(blocks(self._batches)):
            n += batch.num_rows
            yield next(kept) if i < len(self._cache) + len(self._spool) else self.encode(batch)
        self._same_rows(n)

    def _same_rows(self, n: int) -> None:
        if self.rows is not None and self.rows != n:
            hint = "the source must give the same rows in the same order on every pass: order the query"
            raise EndModelError("EM111", f"one pass over the data gave {self.rows} rows, the next {n}", hint=hint)
        self.rows = n


def shuffled(source: EncodedSource, seed: tuple[int, ...], buffer_rows: int) -> Iterator[EncodedRows]:
    """Buffers of `buffer_rows` rows (whole blocks) in an order drawn from `seed`; rows never leave their buffer."""
    generator = np.random.default_rng(seed)
    held: list[EncodedRows] = []
    for block in source:
        held.append(block)
        if len(held) * BLOCK_ROWS >= buffer_rows:
            yield _permuted(held, generator)
            held = []
    if held:
        yield _permuted(held, generator)


def _permuted(held: list[EncodedRows], generator: np.random.Generator) -> EncodedRows:
    rows = stacked(held)
    return rows.take(generator.permutation(len(rows)))
