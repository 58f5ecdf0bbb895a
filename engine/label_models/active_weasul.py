"""Active WeaSuL: matrix completion bent by the answers of people to questions about vote patterns. Two classes."""

from __future__ import annotations

from dataclasses import dataclass
from typing import ClassVar

import numpy as np

from groundswell.errors import LabelModelError
from groundswell.label_models.base import Fit, Task, register
from groundswell.label_models.class_balance import class_balance
from groundswell.label_models.dawid_skene import majority_stand_in, unidentified
from groundswell.label_models.inverse_moments import completion, independent_events, rank_one
from groundswell.label_models.metal import Metal, Solved, checked_groups, clamped
from groundswell.label_models.moments import Events, Moments, moments, vote_events
from groundswell.label_models.patterns import VotePatterns

LEAST_JOINT = 1e-8
"""P(event, Y = y) is kept this far from 0."""

RIDGE = 1e-6


@register
@dataclass
class ActiveWeasul(Metal):
    """The inverse form of `metal` with a penalty: alpha * sum over patterns of k_1 (p - 1)^2 + k_0 p^2, p = P(Y = 1 | votes),
    k_y = answers "class y" for entities with that pattern.

    dependencies  as in `metal`
    alpha         weight of the penalty; None = the largest second derivative of the unpenalised loss, 4 max_i sum_j z_j^2 over
                  events j of other sources, at least 1
    An answer corrects how votes are combined, not only its own row. Without answers: `metal` in its inverse form. The class
    balance is the one given, else estimated without answers. objective_ is minus the penalised loss. The method is published
    for two classes; with more, `metal` with EM, in which answers speak for a share of their pattern.
    Source: Biegel et al. 2021, equations 1 to 4.

    Raises LabelModelError: LM107 (option value).
    """

    name: ClassVar[str] = "active_weasul"
    form: str = "inverse"
    alpha: float | None = None

    def _fit(self, task: Task) -> Fit:
        if self.alpha is not None and not self.alpha > 0:
            raise LabelModelError("LM107", f"alpha must be positive, got {self.alpha!r}")
        if len(task.patterns.classes) > 2:
            return Metal(dependencies=self.dependencies)._fit(task)
        groups, blind = checked_groups(self, task.patterns), Task(task.patterns, task.class_balance, None, task.seed)
        reason = unidentified(blind)
        if reason:
            return majority_stand_in(task, reason)
        balance, warnings = class_balance(blind)
        events = vote_events(task.patterns, groups)
        found = moments(events, task.patterns.counts)
        problem = Problem.of(task.patterns, events, found, balance, task.answers)
        z, loss = problem.solved(self.alpha)
        solved = Solved(clamped(problem.tables(z), found.n), -loss, 0, True)
        return self._described(blind, events, balance, solved, warnings)


