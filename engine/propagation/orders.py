"""Orders of rows in which alike rows stand near one another: by clusters, by shared tokens, by one number."""

from __future__ import annotations

from typing import Sequence

import numpy as np

from .features import Column, Numbers, Sets, Vectors

SKETCH = 48
"""Dimensions of the sketch of a set."""
WAVES = 8
"""Random waves that stand for a number."""
LEAF = 128
"""Clusters of this size are not divided further."""
BRANCHES, SAMPLE, ROUNDS = 64, 32, 4
"""Parts of a cluster; rows per part that find its centre; rounds of k-means."""
MOST_VECTOR = 64
"""A longer vector is projected to so many dimensions."""
STEP = 65_536


def sketch(columns: Sequence[Column], rows: np.ndarray, seed: int = 0) -> np.ndarray:
    """float32 (len(rows), D): vectors whose inner product is about sum_k a_k s_k, over the root of what either row's features weigh.

    Sets become random signs of their tokens over the root of their size; numbers random waves of the Laplacian kernel (Rahimi and
    Recht 2007); vectors stay, or are projected.
    """
    parts = [np.sqrt(c.weight).astype(np.float32) * _part(c, rows, np.random.default_rng([seed, k])) for k, c in enumerate(columns)]
    weight = sum(c.weight * c.present[rows] for c in columns)
    return np.concatenate(parts, axis=1) / np.sqrt(np.maximum(weight, 1e-12), dtype=np.float32)[:, None]


def _part(column: Column, rows: np.ndarray, rng: np.random.Generator) -> np.ndarray:
    if isinstance(column, Vectors):
        d = column.unit.shape[1]
        turn = rng.standard_normal((d, MOST_VECTOR), np.float32) / np.float32(MOST_VECTOR**0.5)
        return column.unit[rows] if d <= MOST_VECTOR else column.unit[rows] @ turn
    if isinstance(column, Numbers):
        frequency = rng.standard_cauchy(WAVES).astype(np.float32)
        phase = (column.values[rows] / np.float32(column.bandwidth))[:, None] * frequency
        return np.where(column.present[rows, None], np.concatenate([np.cos(phase), np.sin(phase)], axis=1) / np.float32(WAVES**0.5), np.float32(0))
    return _set_sketch(column, rows, rng)


def _set_sketch(column: Sets, rows: np.ndarray, rng: np.random.Generator) -> np.ndarray:
    import scipy.sparse as sp

    sizes = column.sizes
    weight = np.repeat(1 / np.sqrt(np.maximum(sizes, 1)), sizes).astype(np.float32)
    table = sp.csr_array((weight, column.tokens, column.start), shape=(len(sizes), max(column.n_tokens, 1)))
    signs = rng.choice(np.array([-1, 1], np.float32), (table.shape[1], SKETCH)) / np.float32(SKETCH**0.5)
    return (table @ signs)[rows] if len(rows) == len(sizes) else table[rows] @ signs


def cluster_order(vectors: np.ndarray, seed: int = 0) -> np.ndarray:
    """int64 (n,): positions sorted so that rows of a cluster lie together, and within it those of its clusters, down to LEAF rows.

    k-means in a tree: every cluster is divided among up to BRANCHES centres that a sample of it found; n log n.
    """
    rng = np.random.default_rng(seed)
    order, edges = rng.permutation(len(vectors)), [(0, len(vectors))]
    while edges:
        coming = []
        for low, high in edges:
            part = vectors[order[low:high]]
            child = _nearest(part, _centres(part, rng))
            ranked = np.argsort(child, kind="stable")
            order[low:high] = order[low:high][ranked]
            cuts = low + np.searchsorted(child[ranked], np.arange(child.max() + 2))
            coming += [(a, b) for a, b in zip(cuts[:-1], cuts[1:]) if LEAF < b - a < high - low]
        edges = coming
    return order


def _centres(part: np.ndarray, rng: np.random.Generator) -> np.ndarray:
    """float32 (k, D): centres of k-means on a sample, in an order in which each is near the one before it."""
    k = int(min(BRANCHES, max(2, len(part) // LEAF)))
    sample = part[rng.choice(len(part), min(len(part), SAMPLE * k), replace=False)]
    centres = sample[:k].copy()
    for _ in range(ROUNDS):
        belongs = (np.arange(k)[:, None] == _nearest(sample, centres)).astype(np.float32)
        n = belongs.sum(axis=1)
        centres[n > 0] = (belongs @ sample)[n > 0] / n[n > 0, None]
    left, path = list(range(1, k)), [0]
    while left:
        path.append(left.pop(int(((centres[left] - centres[path[-1]]) ** 2).sum(axis=1).argmin())))
    return centres[path]


def _nearest(rows: np.ndarray, centres: np.ndarray) -> np.ndarray:
    """int64 (n,): the centre each row is nearest to."""
    half = (centres**2).sum(axis=1) / 2
    return np.concatenate([(rows[at : at + STEP] @ centres.T - half).argmax(axis=1) for at in range(0, len(rows), STEP)])


def joined_sets(columns: Sequence[Column]) -> Sets | None:
    """All sets of a row as one, tokens of different features kept apart; None without any."""
    import scipy.sparse as sp

    sets = [c for c in columns if isinstance(c, Sets) and len(c.tokens)]
    if not sets:
        return None
    tables = [sp.csr_array((np.ones(len(c.tokens), np.int8), c.tokens, c.start), shape=(len(c.sizes), c.n_tokens)) for c in sets]
    whole = sp.hstack(tables, format="csr")
    return Sets("", np.ones(whole.shape[0], bool), sets[0].modalities, start=whole.indptr.astype(np.int64), tokens=whole.indices.astype(np.int32))


def token_order(column: Sets, base: np.ndarray, most: float) -> np.ndarray | None:
    """int64 (n,): rows whose rarest token is the same together; None when no token joins two rows.

    base   an order of the rows: within a token, and of the tokens
    most   the share of rows above which a token joins nothing: a hub
    """
    rarest = _rarest(column, most)
    known = rarest >= 0
    if not known.any():
        return None
    place = np.empty(len(base), np.int64)
    place[base] = np.arange(len(base))
    n = np.bincount(rarest[known], minlength=column.n_tokens)
    middle = np.bincount(rarest[known], weights=place[known], minlength=column.n_tokens) / np.maximum(n, 1)
    return np.lexsort((place, rarest, np.where(known, middle[np.maximum(rarest, 0)], place)))


def _rarest(column: Sets, most: float) -> np.ndarray:
    """int64 (n,): the token of each row that stands in the fewest rows, but in two at least; -1 without one."""
    sizes = column.sizes
    frequency = np.bincount(column.tokens, minlength=max(column.n_tokens, 1))
    joins = (frequency > 1) & (frequency <= max(most * len(sizes), 2))
    keep = joins[column.tokens]
    owner, token = np.repeat(np.arange(len(sizes)), sizes)[keep], column.tokens[keep]
    ranked = np.lexsort((token, frequency[token], owner))
    owner, token = owner[ranked], token[ranked]
    first = np.r_[True, owner[1:] != owner[:-1]][: len(owner)]
    found = np.full(len(sizes), -1)
    found[owner[first]] = token[first]
    return found


def number_order(column: Numbers, base: np.ndarray) -> np.ndarray:
    """int64 (n,): rows by value, equal ones as in `base`, missing ones last."""
    place = np.empty(len(base), np.int64)
    place[base] = np.arange(len(base))
    return np.lexsort((place, np.where(column.present, column.values, np.inf)))
