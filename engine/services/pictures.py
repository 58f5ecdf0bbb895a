"""Encoded images as pixels, for every image service: what cannot be decoded gets no answer, and says why."""

from __future__ import annotations

from concurrent.futures import ThreadPoolExecutor
from typing import Callable, Sequence

import numpy as np
import pyarrow as pa

from ..vision.images import decode
from .base import Answering, Answers

DECODERS = 2
UNUSABLE = {"unreadable": "cannot be decoded", "empty": "empty", "huge": "more pixels than are safe to decode"}


def of_pixels(compute: Callable[[np.ndarray], Sequence], size: int, kind: pa.DataType | None = None) -> Answering:
    """A service of images from a function of pixels uint8 (b, 3, size, size) RGB -> b answers."""

    def answering(images: pa.Array) -> Answers:
        pixels, problems = decoded(images, size)
        known = [i for i, each in enumerate(pixels) if each is not None]
        values: list = [None] * len(pixels)
        for i, value in zip(known, compute(np.stack([pixels[i] for i in known])) if known else ()):
            values[i] = value
        return Answers(pa.array(values, kind), problems)

    return answering


def decoded(images: pa.Array, size: int) -> tuple[list[np.ndarray | None], list[str | None]]:
    """(pixels, why there are none) of every image."""
    with ThreadPoolExecutor(DECODERS) as pool:
        found = list(pool.map(lambda data: decode(data, size), images.to_pylist()))
    return [pixels for pixels, _ in found], [UNUSABLE.get(oddity) if oddity else None for _, oddity in found]
