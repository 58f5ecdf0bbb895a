"""The class balance, for models that cannot learn it with the rest: given, counted in gold, or from third moments of votes."""

from __future__ import annotations

from dataclasses import dataclass
from itertools import combinations

import numpy as np

from groundswell.label_models.base import Task, uniform
from groundswell.label_models.copies import residual_correlation
from groundswell.label_models.patterns import ABSTAIN, VotePatterns
from groundswell.label_models.statistics import expected_balance, majority_posterior
from groundswell.label_models.trust import LOST_CLASS_FACTOR, LOST_CLASS_SHARE

MOST_CLASSES, MOST_LFS, MOST_CELLS, MOST_STEPS, CANDIDATES = 10, 12, 100_000, 500, 3
"""Third moments are compared over triples of at most so many LFs and at most so many cells, chosen from CANDIDATES times as many."""

TINY = 1e-12
"""Added to probabilities that a logarithm is taken of."""

REPEATS, STANDARD_ERRORS = 0.2, 3.0
"""Residual correlation above which, and above so many of its standard errors, an LF repeats one with more votes and is left out."""


def class_balance(task: Task) -> tuple[np.ndarray, list[str]]:
    """(P(Y) float (K,), warnings): the one given, else counted in gold with one pseudo-entity per class, else from third moments.

    Answers of people are about patterns chosen for them, so that gold is not counted where there are any.

    Where third moments do not tell, the balance is uniform, with the warning LM218 that says why.
    """
    if task.class_balance is not None:
        return task.class_balance, []
    K = len(task.patterns.classes)
    if task.gold is not None and task.answers is None:
        counted = task.gold.sum(axis=0) + 1.0
        return counted / counted.sum(), []
    balance, reason = third_moment_balance(task.patterns)
    if reason:
        return uniform(K), [f"LM218: the class balance is taken to be uniform, because {reason}; give class_balance if you know it"]
    return balance, []


def third_moment_balance(patterns: VotePatterns) -> tuple[np.ndarray, str]:
    """(P(Y) float (K,), ""), or (uniform, why it cannot be told).

    Fits P(vote_i, vote_j, vote_k) = sum_y pi_y theta_i[y, .] theta_j[y, .] theta_k[y, .] to triples of distinct LFs, abstain
    included, from majority vote's tables. Unlike second moments, third moments identify pi for any K when LFs are independent
    given the class, so that LFs which repeat others are left out. The fit is by composite likelihood: least squares, as in
    Ratner et al. 2019, errs several times more where LFs mostly abstain. Source: there (class balance); Varin et al. 2011.
    """
    K = len(patterns.classes)
    voted = np.array([(patterns.votes == k).any() for k in range(K)], bool)
    chosen = _chosen(patterns)
    if len(chosen) < 3:
        return uniform(K), "fewer than three LFs vote that do not repeat each other"
    if K > MOST_CLASSES:
        return uniform(K), f"third moments of more than {MOST_CLASSES} classes are too many"
    if not voted.all():
        return uniform(K), f"no LF votes for {', '.join(c for c, v in zip(patterns.classes, voted) if not v)}"
    problem = _ThirdMoments(patterns, chosen)
    pi, settled = problem.solve(majority_posterior(patterns))
    if not settled:
        return uniform(K), "third moments of the votes have no settled fit"
    said = expected_balance(patterns, majority_posterior(patterns))
    lost = (said >= LOST_CLASS_SHARE) & (pi < LOST_CLASS_FACTOR * said)
    if lost.any():
        return uniform(K), f"third moments of the votes lose {', '.join(c for c, gone in zip(patterns.classes, lost) if gone)}, which majority vote finds"
    return pi, ""


def _chosen(patterns: VotePatterns) -> np.ndarray:
    """Columns of the LFs with most votes that do not repeat one with more, ties to the first, int (n,)."""
    symbols = len(patterns.classes) + 1
    most = max(n for n in range(3, MOST_LFS + 1) if n == 3 or n * (n - 1) * (n - 2) / 6 * symbols**3 <= MOST_CELLS)
    n_votes = np.array([patterns.counts[votes != ABSTAIN].sum() for votes in patterns.votes.T], dtype=np.int64)
    if not n_votes.any():
        return np.zeros(0, int)
    order = np.argsort(-n_votes, kind="stable")[: CANDIDATES * most]
    looked_at = VotePatterns(patterns.votes[:, order], patterns.counts, [patterns.lfs[j] for j in order], patterns.classes)
    residual = residual_correlation(looked_at, majority_posterior(patterns))
    limit, kept = max(REPEATS, STANDARD_ERRORS / np.sqrt(patterns.n_entities)), []
    for at, j in enumerate(order):
        if n_votes[j] and len(kept) < most and (residual[at, kept] < limit).all():
            kept.append(at)
    return np.sort(order[kept])


