"""FlyingSquid: conditional vote tables in closed form, from the covariances of triplets of LFs."""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import ClassVar

import numpy as np

from groundswell.errors import LabelModelError, did_you_mean
from groundswell.label_models.base import Fit, LabelModel, Task, register, undefined_params
from groundswell.label_models.class_balance import class_balance
from groundswell.label_models.dawid_skene import TREATMENTS, majority_stand_in, treats_abstain_as_value, unidentified
from groundswell.label_models.evidence import Evidence
from groundswell.label_models.metal import clamped
from groundswell.label_models.moments import Events, Moments, moments, vote_events
from groundswell.label_models.patterns import VotePatterns
from groundswell.label_models.trust import fit_warnings, listed

AGGREGATES = ("median", "mean")
STANDARD_ERRORS = 3.0
"""A triplet counts if the covariance it divides by exceeds this many standard errors of independent votes."""


@register
@dataclass
class FlyingSquid(LabelModel):
    """P(Y | votes) proportional to pi_y prod_{j votes} P(vote_j | y), tables in closed form from triplets of LFs.

    aggregate  how the triplets of an LF are put together: "median", or "mean" weighted by the covariance that is divided by
    abstain    "missing": abstentions are left out of the product; "value": they count, as the tables say; "auto": value for LFs
               of a single class

    Two classes and independent LFs: exact for any tables, given the class balance. That one is given, or counted in gold (LM212:
    gold does nothing else), or estimated from third moments (LM218 where it is assumed). More classes: each against the rest,
    tables clipped and normalised, which is an approximation (LM223). LFs are taken to be better than chance. LFs without a usable
    triplet are named by LM224; if there is none at all, or fewer than three LFs vote, majority vote stands in (LM213).
    Source: Fu et al. 2020, with covariances in place of raw moments, which hold for symmetric errors only.

    Raises LabelModelError: LM107 (option value).
    """

    name: ClassVar[str] = "flying_squid"
    aggregate: str = "median"
    abstain: str = "missing"

    def _fit(self, task: Task) -> Fit:
        for option, value, allowed in (("aggregate", self.aggregate, AGGREGATES), ("abstain", self.abstain, TREATMENTS)):
            if value not in allowed:
                raise LabelModelError("LM107", f'{option} cannot be "{value}"', hint=did_you_mean(str(value), allowed) or f"one of {', '.join(allowed)}")
        patterns = task.patterns
        reason = unidentified(replace(task, gold=None))
        if reason:
            return majority_stand_in(task, reason)
        balance, warnings = class_balance(task)
        events = vote_events(patterns)
        found = moments(events, patterns.counts)
        tables, lonely = triplet_tables(events, found, balance, self.aggregate)
        if len(lonely) == len(set(events.source)):
            return majority_stand_in(task, "no two LFs vary together beyond chance")
        params, weight = _described(clamped(tables, found.n), events, patterns)
        weight[~treats_abstain_as_value(patterns, self.abstain), -1] = 0.0
        fit = Fit(Evidence(patterns.lfs, patterns.classes, np.log(balance), weight), balance, params, balance)
        return fit.warned(*fit_warnings(patterns, fit.posterior(patterns), balance), *warnings, *_limits(task, lonely))


def triplet_tables(events: Events, found: Moments, balance: np.ndarray, aggregate: str) -> tuple[np.ndarray, list[int]]:
    """(P(event | y) float (E, K), LFs without a usable triplet); events are votes of single LFs.

    Class y against the rest: votes coded +1 for y, -1 for others, 0 for abstain; d_j = E[code_j | y] - E[code_j | rest]; then
    Cov(event, code_j) = d_j pi_y (1 - pi_y) (P(event | y) - P(event | rest)) for every other LF j.
    """
    covariance, tables = found.covariance, np.zeros((len(events.what), len(balance)))
    lfs, column = np.unique(events.source, return_inverse=True)
    lonely = np.ones(len(lfs), bool)
    for y in [1] if len(balance) == 2 else range(len(balance)):
        code = np.zeros((len(events.what), len(lfs)))
        code[np.arange(len(column)), column] = [1.0 if what[0][1] == y else -1.0 for what in events.what]
        with_codes, spread = covariance @ code, balance[y] * (1 - balance[y])
        separation = separations(code.T @ with_codes, found.n, aggregate) / np.sqrt(spread)
        known = np.nan_to_num(separation)
        lonely &= ~(known > 0)
        others = known.sum() - known[column]
        own = with_codes[np.arange(len(column)), column]
        numerator = (with_codes * (known > 0)).sum(axis=1) - own * (known[column] > 0)
        gap = np.divide(numerator, spread * others, out=np.zeros(len(column)), where=others > 0)
        tables[:, y] = found.mean + (1 - balance[y]) * gap
        if len(balance) == 2:
            tables[:, 0] = found.mean - balance[1] * gap
    return tables, lfs[lonely].tolist()


def separations(covariance: np.ndarray, n: int, aggregate: str) -> np.ndarray:
    """sqrt(C_ij C_ik / C_jk) of each LF i over pairs of others, float (m,) >= 0; NaN without a usable triplet. O(m^3), O(m^2) memory.

    covariance  float (m, m)   of coded votes over n entities
    """
    m = len(covariance)
    variance = np.maximum(np.diag(covariance), 0.0)
    noise = STANDARD_ERRORS * np.sqrt(np.outer(variance, variance) / n)
    absolute = np.abs(covariance)
    usable = np.triu(absolute > np.maximum(noise, 1e-15), 1)
    found = np.full(m, np.nan)
    for i in range(m):
        pairs = usable.copy()
        pairs[i, :] = pairs[:, i] = False
        j, k = np.nonzero(pairs)
        if len(j):
            products = absolute[i, j] * absolute[i, k]
            by_mean = aggregate == "mean"
            found[i] = np.sqrt(products.sum() / absolute[j, k].sum() if by_mean else np.median(products / absolute[j, k]))
    return found


def _described(tables: np.ndarray, events: Events, patterns: VotePatterns) -> tuple[np.ndarray, np.ndarray]:
    """(params, weights): tables with abstain, rows normalised; NaN and 0 for LFs that never vote."""
    K, params = len(patterns.classes), undefined_params(patterns)
    voted = np.zeros((len(patterns.lfs), K, K))
    for e, what in enumerate(events.what):
        voted[what[0][0], :, what[0][1]] = tables[e]
    silent = np.maximum(1 - voted.sum(axis=2, keepdims=True), 0.0)
    fires = np.unique(events.source)
    full = np.concatenate([voted, silent], axis=2)
    params[fires] = (full / full.sum(axis=2, keepdims=True))[fires]
    weight = np.zeros((len(patterns.lfs), K + 1, K))
    seen = np.nan_to_num(params) > 0
    weight[:] = np.log(np.where(seen, params, 1.0)).transpose(0, 2, 1)
    return params, weight


def _limits(task: Task, lonely: list[int]) -> list[str]:
    found = []
    if task.gold is not None:
        found.append("LM212: gold counts for the class balance at most")
    if len(task.patterns.classes) > 2:
        found.append("LM223: triplets are exact for two classes; more were fitted one against the rest, which is an approximation")
    if lonely:
        found.append(f"LM224: LFs that no pair of others varies with, so that they teach nothing about the rest: {listed([task.patterns.lfs[j] for j in lonely])}")
    return found
