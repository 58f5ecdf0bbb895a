"""The default label model: the richest model the votes can support, or majority vote, and why."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, replace
from typing import ClassVar

from groundswell.label_models.base import Fit, LabelModel, Task, register, uniform
from groundswell.label_models.dawid_skene import DawidSkene, treats_abstain_as_value, unidentified
from groundswell.label_models.copies import repeated_lfs
from groundswell.label_models.joint_copies import joint_fit
from groundswell.label_models.majority import majority_fit
from groundswell.label_models.multinomial import Multinomial
from groundswell.label_models.patterns import ABSTAIN, VotePatterns
from groundswell.label_models.priors import checked_accuracies
from groundswell.label_models.statistics import majority_disagreement
from groundswell.label_models.trust import DISAGREEMENT_LEVEL, fit_warnings, listed, lost_classes

STAYS_NEAR = 0.05
"""EM on LFs of a single class is used up to this disagreement with majority vote, which also bounds what it can lose. In 160
simulated worlds with and without copies and long rows it then gained .003 on average and lost .002 at worst."""

ENTITIES_PER_LF = 200
"""Covered entities per voting LF below which a full table per LF is too much to learn; one coin per LF then."""


@register
@dataclass
class Auto(LabelModel):
    """The richest model the votes can support, else the vote share (majority_soft).

    In this order, the first that applies:
    majority_soft  fewer than three LFs vote, or no two on the same entity, or all covered entities have the same votes; or LFs of
                   one class stand beside one that votes its class on every entity
    dawid_skene    every LF votes several classes: one coin per LF below 200 covered entities per voting LF, else the full
                   table; copied LFs are discounted, and read together (LM230) where their joint votes are frequent enough
    dawid_skene    some LFs vote a single class, EM contradicts majority vote on at most 5 % of the covered entities, and no LFs
                   of one class repeat each other more than once over (LM215)
    multinomial    otherwise: abstention then says as much about the length of a row as about its class and EM
                   drifts; one step from majority vote instead
    majority_soft  in place of what was chosen: it did not settle, or lost a class that majority vote finds (LM207), or
                   labels more than a quarter of the covered entities against majority vote (LM206)

    accuracies  LF -> the share of its votes that are right as people believe, for any of the LFs; strength: how many votes such a
    belief is worth.
    With accuracies for all LFs that vote, EM is no longer guessing: it is used without the guards above but the last

    chosen_ names the model, reason_ says why. What stands in is also the warning LM213. A given class balance is used by
    both models and for uncovered patterns. Gold anchors the fit, so that drift from majority vote is then no reason against it.
    """

    name: ClassVar[str] = "auto"
    accuracies: Mapping[str, float] | None = None
    strength: float = 100.0

    def _fit(self, task: Task) -> Fit:
        given = checked_accuracies(self.accuracies, task.patterns.lfs, self.strength)
        if given:
            return self._informed(task, given)
        reason = unidentified(task) or without_overlap(task) or against_a_default(task)
        if reason:
            return _vote_share(task, reason)
        fit = _one_sided(task) if treats_abstain_as_value(task.patterns, "auto").any() else _two_sided(task)
        reason = unbelievable(task, fit)
        return _vote_share(task, reason) if reason else fit


    def _informed(self, task: Task, given: Mapping[str, float]) -> Fit:
        """EM with beliefs about some or all LFs."""
        voting = {lf for lf, n in zip(task.patterns.lfs, task.patterns.votes_cast) if n.any()}
        reason = "" if voting <= set(given) else unidentified(task) or without_overlap(task)
        if reason:
            return _vote_share(task, reason)
        coin, _ = _coin(task.patterns)
        fit = DawidSkene(coin=coin, discount_copies=True, accuracies=given, strength=self.strength)._fit(task)
        reason = unbelievable(task, fit) if fit.chosen == "" else ""
        return _vote_share(task, reason) if reason else replace(fit, chosen=fit.chosen or "dawid_skene", reason=f"accuracies are given for {len(given)} of {len(voting)} LFs")


def without_overlap(task: Task) -> str:
    """Why EM has nothing to compare, "" where two LFs vote on the same entity or gold is given."""
    overlaps = (task.patterns.votes != ABSTAIN).sum(axis=1) >= 2
    return "" if overlaps.any() or task.anchored else "no two LFs vote on the same entity"


def against_a_default(task: Task) -> str:
    """Why votes of LFs of one class cannot be weighed: one LF votes the same class on every entity; "" where none does.

    Such a vote is the analyst's default. It says nothing about any single entity, so what it is worth against a rule is not in
    the votes; EM drops it and lets every rule win. Counting keeps the tie. Simulated in tests/benchmarks/one_sided.py.
    """
    constant = [lf for lf, n in zip(task.patterns.lfs, task.patterns.votes_cast) if n.max() == task.patterns.n_entities]
    if task.anchored or not constant or not treats_abstain_as_value(task.patterns, "auto").any():
        return ""
    return f"{listed(constant)} votes the same on every entity: what that is worth against LFs of one class, no votes can tell"


def unbelievable(task: Task, fit: Fit) -> str:
    """Why the answer of EM should not be used, "" if nothing speaks against it."""
    if not fit.converged:
        return f"EM did not settle in {fit.n_iterations} iterations"
    if task.anchored:
        return ""
    posterior = fit.posterior(task.patterns)
    lost = [task.patterns.classes[k] for k in lost_classes(task.patterns, posterior)]
    if lost:
        return f"EM lost {', '.join(lost)}, which majority vote finds"
    differs = majority_disagreement(task.patterns, posterior)
    if differs > DISAGREEMENT_LEVEL:
        return f"EM labels {differs:.0%} of covered entities against majority vote"
    return ""


def _two_sided(task: Task) -> Fit:
    coin, why = _coin(task.patterns)
    fit = replace(DawidSkene(coin=coin, discount_copies=True)._fit(task), chosen="dawid_skene", reason=why)
    joint = joint_fit(task, fit)
    return fit if joint is None or unbelievable(task, joint) else joint


def _one_sided(task: Task) -> Fit:
    """EM where it stays near majority vote, else one step from majority vote (simulated in tests/benchmarks/one_sided.py)."""
    fit = DawidSkene(discount_copies=True)._fit(task)
    differs = majority_disagreement(task.patterns, fit.posterior(task.patterns))
    repeated = repeated_lfs(task.patterns, treats_abstain_as_value(task.patterns, "auto"))
    if task.anchored or (differs <= STAYS_NEAR and not repeated and not unbelievable(task, fit)):
        return replace(fit, chosen="dawid_skene", reason=f"EM contradicts majority vote on {differs:.1%} of covered entities only")
    against = f"EM contradicts majority vote on {differs:.0%} of covered entities" if differs > STAYS_NEAR or not repeated else f"{listed(repeated)} repeat each other"
    return replace(Multinomial()._fit(task), chosen="multinomial", reason=f"some LFs vote a single class, and {against}: one step from majority vote instead")


def _coin(patterns: VotePatterns) -> tuple[str, str]:
    """(coin, why) for LFs that vote several classes."""
    covered = int(patterns.counts[patterns.covered].sum())
    n_voting = int((patterns.votes != ABSTAIN).any(axis=0).sum())
    if covered < ENTITIES_PER_LF * n_voting:
        return "one", f"{covered} covered entities for {n_voting} LFs: one coin per LF"
    return "full", f"{covered} covered entities for {n_voting} LFs: a full table per LF"


def _vote_share(task: Task, reason: str) -> Fit:
    fit = majority_fit(task, "share")
    uncovered = fit.uncovered if task.class_balance is None else task.class_balance
    warnings = fit_warnings(task.patterns, fit.posterior(task.patterns), uniform(len(task.patterns.classes)))
    return replace(
        fit,
        uncovered=uncovered,
        chosen="majority_soft",
        reason=reason,
        warnings=(*warnings, f"LM213: the vote share stands in for EM: {reason}"),
    )
