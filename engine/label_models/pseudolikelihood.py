"""Dependencies by marginal pseudolikelihood: which votes of others predict an LF's vote beyond what the class explains.

For LF j, s(v, y) = sum_k w_k acc(v_k, y) + w_j acc(v, y) + b [v votes] + sum_kt u_kt phi_t(v, v_k, y); minimise
-mean[LSE_y s(v_j, y) - LSE_vy s(v, y)] + penalty sum |u| over w, b, u, on patterns. Source: Bach et al. 2017, equation 4.
"""

from __future__ import annotations

from typing import Sequence

import numpy as np

from groundswell.label_models.factors import SYMMETRIC, accuracy_table, dependency_table
from groundswell.label_models.one_hot import one_hot
from groundswell.label_models.patterns import VotePatterns


def pair_weights(patterns: VotePatterns, types: Sequence[str], penalty: float, tolerance: float = 1e-9) -> dict[str, np.ndarray]:
    """type -> u, float (m, m): weight of "k acts on j" at [j, k], the mean of what both LFs say; symmetric types are symmetric."""
    forms = [(kind, acted) for kind in types for acted in ((True,) if kind in SYMMETRIC else (True, False))]
    m, K = len(patterns.lfs), len(patterns.classes)
    tables = np.stack([_oriented(kind, acted, K) for kind, acted in forms])
    problem = _Pseudolikelihood(patterns, tables, penalty)
    found = {kind: np.zeros((m, m)) for kind in types}
    for j in range(m):
        for (kind, acted), u in zip(forms, problem.solve(j, tolerance).T):
            where = found[kind][j] if acted else found[kind][:, j]
            where += u / 2
            if kind in SYMMETRIC:
                found[kind][:, j] += u / 2
    return found


def _oriented(kind: str, acted: bool, n_classes: int) -> np.ndarray:
    """phi over (vote of LF j, vote of the other, y): j is acted on, or acts."""
    table = dependency_table(kind, n_classes)
    return table if acted else table.transpose(1, 0, 2)


class _Pseudolikelihood:
    """The problems of all LFs of some patterns; tables float (T, K+1, K+1, K) over own vote, other's vote, class."""

    def __init__(self, patterns: VotePatterns, tables: np.ndarray, penalty: float):
        self.votes, self.K = patterns.votes, len(patterns.classes)
        self.m, self.penalty, self.tables = len(patterns.lfs), penalty, tables
        self.share = patterns.counts / max(patterns.n_entities, 1)
        self.accuracy = accuracy_table(self.K)
        hot = one_hot(patterns.votes, self.K).tocsc()
        self.fired = [hot[:, v :: self.K].tocsr() for v in range(self.K)]
        self.fired_by_lf = [fired.T.tocsr() for fired in self.fired]
        self.n_weights = self.m + 1

    def solve(self, j: int, tolerance: float) -> np.ndarray:
        """u of LF j, float (m, T), exact zeros where the penalty wins. L-BFGS-B over u = plus - minus."""
        from scipy.optimize import minimize

        T, limit = len(self.tables), [(-10.0, 10.0)] * self.n_weights
        none = np.zeros(2 * self.m * T)
        options = {"maxiter": 2000, "maxfun": 8000, "ftol": tolerance, "gtol": 1e-7, "maxcor": 20}
        alone = minimize(self.loss, np.append(np.ones(self.m), 0.0), args=(j,), jac=True, method="L-BFGS-B", bounds=limit, options=options).x
        free = np.tile(np.repeat(np.arange(self.m) != j, T), 2)
        if (self.loss(np.append(alone, none), j)[1][self.n_weights :][free] >= 0).all():
            return np.zeros((self.m, T))  # no u moves from 0: this is the minimum
        bounds = limit + [(0.0, 10.0 if f else 0.0) for f in free]
        found = minimize(self.loss, np.append(alone, none), args=(j,), jac=True, method="L-BFGS-B", bounds=bounds, options=options).x
        plus, minus = np.split(found[self.n_weights :], 2)
        return (plus - minus).reshape(self.m, T)

    def loss(self, parameters: np.ndarray, j: int) -> tuple[float, np.ndarray]:
        """The penalised negative log-pseudolikelihood of LF j and its gradient in [w, b, plus, minus], or in [w, b] where u = 0."""
        w, b = parameters[: self.m], parameters[self.m]
        plus, minus = np.split(parameters[self.n_weights :], 2)
        u = (plus - minus).reshape(self.m, -1) if len(plus) else np.zeros((self.m, 0))
        others = w.copy()
        others[j] = 0.0
        seen = self._seen(np.column_stack([others, u]))  # (K+1, P, 1 + T): weights of the LFs that gave each vote
        score = np.zeros((len(self.votes), self.K + 1, self.K))
        if len(plus):
            score += np.einsum("upt,tvuy->pvy", seen[:, :, 1:], self.tables, optimize=True)
        score += (seen[:, :, 0].T @ self.accuracy)[:, None, :] + w[j] * self.accuracy
        score[:, : self.K] += b
        both, given = _log_sum(score.reshape(len(score), -1)), score[np.arange(len(score)), self.votes[:, j]]
        known = _log_sum(given)
        gap = -self.share[:, None, None] * np.exp(score - both[:, None, None])
        gap[np.arange(len(score)), self.votes[:, j]] += self.share[:, None] * np.exp(given - known[:, None])
        value = (self.share * (known - both)).sum() - self.penalty * (plus.sum() + minus.sum())
        of_w, of_u = self._slopes(gap, self.tables[: u.shape[1]])
        of_w[j] = (gap.sum(axis=0) * self.accuracy).sum()
        of_b = gap[:, : self.K].sum()
        flat = of_u.ravel()
        return -float(value), -np.concatenate([of_w, [of_b], flat - self.penalty, -flat - self.penalty])

    def _seen(self, weights: np.ndarray) -> np.ndarray:
        """sum_k [v_pk = v] weights[k], float (K+1, P, columns), abstain last."""
        voted = [fired @ weights for fired in self.fired]
        return np.stack([*voted, weights.sum(axis=0) - sum(voted)])

    def _slopes(self, gap: np.ndarray, tables: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        """Gradient in w of other LFs (m,) and in u (m, T), from observed less expected states (P, K+1, K)."""
        per_type = np.einsum("pvy,tvuy->upt", gap, tables, optimize=True)
        per_vote = np.concatenate([(gap.sum(axis=1) @ self.accuracy.T).T[:, :, None], per_type], axis=2)  # (K+1, P, 1 + T)
        silent = per_vote[-1]
        total = silent.sum(axis=0) + sum(fired @ (voted - silent) for fired, voted in zip(self.fired_by_lf, per_vote))
        return total[:, 0].copy(), total[:, 1:]


def _log_sum(table: np.ndarray) -> np.ndarray:
    """log sum exp over the columns, float (P,)."""
    top = table.max(axis=1)
    return top + np.log(np.exp(table - top[:, None]).sum(axis=1))
