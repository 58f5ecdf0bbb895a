"""Expectation maximisation over affinities: each prototype votes by its distribution function (Das et al. 2019, section 4)."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

import numpy as np

from .inference import Clusters, Evidence, Inference, one_hot, register
from .kmeans import kmeans_labels

SD_FLOOR = 0.01
"""Below this a distribution would decide alone."""
LEAST_ROWS = 2
"""With less than this weight of rows a class has the deviation of its column."""
BLOCK = 2**21
"""Numbers per block of the E step: 16 MiB."""
LEAST_CONFIDENT = 0.05


@dataclass(frozen=True)
class Columns:
    """Normal distributions of the affinities: mean and sd, float (K, M), of column j over entities of class k; prior (K,)."""

    mean: np.ndarray
    sd: np.ndarray
    prior: np.ndarray


def fit_columns(s: np.ndarray, weight: np.ndarray, floor: float = SD_FLOOR) -> Columns:
    """The M step: weighted means and population deviations.

    s       float (N, M)
    weight  float (N, K)  rows sum to 1: hard or soft labels
    prior is the share of each class, at least 1/N.
    """
    n = len(s)
    total = weight.sum(axis=0)
    centre = s.mean(axis=0)
    centred = s - centre  # squares of centred numbers do not cancel
    mean = weight.T @ centred / np.maximum(total, 1e-12)[:, None]
    variance = weight.T @ centred**2 / np.maximum(total, 1e-12)[:, None] - mean**2
    pooled = (centred**2).mean(axis=0)
    variance = np.where((total >= LEAST_ROWS)[:, None], variance, pooled)
    mean = np.where((total > 0)[:, None], mean, 0.0)
    prior = np.maximum(total / n, 1 / n)
    return Columns(mean + centre, np.sqrt(np.maximum(variance, floor**2)), prior / prior.sum())


def log_likelihood(s: np.ndarray, columns: Columns, z: np.ndarray) -> np.ndarray:
    """float (N, K): sum over prototypes j of log CDF_jk(s_ij) where z_j = k, else of log(1 - CDF_jk(s_ij)).

    z  int (M,)  the class of the entity each prototype comes from. Source: Das et al. 2019, eq. 7, 8, 11, 12.
    """
    import torch

    n, m = s.shape
    mean, sd = torch.from_numpy(columns.mean), torch.from_numpy(columns.sd)
    sign = torch.from_numpy(np.where(z[None, :] == np.arange(len(mean))[:, None], 1.0, -1.0))
    scale, shift = sign / sd, sign * mean / sd
    found = np.empty((n, len(mean)))
    step = max(1, BLOCK // (m * len(mean)))
    for start in range(0, n, step):
        rows = torch.from_numpy(np.asarray(s[start : start + step], dtype=np.float64))
        found[start : start + step] = torch.special.log_ndtr(rows[:, None, :] * scale - shift).sum(dim=2).numpy()
    return found


def posterior(log_a: np.ndarray, prior: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """(p, log p), float (N, K), of log-likelihoods and class shares (Das et al. 2019, eq. 17)."""
    log_p = log_a + np.log(prior)
    log_p = log_p - np.logaddexp.reduce(log_p, axis=1, keepdims=True)
    return np.exp(log_p), log_p


@register
@dataclass(frozen=True)
class AffinityEM(Inference):
    """The paper's EM for any number of classes.

    mstep       soft: distributions of all entities, weighted by gamma (deterministic); sample: of labels drawn from gamma (the paper's)
    start       kmeans on the rows of the affinity matrix, or random labels
    iterations  at most so many; it ends when no label changes

    The product of distribution functions is no normalised likelihood: there is no objective that must rise, so the trace
    counts changed labels. With mstep="sample" the labels are those drawn last, as in the paper's evaluation.
    """

    name = "em"
    overconfident = True
    mstep: Literal["soft", "sample"] = "soft"
    start: Literal["kmeans", "random"] = "kmeans"
    iterations: int = 100
    sd_floor: float = SD_FLOOR

    def clusters(self, evidence: Evidence, n_classes: int, seed: int) -> Clusters:
        random = np.random.default_rng(seed)
        s = evidence.affinity
        labels = self._start(evidence, n_classes, seed, random)
        weight, trace, rescued = one_hot(labels, n_classes), [], False
        p, log_p = weight, np.log(np.clip(weight, 1e-12, 1))
        for iteration in range(1, self.iterations + 1):
            columns = fit_columns(s, weight, self.sd_floor)
            p, log_p = posterior(log_likelihood(s, columns, labels[evidence.source] if evidence.column_class is None else evidence.column_class), columns.prior)
            drawn = _draw(p, random) if self.mstep == "sample" else log_p.argmax(axis=1)
            trace.append((iteration, int((drawn != labels).sum())))
            if trace[-1][1] == 0:
                break
            labels, weight = drawn, one_hot(drawn, n_classes) if self.mstep == "sample" else p
            empty = np.flatnonzero(np.bincount(labels, minlength=n_classes) == 0)
            if len(empty):
                if rescued:
                    break
                rescued, labels = True, _reseeded(labels, p, empty)
                weight = one_hot(labels, n_classes)
        if self.mstep == "sample":
            p, log_p = _as_drawn(p, log_p, labels)
        return Clusters(p, tuple(trace), trace[-1][1] == 0, log_p=log_p)

    def _start(self, evidence: Evidence, n_classes: int, seed: int, random: np.random.Generator) -> np.ndarray:
        s, known = evidence.affinity, evidence.column_class
        if self.start == "random":
            return random.integers(n_classes, size=len(s))
        if known is None:
            return kmeans_labels(s, n_classes, seed)
        return np.stack([s[:, known == k].mean(axis=1) if (known == k).any() else np.zeros(len(s)) for k in range(n_classes)], axis=1).argmax(axis=1)


def _draw(p: np.ndarray, random: np.random.Generator) -> np.ndarray:
    """int (N,): a class for each row, drawn from p."""
    return np.minimum((p.cumsum(axis=1) < random.random(len(p))[:, None]).sum(axis=1), p.shape[1] - 1)


def _as_drawn(p: np.ndarray, log_p: np.ndarray, labels: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """The answer as the paper evaluates it: where the drawn label is not the likeliest, it counts as even with it."""
    top = log_p.max(axis=1, keepdims=True)
    drawn = one_hot(labels, p.shape[1]).astype(bool)
    raised = np.where(drawn, np.maximum(log_p, top + 1e-9), log_p)
    raised = raised - np.logaddexp.reduce(raised, axis=1, keepdims=True)
    return np.exp(raised), raised


def _reseeded(labels: np.ndarray, p: np.ndarray, empty: np.ndarray) -> np.ndarray:
    """Labels in which the least confident rows, 5 % of all for each, make up the classes that lost all of theirs."""
    found = labels.copy()
    each = max(1, round(LEAST_CONFIDENT * len(p)))
    doubtful = np.argsort(p.max(axis=1), kind="stable")
    for i, k in enumerate(empty):
        found[doubtful[i * each : (i + 1) * each]] = k
    return found
