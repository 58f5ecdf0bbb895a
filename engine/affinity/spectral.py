"""The default: spectral clustering of graphs of nearest neighbours, at several scales that agree on an answer."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Sequence

import numpy as np

from .graph import graph_of, nearest, neighbour_shares, neighbours, similarity, views
from .inference import Clusters, Evidence, Inference, agree, one_hot, register
from .kmeans import kmeans_labels

if TYPE_CHECKING:
    import scipy.sparse as sp

SCALES = (0.5, 1.0, 2.0)
"""Few neighbours follow a winding class, many see through noise; which of them a data set needs is not known without gold."""
LEAST = 3
STARTS = 20
DENSE = 500
"""Up to here all eigenvectors are computed at once."""
LINKS = 0.01


def without_density(graph: sp.csr_array) -> sp.csr_array:
    """Every edge divided by the degrees of its ends (Coifman and Lafon 2006, with alpha = 1).

    What is near everything, a hub, has many edges in a graph of nearest neighbours whatever its class; so it weighs no more than others.
    """
    import scipy.sparse as sp

    share = sp.diags_array(1 / np.maximum(graph.sum(axis=1), 1e-12))
    return (share @ graph @ share).tocsr()


def spectral_rows(graph: sp.csr_array, rows: Sequence[np.ndarray], n_classes: int) -> np.ndarray:
    """float (N, K): the leading eigenvectors of the normalised graph, rows at length 1 (Ng, Jordan and Weiss 2001).

    A graph of nearest neighbours may fall into more pieces than there are classes. So every pair of entities is joined by a
    weak edge, (1 + cosine) / 2, all of which together weigh LINKS of the graph; they are never written out.

    rows  matrices of rows of length 1, float32 (N, D): their mean cosine is meant
    """
    from scipy.sparse.linalg import LinearOperator, eigsh

    n = graph.shape[0]
    weak = LINKS * graph.sum() / n**2

    def joined(v: np.ndarray) -> np.ndarray:
        alike = sum(r @ (r.T @ v.astype(np.float32)) for r in rows).astype(np.float64) / len(rows)
        return graph @ v + weak * (v.sum(axis=0) + alike) / 2

    root = 1 / np.sqrt(joined(np.ones(n)))
    if n <= DENSE:
        whole = root[:, None] * joined(np.eye(n)) * root
        vectors = np.linalg.eigh((whole + whole.T) / 2)[1][:, -n_classes:]
    else:
        step = LinearOperator((n, n), matvec=lambda v: root * joined(root * v.ravel()), dtype=np.float64)
        vectors = eigsh(step, k=n_classes, which="LA", v0=np.linspace(1, 2, n), tol=1e-5, ncv=max(40, 4 * n_classes))[1]
    vectors = vectors * np.sign(vectors[np.abs(vectors).argmax(axis=0), np.arange(n_classes)])
    return vectors / np.maximum(np.linalg.norm(vectors, axis=1, keepdims=True), 1e-12)


@register
@dataclass(frozen=True)
class Spectral(Inference):
    """Spectral clustering of the graph of nearest neighbours over affinities of all layers and pooled features, freed from density.

    k       neighbours of an entity at scale 1 (default: the square root of the entities per class, see `neighbours`)
    scales  multiples of k; each gives clusters, and k-means over these answers gives those most of them agree with (evidence
            accumulation, Fred and Jain 2005)

    stability is the share of entities on which a scale agrees with the answer, on average.
    """

    name = "spectral"
    random = False
    k: int | None = None
    scales: tuple[float, ...] = SCALES

    def clusters(self, evidence: Evidence, n_classes: int, seed: int) -> Clusters:
        n = len(evidence.affinity)
        rows, sizes = views(evidence), self.sizes(n, n_classes)
        near, cosine = nearest(similarity(rows), max(sizes))
        graphs = [without_density(graph_of(near[:, :k], cosine[:, :k])) for k in sizes]
        found = [kmeans_labels(spectral_rows(graph, rows, n_classes), n_classes, seed, STARTS) for graph in graphs]
        labels = accumulated(found, n_classes, seed)
        stability = float(np.mean([agree(each, labels, n_classes) for each in found]))
        k = min(self.k or neighbours(n, n_classes), n - 1)
        return Clusters(neighbour_shares(graph_of(near[:, :k], cosine[:, :k]), labels, n_classes), stability=stability)

    def sizes(self, n: int, n_classes: int) -> list[int]:
        """Neighbours of an entity at each scale: not more than half the entities of a class, unless k is said."""
        k = self.k or neighbours(n, n_classes)
        most = n - 1 if self.k else max(k, n // (2 * n_classes))
        return [min(max(round(scale * k), LEAST), most, n - 1) for scale in self.scales]


def accumulated(answers: Sequence[np.ndarray], n_classes: int, seed: int) -> np.ndarray:
    """int (N,): k-means of entities by the clusters that several answers put them into."""
    return answers[0] if len(answers) == 1 else kmeans_labels(np.concatenate([one_hot(a, n_classes) for a in answers], axis=1), n_classes, seed, STARTS)
