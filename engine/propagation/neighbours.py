"""Nearest neighbours without all pairs: a window of each order, exact similarities inside, the best kept."""

from __future__ import annotations

from collections import deque
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from typing import TYPE_CHECKING, Callable, Iterable, Iterator

import numpy as np

from .similarity import Similarity

if TYPE_CHECKING:
    import torch

CHUNK, GROUP = 128, 64
"""Rows that share a window, or the neighbours of one another."""
PAIRS = 2**20
"""Pairs that are compared at once."""
TIE = 2e-5
"""Rows as near as this are taken in random order: equal rows must not all choose the same few."""


@dataclass
class Nearest:
    """The best neighbours found so far: index int32 (n, k), -1 = none; weight float32 (n, k), descending."""

    index: np.ndarray
    weight: np.ndarray

    @classmethod
    def none(cls, n: int, k: int) -> Nearest:
        """Nothing found yet."""
        return cls(np.full((n, k), -1, np.int32), np.full((n, k), -1, np.float32))

    def add(self, rows: np.ndarray, index: np.ndarray, weight: np.ndarray) -> None:
        """Offer candidates of some rows, index and weight (len(rows), c), without repetition among themselves; -1 = none."""
        better = (weight > self.weight[rows, -1:] - TIE).any(axis=1)
        rows, index, weight = rows[better], index[better], weight[better]
        index, weight = np.hstack([self.index[rows], index]), np.hstack([self.weight[rows], weight])
        by_index = np.argsort(index, axis=1, kind="stable")
        index, weight = np.take_along_axis(index, by_index, 1), np.take_along_axis(weight, by_index, 1)
        weight[:, 1:][index[:, 1:] == index[:, :-1]] = -1
        best = np.argsort(-(weight + TIE * _lot(rows[:, None], index)), axis=1, kind="stable")[:, : self.index.shape[1]]
        self.index[rows], self.weight[rows] = np.take_along_axis(index, best, 1), np.take_along_axis(weight, best, 1)
        self.index[rows] = np.where(self.weight[rows] < 0, -1, self.index[rows])

    def turn_round(self) -> None:
        """Offer every row the rows whose neighbour it is: likeness is mutual."""
        n, k = self.index.shape
        source, target, weight = np.repeat(np.arange(n, dtype=np.int32), k), self.index.ravel(), self.weight.ravel()
        ranked = np.argsort(target + 0.999 * (1 - np.clip(weight, 0, 1).astype(np.float64)), kind="stable")[int((target < 0).sum()) :]
        source, target, weight = source[ranked], target[ranked], weight[ranked]
        rank = np.arange(len(target)) - np.searchsorted(target, np.arange(n))[target]
        kept = rank < k
        offered = Nearest.none(n, k)
        offered.index[target[kept], rank[kept]], offered.weight[target[kept], rank[kept]] = source[kept], weight[kept]
        for at in spans(n, 2 * k):
            self.add(np.arange(n)[at], offered.index[at], offered.weight[at])


def _lot(a: np.ndarray, b: np.ndarray) -> np.ndarray:
    """float32 in [0, 1): a number drawn for the pair (a, b), the same each time."""
    mixed = (a.astype(np.uint32) * np.uint32(2654435761)) ^ (b.astype(np.uint32) * np.uint32(2246822519))
    mixed = (mixed ^ (mixed >> np.uint32(15))) * np.uint32(739982445)
    return (mixed >> np.uint32(8)).astype(np.float32) / np.float32(2**24)


