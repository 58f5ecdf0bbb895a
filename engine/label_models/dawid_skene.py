"""Dawid-Skene: EM over each LF's conditional vote table, with abstain treated per LF."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, replace
from typing import ClassVar

import numpy as np

from groundswell.errors import LabelModelError, did_you_mean
from groundswell.label_models.base import Fit, LabelModel, Task, register, undefined_params, uniform
from groundswell.label_models.copies import copy_weights, discounted, repeated
from groundswell.label_models.em import Outcome, Parameters, PatternEM, Smoothing, best_permutation, log_weights, permuted
from groundswell.label_models.evidence import Evidence
from groundswell.label_models.majority import majority_fit
from groundswell.label_models.patterns import ABSTAIN, VotePatterns
from groundswell.label_models.priors import prior_counts
from groundswell.label_models.statistics import majority_posterior
from groundswell.label_models.trust import fit_warnings

TREATMENTS = ("auto", "missing", "value")
COINS = ("full", "one")

DISCOUNT_ROUNDS, SETTLED_WEIGHT = 5, 0.01
"""Weights of copied LFs are learned at most this often, until none moves by more than this."""

CHANCE = 0.01
"""Probability that some LF of two sides is taken for one of a single side."""


@register
@dataclass
class DawidSkene(LabelModel):
    """P(Y | votes) from EM over theta_j[y, v] = P(vote_j = v | Y = y), LFs independent given the class.

    abstain          "missing": abstentions carry no information; "value": they are one more symbol of the LF; "auto":
                     value for an LF that votes a single class (its votes say nothing otherwise; see `one_sided`), else missing; or a mapping
                     LF -> one of these (others auto). All entities are fitted as soon as one LF is value, else the covered ones
    coin             "full": a table per LF; "one": theta_j[y, y] = a_j, errors uniform, for the LFs whose abstentions are
                     missing (a value LF's table holds firing rates and stays full). For few entities per LF
    smoothing        pseudo-count of every symbol v != y; smoothing_right of v = y; prior_smoothing of each class
    discount_copies  weigh down LFs (those whose abstentions are missing) that repeat each other beyond what the class
                     explains, w_j = 1 / (1 + sum of residual correlations), learned in turn with the tables. Of g copies each
                     gets 1/g; independent LFs keep 1. Discounted LFs are named by the warning LM214
    accuracies       LF -> the share of its votes that are right as people believe, for any of the LFs; strength: how many votes
                     such a belief is worth (see `prior_counts`). Beliefs about all LFs identify the model even where votes do not
    tolerance        relative change of the penalised objective at which EM stops, at most max_iterations

    Starts from majority vote; learned classes are renamed by the permutation that agrees best with the votes, unless gold
    anchors them. objective_ is the penalised log-likelihood. An LF that never votes has params_ NaN and no influence. With
    fewer than three voting LFs, or a single pattern, the tables are not identified: the fit is majority vote and says so
    (LM213, chosen_). Source: Dawid & Skene 1979.

    Raises LabelModelError: LM107 (option value).
    """

    name: ClassVar[str] = "dawid_skene"
    abstain: str | Mapping[str, str] = "auto"
    coin: str = "full"
    smoothing: float = 1.0
    smoothing_right: float = 2.0
    prior_smoothing: float = 1.0
    discount_copies: bool = False
    accuracies: Mapping[str, float] | None = None
    strength: float = 100.0
    tolerance: float = 1e-8
    max_iterations: int = 1000

    def _fit(self, task: Task) -> Fit:
        _check_options(self)
        voting = np.flatnonzero((task.patterns.votes != ABSTAIN).any(axis=0))
        known = {task.patterns.lfs[j] for j in voting} <= set(self.accuracies or {}) and len(voting) > 0
        reason = "" if known else unidentified(task)
        if reason:
            return majority_stand_in(task, reason)
        return _em_fit(self, task, voting)


def unidentified(task: Task) -> str:
    """Why EM cannot learn from these votes without gold, "" if it can."""
    if task.anchored:
        return ""
    votes = task.patterns.votes
    n_voting = int((votes != ABSTAIN).any(axis=0).sum())
    if n_voting < 3:
        return f"{n_voting} LFs vote; the accuracy of an LF is identified from three on"
    if task.patterns.covered.sum() < 2:
        return "all covered entities have the same votes"
    return ""


def majority_stand_in(task: Task, reason: str) -> Fit:
    """Majority vote (hard) in place of a model that cannot be fitted; uncovered patterns get a given class balance."""
    fit = majority_fit(task, "largest")
    uncovered = fit.uncovered if task.class_balance is None else task.class_balance
    warning = f"LM213: majority vote stands in: {reason}"
    warnings = (warning, *fit_warnings(task.patterns, fit.posterior(task.patterns), fit.class_balance))
    return replace(fit, uncovered=uncovered, warnings=warnings, chosen="majority", reason=reason)


def treats_abstain_as_value(patterns: VotePatterns, abstain: str | Mapping[str, str]) -> np.ndarray:
    """bool (m,): LFs whose abstentions are a symbol; `abstain` as in DawidSkene."""
    wanted = abstain if isinstance(abstain, Mapping) else dict.fromkeys(patterns.lfs, abstain)
    treatment = np.array([wanted.get(lf, "auto") for lf in patterns.lfs], object)
    return (treatment == "value") | ((treatment == "auto") & one_sided(patterns))


def one_sided(patterns: VotePatterns) -> np.ndarray:
    """bool (m,): LFs that vote a single class on purpose.

    Where some LFs vote several classes, one with few votes may have met a single class by chance: it counts as one-sided only
    if so many votes of one class would be a surprise (CHANCE over all LFs) at that class's share of all votes.
    """
    K = len(patterns.classes)
    cast = patterns.votes_cast[:, :K].astype(float)
    single = (cast > 0).sum(axis=1) == 1
    if not ((cast > 0).sum(axis=1) > 1).any():
        return single
    share = cast.sum(axis=0) / cast.sum()
    surprise = cast.sum(axis=1) * np.log(np.maximum(share[cast.argmax(axis=1)], 1e-300))
    return single & (surprise < np.log(CHANCE / len(cast)))


def em_from(task: Task, start: np.ndarray) -> Fit:
    """EM with default options from posteriors `start` (P, K) instead of majority vote's; needs three voting LFs, or gold."""
    return _em_fit(DawidSkene(), task, np.flatnonzero((task.patterns.votes != ABSTAIN).any(axis=0)), start)


def _em_fit(model: DawidSkene, task: Task, voting: np.ndarray, start: np.ndarray | None = None) -> Fit:
    _check_lfs(model.abstain, task.patterns.lfs)
    value = treats_abstain_as_value(task.patterns, model.abstain)[voting]
    fitted, gold, start = _fitted_rows(task, voting, value, start)
    prior = _prior(model, task)[voting]
    em, outcome = _run(model, fitted, value, gold, start, task.class_balance, np.ones(len(voting)), task.anchored, prior)
    for _ in range(DISCOUNT_ROUNDS if model.discount_copies else 0):
        weight = copy_weights(fitted, em.expect(outcome.parameters)[0], ~value)
        if np.abs(weight - em.weight).max() < SETTLED_WEIGHT:
            break
        em, outcome = _run(model, fitted, value, gold, start, task.class_balance, weight, task.anchored, prior)
    return _as_fit(model, task, voting, em, outcome)


def _prior(model: DawidSkene, task: Task) -> np.ndarray:
    """Pseudo-counts (m, K, K+1) of the accuracies given; without a class balance, classes are as frequent as majority vote has them."""
    patterns, balance = task.patterns, task.class_balance
    if balance is None and model.accuracies:
        mass = (patterns.counts[:, None] * majority_posterior(patterns))[patterns.covered].sum(axis=0) + 1
        balance = mass / mass.sum()
    value = treats_abstain_as_value(patterns, model.abstain)
    return prior_counts(patterns, model.accuracies, model.strength, value, uniform(len(patterns.classes)) if balance is None else balance)


def _fitted_rows(
    task: Task, voting: np.ndarray, value: np.ndarray, start: np.ndarray | None
) -> tuple[VotePatterns, np.ndarray | None, np.ndarray]:
    """The part EM sees: voting LFs, all patterns or the covered ones; with its gold and its start, majority vote if none is given."""
    patterns = task.patterns
    rows = np.ones(len(patterns.counts), bool) if value.any() else patterns.covered
    lfs = tuple(patterns.lfs[j] for j in voting)
    if rows.all() and lfs == patterns.lfs:
        fitted = patterns
    else:
        fitted = VotePatterns(patterns.votes[rows][:, voting], patterns.counts[rows], lfs, patterns.classes)
    return fitted, None if task.gold is None else task.gold[rows], majority_posterior(fitted) if start is None else start[rows]


def _run(
    model: DawidSkene,
    fitted: VotePatterns,
    value: np.ndarray,
    gold: np.ndarray | None,
    start: np.ndarray,
    balance: np.ndarray | None,
    weight: np.ndarray,
    anchored: bool,
    prior: np.ndarray,
) -> tuple[PatternEM, Outcome]:
    em = PatternEM(
        fitted.events,
        fitted.counts,
        len(fitted.classes),
        value=value,
        smoothing=Smoothing(model.prior_smoothing, model.smoothing_right, model.smoothing),
        one_coin=model.coin == "one",
        weight=weight,
        pi=balance,
        gold=gold,
        anchored=anchored,
        prior=prior,
    )
    return em, em.run(start, tolerance=model.tolerance, max_iterations=model.max_iterations)


def _as_fit(model: DawidSkene, task: Task, voting: np.ndarray, em: PatternEM, outcome: Outcome) -> Fit:
    patterns, parameters = task.patterns, _named(outcome.parameters, task)
    evidence, params = _described(parameters, em.value, em.weight, voting, patterns)
    n, settled, objective = len(outcome.trace), outcome.converged, outcome.trace[-1]
    weight = np.ones(len(patterns.lfs))
    weight[voting] = em.weight
    fit = Fit(evidence, parameters.pi, params, parameters.pi, n, settled, objective, weight=weight)
    return fit.warned(
        *fit_warnings(patterns, fit.posterior(patterns), fit.class_balance),
        *([] if settled else [f"LM210: EM did not settle in {model.max_iterations} iterations"]),
        *discounted([patterns.lfs[j] for j in voting], em.weight),
        *repeated(patterns, not_discounted(model, patterns)),
    )


def not_discounted(model: DawidSkene, patterns: VotePatterns) -> np.ndarray:
    """bool (m,): LFs that count in full even where they repeat each other."""
    everyone = np.ones(len(patterns.lfs), bool)
    return treats_abstain_as_value(patterns, model.abstain) if model.discount_copies else everyone


def _named(parameters: Parameters, task: Task) -> Parameters:
    if task.anchored:
        return parameters
    return permuted(parameters, best_permutation(parameters, task.class_balance), task.class_balance)


def _described(
    parameters: Parameters, value: np.ndarray, weight: np.ndarray, voting: np.ndarray, patterns: VotePatterns
) -> tuple[Evidence, np.ndarray]:
    """Evidence and params over all LFs: silent ones weigh nothing and have no table."""
    K = len(patterns.classes)
    prior, voted_weight = log_weights(parameters, value, weight)
    log_weight = np.zeros((len(patterns.lfs), K + 1, K))
    log_weight[voting] = voted_weight
    theta = parameters.theta.copy()
    theta[~value, :, K] = np.nan
    params = undefined_params(patterns)
    params[voting] = theta
    return Evidence(patterns.lfs, patterns.classes, prior, log_weight), params


def _check_options(model: DawidSkene) -> None:
    treatments = model.abstain.values() if isinstance(model.abstain, Mapping) else [model.abstain]
    for treatment in treatments:
        _check_choice("abstain", treatment, TREATMENTS)
    _check_choice("coin", model.coin, COINS)
    for option in ("smoothing", "smoothing_right", "prior_smoothing", "tolerance", "max_iterations"):
        if not getattr(model, option) > 0 and not (option == "tolerance" and model.tolerance == 0):
            raise LabelModelError("LM107", f"{option} must be positive, got {getattr(model, option)!r}")


def _check_choice(option: str, value: str, allowed: tuple[str, ...]) -> None:
    if value not in allowed:
        hint = did_you_mean(str(value), allowed) or f"one of {', '.join(allowed)}"
        raise LabelModelError("LM107", f'{option} cannot be "{value}"', hint=hint)


def _check_lfs(abstain: str | Mapping[str, str], lfs: tuple[str, ...]) -> None:
    for lf in abstain if isinstance(abstain, Mapping) else ():
        if lf not in lfs:
            raise LabelModelError("LM107", f'abstain names the unknown LF "{lf}"', hint=did_you_mean(lf, lfs))
