"""Matrix completion: conditional vote tables from how often pairs of LFs vote together (MeTaL, Snorkel 0.9)."""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import Any, ClassVar, Sequence

import numpy as np

from groundswell.errors import LabelModelError, did_you_mean
from groundswell.label_models.base import Fit, LabelModel, Task, register, undefined_params
from groundswell.label_models.class_balance import class_balance
from groundswell.label_models.dawid_skene import em_from, majority_stand_in, unidentified
from groundswell.label_models.em import Parameters, best_permutation
from groundswell.label_models.evidence import Evidence, Interaction
from groundswell.label_models.factors import read_dependencies
from groundswell.label_models.inverse_moments import inverse_tables
from groundswell.label_models.moments import Events, Moments, moments, vote_events
from groundswell.label_models.patterns import VotePatterns
from groundswell.label_models.trust import fit_warnings

FORMS = ("direct", "inverse")
ACCURACY_GUESS = 0.7
"""P(Y = v | vote v) of every LF that the direct form starts from."""

MOST_JOINT_VOTES = 4096
"""Joint votes (K+1)^g that a group of g dependent LFs may have."""


@register
@dataclass
class Metal(LabelModel):
    """P(Y | votes) proportional to pi_y prod_{j votes} P(vote_j | y), tables from pairwise moments alone.

    form          "direct": least squares on O = mu P mu^T over pairs of different LFs, plus the row sums; "inverse": the inverse
                  covariance of votes has rank one off the blocks of dependent LFs (two classes). On populations they agree;
                  on samples the inverse of rare joint votes is noisy, and the direct form more accurate
    dependencies  [(type, lf_j, lf_k), ...] or Dependency objects: which LFs depend on each other given the class, two classes only;
                  the type is not used. Connected LFs become one source with a table of joint votes
    l2            pull of the direct form towards its start, in which every LF is right 70 % of the times it votes

    The class balance is the one given, or counted in gold (LM212: gold does nothing else), or estimated from third moments
    (LM218 where it is assumed). Deterministic: L-BFGS to convergence from a fixed start. Abstentions are left out of the product.
    With three classes and more, second moments do not identify the tables: every rotation that keeps the square roots of the
    class balance fits as well. EM (`dawid_skene`) then refines the result, with the warning LM220. Fewer than three voting LFs:
    majority vote (LM213). objective_ is minus the squared error, NaN for the inverse form. Source: Ratner et al. 2019.

    Raises LabelModelError: LM107 (option value).
    """

    name: ClassVar[str] = "metal"
    form: str = "direct"
    dependencies: Sequence[Any] = ()
    l2: float = 0.0
    max_iterations: int = 5000

    def _fit(self, task: Task) -> Fit:
        groups = checked_groups(self, task.patterns)
        reason = unidentified(replace(task, gold=None))
        if reason:
            return majority_stand_in(task, reason)
        balance, warnings = class_balance(task)
        events = vote_events(task.patterns, groups)
        found = moments(events, task.patterns.counts)
        if self.form == "inverse":
            tables, extra = inverse_tables(events, found, balance)
            solved = Solved(tables, float("nan"), 0, True)
            warnings += extra
        else:
            solved = direct_tables(events, found, balance, l2=self.l2, max_iterations=self.max_iterations)
        return self._described(task, events, balance, replace(solved, tables=clamped(solved.tables, found.n)), warnings)

    def _described(self, task: Task, events: Events, balance: np.ndarray, solved: Solved, warnings: list[str]) -> Fit:
        patterns = task.patterns
        tables = _named(solved.tables, events, balance, patterns)
        evidence = Evidence(patterns.lfs, patterns.classes, np.log(balance), _weights(tables, events, patterns), interactions=_interactions(tables, events, patterns))
        fit = Fit(evidence, balance, _params(tables, events, patterns), balance, solved.n_iterations, solved.converged, solved.objective)
        if len(balance) > 2:
            text = "LM220: second moments do not identify the tables of three classes and more; EM refined a start made from them"
            return em_from(task, fit.posterior(patterns)).warned(text, *warnings)
        if not solved.converged:
            warnings = [*warnings, f"LM210: the fit did not settle in {self.max_iterations} iterations"]
        gold = [] if task.gold is None else ["LM212: gold counts for the class balance at most"]
        return fit.warned(*fit_warnings(patterns, fit.posterior(patterns), balance), *warnings, *gold)


@dataclass(frozen=True)
class Solved:
    """tables float (E, K), P(event | y); objective, iterations, whether they settled."""

    tables: np.ndarray
    objective: float
    n_iterations: int
    converged: bool


def direct_tables(events: Events, found: Moments, balance: np.ndarray, *, l2: float = 0.0, max_iterations: int = 5000) -> Solved:
    """mu minimising |(O - mu P mu^T) over foreign pairs|^2 + |mu pi - diag O|^2 + l2^2 |mu - start|^2 within [0, 1]."""
    from scipy.optimize import minimize

    foreign, observed = events.foreign, found.second
    start = _start(events, found, balance)

    def loss(flat: np.ndarray) -> tuple[float, np.ndarray]:
        mu = flat.reshape(start.shape)
        weighted = mu * balance
        residual = np.where(foreign, weighted @ mu.T - observed, 0.0)
        row, off = mu @ balance - found.mean, mu - start
        value = (residual**2).sum() + (row**2).sum() + l2**2 * (off**2).sum()
        slope = 4 * residual @ weighted + 2 * row[:, None] * balance + 2 * l2**2 * off
        return scale * float(value), scale * slope.ravel()

    scale = 1.0
    scale = 1e3 / max(loss(start.ravel())[0], 1e-12)
    precision = 1e-15 if len(balance) == 2 else 1e-8  # of more classes it is a start for EM
    found_at = minimize(
        loss, start.ravel(), jac=True, method="L-BFGS-B", bounds=[(0.0, 1.0)] * start.size,
        options={"maxiter": max_iterations, "maxfun": 4 * max_iterations, "ftol": precision, "gtol": 1e-10, "maxcor": 30},
    )  # fmt: skip
    return Solved(found_at.x.reshape(start.shape), -float(found_at.fun) / scale, int(found_at.nit), found_at.nit < max_iterations)


