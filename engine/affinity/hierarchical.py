"""The hierarchical model: a Gaussian mixture per affinity function, a Bernoulli mixture over what they say (Das et al. 2020)."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from .inference import Clusters, Evidence, Inference, one_hot, register
from .kmeans import kmeans_labels

EDGE = 1e-6
"""Probabilities of a Bernoulli stay this far from 0 and 1."""


def bernoulli_posterior(x: np.ndarray, prior: np.ndarray, m: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """(p, log p), float (N, K): responsibilities of a Bernoulli mixture, in log space.

    x  float (N, F) in [0, 1]; prior (K,); m (K, F) in (0, 1)
    """
    log_p = np.log(prior) + x @ np.log(m).T + (1 - x) @ np.log1p(-m).T
    log_p = log_p - np.logaddexp.reduce(log_p, axis=1, keepdims=True)
    return np.exp(log_p), log_p


def bernoulli_mixture(x: np.ndarray, labels: np.ndarray, n_classes: int, iterations: int) -> tuple[np.ndarray, np.ndarray, list[tuple[int, int]]]:
    """(p, log p, trace) of EM from hard labels until none changes and p stands still."""
    p, trace = one_hot(labels, n_classes), []
    for iteration in range(1, iterations + 1):
        total = p.sum(axis=0)
        prior = np.maximum(total / len(x), 1 / len(x))
        m = np.clip(p.T @ x / np.maximum(total, 1e-12)[:, None], EDGE, 1 - EDGE)
        fresh, log_p = bernoulli_posterior(x, prior / prior.sum(), m)
        trace.append((iteration, int((fresh.argmax(axis=1) != p.argmax(axis=1)).sum())))
        moved, p = np.abs(fresh - p).max(), fresh
        if moved < 1e-6:
            break
    return p, log_p, trace


@register
@dataclass(frozen=True)
class Hierarchical(Inference):
    """Diagonal Gaussian mixtures, one per affinity function (layer and rank), and a Bernoulli mixture over their posteriors."""

    name = "hierarchical"
    overconfident = True
    iterations: int = 200

    def clusters(self, evidence: Evidence, n_classes: int, seed: int) -> Clusters:
        x = np.concatenate([self._base(evidence.affinity[:, evidence.family == f], n_classes, seed) for f in np.unique(evidence.family)], axis=1)
        p, log_p, trace = bernoulli_mixture(x, kmeans_labels(x, n_classes, seed), n_classes, self.iterations)
        return Clusters(p, tuple(trace), len(trace) < self.iterations, log_p=log_p)

    def _base(self, s: np.ndarray, n_classes: int, seed: int) -> np.ndarray:
        """float (N, K): posteriors of one affinity function."""
        import warnings

        from sklearn.exceptions import ConvergenceWarning
        from sklearn.mixture import GaussianMixture

        with warnings.catch_warnings():
            warnings.simplefilter("ignore", ConvergenceWarning)  # a base model that wanders is what the ensemble is for
            mixture = GaussianMixture(n_classes, covariance_type="diag", tol=1e-4, reg_covar=1e-6, random_state=seed, max_iter=self.iterations)
            return mixture.fit(s.astype(np.float64)).predict_proba(s.astype(np.float64))