@dataclass(frozen=True)
class Problem:
    """The penalised completion problem over E events, of which D are kept as linearly independent.

    inverse   float (D, D)   inverse covariance of the kept events
    sigma     float (D, D)   their covariance
    foreign   bool (D, D)    pairs of events of different sources
    whole     float (E, D)   Cov(event, Y) of all events from that of the kept ones
    mean      float (E,)     P(event)
    pi        float          P(Y = 1)
    asked     float (Q, E)   which events a pattern with answers consists of, one per source
    answers   float (Q, 2)
    start     float (D,)     the solution without answers
    """

    inverse: np.ndarray
    sigma: np.ndarray
    foreign: np.ndarray
    whole: np.ndarray
    mean: np.ndarray
    pi: float
    asked: np.ndarray
    answers: np.ndarray
    start: np.ndarray

    @classmethod
    def of(cls, patterns: VotePatterns, events: Events, found: Moments, balance: np.ndarray, answers: np.ndarray | None) -> Problem:
        """The problem of these votes and answers (P, 2)."""
        kept = independent_events(found.covariance, events.source)
        sigma = found.covariance[np.ix_(kept, kept)]
        if len(kept) and np.linalg.cond(sigma) > 1e10:
            sigma = sigma + RIDGE * np.eye(len(kept))
        inverse, foreign = np.linalg.inv(sigma), events.foreign[np.ix_(kept, kept)]
        told = np.zeros((len(patterns.counts), 2)) if answers is None else answers
        rows = np.flatnonzero(told.any(axis=1))
        whole = completion(kept, found.covariance, events.source)
        start = rank_one(-inverse, foreign)
        votes_one = np.array([{((1,),): 1.0, ((0,),): -1.0}.get((tuple(v for _, v in w),), 0.0) for w in events.what])
        start = start if votes_one @ whole @ sigma @ start >= 0 else -start
        return cls(inverse, sigma, foreign, whole, found.mean, float(balance[1]), _maximal(events, rows), told[rows], start)

    def solved(self, alpha: float | None) -> tuple[np.ndarray, float]:
        """(z, loss): L-BFGS from the solution without answers; deterministic."""
        from scipy.optimize import minimize

        if not len(self.answers):
            return self.start, self.loss(self.start, 0.0)[0]
        alpha = self.curvature() if alpha is None else alpha
        scale = 1 / max(self.loss(self.start, alpha)[0], 1e-12)
        found = minimize(
            lambda z: tuple(scale * part for part in self.loss(z, alpha)), self.start, jac=True, method="L-BFGS-B",
            options={"maxiter": 2000, "ftol": 1e-14, "gtol": 1e-9},
        )  # fmt: skip
        return found.x, float(found.fun) / scale

    def curvature(self) -> float:
        """4 max_i sum_j z_j^2 over events j foreign to i, at least 1: the weight that makes answers count like moments."""
        return max(1.0, 4 * float((self.foreign @ self.start**2).max(initial=0.0)))

    def loss(self, z: np.ndarray, alpha: float) -> tuple[float, np.ndarray]:
        """(|(inverse + z z^T) over foreign pairs|^2 + alpha x penalty, its gradient)."""
        residual = np.where(self.foreign, self.inverse + np.outer(z, z), 0.0)
        value, slope = float((residual**2).sum()), 4 * residual @ z
        if not alpha:
            return value, slope
        zero, one = self._joint(z)
        p = self._posterior(zero, one)
        penalty = self.answers[:, 1] * (p - 1) ** 2 + self.answers[:, 0] * p**2
        by_odds = 2 * (self.answers[:, 1] * (p - 1) + self.answers[:, 0] * p) * p * (1 - p)
        by_one = (by_odds @ self.asked) * ((one > LEAST_JOINT) / one + (zero > LEAST_JOINT) / zero)
        return value + alpha * float(penalty.sum()), slope + alpha * self._back(z, by_one @ self.whole)

    def _back(self, z: np.ndarray, by_covariance: np.ndarray) -> np.ndarray:
        """The gradient on z of something whose gradient on Cov(kept event, Y) is given, float (D,)."""
        along = self.sigma @ z
        size = 1 + z @ along
        scale = np.sqrt(self.pi * (1 - self.pi) / size)
        return scale * (self.sigma @ by_covariance - (by_covariance @ along) / size * along)

    def _posterior(self, zero: np.ndarray, one: np.ndarray) -> np.ndarray:
        """P(Y = 1 | votes) of the patterns with answers, float (Q,)."""
        odds = np.log(one / self.pi) - np.log(zero / (1 - self.pi))
        return 1 / (1 + np.exp(-(np.log(self.pi / (1 - self.pi)) + self.asked @ odds)))

    def _joint(self, z: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        """P(event, Y = 0) and P(event, Y = 1), float (E,) each."""
        along = self.sigma @ z
        with_class = along * np.sqrt(self.pi * (1 - self.pi) / (1 + z @ along))
        one = self.whole @ with_class + self.mean * self.pi
        return np.maximum(self.mean - one, LEAST_JOINT), np.maximum(one, LEAST_JOINT)

    def tables(self, z: np.ndarray) -> np.ndarray:
        """P(event | y), float (E, 2)."""
        zero, one = self._joint(z)
        return np.stack([zero / (1 - self.pi), one / self.pi], axis=1)


def _maximal(events: Events, rows: np.ndarray) -> np.ndarray:
    """float 0/1 (Q, E): of each source the event that holds all its votes on a row, without the events inside it."""
    found = events.columns[rows].toarray().astype(float)
    size = np.array([len(w) for w in events.what], float)
    for source in np.unique(events.source):
        mine = np.flatnonzero(events.source == source)
        largest = (found[:, mine] * size[mine]).max(axis=1, keepdims=True)
        found[:, mine] *= size[mine] == largest
    return found


