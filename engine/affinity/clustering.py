"""Baselines: k-means on affinities or pooled features, spectral co-clustering of the affinity matrix."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from .graph import neighbour_graph, neighbour_shares, neighbours, similarity
from .inference import Clusters, Evidence, Inference, register
from .kmeans import STARTS, kmeans_labels


def l2(rows: np.ndarray) -> np.ndarray:
    """Rows of length 1; zero rows stay zero."""
    return rows / np.maximum(np.linalg.norm(rows, axis=1, keepdims=True), 1e-12)


def with_confidence(labels: np.ndarray, rows: np.ndarray, n_classes: int) -> Clusters:
    """Hard labels with the share of each entity's nearest neighbours that have them as p."""
    graph = neighbour_graph(similarity([l2(rows)]), neighbours(len(rows), n_classes))
    return Clusters(neighbour_shares(graph, labels, n_classes))


@register
@dataclass(frozen=True)
class KMeans(Inference):
    """k-means on the rows of the affinity matrix, each as it is or at length 1 (l2), or on pooled features."""

    name = "kmeans"
    l2: bool = False
    features: bool = False

    def clusters(self, evidence: Evidence, n_classes: int, seed: int) -> Clusters:
        rows = evidence.features if self.features and evidence.features is not None else evidence.affinity
        rows = l2(rows) if self.l2 else rows
        return with_confidence(kmeans_labels(rows, n_classes, seed), rows, n_classes)


@register
@dataclass(frozen=True)
class CoClustering(Inference):
    """Spectral co-clustering of entities and prototypes (Dhillon 2001)."""

    name = "coclustering"

    def clusters(self, evidence: Evidence, n_classes: int, seed: int) -> Clusters:
        from sklearn.cluster import SpectralCoclustering

        s = evidence.affinity - min(float(evidence.affinity.min()), 0.0)
        found = SpectralCoclustering(n_classes, random_state=seed, n_init=STARTS).fit(s.astype(np.float64) + 1e-12)
        return with_confidence(found.row_labels_.astype(int), evidence.affinity, n_classes)
