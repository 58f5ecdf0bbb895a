"""Affinity: how near the nearest vector of a row comes to a prototype, as a function inside any query."""

from __future__ import annotations

from typing import Callable

import numpy as np
import pyarrow as pa

from .score import contiguous

Scorer = Callable[[np.ndarray, np.ndarray], np.ndarray]
"""(float32 (n, C), float32 (C,)) -> float32 (n,): the affinity of each vector to one prototype."""


def affinity_udf(score: Scorer) -> Callable[[pa.Array, pa.Array], pa.Array]:
    """A function FLOAT[] (n,), FLOAT[][] (n,) -> FLOAT (n,): the largest affinity of a row's vectors to its prototype (Das et al. 2019, eq. 4).

    NULL, an empty list and a list with a NULL in it give NULL. Rows with the same prototype are scored in one product. Raises
    ValueError for vectors of different lengths.
    """

    def affinity(prototypes: pa.Array, bags: pa.Array) -> pa.Array:
        one, many = contiguous(prototypes).to_pylist(), contiguous(bags).to_pylist()
        found: list[float | None] = [None] * len(one)
        rows_of: dict[tuple, list[int]] = {}
        for i, (vector, bag) in enumerate(zip(one, many)):
            if vector and bag and None not in vector and all(v and None not in v for v in bag):
                rows_of.setdefault(tuple(vector), []).append(i)
        for vector, rows in rows_of.items():
            _require_length(len(vector), {len(v) for i in rows for v in many[i]})
            scores = score(np.array([v for i in rows for v in many[i]], np.float32), np.array(vector, np.float32))
            starts = np.cumsum([0, *(len(many[i]) for i in rows[:-1])])
            for i, s in zip(rows, np.maximum.reduceat(scores, starts).tolist()):
                found[i] = s
        return pa.array(found, pa.float32())

    return affinity


def _require_length(length: int, lengths: set[int]) -> None:
    if other := lengths - {length}:
        raise ValueError(f"a vector of {length} numbers meets one of {min(other)}")


def register_affinity_udf(connection, name: str, score: Scorer) -> None:
    """None; `SELECT name(vector, vectors) FROM ...` then returns FLOAT, the affinity of the nearest of `vectors` to `vector`."""
    connection.create_function(name, affinity_udf(score), ["FLOAT[]", "FLOAT[][]"], "FLOAT", type="arrow", null_handling="special")
