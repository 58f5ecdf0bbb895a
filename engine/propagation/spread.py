"""Labels spread over a graph: clamped until every row is the mean of its neighbours, or by EXPANDER's objective."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

from .graph import checked, components, hops

if TYPE_CHECKING:
    import scipy.sparse as sp

LABELS_AT_ONCE = 2**24
"""Numbers of a table of rows and labels that is written out at a time."""


@dataclass(frozen=True)
class Spread:
    """What propagation found.

    score      float64 (n, K)  rows of reached rows sum to 1; where only some labels were kept, (n, k) beside `label`
    label      int32 (n, k)    the labels kept, -1 = none; None: all K, in order
    n_hops     int32 (n,)      from the nearest seed, -1 = unreached
    trace      largest change of each round
    """

    score: np.ndarray
    n_hops: np.ndarray
    trace: tuple[float, ...]
    converged: bool
    label: np.ndarray | None = None


def one_hot(seeds: np.ndarray, n_classes: int) -> np.ndarray:
    """float64 (n, K): 1 at the class of a seed; rows of zeros elsewhere. seeds  int (n,), -1 = none."""
    found = np.zeros((len(seeds), n_classes))
    known = seeds >= 0
    found[known, seeds[known]] = 1
    return found


def harmonic(graph: sp.csr_array, seeds: np.ndarray, n_classes: int, rounds: int = 50, tolerance: float = 1e-4, start: float | None = None) -> Spread:
    """The clamped iteration f_i <- sum_j w_ij f_j / sum_j w_ij with seeds kept at their label (Zhu, Ghahramani and Lafferty 2003).

    seeds  int (n,), -1 = none; start  where rows begin (default: the share of each class among the seeds)

    Rows without a path to a seed are left out before the first round. Raises PropagationError PR105 for weights below 0.
    """
    graph = checked(graph)
    far = hops(graph, seeds >= 0)
    seeded, free = np.flatnonzero(far == 0), np.flatnonzero(far > 0)
    step, known = _mean_of_neighbours(graph, free), one_hot(seeds, n_classes)[seeded]
    among, given = step[:, free], step[:, seeded] @ known
    f = np.tile(known.mean(axis=0), (len(free), 1)) if start is None else np.full((len(free), n_classes), float(start))
    trace: list[float] = []
    while len(trace) < rounds and (not trace or trace[-1] >= tolerance):
        fresh = among @ f
        fresh += given
        trace.append(float(np.abs(fresh - f).max(initial=0)))
        f = fresh
    score = np.full((len(seeds), n_classes), np.nan)
    score[seeded], score[free] = known, f
    return Spread(score, far, tuple(trace), trace[-1] < tolerance)


def _mean_of_neighbours(graph: sp.csr_array, rows: np.ndarray) -> sp.csr_array:
    """float64 (len(rows), n): the weights of these rows, each row divided by its sum."""
    found = graph[rows].astype(np.float64)
    total = np.asarray(found.sum(axis=1)).ravel()
    found.data /= np.repeat(total, np.diff(found.indptr))
    return found


@dataclass(frozen=True)
class Expander:
    """Weights of EXPANDER's objective (Ravi and Diao 2016), and how many labels a row keeps (None: all)."""

    mu1: float = 1.0
    mu2: float = 0.01
    mu3: float = 0.01
    top_labels: int | None = None


def expander(graph: sp.csr_array, seeds: np.ndarray, n_classes: int, weights: Expander = Expander(), rounds: int = 10, tolerance: float = 1e-4) -> Spread:
    """F_vl <- (mu1 s_v Y_vl + mu2 sum_u w_vu F_ul + mu3 / m) / (mu1 s_v + mu2 sum_u w_vu + mu3), s_v = 1 for seeds.

    The update counts each undirected edge once, as published; taking the double sum of the objective literally doubles mu2. Rows stay
    at sum 1. With top_labels each row keeps its k likeliest labels; every other one is read as delta = (1 - kept mass) / (m - k).
    Source: Ravi and Diao 2016, section 3.
    """
    graph = checked(graph)
    far = hops(graph, seeds >= 0)
    inside = np.flatnonzero(far >= 0)
    part, known = graph[inside][:, inside].astype(np.float64), seeds[inside]
    kept = weights.top_labels if weights.top_labels and weights.top_labels < n_classes else None
    state = _Dense(n_classes, len(inside)) if kept is None else _Kept(n_classes, len(inside), kept)
    degree, seeded = np.asarray(part.sum(axis=1)).ravel(), (known >= 0).astype(float)
    below = weights.mu1 * seeded + weights.mu2 * degree + weights.mu3
    trace: list[float] = []
    while len(trace) < rounds and (not trace or trace[-1] >= tolerance):
        trace.append(state.round(part, known, weights, below))
    return state.result(len(seeds), inside, far, tuple(trace), trace[-1] < tolerance)