@dataclass
class _ThirdMoments:
    """Composite likelihood over triples (T, 3) of `chosen` LFs; V = K + 1 symbols, abstain last."""

    patterns: VotePatterns
    chosen: np.ndarray

    def __post_init__(self) -> None:
        self.K = len(self.patterns.classes)
        self.V = self.K + 1
        self.triples = np.array(list(combinations(range(len(self.chosen)), 3)))
        self.symbols = (self.patterns.votes[:, self.chosen] % self.V).astype(np.int64)  # -1 becomes K
        self.share = self.patterns.counts / self.patterns.n_entities
        self.observed = np.stack([self._table(triple) for triple in self.triples])

    def solve(self, posterior: np.ndarray) -> tuple[np.ndarray, bool]:
        """(pi, whether the fit settled), from the tables of a posterior (P, K)."""
        from scipy.optimize import minimize

        mass = self.share[:, None] * posterior
        start = np.stack([_counted(self.symbols[:, j], mass, self.V) for j in range(len(self.chosen))])
        first = np.append(np.log(start + 0.01).ravel(), np.log(mass.sum(axis=0) + 0.01))
        found = minimize(self.loss, first, jac=True, method="L-BFGS-B", options={"maxiter": MOST_STEPS, "ftol": 1e-9, "gtol": 1e-8, "maxcor": 30})
        return _softmax(found.x[-self.K :]), bool(np.isfinite(found.x).all() and found.nit < MOST_STEPS)

    def loss(self, parameters: np.ndarray) -> tuple[float, np.ndarray]:
        """Minus the mean log-likelihood of a triple's votes, and its gradient in the logits of theta and pi."""
        theta = _softmax(parameters[: -self.K].reshape(-1, self.K, self.V))
        pi = _softmax(parameters[-self.K :])
        i, j, k = (theta[self.triples[:, t]] for t in range(3))
        pairs = (i[:, :, :, None] * j[:, :, None, :]).reshape(len(self.triples), self.K, -1)
        model = np.matmul((pi[:, None] * pairs).transpose(0, 2, 1), k) + TINY
        residual = -self.observed / model / len(self.triples)
        back = np.matmul(pairs, residual)
        per_class = (back * k).sum(axis=2)
        spread = np.matmul(residual, k.transpose(0, 2, 1)).transpose(0, 2, 1).reshape(len(self.triples), self.K, self.V, self.V)
        slope = np.zeros_like(theta)
        np.add.at(slope, self.triples[:, 2], pi[:, None] * back)
        np.add.at(slope, self.triples[:, 0], pi[:, None] * (spread * j[:, :, None, :]).sum(axis=3))
        np.add.at(slope, self.triples[:, 1], pi[:, None] * (spread * i[:, :, :, None]).sum(axis=2))
        of_theta = theta * (slope - (slope * theta).sum(axis=2, keepdims=True))
        of_pi = per_class.sum(axis=0)
        of_pi = pi * (of_pi - (of_pi * pi).sum())
        return -float((self.observed * np.log(model)).sum()) / len(self.triples), np.append(of_theta.ravel(), of_pi)

    def _table(self, triple: np.ndarray) -> np.ndarray:
        """P(votes of a triple), float (V V, V)."""
        code = (self.symbols[:, triple[0]] * self.V + self.symbols[:, triple[1]]) * self.V + self.symbols[:, triple[2]]
        return np.bincount(code, weights=self.share, minlength=self.V**3).reshape(self.V**2, self.V)


def _counted(symbols: np.ndarray, mass: np.ndarray, n_symbols: int) -> np.ndarray:
    """P(symbol | y), float (K, V), from mass (P, K)."""
    table = np.stack([np.bincount(symbols, weights=column, minlength=n_symbols) for column in mass.T])
    return table / np.maximum(table.sum(axis=1, keepdims=True), 1e-12)


def _softmax(logits: np.ndarray) -> np.ndarray:
    p = np.exp(logits - logits.max(axis=-1, keepdims=True))
    return p / p.sum(axis=-1, keepdims=True)