def clamped(tables: np.ndarray, n: int) -> np.ndarray:
    """Tables within [e, 1 - e], e = min(.01, 10^-ceil(log10 n)), as in Snorkel."""
    least = min(0.01, 10.0 ** -np.ceil(np.log10(max(n, 2))))
    return np.clip(tables, least, 1 - least)


def _start(events: Events, found: Moments, balance: np.ndarray) -> np.ndarray:
    """Every LF right ACCURACY_GUESS of the times it votes; joint votes as likely in every class."""
    start = np.zeros((len(events.what), len(balance)))
    for e, what in enumerate(events.what):
        if len(what) == 1:
            v = what[0][1]
            start[e, v] = min(found.mean[e] * ACCURACY_GUESS / balance[v], 1.0)
        else:
            start[e] = found.mean[e]
    return start


def _named(tables: np.ndarray, events: Events, balance: np.ndarray, patterns: VotePatterns) -> np.ndarray:
    """The tables with classes of equal prior renamed as the votes agree best."""
    theta = np.nan_to_num(_params(tables, events, patterns))
    return tables[:, best_permutation(Parameters(balance, theta), balance)]


def _params(tables: np.ndarray, events: Events, patterns: VotePatterns) -> np.ndarray:
    """P(vote_j = v | y), float (m, K, K+1), abstain last, rows that exceed one scaled down; NaN for LFs that never vote."""
    K, params = len(patterns.classes), undefined_params(patterns)
    voted = np.zeros((len(patterns.lfs), K, K))
    for e, what in enumerate(events.what):
        if len(what) == 1:
            voted[what[0][0], :, what[0][1]] = tables[e]
    fires = np.unique([w[0][0] for w in events.what])
    total = voted[fires].sum(axis=2, keepdims=True)
    params[fires] = np.concatenate([voted[fires] / np.maximum(total, 1.0), np.maximum(1 - total, 0.0)], axis=2)
    return params


def _weights(tables: np.ndarray, events: Events, patterns: VotePatterns) -> np.ndarray:
    weight = np.zeros((len(patterns.lfs), len(patterns.classes) + 1, len(patterns.classes)))
    for e, what in enumerate(events.what):
        if len(what) == 1:
            weight[what[0]] = np.log(tables[e])
    return weight


def _interactions(tables: np.ndarray, events: Events, patterns: VotePatterns) -> tuple[Interaction, ...]:
    """What joint votes of dependent LFs add to the sum of their single ones."""
    K, at = len(patterns.classes), {what: e for e, what in enumerate(events.what)}
    found: dict[int, Interaction] = {}
    for e, what in enumerate(events.what):
        if len(what) > 1:
            source = int(events.source[e])
            group = sorted({lf for w, s in zip(events.what, events.source) if s == source for lf, _ in w})
            table = found.setdefault(source, Interaction(tuple(patterns.lfs[j] for j in group), np.zeros((*[K + 1] * len(group), K))))
            votes = dict(what)
            alone = sum(np.log(tables[at[(single,)]]) for single in what)
            table.log_weight[tuple(votes.get(j, K) for j in group)] = np.log(tables[e]) - alone
    return tuple(found.values())


def checked_groups(model: Metal, patterns: VotePatterns) -> list[list[int]]:
    """Columns of LFs that depend on each other, directly or through others, of the options of a model; raises LM107."""
    from scipy.sparse import coo_array
    from scipy.sparse.csgraph import connected_components

    if model.form not in FORMS:
        raise LabelModelError("LM107", f'form cannot be "{model.form}"', hint=did_you_mean(str(model.form), FORMS) or f"one of {', '.join(FORMS)}")
    if not model.l2 >= 0 or not model.max_iterations >= 1:
        raise LabelModelError("LM107", "l2 cannot be negative and max_iterations must be positive")
    given, K = read_dependencies(model.dependencies, patterns.lfs), len(patterns.classes)
    if K > 2 and (given or model.form == "inverse"):
        raise LabelModelError("LM107", "the inverse form and known dependencies need two classes", hint='method "factor_graph" takes dependencies of any classes')
    if not given:
        return []
    ends = np.array([[patterns.lfs.index(d.lf_j), patterns.lfs.index(d.lf_k)] for d in given])
    linked = coo_array((np.ones(len(ends)), (ends[:, 0], ends[:, 1])), shape=(len(patterns.lfs),) * 2)
    label = connected_components(linked, directed=False)[1]
    groups = [np.flatnonzero(label == c).tolist() for c in np.unique(label[ends[:, 0]])]
    largest = max(map(len, groups))
    if (K + 1) ** largest > MOST_JOINT_VOTES:
        raise LabelModelError("LM107", f"the dependencies join {largest} LFs, whose joint votes are too many", hint='method "factor_graph" can sample them')
    return groups
