"""From clusters to classes: by a few gold labels, and how many of them are needed."""

from __future__ import annotations

from dataclasses import dataclass
from math import comb, factorial

import numpy as np

from ..errors import Diagnostic

CLEAR_MARGIN = 3
"""A mapping that fewer labels than this could turn around is doubtful."""
WANTED = 0.99


@dataclass(frozen=True)
class ClusterMap:
    """classes int (K,): the class of each cluster.

    counts  int (K, K): [class, cluster], gold labels
    margin  by how many labels this mapping beats the best other one
    """

    classes: np.ndarray
    counts: np.ndarray
    margin: int

    def warnings(self, classes: tuple[str, ...]) -> list[Diagnostic]:
        """AF206 where gold hardly says which cluster is which class."""
        silent = [name for name, n in zip(classes, self.counts.sum(axis=1)) if n == 0]
        hint = "groundswell affinity map: name the clusters by what they show"
        found = [Diagnostic("AF206", f"class {', '.join(silent)} has no gold label: its cluster is the one left over", hint=hint)] if silent else []
        if self.margin < CLEAR_MARGIN:
            found.append(Diagnostic("AF206", f"another mapping of clusters to classes has only {self.margin} gold labels less", hint=hint))
        return found


def cluster_map(counts: np.ndarray) -> ClusterMap:
    """The mapping of clusters to classes that agrees with most gold labels (Hungarian algorithm).

    counts  int (K, K): [class, cluster]
    """
    from scipy.optimize import linear_sum_assignment

    rows, columns = linear_sum_assignment(-counts)
    best = counts[rows, columns].sum()
    others = []
    for row, column in zip(rows, columns):
        without = counts.astype(float)
        without[row, column] = -1e9
        others.append(without[linear_sum_assignment(-without)].sum())
    classes = np.empty(len(counts), int)
    classes[columns] = rows
    return ClusterMap(classes, counts, int(best - max(others)))


def mapping_error(accuracy: float, n_per_class: int, n_classes: int) -> float:
    """An upper bound of the probability that n gold labels a class lead to a wrong mapping; a tie counts as wrong.

    A gold label lies in its own cluster with probability `accuracy`, else in any other one alike. A wrong mapping wins only if on
    some cycle of L classes as many labels lie in the next class's cluster as in their own; its chance is exact (a sum of L n steps
    of +1, 0 and -1), and all cycles together are bounded by their sum. For two classes there is one cycle: the bound is exact.
    """
    stray = (1 - accuracy) / (n_classes - 1)
    step = np.array([stray, 1 - accuracy - stray, accuracy])
    total, n_cycles = np.ones(1), 0.0
    bound = 0.0
    for length in range(1, n_classes + 1):
        for _ in range(n_per_class):
            total = np.convolve(total, step)
        n_cycles = comb(n_classes, length) * factorial(length - 1)
        if length > 1:
            bound += n_cycles * total[: length * n_per_class + 1].sum()
    return float(min(bound, 1.0))


def gold_needed(accuracy: float, n_classes: int, wanted: float = WANTED, most: int = 1000) -> int | None:
    """The least number of gold labels a class for which the mapping is right with probability `wanted`; None above `most`.

    accuracy  of the clusters, under the right mapping; must be better than any wrong one
    """
    if accuracy <= 1 / n_classes:
        return None
    high = 1
    while mapping_error(accuracy, high, n_classes) > 1 - wanted:
        high *= 2
        if high > most:
            return None
    return next(n for n in range(max(1, high // 2), high + 1) if mapping_error(accuracy, n, n_classes) <= 1 - wanted)
