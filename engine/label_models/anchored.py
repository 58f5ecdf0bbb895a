"""Anchored EM: which votes a row has and how many, fitted by EM that never lets go of the vote share."""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import ClassVar

import numpy as np

from groundswell.errors import LabelModelError
from groundswell.label_models.base import Fit, LabelModel, Task, register
from groundswell.label_models.copies import discounted, repeated, repetition
from groundswell.label_models.dawid_skene import DISCOUNT_ROUNDS, SETTLED_WEIGHT, majority_stand_in, one_sided, unidentified
from groundswell.label_models.em import over_classes
from groundswell.label_models.evidence import Evidence
from groundswell.label_models.leave_one_out import most_careful
from groundswell.label_models.multinomial import vote_rates
from groundswell.label_models.patterns import VotePatterns
from groundswell.label_models.statistics import majority_disagreement
from groundswell.label_models.trust import DISAGREEMENT_LEVEL, fit_warnings

ANCHOR = 0.5
"""The default where some LF votes a single class. Nothing in such votes tells a good one, for what these LFs say is who fires: in
simulated worlds (tests/benchmarks/worlds.py) .2 gains more on average and is below majority vote more often."""

ANCHORS, STANDARD_ERRORS = (0.5, 0.2, 0.1, 0.05, 0.0), 3.0
"""The choice where every LF votes several classes: the largest that predicts left-out votes as well as the best, within so many
standard errors."""

MOST_PATTERNS = 20_000
"""That choice is made on at most so many patterns, evenly spaced among all."""

ANCHOR_OF_COPIES = 0.2
"""The default where such LFs repeat each other: copies predict each other, whatever the class."""


@register
@dataclass
class Anchored(LabelModel):
    """P(Y | votes) from EM in which a share `anchor` of each entity is labelled by its votes and the rest by the model.

    maximises  sum_p n_p [(1 - anchor) log sum_y f(p, y) + anchor sum_y q_py log f(p, y)], q_p the vote share of pattern p
    log f(p, y) = log pi_y + sum_j w_j log phi_y[j, vote_pj] + kappa (N_p log lambda_y - lambda_y)

    phi_y    which votes: sums to 1 over all (LF, class) pairs; an abstention says nothing by itself
    lambda_y how many: N_p, the weighted number of votes of p, is Poisson given the class ...
    kappa    ... and counts as much as it is not more spread than that: min(1, 1 / dispersion), the dispersion being the mean of
             (N - lambda_y)^2 over the mean of lambda_y. Where long rows collect votes of every class it goes towards 0
    w_j      1 / (1 + sum_k c_jk) with c the `repetition` of LFs of several classes by each other; they also count so in q

    Without an anchor EM follows whatever makes LFs fire together, their length or topic; at 1 it is naive Bayes learned from
    majority vote. Uncovered entities are not fitted. Gold counts in full.

    anchor            in [0, 1]; None = ANCHOR, or where every LF votes several classes one of ANCHORS, by how well each LF's votes
                      are predicted from the others' (`left_out_likelihood`), unless EM then does not settle or labels more
                      than a quarter of the covered entities against majority vote: ANCHOR
    discount_copies   learn w; else all are 1
    smoothing_right on phi_y[j, y], smoothing on phi_y[j, v] and prior_smoothing on each class are pseudo-counts
    tolerance         EM stops when posteriors move by less than this on average over entities, at most max_iterations

    Sources: McCallum & Nigam 1998 (multinomial event model); Nigam et al. 2000, section 5.3 (EM with weighted unlabelled data,
    here with votes in place of labels); McCullagh & Nelder 1989, section 6.2.3 (quasi-likelihood for over-dispersed counts).
    Raises LabelModelError LM107 for options out of range.
    """

    name: ClassVar[str] = "anchored"

    anchor: float | None = None
    discount_copies: bool = True
    smoothing: float = 1.0
    smoothing_right: float = 2.0
    prior_smoothing: float = 1.0
    tolerance: float = 1e-6
    max_iterations: int = 500

    def _fit(self, task: Task) -> Fit:
        self._check()
        reason = unidentified(task) or ("" if task.patterns.covered.any() else "no LF votes on any entity")
        return majority_stand_in(task, reason) if reason else self.fitted(task)[0]

    def _check(self) -> None:
        for option in ("smoothing", "smoothing_right", "prior_smoothing", "tolerance", "max_iterations"):
            if not getattr(self, option) > 0:
                raise LabelModelError("LM107", f"{option} must be positive, got {getattr(self, option)!r}")
        if self.anchor is not None and not 0 <= self.anchor <= 1:
            raise LabelModelError("LM107", f"anchor must be between 0 and 1, got {self.anchor!r}")

    def fitted(self, task: Task) -> tuple[Fit, float]:
        """(the fit, its anchor)."""
        if self.anchor is not None or one_sided(task.patterns).any():
            anchor = ANCHOR if self.anchor is None else self.anchor
            return self._warned(task, self._em(task, anchor)), anchor
        anchor, fit = ANCHOR_OF_COPIES, self._em(task, ANCHOR_OF_COPIES)
        if (fit.weight == 1).all():
            anchor = self._predictive(_sample(task))
            fit = fit if anchor == ANCHOR_OF_COPIES else self._em(task, anchor)
        if not fit.converged or majority_disagreement(task.patterns, fit.posterior(task.patterns)) > DISAGREEMENT_LEVEL:
            anchor, fit = ANCHOR, self._em(task, ANCHOR)
        return self._warned(task, fit), anchor

    def _predictive(self, task: Task) -> float:
        """The largest of ANCHORS that predicts left-out votes as well as the best does; EM settles with each of them."""
        fits = [(anchor, self._em(task, anchor)) for anchor in ANCHORS]
        settled = [(anchor, fit) for anchor, fit in fits if fit.converged] or fits[:1]
        return settled[most_careful(task.patterns, [fit for _, fit in settled], STANDARD_ERRORS)][0]

    def _em(self, task: Task, anchor: float) -> Fit:
        single = one_sided(task.patterns)
        em = _AnchoredEM(self, task, anchor, np.ones(len(single)))
        posterior, n, settled = em.run()
        for _ in range(DISCOUNT_ROUNDS if self.discount_copies and not single.all() else 0):
            weight = 1 / (1 + repetition(task.patterns, posterior, ~single).sum(axis=1))
            if np.abs(weight - em.weight).max() < SETTLED_WEIGHT:
                break
            em = _AnchoredEM(self, task, anchor, weight)
            posterior, n, settled = em.run()
        return em.as_fit(posterior, n, settled)

    def _warned(self, task: Task, fit: Fit) -> Fit:
        patterns = task.patterns
        in_full = one_sided(patterns) if self.discount_copies else np.ones(len(patterns.lfs), bool)
        return fit.warned(
            *fit_warnings(patterns, fit.posterior(patterns), fit.class_balance),
            *([] if fit.converged else [f"LM210: EM did not settle in {self.max_iterations} iterations"]),
            *discounted(patterns.lfs, fit.weight),
            *repeated(patterns, in_full),
        )


