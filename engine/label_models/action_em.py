"""EM over assertions: like Dawid-Skene, with an alphabet per LF and a compatibility in place of "votes the class"."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from groundswell.label_models.evidence import largest, softmax
from groundswell.label_models.patterns import distinct_rows

RIGHT, OTHER, PRIOR = 2.0, 1.0, 1.0
"""Pseudo-counts: a compatible assertion, any other symbol, each label vector."""


@dataclass(frozen=True)
class Actions:
    """What n entities got from m LFs.

    chosen      integers (n, m)    index of the LF's assertion, -1 = abstain
    compatible  m x bool (A_j, k)  which label vectors each assertion agrees with
    n_vectors   k
    """

    chosen: np.ndarray
    compatible: tuple[np.ndarray, ...]
    n_vectors: int


def fit_actions(actions: Actions, *, accuracies: np.ndarray | None, max_iterations: int, tolerance: float) -> tuple[np.ndarray, bool]:
    """(P(label vector | assertions) float (n, k), whether EM settled).

    accuracies  float (m,) or None   P(compatible | votes) that EM starts from
    Without LFs, and on entities without assertions if every LF makes several, the posterior is the class balance.
    """
    n, k = len(actions.chosen), actions.n_vectors
    if not actions.compatible or not n:
        return np.full((n, k), 1.0 / k), True
    symbols = max(len(c) for c in actions.compatible)
    first, inverse = distinct_rows(actions.chosen, symbols)
    counts = np.bincount(inverse, minlength=len(first)).astype(float)
    em = _ActionEM(actions.chosen[first], counts, actions.compatible, k)
    posterior, settled = em.run(accuracies, max_iterations, tolerance)
    return posterior[inverse], settled


class _ActionEM:
    """One problem on patterns: rows of theta are (LF, symbol) pairs, LFs of one assertion have abstain as a second symbol."""

    def __init__(self, chosen: np.ndarray, counts: np.ndarray, compatible: tuple[np.ndarray, ...], k: int):
        self.k = k
        self.value = np.array([len(c) == 1 for c in compatible])
        blocks = [np.concatenate([c, np.zeros((1, k), bool)]) if v else c for c, v in zip(compatible, self.value)]
        self.compatible = np.concatenate(blocks)
        self.starts = np.cumsum([0, *(len(b) for b in blocks)])[:-1]
        self.sizes = np.array([len(b) for b in blocks])
        used = np.where((chosen < 0) & self.value, 1, chosen)
        self.covered = (chosen >= 0).any(axis=1)
        self.counts = counts if self.value.any() else np.where(self.covered, counts, 0.0)
        self.fired, self.supported = self._hot(used), self._hot(chosen)
        self.pseudo = np.where(self.compatible, RIGHT, OTHER)

    def run(self, accuracies: np.ndarray | None, max_iterations: int, tolerance: float) -> tuple[np.ndarray, bool]:
        """Posteriors (P, k) and whether the penalised objective settled."""
        if accuracies is None:
            pi, theta = self._maximised(largest(self.supported @ self.compatible.astype(float)))
        else:
            pi, theta = np.full(self.k, 1.0 / self.k), self._coins(accuracies)
        before, settled = -np.inf, False
        for _ in range(max_iterations):
            posterior, objective = self._expected(pi, theta)
            settled = abs(objective - before) <= tolerance * abs(objective)
            if settled:
                break
            before = objective
            pi, theta = self._maximised(posterior)
        posterior, _ = self._expected(pi, theta)
        if not self.value.any():
            posterior[~self.covered] = pi
        return posterior, bool(settled)

    def _hot(self, chosen: np.ndarray):
        from scipy.sparse import csr_array

        fires = chosen >= 0
        columns = (chosen + self.starts)[fires]
        starts = np.concatenate([[0], np.cumsum(fires.sum(axis=1))])
        return csr_array((np.ones(len(columns)), columns, starts), shape=(len(chosen), len(self.compatible)))

    def _coins(self, accuracies: np.ndarray) -> np.ndarray:
        """Accuracy spread evenly over compatible assertions of each LF, the rest over the others; abstentions say nothing."""
        theta = np.ones(self.compatible.shape)
        for j, (start, size) in enumerate(zip(self.starts, self.sizes)):
            rows = slice(start, start + size - self.value[j])
            right = self.compatible[rows]
            n_right, n_wrong = right.sum(axis=0), (~right).sum(axis=0)
            a = np.clip(accuracies[j], 1e-6, 1 - 1e-6)
            theta[rows] = np.where(right, a / np.maximum(n_right, 1), (1 - a) / np.maximum(n_wrong, 1))
        return theta

    def _maximised(self, posterior: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        mass = self.counts[:, None] * posterior
        pi = PRIOR + mass.sum(axis=0)
        theta = self.fired.T @ mass + self.pseudo
        theta /= np.repeat(np.add.reduceat(theta, self.starts, axis=0), self.sizes, axis=0)
        return pi / pi.sum(), theta

    def _expected(self, pi: np.ndarray, theta: np.ndarray) -> tuple[np.ndarray, float]:
        log_joint = self.fired @ np.log(theta) + np.log(pi)
        likelihood = (self.counts * np.logaddexp.reduce(log_joint, axis=1)).sum()
        return softmax(log_joint), float(likelihood + PRIOR * np.log(pi).sum() + (self.pseudo * np.log(theta)).sum())
