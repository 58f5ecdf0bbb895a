"""Affinities as votes and votes as affinities: so that either can be read by the other's model (Das et al. 2019, section 5.1)."""

from __future__ import annotations

import numpy as np

from .inference import Evidence
from .kmeans import kmeans_labels


def affinity_votes(affinity: np.ndarray, n_classes: int, seed: int) -> np.ndarray:
    """int8 (N, M): prototype j votes for its cluster on entities whose affinity is above the middle of its range, else -1.

    Clusters of prototypes are those of k-means over the columns.
    """
    cluster = kmeans_labels(np.ascontiguousarray(affinity.T), n_classes, seed)
    middle = (affinity.min(axis=0) + affinity.max(axis=0)) / 2
    return np.where(affinity > middle, cluster, -1).astype(np.int8)


def vote_evidence(votes: np.ndarray, n_classes: int) -> Evidence:
    """Votes as affinities: one column per LF and class it votes for: 1 where it does, 0 where it votes otherwise, 1/2 where it abstains.

    votes  integers (N, m), -1 = abstain. The class of each column is known, which the EM is told.
    """
    found, classes = [], []
    for k in range(n_classes):
        lfs = np.flatnonzero((votes == k).any(axis=0))
        found.append(np.where(votes[:, lfs] == k, 1.0, np.where(votes[:, lfs] < 0, 0.5, 0.0)))
        classes.append(np.full(len(lfs), k))
    s, column_class = np.concatenate(found, axis=1).astype(np.float32), np.concatenate(classes)
    none = np.zeros(s.shape[1], int)
    return Evidence(s, none, none, none, column_class=column_class)
