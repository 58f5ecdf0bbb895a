"""Majority vote, hard and soft: the floor every other label model is measured against."""

from __future__ import annotations

from dataclasses import replace
from typing import ClassVar

import numpy as np

from groundswell.label_models.base import Fit, LabelModel, Task, register, undefined_params, uniform
from groundswell.label_models.evidence import Evidence
from groundswell.label_models.statistics import expected_balance
from groundswell.label_models.trust import vote_warnings


@register
class Majority(LabelModel):
    """p_y = 1/t for each of the t classes with most votes, else 0; uniform without votes.

    Learns nothing: seed, class_balance and gold do not change the labels, and params_ is NaN. evidence() counts votes.
    class_balance_ is the one given, or the mean posterior of covered entities. Source: Snorkel's MajorityLabelVoter.
    """

    name: ClassVar[str] = "majority"
    rule: ClassVar[str] = "largest"

    def _fit(self, task: Task) -> Fit:
        return majority_fit(task, self.rule).warned(*vote_warnings(task.patterns), *_unused(task))


@register
class MajoritySoft(Majority):
    """p_y = votes for y / votes; uniform without votes. Otherwise as `majority`."""

    name: ClassVar[str] = "majority_soft"
    rule: ClassVar[str] = "share"


def majority_fit(task: Task, rule: str) -> Fit:
    """Majority vote as a Fit: each vote weighs 1 for its class; uncovered patterns are uniform."""
    patterns, n_classes = task.patterns, len(task.patterns.classes)
    weight = np.concatenate([np.eye(n_classes), np.zeros((1, n_classes))])
    evidence = Evidence(
        patterns.lfs, patterns.classes, np.zeros(n_classes), np.tile(weight, (len(patterns.lfs), 1, 1)), "votes", rule
    )
    fit = Fit(evidence, uniform(n_classes), undefined_params(patterns), uniform(n_classes))
    balance = task.class_balance if task.class_balance is not None else expected_balance(patterns, fit.posterior(patterns))
    return replace(fit, class_balance=balance)


def _unused(task: Task) -> list[str]:
    return ["LM212: majority vote does not use gold"] if task.gold is not None else []
