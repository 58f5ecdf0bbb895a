"""Affinity: how near a row's vectors come to prototypes, as a function inside any query."""

from __future__ import annotations

from typing import Callable

import numpy as np
import pyarrow as pa

from .score import contiguous

Scorer = Callable[[list], np.ndarray]
"""Bags of vectors, lists of lists (n_i, C) of n rows -> float32 (n, M)."""


def affinity_udf(score: Scorer) -> Callable[[pa.Array], pa.Array]:
    """A function FLOAT[][] (n,) -> FLOAT[] (n,): the affinities of each row's vectors to M prototypes; NULL gives NULL."""

    def affinity(bags: pa.Array) -> pa.Array:
        rows = contiguous(bags).to_pylist()
        known = [i for i, row in enumerate(rows) if row]
        found: list[np.ndarray | None] = [None] * len(rows)
        if known:
            for i, scores in zip(known, score([rows[i] for i in known])):
                found[i] = scores
        return pa.array(found, pa.list_(pa.float32()))

    return affinity


def register_affinity_udf(connection, name: str, score: Scorer) -> None:
    """None; `SELECT name(vectors) FROM ...` then returns FLOAT[], one affinity per prototype."""
    connection.create_function(name, affinity_udf(score), ["FLOAT[][]"], "FLOAT[]", type="arrow", null_handling="special")