class _Dense:
    """All labels of every row."""

    def __init__(self, n_classes: int, n: int):
        self.f = np.full((n, n_classes), 1 / n_classes)

    def round(self, graph: sp.csr_array, known: np.ndarray, weights: Expander, below: np.ndarray) -> float:
        fresh = weights.mu2 * (graph @ self.f) + weights.mu3 / self.f.shape[1]
        fresh[known >= 0, known[known >= 0]] += weights.mu1
        fresh /= below[:, None]
        change, self.f = float(np.abs(fresh - self.f).max(initial=0)), fresh
        return change

    def result(self, n: int, inside: np.ndarray, far: np.ndarray, trace: tuple[float, ...], converged: bool) -> Spread:
        score = np.full((n, self.f.shape[1]), np.nan)
        score[inside] = self.f
        return Spread(score, far, trace, converged)


class _Kept:
    """The k likeliest labels of every row, and delta for each of the others: k numbers a row whatever the number of classes."""

    def __init__(self, n_classes: int, n: int, k: int):
        self.m, self.k = n_classes, k
        self.label, self.p = np.full((n, k), -1, np.int32), np.zeros((n, k))

    @property
    def delta(self) -> np.ndarray:
        """float64 (n,): what a label that a row does not keep is read as."""
        return np.maximum(1 - self.p.sum(axis=1), 0) / (self.m - (self.label >= 0).sum(axis=1))

    def round(self, graph: sp.csr_array, known: np.ndarray, weights: Expander, below: np.ndarray) -> float:
        import scipy.sparse as sp

        delta, held = self.delta, self.label >= 0
        start = np.concatenate([[0], np.cumsum(held.sum(axis=1))])
        above = sp.csr_array(((self.p - delta[:, None])[held], self.label[held], start), shape=(len(held), self.m))
        floor = weights.mu2 * (graph @ delta) + weights.mu3 / self.m
        label, p, change = np.empty_like(self.label), np.empty_like(self.p), 0.0
        step = max(1, LABELS_AT_ONCE // self.m)
        for at in range(0, len(held), step):
            rows = slice(at, at + step)
            fresh = weights.mu2 * (graph[rows] @ above).toarray() + floor[rows, None]
            seeded = np.flatnonzero(known[rows] >= 0)
            fresh[seeded, known[rows][seeded]] += weights.mu1
            fresh /= below[rows, None]
            label[rows] = np.argpartition(-fresh, self.k - 1, axis=1)[:, : self.k]
            p[rows] = np.take_along_axis(fresh, label[rows], 1)
            change = max(change, self._change(fresh, rows, delta))
        self.label, self.p = label, p
        return change

    def _change(self, fresh: np.ndarray, rows: slice, delta: np.ndarray) -> float:
        """The largest difference to the numbers of the round before, as they were read."""
        before = np.repeat(delta[rows, None], self.m, axis=1)
        row, place = np.nonzero(self.label[rows] >= 0)
        before[row, self.label[rows][row, place]] = self.p[rows][row, place]
        return float(np.abs(fresh - before).max(initial=0))

    def result(self, n: int, inside: np.ndarray, far: np.ndarray, trace: tuple[float, ...], converged: bool) -> Spread:
        score, label = np.full((n, self.k), np.nan), np.full((n, self.k), -1, np.int32)
        score[inside], label[inside] = self.p, self.label
        return Spread(score, far, trace, converged, label)


def one_class_components(graph: sp.csr_array, seeds: np.ndarray) -> tuple[int, int, int, int]:
    """(components, those without a seed, those whose seeds are of one class, rows in these without being seeds)."""
    which = components(graph)
    n = int(which.max()) + 1 if len(which) else 0
    known = seeds >= 0
    pairs = np.unique(np.stack([which[known], seeds[known]]), axis=1)[0]
    classes = np.bincount(pairs, minlength=n)
    single = classes == 1
    return n, int((classes == 0).sum()), int(single.sum()), int((single[which] & ~known).sum())
