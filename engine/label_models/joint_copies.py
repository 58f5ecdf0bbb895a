"""LFs that repeat each other, read together: one table over their joint votes instead of a discount on each."""

from __future__ import annotations

from dataclasses import dataclass, replace

import numpy as np

from groundswell.label_models.base import Fit, Task
from groundswell.label_models.copies import repetition
from groundswell.label_models.em import over_classes
from groundswell.label_models.evidence import Evidence, Interaction
from groundswell.label_models.one_hot import one_hot
from groundswell.label_models.patterns import ABSTAIN, VotePatterns
from groundswell.label_models.trust import fit_warnings, listed

ENTITIES_PER_JOINT_VOTE = 25
"""Fewer entities than this per distinct joint vote of a group do not fill its table: the log-odds of a cell then have a standard
error above .4 and the discount is better (simulated in tests/benchmarks/copied_lfs.py)."""

MOST_CELLS = 2**20
TOLERANCE, MOST_ITERATIONS = 1e-6, 500
"""EM has settled when posteriors move by less than this, on average over entities: tables of rare joint votes move on for long."""

SMOOTHING, SMOOTHING_RIGHT = 1.0, 2.0


def copied_groups(patterns: VotePatterns, posterior: np.ndarray) -> list[np.ndarray]:
    """Positions of LFs that repeat each other beyond what the class explains, directly or through others; two or more each.

    posterior  float (P, K)
    """
    from scipy.sparse.csgraph import connected_components

    linked = repetition(patterns, posterior, np.ones(len(patterns.lfs), bool)) > 0
    n, member = connected_components(linked, directed=False)
    groups = [np.flatnonzero(member == g) for g in range(n)]
    return [g for g in groups if len(g) > 1]


def joint_fit(task: Task, fit: Fit, known: np.ndarray | None = None) -> Fit | None:
    """The fit with each group of copied LFs read together, None where there is no group with enough entities.

    fit    a fit of the same task in which every LF counts by itself, discounted where others repeat it
    known  float (P, K) or None   entities of each pattern that count with a class whatever the model says; None = those of gold

    EM over pi, the tables of single LFs (weights as in `fit`) and P(joint vote | Y) of every group, from the posteriors of
    `fit`. A joint vote that was never seen counts as the sum of its discounted votes.
    """
    patterns = task.patterns
    start = fit.posterior(patterns)
    groups = [g for g in copied_groups(patterns, start) if _fills_a_table(patterns, g)]
    if not groups:
        return None
    em = _JointEM(task, fit, groups, task.gold if known is None else known)
    posterior, n_iterations, settled = em.run(start)
    evidence = em.evidence(posterior)
    pi = np.exp(evidence.log_prior)
    found = replace(fit, evidence=evidence, class_balance=pi, uncovered=pi, n_iterations=fit.n_iterations + n_iterations, converged=settled, warnings=())
    named = "; ".join(listed([patterns.lfs[j] for j in g], 10) for g in groups)
    kept = [w for w in fit.warnings if w[:5] in ("LM215",)]
    return found.warned(*fit_warnings(patterns, found.posterior(patterns), pi), *kept, f"LM230: LFs that repeat each other are read together: {named}")


def _fills_a_table(patterns: VotePatterns, group: np.ndarray) -> bool:
    cells = (len(patterns.classes) + 1) ** len(group)
    return cells <= MOST_CELLS and patterns.n_entities >= ENTITIES_PER_JOINT_VOTE * len(np.unique(patterns.votes[:, group], axis=0))


@dataclass(frozen=True)
class _Group:
    """LFs at positions `lfs`; their distinct joint votes (J, g); which one each pattern has, int (P,)."""

    lfs: np.ndarray
    votes: np.ndarray
    of_pattern: np.ndarray