def windows(sources: np.ndarray, targets: np.ndarray, width: int) -> Iterator[tuple[np.ndarray, np.ndarray]]:
    """(a (B, p), b (B, q)): chunks of the sources, each with the `width` targets around it.

    sources, targets  int64, places of rows in one order, ascending; what comes back are indices into them
    """
    width = min(width, len(targets))
    chunk = min(CHUNK, len(sources))
    starts = np.minimum(np.arange(0, len(sources), chunk), len(sources) - chunk)
    middle = np.searchsorted(targets, sources[starts + chunk // 2])
    low = np.clip(middle - width // 2, 0, len(targets) - width)
    for at in spans(len(starts), chunk * width):
        yield starts[at, None] + np.arange(chunk), low[at, None] + np.arange(width)


def search(similar: Similarity, found: Nearest, order: np.ndarray, sources: np.ndarray, targets: np.ndarray, width: int) -> None:
    """Offer each source the best of the targets in its window of an order.

    order             int64 (m,)  rows
    sources, targets  bool (n,)   which rows ask, which answer
    """
    asks, answers = np.flatnonzero(sources[order]), np.flatnonzero(targets[order])
    if not len(asks) or not len(answers):
        return
    _offer(similar, found, ((order[asks[a]], lambda b=b: order[answers[b]]) for a, b in windows(asks, answers, width)))


def refine(similar: Similarity, found: Nearest, pool: np.ndarray, order: np.ndarray, targets: np.ndarray, width: int) -> None:
    """Offer rows the neighbours of rows that stand by them in an order: those that most of the group have.

    pool     int32 (n, c)  neighbours of every row, -1 = none
    order    int64 (m,)    rows that ask
    targets  bool (n,)     rows that answer
    """
    group = min(GROUP, len(order))
    starts = np.minimum(np.arange(0, len(order), max(group, 1)), len(order) - group)
    groups = (order[starts[at, None] + np.arange(group)] for at in spans(len(starts), group * width))
    _offer(similar, found, ((a, lambda a=a: _popular(pool, a, targets, width)) for a in groups))
    found.turn_round()


def spans(n: int, pairs: int) -> Iterator[slice]:
    """Slices of n groups of so many pairs, each at most PAIRS."""
    step = max(1, PAIRS // max(pairs, 1))
    yield from (slice(at, at + step) for at in range(0, n, step))


def _offer(similar: Similarity, found: Nearest, blocks: Iterable[tuple[np.ndarray, Callable[[], np.ndarray]]]) -> None:
    """Offer rows a (B, p) the best of b() (B, q), block after block."""
    k = found.index.shape[1]
    for a, (index, weight) in in_order(lambda block: (block[0], best(similar, block[0], block[1](), k)), blocks):
        found.add(a.ravel(), index, weight)


def in_order(work: Callable, items: Iterable) -> Iterator:
    """work(item) of each item, in order: as many at a time as PyTorch has threads, each on one of its own.

    Threads that share every small operation would wait for one another all the time.
    """
    import torch

    threads = torch.get_num_threads()
    torch.set_num_threads(1)
    try:
        with ThreadPoolExecutor(threads) as pool:
            coming: deque = deque()
            for item in items:
                coming.append(pool.submit(work, item))
                if len(coming) > 2 * threads:
                    yield coming.popleft().result()
            while coming:
                yield coming.popleft().result()
    finally:
        torch.set_num_threads(threads)


def _popular(pool: np.ndarray, a: np.ndarray, targets: np.ndarray, width: int) -> np.ndarray:
    """int64 (B, width): the targets that most rows of each group a (B, p) have in the pool; the group's first row where there are fewer."""
    n = np.int64(len(pool))
    near = pool[a].reshape(len(a), -1)
    key = (np.arange(len(a))[:, None] * n + near)[(near >= 0) & targets[near]]
    key, count = np.unique(key, return_counts=True)
    group, row = np.divmod(key, n)
    ranked = np.argsort(group * np.int64(2**20) - count, kind="stable")
    group, row = group[ranked], row[ranked]
    rank = np.arange(len(row)) - np.searchsorted(group, np.arange(len(a)))[group]
    found = np.repeat(a[:, :1], width, axis=1)
    found[group[rank < width], rank[rank < width]] = row[rank < width]
    return found


def best(similar: Similarity, a: np.ndarray, b: np.ndarray, k: int) -> tuple[np.ndarray, np.ndarray]:
    """(index int32, weight float32), (B p, k): the k of its block's b that each a is most similar to; itself left out."""
    import torch

    weight = similar(a, b)
    left, right = (torch.from_numpy(np.ascontiguousarray(x)).to(weight.device) for x in (a, b))
    weight[left[:, :, None] == right[:, None, :]] = -1
    ranked = weight + TIE * _pair_lot(left, right)
    top = ranked.topk(min(k, b.shape[1]), dim=2, sorted=False).indices
    index = right[:, None, :].expand(-1, a.shape[1], -1).gather(2, top)
    weight = weight.gather(2, top)
    index = torch.where(weight < 0, -1, index)
    return index.flatten(0, 1).int().cpu().numpy(), weight.flatten(0, 1).cpu().numpy()


def _pair_lot(a: torch.Tensor, b: torch.Tensor) -> torch.Tensor:
    """float32 (B, p, q) in [0, 1): lots for pairs, cheap rather than equal to `_lot`."""
    left, right = ((x % 9973).float().mul(f).remainder(1.0) for x, f in ((a, 0.61803), (b, 0.75488)))
    return (left[:, :, None] * (right * 977.0 + 1.0)[:, None, :]).frac_()


def exact(similar: Similarity, rows: np.ndarray, targets: np.ndarray, k: int) -> Nearest:
    """The true k nearest of some rows among the targets, by comparing with all of them.

    rows  int64 (s,); targets  bool (n,). Row i of the result belongs to rows[i].
    """
    answers = np.flatnonzero(targets)
    found = Nearest.none(len(rows), k)
    parts = (answers[None, at] for at in spans(len(answers), len(rows)))
    for index, weight in in_order(lambda part: best(similar, rows[None, :], part, k), parts):
        found.add(np.arange(len(rows)), index, weight)
    return found


def recall(found: Nearest, rows: np.ndarray, truth: Nearest, least: float) -> float:
    """The share of the true nearest neighbours of some rows, of weight `least` and more, that were found; equally near ones stand for each other.

    NaN when there are none.
    """
    wanted = (truth.weight >= least).sum(axis=1)
    last = np.where(wanted > 0, np.take_along_axis(truth.weight, np.maximum(wanted - 1, 0)[:, None], 1)[:, 0], np.inf)
    got = (found.weight[rows] >= last[:, None] - 1e-5).sum(axis=1)
    return float(np.minimum(got, wanted).sum() / wanted.sum()) if wanted.sum() else float("nan")
