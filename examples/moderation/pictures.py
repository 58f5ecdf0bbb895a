"""Pixels of image posts: coloured things on a ground, drawn by formula, no two alike."""

from __future__ import annotations

import io
from pathlib import Path
from typing import Sequence

import duckdb
import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq

from .parameters import parameters

SIDE = 48
"""Pixels per side."""
COLOURS = np.array([(0.85, 0.2, 0.2), (0.2, 0.6, 0.3), (0.2, 0.35, 0.8), (0.9, 0.7, 0.15), (0.55, 0.25, 0.6), (0.15, 0.15, 0.18), (0.98, 0.98, 0.95)])
ROW, COLUMN = np.mgrid[0:SIDE, 0:SIDE] / SIDE


def write_pictures(connection: duckdb.DuckDBPyConnection, path: Path) -> int:
    """Render the rows of the view `picture` into a Parquet file (post_id, image: PNG); returns how many."""
    found = connection.execute("SELECT post_id, mean_colour, things FROM picture ORDER BY post_id").fetchall()
    images = [png(render(np.array(colour), things, post_id)) for post_id, colour, things in found]
    table = pa.table({"post_id": pa.array([r[0] for r in found], pa.int64()), "image": pa.array(images, pa.binary())})
    path.parent.mkdir(parents=True, exist_ok=True)
    pq.write_table(table, path)
    return len(found)


def render(colour: np.ndarray, things: Sequence[str | None], post_id: int) -> np.ndarray:
    """The picture, uint8 (SIDE, SIDE, 3): a textured ground of the mean colour, up to three things, grain. Depends on its arguments alone."""
    rng = np.random.default_rng(post_id)
    light = 1 + 0.25 * (rng.uniform(-1, 1) * (ROW - 0.5) + rng.uniform(-1, 1) * (COLUMN - 0.5))
    image = colour[None, None, :] * light[:, :, None]
    for thing in things:
        if thing is not None:
            paint(image, thing, rng)
    return (255 * np.clip(image + rng.normal(0, 0.04, image.shape), 0, 1)).astype(np.uint8)


def paint(image: np.ndarray, thing: str, rng: np.random.Generator) -> None:
    """Paint a thing into the picture at a place and size of the generator's choice; its kind decides shape and colour."""
    kind = _kinds().index(thing)
    y, x, size, turn = rng.uniform(0.2, 0.8), rng.uniform(0.2, 0.8), rng.uniform(0.1, 0.22), rng.uniform(-0.4, 0.4)
    u = ((COLUMN - x) * np.cos(turn) + (ROW - y) * np.sin(turn)) / size
    v = ((ROW - y) * np.cos(turn) - (COLUMN - x) * np.sin(turn)) / size
    image[SHAPES[kind % len(SHAPES)](u, v)] = COLOURS[(kind // len(SHAPES) + kind) % len(COLOURS)]


SHAPES = (
    lambda u, v: u**2 + v**2 < 1,
    lambda u, v: np.maximum(abs(u), abs(v)) < 0.9,
    lambda u, v: (abs(u) < (v + 1) / 2) & (abs(v) < 1),
    lambda u, v: (np.minimum(abs(u), abs(v)) < 0.3) & (np.maximum(abs(u), abs(v)) < 1),
    lambda u, v: (u**2 + v**2 < 1) & (u**2 + v**2 > 0.45),
    lambda u, v: (abs(u) < 1.4) & (abs(v) < 0.35),
    lambda u, v: abs(u) + abs(v) < 1.1,
)
"""Disc, square, triangle, cross, ring, bar, diamond: conditions on coordinates in units of the size."""


def _kinds() -> tuple[str, ...]:
    return next(s for s in parameters().slots if s.name == "objects_named").tokens


def png(image: np.ndarray) -> bytes:
    """The bytes of a PNG file."""
    from PIL import Image

    buffer = io.BytesIO()
    Image.fromarray(image).save(buffer, "PNG")
    return buffer.getvalue()