class _JointEM:
    """Naive Bayes over single LFs and groups, fitted by EM."""

    def __init__(self, task: Task, fit: Fit, groups: list[np.ndarray], known: np.ndarray | None):
        self.task, self.fit, self.patterns = task, fit, task.patterns
        self.groups = [_Group(g, *np.unique(self.patterns.votes[:, g], axis=0, return_inverse=True)) for g in groups]
        grouped = np.concatenate(groups)
        self.single = np.array([j for j in range(len(self.patterns.lfs)) if j not in set(grouped.tolist())], int)
        self.fired = one_hot(self.patterns.votes[:, self.single], len(self.patterns.classes))
        self.by_vote = self.fired.T.tocsr()
        counts = self.patterns.counts.astype(float)
        self.known = np.zeros((len(counts), len(self.patterns.classes))) if known is None else known
        self.unknown = counts - self.known.sum(axis=1)

    def run(self, posterior: np.ndarray) -> tuple[np.ndarray, int, bool]:
        """(posteriors (P, K), iterations, settled)."""
        for n in range(1, MOST_ITERATIONS + 1):
            before, posterior = posterior, self._expect(*self._maximise(posterior))
            moved = np.abs(posterior - before).max(axis=1)
            if self.patterns.counts @ moved < TOLERANCE * self.patterns.n_entities:
                return posterior, n, True
        return posterior, MOST_ITERATIONS, False

    def _mass(self, posterior: np.ndarray) -> np.ndarray:
        return self.unknown[:, None] * posterior + self.known

    def _maximise(self, posterior: np.ndarray) -> tuple[np.ndarray, np.ndarray, list[np.ndarray]]:
        """log pi (K,), weighted log tables of single LFs (s, K, K) over vote and class, of groups (J, K) each."""
        mass, K = self._mass(posterior), posterior.shape[1]
        pi = SMOOTHING + mass.sum(axis=0)
        pi = pi / pi.sum() if self.task.class_balance is None else self.task.class_balance
        voted = (self.by_vote @ mass).reshape(-1, K, K) + SMOOTHING
        voted[:, np.arange(K), np.arange(K)] += SMOOTHING_RIGHT - SMOOTHING
        weight = np.array([self.fit.lf_weight(j) for j in self.single])
        tables = weight[:, None, None] * np.log(voted / voted.sum(axis=1, keepdims=True))
        return np.log(pi), tables, [self._joint_table(g, mass, posterior) for g in self.groups]

    def _joint_table(self, group: _Group, mass: np.ndarray, posterior: np.ndarray) -> np.ndarray:
        """log P(joint vote | Y), float (J, K); one imagined entity per joint vote, spread over classes as all entities with it are."""
        table = np.zeros((len(group.votes), mass.shape[1]))
        np.add.at(table, group.of_pattern, mass)
        table += SMOOTHING * table / table.sum(axis=1, keepdims=True) + 1e-9
        return np.log(table / table.sum(axis=0))

    def _expect(self, log_pi: np.ndarray, tables: np.ndarray, joint: list[np.ndarray]) -> np.ndarray:
        scores = self.fired @ tables.reshape(-1, len(log_pi)) + log_pi
        for group, table in zip(self.groups, joint):
            scores += table[group.of_pattern]
        posterior = np.exp(scores - over_classes(np.maximum, scores)[:, None])
        return posterior / over_classes(np.add, posterior)[:, None]

    def evidence(self, posterior: np.ndarray) -> Evidence:
        """What single LFs and groups add. LFs of a group keep their discounted weights; the interaction adds what is missing."""
        log_pi, tables, joint = self._maximise(posterior)
        K, weight = len(log_pi), self.fit.evidence.log_weight.copy()
        silent = ~(self.patterns.votes[:, self.single] != ABSTAIN).any(axis=0)
        weight[self.single, :K] = np.where(silent[:, None, None], 0.0, tables)
        interactions = tuple(self._interaction(g, table, weight) for g, table in zip(self.groups, joint))
        return replace(self.fit.evidence, log_prior=log_pi, log_weight=weight, interactions=interactions)

    def _interaction(self, group: _Group, table: np.ndarray, weight: np.ndarray) -> Interaction:
        K = table.shape[1]
        missing = np.zeros((*(K + 1 for _ in group.lfs), K))
        alone = sum(weight[j][group.votes[:, i]] for i, j in enumerate(group.lfs))
        missing[tuple(group.votes.T)] = table - alone
        return Interaction(tuple(self.patterns.lfs[j] for j in group.lfs), missing)
