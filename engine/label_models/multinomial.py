"""Multinomial naive Bayes: given how many votes a row has, which ones are they? Few EM steps from majority vote."""

from __future__ import annotations

from dataclasses import dataclass
from typing import ClassVar

import numpy as np

from groundswell.errors import LabelModelError
from groundswell.label_models.base import Fit, LabelModel, Task, register, undefined_params
from groundswell.label_models.dawid_skene import majority_stand_in, unidentified
from groundswell.label_models.evidence import Evidence
from groundswell.label_models.patterns import ABSTAIN, VotePatterns
from groundswell.label_models.statistics import majority_posterior
from groundswell.label_models.trust import fit_warnings


@register
@dataclass
class Multinomial(LabelModel):
    """P(Y | votes) proportional to pi_y prod_{j votes} phi_y[j, vote_j]; phi_y sums to 1 over all (LF, class) pairs.

    Conditioning on the number of votes removes what makes every LF fire on some rows and none on others: long texts hold more
    keywords whatever their class, and a model that takes abstention for evidence (`dawid_skene` on LFs of one class) learns
    length instead of the class. An LF that abstains adds nothing. Works for LFs of one and of several classes.

    steps   EM steps from majority vote (default 1). More steps fit better where LFs are independent given the class, and
            drift away where they are not: see tests/benchmarks/one_sided.py
    Pseudo-counts: prior_smoothing on each class, smoothing_right on phi_y[j, y], smoothing on phi_y[j, v].
    Gold entities count with their known class in the M step.

    Source: McCallum & Nigam 1998 (multinomial event model), Nigam et al. 2000 (EM), read on votes instead of words.
    Raises LabelModelError LM107 for options out of range.
    """

    name: ClassVar[str] = "multinomial"

    steps: int = 1
    smoothing: float = 1.0
    smoothing_right: float = 2.0
    prior_smoothing: float = 1.0

    def _fit(self, task: Task) -> Fit:
        for option in ("steps", "smoothing", "smoothing_right", "prior_smoothing"):
            if not getattr(self, option) > 0:
                raise LabelModelError("LM107", f"{option} must be positive, got {getattr(self, option)!r}")
        reason = unidentified(task)
        return majority_stand_in(task, reason) if reason else self._em(task)

    def _em(self, task: Task) -> Fit:
        patterns = task.patterns
        posterior, settled, done = majority_posterior(patterns), False, 0
        while not settled and done < self.steps:
            pi, weight = self._maximised(task, posterior)
            evidence = Evidence(patterns.lfs, patterns.classes, np.log(pi), weight)
            before, posterior = posterior, evidence.posterior(patterns.votes)
            settled = bool(np.abs(posterior - before)[patterns.covered].max() < 1e-9)
            done += 1
        params = vote_rates(patterns, self._mass(task, posterior), self.smoothing, self.smoothing_right)
        fit = Fit(evidence, pi, params, pi, n_iterations=done, converged=True)
        return fit.warned(*fit_warnings(patterns, fit.posterior(patterns), pi))

    def _mass(self, task: Task, posterior: np.ndarray) -> np.ndarray:
        """Entities per pattern and class (P, K): gold ones count with their class."""
        counts = task.patterns.counts.astype(float)
        return counts[:, None] * posterior if task.gold is None else (counts - task.gold.sum(axis=1))[:, None] * posterior + task.gold

    def _maximised(self, task: Task, posterior: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        """pi (K,) and log phi as weights (m, K+1, K), from the covered patterns."""
        patterns = task.patterns
        mass = np.where(patterns.covered[:, None], self._mass(task, posterior), 0.0)
        pi = self.prior_smoothing + mass.sum(axis=0)
        pi = pi / pi.sum() if task.class_balance is None else task.class_balance
        votes = patterns.voted_mass(mass)
        pseudo = np.full(votes.shape, self.smoothing)
        pseudo[:, np.arange(len(pi)), np.arange(len(pi))] = self.smoothing_right
        used = votes.sum(axis=2, keepdims=True) > 0
        phi = np.where(used, votes + pseudo, 0.0)
        phi /= phi.sum(axis=(0, 1), keepdims=True)
        weight = np.zeros((len(patterns.lfs), len(pi) + 1, len(pi)))
        weight[:, :-1] = np.log(np.where(used, phi, 1.0))
        return pi, weight


def vote_rates(patterns: VotePatterns, mass: np.ndarray, smoothing: float, smoothing_right: float) -> np.ndarray:
    """P(vote_j = v | Y = y), float (m, K, K+1), abstain last: what a posterior says about each LF; NaN for silent LFs.

    mass  float (P, K)   entities per pattern and class
    Pseudo-counts: smoothing_right of v = y, smoothing of every other symbol.
    """
    K = mass.shape[1]
    votes = patterns.voted_mass(mass).transpose(0, 2, 1)
    pseudo = np.full((len(patterns.lfs), K, K + 1), smoothing)
    pseudo[:, np.arange(K), np.arange(K)] = smoothing_right
    silent = np.maximum(mass.sum(axis=0) - votes.sum(axis=2), 0.0)
    theta = np.concatenate([votes, silent[:, :, None]], axis=2) + pseudo
    theta /= theta.sum(axis=2, keepdims=True)
    return np.where((patterns.votes != ABSTAIN).any(axis=0)[:, None, None], theta, undefined_params(patterns))
