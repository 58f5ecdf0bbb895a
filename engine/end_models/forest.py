"""Boosted trees as arrays: scored, explained and saved without the library that grew them."""

from __future__ import annotations

from dataclasses import dataclass, fields
from typing import Any, Mapping

import numpy as np


@dataclass(frozen=True)
class Forest:
    """T trees of N nodes in all. A node sends a row left where its column is <= threshold; a leaf is its own child.

    root       int32 (T,)       position of each tree's root
    of_class   int32 (T,)       the class whose score a tree adds to; two classes: all add to the second
    column     int32 (N,)       column compared at a node
    threshold  float64 (N,)
    child      int32 (N, 2)     left, right
    value      float64 (N,)     of a leaf; of an inner node the mean of the training rows below
    depth      int32 ()         longest path
    baseline   float64 (K,)     score of every row before the first tree
    """

    root: np.ndarray
    of_class: np.ndarray
    column: np.ndarray
    threshold: np.ndarray
    child: np.ndarray
    value: np.ndarray
    depth: np.ndarray
    baseline: np.ndarray

    @classmethod
    def of(cls, grower: Any, n_classes: int) -> Forest:
        """The trees of a fitted scikit-learn HistGradientBoostingClassifier without categorical splits."""
        grown = [(k, tree.nodes) for trees in grower._predictors for k, tree in enumerate(trees)]
        sizes = [len(nodes) for _, nodes in grown]
        root = np.concatenate([[0], np.cumsum(sizes)[:-1]]).astype(np.int32)
        nodes = np.concatenate([nodes for _, nodes in grown])
        offset, leaf = np.repeat(root, sizes), nodes["is_leaf"].astype(bool)
        child = np.stack([nodes["left"], nodes["right"]], axis=1).astype(np.int64) + offset[:, None]
        child[leaf] = np.flatnonzero(leaf)[:, None]
        value = _means(nodes, child, leaf)
        scores = np.ravel(grower._baseline_prediction)
        binary = n_classes == 2
        return cls(
            root=root, of_class=np.array([1 if binary else k for k, _ in grown], np.int32), column=nodes["feature_idx"].astype(np.int32),
            threshold=nodes["num_threshold"].astype(float), child=child.astype(np.int32), value=value,
            depth=np.array(nodes["depth"].max(), np.int32), baseline=np.array([0.0, scores[0]] if binary else scores, float),
        )  # fmt: skip

    @property
    def iterations(self) -> int:
        """Rounds of boosting: trees of one class."""
        return int(np.bincount(self.of_class).max())

    def scores(self, x: np.ndarray) -> np.ndarray:
        """float64 (n, K): baseline plus the leaf of every tree; x float (n, columns), no NaN."""
        leaves = self.value[self._paths(x)[-1]]
        scores = np.tile(self.baseline, (len(x), 1))
        for k in range(len(self.baseline)):
            scores[:, k] += leaves[:, self.of_class == k].sum(axis=1)
        return scores

    def attribution(self, x: np.ndarray, best: np.ndarray, second: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        """(start (n,), parts (n, columns)): score of class best - score of class second = start + sum of parts, exactly."""
        paths, rows = self._paths(x), np.arange(len(x))
        sign = (self.of_class == best[:, None]).astype(float) - (self.of_class == second[:, None])
        start = self.baseline[best] - self.baseline[second] + (sign * self.value[paths[0]]).sum(axis=1)
        parts = np.zeros(x.shape)
        for above, below in zip(paths, paths[1:]):
            np.add.at(parts, (rows[:, None], self.column[above]), sign * (self.value[below] - self.value[above]))
        return start, parts

    def _paths(self, x: np.ndarray) -> list[np.ndarray]:
        """Nodes (n, T) that rows reach, step by step from the roots to the leaves."""
        at = np.tile(self.root, (len(x), 1))
        paths, rows = [at], np.arange(len(x))[:, None]
        for _ in range(int(self.depth)):
            right = x[rows, self.column[at]] > self.threshold[at]
            at = self.child[at, right.astype(np.int8)]
            paths.append(at)
        return paths

    def arrays(self) -> dict[str, np.ndarray]:
        """Field -> array."""
        return {f.name: getattr(self, f.name) for f in fields(self)}

    @classmethod
    def restored(cls, arrays: Mapping[str, np.ndarray]) -> Forest:
        """The forest that `arrays` came from."""
        return cls(**{f.name: arrays[f.name] for f in fields(cls)})


def _means(nodes: np.ndarray, child: np.ndarray, leaf: np.ndarray) -> np.ndarray:
    """float64 (N,): leaf values; of inner nodes the mean over the training rows below. Children come after their parents."""
    value, count = nodes["value"].astype(float), nodes["count"].astype(float)
    for i in np.flatnonzero(~leaf)[::-1]:
        value[i] = count[child[i]] @ value[child[i]] / count[child[i]].sum()
    return value
