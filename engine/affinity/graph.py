"""A graph of nearest neighbours over affinities and pooled features, and the propagation of a few gold labels over it."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Callable, Sequence

import numpy as np

from ..errors import AffinityError
from .inference import Clusters, Evidence, Inference, register
from .parts import spans

if TYPE_CHECKING:
    import scipy.sparse as sp

LEAST_NEIGHBOURS = 5
BLOCK = 1024
KEPT = 0.99
"""Share of a label that is passed on at each step of the propagation."""


def neighbours(n: int, n_classes: int) -> int:
    """How many neighbours an entity has: the square root of the entities per class, at least LEAST_NEIGHBOURS."""
    return min(max(LEAST_NEIGHBOURS, round((n / n_classes) ** 0.5)), n - 1)


def centred_rows(s: np.ndarray) -> np.ndarray:
    """float32 (N, M): rows and columns of the affinity matrix with their means taken off, rows at length 1."""
    centred = s - s.mean(axis=1, keepdims=True) - s.mean(axis=0) + s.mean()
    return centred / np.maximum(np.linalg.norm(centred, axis=1, keepdims=True), 1e-12)


def root_features(features: np.ndarray) -> np.ndarray:
    """float32 (N, C): signed square roots, centred, rows at length 1."""
    roots = np.sign(features) * np.sqrt(np.abs(features))
    roots = roots - roots.mean(axis=0)
    return roots / np.maximum(np.linalg.norm(roots, axis=1, keepdims=True), 1e-12)


def views(evidence: Evidence) -> list[np.ndarray]:
    """Rows of length 1, float32 (N, D): one matrix per layer of affinities, one of pooled features."""
    found = [centred_rows(evidence.affinity[:, evidence.layer == layer]) for layer in np.unique(evidence.layer)]
    return found if evidence.features is None else [*found, root_features(evidence.features)]


def similarity(rows: Sequence[np.ndarray]) -> Callable[[int, int], np.ndarray]:
    """(start, stop) -> float32 (b, N): the mean cosine of entities start..stop with all, over matrices of rows of length 1."""
    return lambda start, stop: sum(np.asarray(r[start:stop], np.float32) @ np.asarray(r, np.float32).T for r in rows) / len(rows)


def nearest(similar: Callable[[int, int], np.ndarray], k: int) -> tuple[np.ndarray, np.ndarray]:
    """(int (N, k), float32 (N, k)): each entity's k nearest others, the nearest first, and their cosines."""
    n = similar(0, 1).shape[1]
    found = []
    for start, stop in spans(n, BLOCK):
        block = similar(start, stop)
        block[np.arange(stop - start), np.arange(start, stop)] = -np.inf
        near = np.argpartition(-block, k - 1, axis=1)[:, :k]
        cosine = np.take_along_axis(block, near, axis=1)
        order = np.argsort(-cosine, axis=1, kind="stable")
        found.append((np.take_along_axis(near, order, axis=1), np.take_along_axis(cosine, order, axis=1)))
    return tuple(np.concatenate(part) for part in zip(*found))


def graph_of(near: np.ndarray, cosine: np.ndarray) -> sp.csr_array:
    """Symmetric sparse (N, N): cosines, at least 0, of pairs of which one is among the other's neighbours; no loops."""
    import scipy.sparse as sp

    n, k = near.shape
    weights = np.maximum(cosine.ravel().astype(np.float64), 1e-6)
    graph = sp.csr_array((weights, (np.repeat(np.arange(n), k), near.ravel())), shape=(n, n))
    return graph.maximum(graph.T).tocsr()


def neighbour_graph(similar: Callable[[int, int], np.ndarray], k: int) -> sp.csr_array:
    """The graph of each entity's k nearest others."""
    return graph_of(*nearest(similar, k))


def neighbour_shares(graph: sp.csr_array, labels: np.ndarray, n_classes: int) -> np.ndarray:
    """float (N, K): the share of each label among an entity's neighbours and itself, by weight, with one vote spread evenly.

    The entity's own label is always the largest share: it counts for as much as the best other one, and a little more.
    """
    hot = np.eye(n_classes)[labels]
    typical = graph.data.mean() if graph.nnz else 1.0
    votes = graph @ hot + typical * hot
    own = votes[np.arange(len(labels)), labels]
    best = np.where(hot > 0, -np.inf, votes).max(axis=1)
    votes[np.arange(len(labels)), labels] = np.maximum(own, best * (1 + 1e-6))
    votes += typical / n_classes
    return votes / votes.sum(axis=1, keepdims=True)


def normalised(graph: sp.csr_array) -> sp.csr_array:
    """D^-1/2 W D^-1/2."""
    import scipy.sparse as sp

    root = 1 / np.sqrt(np.maximum(graph.sum(axis=1), 1e-12))
    return (sp.diags_array(root) @ graph @ sp.diags_array(root)).tocsr()


@register
@dataclass(frozen=True)
class Propagation(Inference):
    """A few gold labels spread over the same graph (Zhou et al. 2004); cluster k is class k.

    Scores are divided by what the labels of a class amount to in all, so that many labels of one class do not drown the others.
    Raises AffinityError AF113 when a class has no gold label.
    """

    name = "propagation"
    random = False
    k: int | None = None

    def clusters(self, evidence: Evidence, n_classes: int, seed: int) -> Clusters:
        n, gold = len(evidence.affinity), evidence.gold
        counts = np.zeros(n_classes, int) if gold is None else np.bincount(gold[gold >= 0], minlength=n_classes)
        if (counts == 0).any():
            raise AffinityError("AF113", f"class {int((counts == 0).argmax())} has no gold label to start from", hint="give some answers (groundswell review), or use --method spectral")
        graph = neighbour_graph(similarity(views(evidence)), min(self.k or neighbours(n, n_classes), n - 1))
        return Clusters(propagated(graph, gold, counts))


def propagated(graph: sp.csr_array, gold: np.ndarray, counts: np.ndarray) -> np.ndarray:
    """float (N, K): (I - a S)^-1 Y, columns at equal mass, rows summing to 1; labelled entities keep their label.

    gold  int (N,), -1 = unknown; counts  int (K,) of them
    """
    import scipy.sparse as sp
    from scipy.sparse.linalg import cg

    n, n_classes = len(gold), len(counts)
    start = np.where((gold >= 0)[:, None], np.eye(n_classes)[np.maximum(gold, 0)] / counts, 0.0)
    system = sp.eye_array(n) - KEPT * normalised(graph)
    scores = np.stack([cg(system, start[:, k], rtol=1e-10, maxiter=10 * n)[0] for k in range(n_classes)], axis=1)
    scores = np.maximum(scores, 0) / np.maximum(scores.sum(axis=0), 1e-12) + 1e-12
    p = scores / scores.sum(axis=1, keepdims=True)
    return np.where((gold >= 0)[:, None], np.eye(n_classes)[np.maximum(gold, 0)], p)
