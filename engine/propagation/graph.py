"""The graph: directed neighbours made symmetric, its components, distances from seeds."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

from ..errors import PropagationError
from .neighbours import Nearest

if TYPE_CHECKING:
    import scipy.sparse as sp


def symmetric_graph(near: Nearest, cross: Nearest | None, least: float) -> sp.csr_array:
    """float32 (n, n): edges of weight `least` and more between rows of which one is a neighbour of the other; the larger weight counts."""
    graph = _directed(near, least)
    if cross is not None:
        graph = graph.maximum(_directed(cross, least))
    return graph.maximum(graph.T.tocsr()).tocsr()


def _directed(found: Nearest, least: float) -> sp.csr_array:
    import scipy.sparse as sp

    n = len(found.index)
    by_index = np.argsort(found.index, axis=1)
    index, weight = np.take_along_axis(found.index, by_index, 1), np.take_along_axis(found.weight, by_index, 1)
    kept = (index >= 0) & (weight >= least) & (weight > 0)
    start = np.concatenate([[0], np.cumsum(kept.sum(axis=1))])
    graph = sp.csr_array((weight[kept], index[kept], start.astype(np.int32 if start[-1] < 2**31 else np.int64)), shape=(n, n))
    graph.has_sorted_indices = graph.has_canonical_format = True
    return graph


def checked(graph: sp.csr_array) -> sp.csr_array:
    """The graph without edges of weight 0. Raises PropagationError PR105 for a negative, infinite or missing weight."""
    if graph.nnz and not (np.isfinite(graph.data).all() and graph.data.min() >= 0):
        raise PropagationError("PR105", "an edge has a negative weight, or none", hint="weights are similarities: 0 and more")
    if graph.nnz and graph.data.min() == 0:
        graph = graph.copy()
        graph.eliminate_zeros()
    return graph


def components(graph: sp.csr_array) -> np.ndarray:
    """int32 (n,): the connected component of every row, from 0."""
    from scipy.sparse.csgraph import connected_components

    return connected_components(graph, directed=False)[1]


def hops(graph: sp.csr_array, seeds: np.ndarray) -> np.ndarray:
    """int32 (n,): edges between a row and the nearest seed, -1 without a path. seeds  bool (n,)."""
    found = np.where(seeds, 0, -1).astype(np.int32)
    front, far = np.flatnonzero(seeds), 0
    while len(front):
        far += 1
        reach = _neighbours_of(graph, front)
        front = np.unique(reach[found[reach] < 0])
        found[front] = far
    return found


def _neighbours_of(graph: sp.csr_array, rows: np.ndarray) -> np.ndarray:
    """The neighbours of some rows, one after the other."""
    first, last = graph.indptr[rows].astype(np.int64), graph.indptr[rows + 1].astype(np.int64)
    sizes = last - first
    return graph.indices[np.arange(sizes.sum()) + np.repeat(first - (np.cumsum(sizes) - sizes), sizes)]


def beside(graph: sp.csr_array, seeds: np.ndarray) -> np.ndarray:
    """bool (n,): has the row a seed among its neighbours?"""
    return np.asarray(graph @ seeds.astype(np.float32)) > 0