def taken_at_their_word(task: Task, anchor: float, weight: np.ndarray) -> np.ndarray:
    """Entities that count with a class whatever a model says, float (P, K): those of gold, and `anchor` of the others by their votes.

    weight  float (m,)   of each LF's vote in the vote share
    """
    patterns, K = task.patterns, len(task.patterns.classes)
    votes = patterns.events @ (np.repeat(weight, K)[:, None] * np.tile(np.eye(K), (len(weight), 1)))
    share = votes / np.maximum(over_classes(np.add, votes), np.finfo(float).tiny)[:, None]
    if task.gold is None:
        return anchor * patterns.counts[:, None] * share
    return task.gold + anchor * (patterns.counts - task.gold.sum(axis=1))[:, None] * share


def _sample(task: Task) -> Task:
    """The task on at most MOST_PATTERNS of its patterns."""
    patterns = task.patterns
    rows = slice(None, None, -(-len(patterns.counts) // MOST_PATTERNS))
    fewer = VotePatterns(patterns.votes[rows], patterns.counts[rows], patterns.lfs, patterns.classes)
    return replace(task, patterns=fewer, gold=None if task.gold is None else task.gold[rows], answers=None if task.answers is None else task.answers[rows])


class _AnchoredEM:
    """One EM problem on the covered patterns. weight float (m,), positive: exponent of each LF's votes.

    known  float (P, K)   entities that count with a class whatever the model says
    free   float (P,)     the others
    """

    def __init__(self, model: Anchored, task: Task, anchor: float, weight: np.ndarray):
        patterns, K = task.patterns, len(task.patterns.classes)
        self.model, self.task, self.weight, self.patterns = model, task, weight, patterns
        self.by_vote, self.cast = patterns.events.T.tocsr(), (patterns.votes_cast > 0)[:, :, None]
        self.n_votes = patterns.events @ np.repeat(weight, K)
        self.known = taken_at_their_word(task, anchor, weight)
        self.free = patterns.counts - over_classes(np.add, self.known)
        self.n_covered = np.where(patterns.covered, patterns.counts, 0)

    def run(self) -> tuple[np.ndarray, int, bool]:
        """(posteriors (P, K), iterations, settled), from the vote share."""
        posterior, n = self.expect(*self.maximise(taken_at_their_word(self.task, 1.0, self.weight) / self.patterns.counts[:, None])), 1
        while n < self.model.max_iterations:
            before, posterior, n = posterior, self.expect(*self.maximise(posterior)), n + 1
            moved = over_classes(np.maximum, np.abs(posterior - before))
            if (self.n_covered * moved).sum() < self.model.tolerance * self.n_covered.sum():
                return posterior, n, True
        return posterior, n, False

    def expect(self, log_prior: np.ndarray, log_weight: np.ndarray) -> np.ndarray:
        """P(Y | votes), float (P, K)."""
        scores = self.patterns.events @ log_weight[:, :-1].reshape(-1, len(log_prior)) + log_prior
        posterior = np.exp(scores - over_classes(np.maximum, scores)[:, None])
        return posterior / over_classes(np.add, posterior)[:, None]

    def balance(self, posterior: np.ndarray) -> np.ndarray:
        """The class balance of covered entities as the model sees it, without the anchor that pulls pi to the vote share; (K,)."""
        unknown = self.n_covered if self.task.gold is None else self.n_covered - self.task.gold.sum(axis=1) * self.patterns.covered
        mass = self.model.prior_smoothing + (unknown[:, None] * posterior).sum(axis=0)
        mass = mass if self.task.gold is None else mass + self.task.gold.sum(axis=0)
        return mass / mass.sum()

    def maximise(self, posterior: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        """(log prior (K,), log weights (m, K+1, K) of votes before classes, abstain 0) from posteriors (P, K)."""
        mass = np.where(self.patterns.covered[:, None], self.known + self.free[:, None] * posterior, 0.0)
        per_class = self.model.prior_smoothing + mass.sum(axis=0)
        pi = per_class / per_class.sum() if self.task.class_balance is None else self.task.class_balance
        rate, kappa = self._how_many(mass)
        log_weight = np.zeros((len(self.weight), len(pi) + 1, len(pi)))
        log_weight[:, :-1] = np.where(self.cast, self._which(mass) + kappa * np.log(rate), 0.0)
        return np.log(pi) - kappa * rate, self.weight[:, None, None] * log_weight

    def _which(self, mass: np.ndarray) -> np.ndarray:
        """log phi, float (m, K, K) over LF, vote and class; 0 for votes nobody cast."""
        K = mass.shape[1]
        pseudo = np.where(np.eye(K, dtype=bool), self.model.smoothing_right, self.model.smoothing)
        phi = np.where(self.cast, (self.by_vote @ mass).reshape(-1, K, K) + pseudo, 0.0)
        return np.log(np.where(self.cast, phi / phi.sum(axis=(0, 1)), 1.0))

    def _how_many(self, mass: np.ndarray) -> tuple[np.ndarray, float]:
        """(lambda (K,): mean weighted number of votes given the class, kappa in (0, 1])."""
        total, smoothing = mass.sum(axis=0), self.model.prior_smoothing
        votes = (mass * self.n_votes[:, None]).sum(axis=0)
        rate = (votes + smoothing * votes.sum() / total.sum()) / (total + smoothing)
        dispersion = (mass * (self.n_votes[:, None] - rate) ** 2).sum() / (total * rate).sum()
        return rate, min(1.0, 1.0 / max(dispersion, np.finfo(float).tiny))

    def as_fit(self, posterior: np.ndarray, n: int, settled: bool) -> Fit:
        """The fit at posteriors (P, K)."""
        patterns, (log_prior, log_weight) = self.patterns, self.maximise(posterior)
        pi = self.balance(posterior) if self.task.class_balance is None else self.task.class_balance
        posterior = np.where(patterns.covered[:, None], posterior, pi)
        params = vote_rates(patterns, self.free[:, None] * posterior + self.known, self.model.smoothing, self.model.smoothing_right)
        return Fit(Evidence(patterns.lfs, patterns.classes, log_prior, log_weight), pi, params, pi, n, settled, weight=self.weight)
