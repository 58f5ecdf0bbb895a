"""The default label model: the richest model the votes can support, or majority vote, and why."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, replace
from typing import ClassVar

import numpy as np

from groundswell.label_models.anchored import Anchored, taken_at_their_word
from groundswell.label_models.base import Fit, LabelModel, Task, register, uniform
from groundswell.label_models.dawid_skene import DawidSkene, one_sided, unidentified
from groundswell.label_models.joint_copies import joint_fit
from groundswell.label_models.majority import majority_fit
from groundswell.label_models.patterns import ABSTAIN, VotePatterns
from groundswell.label_models.priors import checked_accuracies
from groundswell.label_models.statistics import majority_disagreement
from groundswell.label_models.trust import DISAGREEMENT_LEVEL, fit_warnings, listed, lost_classes

CROWD = 10
"""Fewer covered entities per LF of several classes: these LFs are a crowd, of which each votes too seldom for a table."""

ENTITIES_PER_LF = 200
"""Covered entities per voting LF below which a full table per LF is too much to learn; one coin per LF then."""


@register
@dataclass
class Auto(LabelModel):
    """The richest model the votes can support, else the vote share (majority_soft).

    In this order, the first that applies:
    majority_soft  fewer than three LFs vote, or no two on the same entity, or all covered entities have the same votes; or LFs of
                   one class stand beside one that votes its class on every entity
    dawid_skene    gold tells the classes apart, or every LF votes several classes and there are fewer than 10 covered entities per
                   LF, as among thousands of crowd workers: one coin per LF below 200 of them, else the full table
    anchored       otherwise: EM that keeps to the vote share in part, for abstentions and agreement say as much about the length
                   and the topic of a row as about its class
    majority_soft  in place of what was chosen: it did not settle, or lost a class that majority vote finds (LM207)

    dawid_skene also gives way where it labels more than a quarter of the covered entities against majority vote. anchored may, and
    then warns (LM206): in simulated worlds a limit did not make it fall below majority vote less often, and cost accuracy.

    Copied LFs of several classes are discounted (LM214) and, where no LF votes a single class and their joint votes are frequent
    enough, read together (LM230).

    accuracies  LF -> the share of its votes that are right as people believe, for any of the LFs; strength: how many votes such a
    belief is worth.
    EM (dawid_skene) is then used, unless it labels more than a quarter of the covered entities against majority vote; with
    accuracies for all LFs that vote it is no longer guessing, and the first of the guards above does not apply.

    chosen_ names the model, reason_ says why. What stands in is also the warning LM213. A given class balance is used by
    all models and for uncovered patterns. Gold anchors the fit, so that drift from majority vote is then no reason against it.
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
        fit = _dawid_skene(task) if task.anchored or is_crowd(task.patterns) else _anchored(task)
        reason = unbelievable(task, fit) or (drifted(task, fit) if fit.chosen == "dawid_skene" else "")
        return _vote_share(task, reason) if reason else fit

    def _informed(self, task: Task, given: Mapping[str, float]) -> Fit:
        """EM with beliefs about some or all LFs."""
        voting = {lf for lf, n in zip(task.patterns.lfs, task.patterns.votes_cast) if n.any()}
        reason = "" if voting <= set(given) else unidentified(task) or without_overlap(task)
        if reason:
            return _vote_share(task, reason)
        coin, _ = _coin(task.patterns)
        fit = DawidSkene(coin=coin, discount_copies=True, accuracies=given, strength=self.strength)._fit(task)
        reason = unbelievable(task, fit) or drifted(task, fit) if fit.chosen == "" else ""
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
    if task.anchored or not constant or not one_sided(task.patterns).any():
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
    return ""


def drifted(task: Task, fit: Fit) -> str:
    """Why EM that nothing ties to the vote share should not be used: it is too far from it; "" where it is not, or gold is given."""
    differs = majority_disagreement(task.patterns, fit.posterior(task.patterns))
    return f"EM labels {differs:.0%} of covered entities against majority vote" if differs > DISAGREEMENT_LEVEL and not task.anchored else ""


def is_crowd(patterns: VotePatterns) -> bool:
    """Are there fewer than CROWD covered entities per voting LF, all of which vote several classes?"""
    return not one_sided(patterns).any() and _covered(patterns) < CROWD * _n_voting(patterns)


def _dawid_skene(task: Task) -> Fit:
    coin, why = ("full", "some LFs vote a single class") if one_sided(task.patterns).any() else _coin(task.patterns)
    reason = f"gold tells the classes apart; {why}" if task.anchored else why
    fit = replace(DawidSkene(coin=coin, discount_copies=True)._fit(task), chosen="dawid_skene", reason=reason)
    return _read_together(task, fit, task.gold)


def _anchored(task: Task) -> Fit:
    fit, anchor = Anchored().fitted(task)
    why = f"EM in which {anchor:.0%} of each entity counts as its votes say"
    return _read_together(task, replace(fit, chosen="anchored", reason=why), taken_at_their_word(task, anchor, fit.weight))


def _read_together(task: Task, fit: Fit, known: np.ndarray | None) -> Fit:
    """The fit with copied LFs read together, if all LFs vote several classes and the result can be believed."""
    joint = None if one_sided(task.patterns).any() else joint_fit(task, fit, known)
    return fit if joint is None or unbelievable(task, joint) else joint


def _coin(patterns: VotePatterns) -> tuple[str, str]:
    """(coin, why) for LFs that vote several classes."""
    covered, n_voting = _covered(patterns), _n_voting(patterns)
    if covered < ENTITIES_PER_LF * n_voting:
        return "one", f"{covered} covered entities for {n_voting} LFs: one coin per LF"
    return "full", f"{covered} covered entities for {n_voting} LFs: a full table per LF"


def _covered(patterns: VotePatterns) -> int:
    return int(patterns.counts[patterns.covered].sum())


def _n_voting(patterns: VotePatterns) -> int:
    return int((patterns.votes_cast > 0).any(axis=1).sum())


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
