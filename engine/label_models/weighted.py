"""Weighted vote: each LF counts by the log-odds of its accuracy."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import ClassVar

import numpy as np

from groundswell.errors import LabelModelError, did_you_mean
from groundswell.label_models.base import Fit, LabelModel, Task, register, undefined_params, uniform
from groundswell.label_models.dawid_skene import DawidSkene
from groundswell.label_models.evidence import Evidence
from groundswell.label_models.patterns import ABSTAIN, VotePatterns
from groundswell.label_models.statistics import learned_accuracy
from groundswell.label_models.trust import fit_warnings

LOWEST, HIGHEST = 0.01, 0.99


@register
@dataclass
class Weighted(LabelModel):
    """p_y proportional to pi_y exp(sum_j w_j [vote_j = y]), w_j = log((K-1) a_j / (1 - a_j)), a_j = accuracy given a vote.

    accuracies  mapping LF -> a_j, or None. None: from gold when fit is given some, (correct + 1) / (votes with gold + 2),
                else what `dawid_skene` learns

    a_j is clipped to [.01, .99]. pi is the class balance given, else uniform: a_j already holds what the votes say about it.
    Optimal when errors are independent given the class and uniform, and abstentions carry no information; an LF without an
    accuracy (it never votes, or never on gold) weighs nothing. params_ is NaN. Source: Nitzan & Paroush 1982.

    Raises LabelModelError: LM107 (accuracies).
    """

    name: ClassVar[str] = "weighted"
    accuracies: Mapping[str, float] | None = None

    def _fit(self, task: Task) -> Fit:
        patterns, K = task.patterns, len(task.patterns.classes)
        accuracy, learner = self._accuracy(task)
        weight = vote_weights(accuracy, K)
        balance = uniform(K) if task.class_balance is None else task.class_balance
        table = np.zeros((len(patterns.lfs), K + 1, K))
        table[:, np.arange(K), np.arange(K)] = weight[:, None]
        fit = Fit(
            Evidence(patterns.lfs, patterns.classes, np.log(balance), table),
            balance,
            undefined_params(patterns),
            balance,
            n_iterations=learner.n_iterations if learner else 0,
            converged=learner.converged if learner else True,
        )
        stand_in = [w for w in learner.warnings if w[:5] in ("LM210", "LM213")] if learner else []
        return fit.warned(*fit_warnings(patterns, fit.posterior(patterns), balance), *stand_in)

    def _accuracy(self, task: Task) -> tuple[np.ndarray, Fit | None]:
        """Accuracies (m,), NaN where unknown, and the fit they were learned by, if any."""
        if self.accuracies is not None:
            return given_accuracies(self.accuracies, task.patterns.lfs), None
        if task.gold is not None:
            return gold_accuracies(task.patterns, task.gold), None
        learner = DawidSkene()._fit(task)
        return learned_accuracy(task.patterns, learner.posterior(task.patterns)), learner


def vote_weights(accuracy: np.ndarray, n_classes: int) -> np.ndarray:
    """log((K-1) a / (1-a)) with a clipped to [.01, .99], float (m,); 0 where the accuracy is NaN."""
    a = np.clip(accuracy, LOWEST, HIGHEST)
    return np.where(np.isnan(a), 0.0, np.log((n_classes - 1) * a / (1 - a)))


def gold_accuracies(patterns: VotePatterns, gold: np.ndarray) -> np.ndarray:
    """(correct + 1) / (votes with gold + 2) per LF, float (m,); NaN where none of its votes has gold.

    gold  float (P, K)   entities of each pattern with a known class
    """
    accuracy = np.full(len(patterns.lfs), np.nan)
    for j in range(len(patterns.lfs)):
        fires = np.flatnonzero(patterns.votes[:, j] != ABSTAIN)
        n = gold[fires].sum()
        if n:
            accuracy[j] = (gold[fires, patterns.votes[fires, j]].sum() + 1) / (n + 2)
    return accuracy


def given_accuracies(accuracies: Mapping[str, float], lfs: Sequence[str]) -> np.ndarray:
    """The accuracies in the order of `lfs`, float (m,); raises LM107 for names or numbers that do not fit."""
    if not isinstance(accuracies, Mapping):
        raise LabelModelError("LM107", "accuracies must be a mapping from LF to accuracy", hint="dict(zip(lfs, accuracies))")
    for lf in accuracies:
        if lf not in lfs:
            raise LabelModelError("LM107", f'accuracies name the unknown LF "{lf}"', hint=did_you_mean(str(lf), lfs))
    absent = [lf for lf in lfs if lf not in accuracies]
    values = np.array([accuracies.get(lf, np.nan) for lf in lfs], float)
    if absent or not ((values >= 0) & (values <= 1)).all():
        raise LabelModelError("LM107", f"accuracies must be numbers in [0, 1] for every LF; absent: {absent}")
    return values
