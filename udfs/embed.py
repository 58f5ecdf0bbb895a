"""Embedding: encoded images to vectors, as a function inside any query; only while a table is built, never inside a rule."""

from __future__ import annotations

from threading import Lock
from typing import Callable, Protocol

import numpy as np
import pyarrow as pa

from .score import contiguous

BATCH = 32


class Encoder(Protocol):
    """A network, as embedding needs it: images uint8 (b, 3, size, size) RGB -> one tensor (b, C, H, W) per layer, deepest first."""

    size: int

    def maps(self, pixels: np.ndarray) -> list: ...


Decoder = Callable[[bytes, int], tuple[np.ndarray | None, str | None]]
"""(bytes, side in pixels) -> (uint8 (3, side, side) or None, what is odd about it)."""


def embed_udf(encoder: Encoder, decode: Decoder) -> Callable[[pa.Array], pa.Array]:
    """A function BLOB (n,) -> FLOAT[] (n,): the mean of the image's filter map over its positions.

    NULL, and bytes that are no image, give NULL. Batched inside; one batch at a time goes through the network.
    """
    turn = Lock()

    def embed(images: pa.Array) -> pa.Array:
        found: list[np.ndarray | None] = [None] * len(images)
        pixels = [(i, decode(data, encoder.size)[0]) for i, data in enumerate(contiguous(images).to_pylist()) if data]
        known = [(i, each) for i, each in pixels if each is not None]
        for start in range(0, len(known), BATCH):
            rows, batch = zip(*known[start : start + BATCH])
            with turn:
                vectors = encoder.maps(np.stack(batch))[0].mean(dim=(2, 3)).cpu().numpy()
            for i, vector in zip(rows, vectors):
                found[i] = vector
        return pa.array(found, pa.list_(pa.float32()))

    return embed


def register_embedding_udf(connection, name: str, encoder: Encoder, decode: Decoder) -> None:
    """None; `SELECT name(image) FROM ...` then returns FLOAT[]."""
    connection.create_function(name, embed_udf(encoder, decode), ["BLOB"], "FLOAT[]", type="arrow", null_handling="special")
