"""What prototypes are taken from: each entity as a bag of vectors (positions of a filter map, tokens, sentences, or one embedding)."""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import Iterator, Protocol, Sequence

import numpy as np

from ..errors import AffinityError
from .kept import digest


class Parts(Protocol):
    """N entities as bags of at most P vectors of C numbers, readable in blocks.

    grid  (H, W) where the P vectors are positions of a map, row by row
    """

    grid: tuple[int, int] | None

    @property
    def shape(self) -> tuple[int, int, int]: ...

    def block(self, start: int, stop: int) -> tuple[np.ndarray, np.ndarray | None]:
        """(float32 (b, P, C), bool (b, P) or None): vectors, and which of them exist (None: all)."""
        ...

    def fingerprint(self) -> str:
        """Equal for equal vectors, wherever they lie."""
        ...


@dataclass(frozen=True)
class ArrayParts:
    """Bags of vectors in one array (or memory map).

    vectors  float32 (N, P, C)
    present  bool (N, P) or None: all
    """

    vectors: np.ndarray
    present: np.ndarray | None = None
    grid: tuple[int, int] | None = None

    @property
    def shape(self) -> tuple[int, int, int]:
        return self.vectors.shape

    def block(self, start: int, stop: int) -> tuple[np.ndarray, np.ndarray | None]:
        return np.asarray(self.vectors[start:stop], dtype=np.float32), None if self.present is None else self.present[start:stop]

    def fingerprint(self) -> str:
        return digest(self.vectors, self.present, self.grid)


@dataclass(frozen=True)
class ShardParts:
    """Filter maps as they lie in the cache: row i is places[i] = (shard, row in it); maps float32 (C, H, W).

    content  N texts: what the maps are of; layer: what they are maps by
    """

    shards: Sequence[np.ndarray]
    places: np.ndarray
    positions: np.ndarray
    """int (P,): which of the H W positions are read."""
    grid: tuple[int, int]
    content: tuple[str, ...]
    layer: str

    @property
    def shape(self) -> tuple[int, int, int]:
        return len(self.places), len(self.positions), self.shards[0].shape[1]

    def block(self, start: int, stop: int) -> tuple[np.ndarray, None]:
        n_channels = self.shape[2]
        found = np.empty((stop - start, *self.shape[1:]), np.float32)
        for at, (shard, row) in enumerate(self.places[start:stop]):
            found[at] = self.shards[shard][row].reshape(n_channels, -1)[:, self.positions].T
        return found, None

    def fingerprint(self) -> str:
        return digest(self.layer, self.content, self.positions)


def bags(rows: Sequence[np.ndarray | None]) -> ArrayParts:
    """Parts of rows that are vectors (C,), bags of vectors (n_i, C), or None (an empty bag).

    Raises AffinityError AF110 for vectors of different lengths or no vectors at all.
    """
    arrays = [np.zeros((0, 0), np.float32) if r is None else np.atleast_2d(np.asarray(r, dtype=np.float32)) for r in rows]
    widths = {a.shape[1] for a in arrays if len(a)}
    if len(widths) != 1:
        raise AffinityError("AF110", f"vectors have lengths {sorted(widths)[:5]}" if widths else "there is not one vector", hint="one length for all rows")
    n_parts, width = max(len(a) for a in arrays), widths.pop()
    vectors, present = np.zeros((len(arrays), n_parts, width), np.float32), np.zeros((len(arrays), n_parts), bool)
    for i, a in enumerate(arrays):
        vectors[i, : len(a)], present[i, : len(a)] = (a if len(a) else 0), True
    return ArrayParts(vectors, None if present.all() else present)


def usable(parts: Parts, n_block: int = 256) -> np.ndarray:
    """bool (N,): entities with at least one vector and only finite numbers."""
    found = np.ones(parts.shape[0], bool)
    for start, stop in spans(parts.shape[0], n_block):
        vectors, present = parts.block(start, stop)
        found[start:stop] = np.isfinite(vectors).all(axis=(1, 2)) & (True if present is None else present.any(axis=1))
    return found


def selected(parts: Parts, keep: np.ndarray) -> Parts:
    """The entities of `keep`, bool (N,)."""
    if keep.all():
        return parts
    if isinstance(parts, ShardParts):
        return replace(parts, places=parts.places[keep], content=tuple(np.array(parts.content)[keep].tolist()))
    return ArrayParts(parts.vectors[keep], None if parts.present is None else parts.present[keep], parts.grid)


def pooled(parts: Parts, n_block: int = 256) -> np.ndarray:
    """float32 (N, C): the mean of each entity's vectors."""
    found = np.empty((parts.shape[0], parts.shape[2]), np.float32)
    for start, stop in spans(parts.shape[0], n_block):
        vectors, present = parts.block(start, stop)
        weight = np.ones(vectors.shape[:2], np.float32) if present is None else present.astype(np.float32)
        found[start:stop] = np.einsum("npc,np->nc", vectors, weight) / np.maximum(weight.sum(axis=1), 1)[:, None]
    return found


def spans(n: int, size: int) -> Iterator[tuple[int, int]]:
    """(start, stop) of consecutive blocks."""
    yield from ((start, min(start + size, n)) for start in range(0, n, size))


def grid_positions(height: int, width: int, side: int | None) -> tuple[np.ndarray, tuple[int, int]]:
    """(positions int (P,), (H, W)) of at most side x side evenly spaced positions of a map; None: all of them."""
    rows, columns = (np.arange(n) if side is None or n <= side else np.linspace(0, n - 1, side).round().astype(int) for n in (height, width))
    return (rows[:, None] * width + columns).ravel(), (len(rows), len(columns))
