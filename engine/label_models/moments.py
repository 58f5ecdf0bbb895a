"""First and second moments of votes: all that the moment methods see, one pass over the patterns."""

from __future__ import annotations

from dataclasses import dataclass
from itertools import combinations, product
from typing import TYPE_CHECKING, Sequence

import numpy as np

from groundswell.label_models.one_hot import CHUNK, one_hot
from groundswell.label_models.patterns import VotePatterns

if TYPE_CHECKING:
    from scipy.sparse import csr_array

DENSE_SHARE, DENSE_WIDTH = 0.1, 4000
"""Second moments go through dense blocks where more than this share of indicators is set and there are at most so many."""


def second_moments(events: csr_array, counts: np.ndarray) -> np.ndarray:
    """sum_p n_p x_p x_p^T, float (E, E), from 0/1 events (P, E) and integer counts (P,); exact, as all sums are integers below 2^53."""
    n, width = events.shape
    dense = width <= DENSE_WIDTH and events.nnz > DENSE_SHARE * n * width
    return _dense_moments(events, counts) if dense else sparse_moments(events, counts)


def sparse_moments(events: csr_array, counts: np.ndarray) -> np.ndarray:
    """The same for any weights (P,), without dense blocks: one order of additions, whatever the thread count."""
    from scipy.sparse import csr_array

    total = np.zeros((events.shape[1], events.shape[1]))
    for i in range(0, events.shape[0], 8 * CHUNK):
        block = events[i : i + 8 * CHUNK]
        weighted = csr_array((block.data * np.repeat(counts[i : i + 8 * CHUNK], np.diff(block.indptr)), block.indices, block.indptr), shape=block.shape)
        total += (block.T.tocsr() @ weighted).toarray()
    return total


def _dense_moments(events: csr_array, counts: np.ndarray) -> np.ndarray:
    total = np.zeros((events.shape[1], events.shape[1]))
    for i in range(0, events.shape[0], CHUNK):
        n = counts[i : i + CHUNK]
        exact = np.float32 if n.sum() < 2**24 else np.float64
        block = events[i : i + CHUNK].toarray().astype(exact)
        total += block.T @ (block * n[:, None].astype(exact))
    return total


@dataclass(frozen=True)
class Events:
    """Things votes do, as 0/1 columns: "LF j votes v", and for LFs known to depend on each other "j votes v and k votes u", ...

    columns  sparse (P, E)
    what     E of ((lf, vote), ...), LFs in order of columns
    source   int (E,)   events of one source (an LF, or LFs that depend on each other) may depend given the class, others may not
    """

    columns: csr_array
    what: tuple[tuple[tuple[int, int], ...], ...]
    source: np.ndarray

    @property
    def foreign(self) -> np.ndarray:
        """bool (E, E): pairs of events of different sources."""
        return self.source[:, None] != self.source[None, :]


def vote_events(patterns: VotePatterns, groups: Sequence[Sequence[int]] = ()) -> Events:
    """The events that occur: every vote cast, and every joint vote of two and more LFs of a group.

    groups  disjoint sets of columns whose LFs depend on each other
    """
    from scipy.sparse import hstack

    K, m = len(patterns.classes), len(patterns.lfs)
    single = one_hot(patterns.votes, K, np.int8)
    occurs = np.flatnonzero(np.bincount(single.indices, minlength=m * K))
    single = single if len(occurs) == m * K else single[:, occurs]
    what, source = [((int(e // K), int(e % K)),) for e in occurs], np.arange(m)
    joint = []
    for group in groups:
        source[list(group)] = min(group)
        for size in range(2, len(group) + 1):
            for lfs in combinations(sorted(group), size):
                for votes in product(range(K), repeat=size):
                    both = np.logical_and.reduce([patterns.votes[:, j] == v for j, v in zip(lfs, votes)])
                    if both.any():
                        joint.append(both)
                        what.append(tuple(zip(lfs, votes)))
    columns = hstack([single, *(_column(of) for of in joint)], format="csr") if joint else single
    return Events(columns, tuple(what), np.array([source[w[0][0]] for w in what], int))


def _column(event: np.ndarray) -> csr_array:
    """A bool vector (P,) as one sparse column (P, 1)."""
    from scipy.sparse import csr_array

    return csr_array(event[:, None].astype(np.int8))


@dataclass(frozen=True)
class Moments:
    """Means (E,) and second moments (E, E) of events over n entities: P(event), P(both events)."""

    mean: np.ndarray
    second: np.ndarray
    n: int

    @property
    def covariance(self) -> np.ndarray:
        """Cov(event, event), float (E, E)."""
        return self.second - np.outer(self.mean, self.mean)


def moments(events: Events, counts: np.ndarray) -> Moments:
    """The moments of events over all entities. counts int (P,)."""
    n = max(int(counts.sum()), 1)
    second = second_moments(events.columns, counts) / n
    return Moments(np.diag(second).copy(), second, n)
