"""Expectation maximisation of the Dawid-Skene model on vote patterns, with abstain treated per LF. Arrays only.

l_py = log pi_y + sum_j w_j log theta_j[y, v_pj], over the votes in LF j's alphabet; r = softmax(l). An LF whose abstentions
are `value` has abstain in its alphabet, one whose abstentions are `missing` has not. Source: Dawid & Skene 1979.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

if TYPE_CHECKING:
    from scipy.sparse import csr_array


@dataclass(frozen=True)
class Smoothing:
    """Pseudo-counts: `prior` on each class, `right` on theta[y, y], `other` on every other symbol. Constant, never scaled with n."""

    prior: float = 1.0
    right: float = 2.0
    other: float = 1.0


@dataclass(frozen=True)
class Parameters:
    """pi float (K,) sums to 1; theta float (m, K, K+1), abstain last: rows sum to 1, `missing` LFs have abstain 0."""

    pi: np.ndarray
    theta: np.ndarray


@dataclass(frozen=True)
class Outcome:
    """Where EM stopped: parameters, iterations, whether the objective settled, and its value after each iteration."""

    parameters: Parameters
    converged: bool
    trace: tuple[float, ...]


class PatternEM:
    """One EM problem.

    fired   sparse 0/1 (P, m K)    column j K + v is 1 where LF j votes v
    counts  numbers (P,)           entities per pattern
    value   bool (m,)              abstain is a symbol of this LF
    weight  float (m,), positive   exponent of each LF's likelihood; 1 = the model of the paper
    pi      float (K,) or None     fixed class balance
    gold    float (P, K) or None   entities per pattern with a known class, part of counts
    anchored                       gold is enough to start from
    prior   float (m, K, K+1)      pseudo-counts of each LF's table beside smoothing: what is known of the LF before; 0 = nothing
    """

    def __init__(
        self,
        fired: csr_array,
        counts: np.ndarray,
        n_classes: int,
        *,
        value: np.ndarray,
        smoothing: Smoothing = Smoothing(),
        one_coin: bool = False,
        weight: np.ndarray | None = None,
        pi: np.ndarray | None = None,
        gold: np.ndarray | None = None,
        anchored: bool = True,
        prior: np.ndarray | float = 0.0,
    ):
        self.n_classes, self.value, self.one_coin = n_classes, value, one_coin
        self.fixed_pi, self.gold, self.smoothing = pi, gold, smoothing
        self.anchored = anchored and gold is not None
        self.unknown = counts.astype(float) if gold is None else counts - gold.sum(axis=1)
        self.weight = np.ones(len(value)) if weight is None else weight
        self.prior = np.broadcast_to(prior, (len(value), n_classes, n_classes + 1))
        self.pseudo = self._table_counts() + self.prior
        self.penalty = self._coin_counts() if one_coin else self.pseudo
        self.fired = fired
        self.fired_by_vote = self.fired.T.tocsr()

    def run(self, start: np.ndarray, *, tolerance: float, max_iterations: int) -> Outcome:
        """EM until the penalised objective changes by less than `tolerance`, relatively.

        start  float (P, K)   the first posteriors; where gold anchors, the first tables are those of the gold entities instead
        """
        parameters = self._tables(self.gold) if self.anchored else self.maximise(start)
        trace, converged = [], False
        while not converged and len(trace) < max_iterations:
            if trace:
                parameters = self.maximise(posterior)
            posterior, objective = self.expect(parameters)
            converged = bool(trace) and abs(objective - trace[-1]) <= tolerance * abs(objective)
            trace.append(objective)
        return Outcome(parameters, converged, tuple(trace))

    def expect(self, parameters: Parameters) -> tuple[np.ndarray, float]:
        """E step: posteriors r (P, K), and the penalised objective at `parameters`."""
        log_joint = self.log_joint(parameters)
        top = over_classes(np.maximum, log_joint)
        posterior = np.exp(log_joint - top[:, None])
        total = over_classes(np.add, posterior)
        posterior /= total[:, None]
        likelihood = (self.unknown * (top + np.log(total))).sum()
        if self.gold is not None:
            likelihood += (self.gold * log_joint).sum()
        return posterior, float(likelihood + self._penalty(parameters))

    def maximise(self, posterior: np.ndarray) -> Parameters:
        """M step from posteriors (P, K); gold entities count with their known class."""
        mass = self.unknown[:, None] * posterior
        return self._tables(mass if self.gold is None else mass + self.gold)

    def _tables(self, mass: np.ndarray) -> Parameters:
        """Parameters from entities per pattern and class, mass (P, K)."""
        per_class = mass.sum(axis=0)
        theta = self._theta(self.fired_by_vote @ mass, per_class)
        if self.fixed_pi is not None:
            return Parameters(self.fixed_pi, theta)
        pi = self.smoothing.prior + per_class
        return Parameters(pi / pi.sum(), theta)

    def log_joint(self, parameters: Parameters) -> np.ndarray:
        """log pi_y + sum_j w_j log theta_j[y, v_pj] of every pattern, float (P, K).

        Every `value` LF is first taken to abstain; a vote then adds the difference, so that abstentions cost nothing.
        """
        prior, weight = log_weights(parameters, self.value, self.weight)
        abstains = weight[:, -1, :]
        added = (weight[:, :-1, :] - abstains[:, None, :]).reshape(-1, self.n_classes)
        return self.fired @ added + (prior + abstains.sum(axis=0))

    def _theta(self, voted: np.ndarray, per_class: np.ndarray) -> np.ndarray:
        K, m = self.n_classes, len(self.value)
        mass = np.zeros((m, K, K + 1))
        mass[:, :, :K] = voted.reshape(m, K, K).transpose(0, 2, 1)
        silent = np.maximum(per_class - mass[self.value].sum(axis=2), 0.0)
        mass[self.value, :, K] = silent
        theta = mass + self.pseudo
        theta /= theta.sum(axis=2, keepdims=True)
        if self.one_coin:
            theta[~self.value, :, :K] = self._coins(mass[~self.value, :, :K] + self.prior[~self.value, :, :K])
        return theta

    def _coins(self, mass: np.ndarray) -> np.ndarray:
        K = self.n_classes
        right = np.einsum("jyy->j", mass)
        pseudo_right, pseudo_wrong = self.smoothing.right, self.smoothing.other
        a = (pseudo_right + right) / (pseudo_right + pseudo_wrong + mass.sum(axis=(1, 2)))
        return np.where(np.eye(K, dtype=bool), a[:, None, None], ((1 - a) / (K - 1))[:, None, None])

    def _table_counts(self) -> np.ndarray:
        """Pseudo-counts of full tables, float (m, K, K+1); none for the abstentions of `missing` LFs."""
        K, m = self.n_classes, len(self.value)
        pseudo = np.full((m, K, K + 1), self.smoothing.other)
        pseudo[:, np.arange(K), np.arange(K)] = self.smoothing.right
        pseudo[~self.value, :, K] = 0.0
        return pseudo

    def _coin_counts(self) -> np.ndarray:
        """The same where `missing` LFs have one coin: `right` on its right side, `other` on its wrong side."""
        K, pseudo = self.n_classes, self.pseudo.copy()
        wrong = self.smoothing.other / (K * (K - 1))
        pseudo[~self.value, :, :K] = self.prior[~self.value, :, :K] + np.where(np.eye(K, dtype=bool), self.smoothing.right / K, wrong)
        return pseudo

    def _penalty(self, parameters: Parameters) -> float:
        log_theta = np.log(np.where(self.penalty > 0, parameters.theta, 1.0))
        per_lf = (self.penalty * log_theta).sum(axis=(1, 2))
        return float(self.smoothing.prior * np.log(parameters.pi).sum() + (self.weight * per_lf).sum())


def log_weights(parameters: Parameters, value: np.ndarray, weight: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """(log pi (K,), w_j log theta (m, K+1, K)) with votes before classes; the abstain row of `missing` LFs is 0."""
    defined = np.ones(parameters.theta.shape, bool)
    defined[~value, :, -1] = False
    log_theta = np.log(np.where(defined, parameters.theta, 1.0))
    return np.log(parameters.pi), weight[:, None, None] * log_theta.transpose(0, 2, 1)


def best_permutation(parameters: Parameters, fixed_pi: np.ndarray | None) -> np.ndarray:
    """Which latent column becomes each class, int (K,), maximising sum_j sum_y pi_y theta_j[y, y] (Hungarian).

    With a fixed class balance only classes of equal prior may change places. The identity wins ties.
    """
    from scipy.optimize import linear_sum_assignment

    K = len(parameters.pi)
    mass = parameters.pi[:, None] * parameters.theta[:, :, :K].sum(axis=0)  # [latent, class]
    if fixed_pi is not None:
        mass = np.where(np.isclose(fixed_pi[:, None], fixed_pi[None, :], rtol=1e-9, atol=0), mass, -1e6)
    latent, named = linear_sum_assignment(-mass)
    best = np.empty(K, int)
    best[named] = latent
    gain = mass[best, np.arange(K)].sum() - np.trace(mass)
    return best if gain > 1e-9 * max(1.0, len(parameters.theta)) else np.arange(K)


def permuted(parameters: Parameters, latent: np.ndarray, fixed_pi: np.ndarray | None) -> Parameters:
    """The same parameters with latent[k] renamed to class k."""
    pi = parameters.pi[latent] if fixed_pi is None else fixed_pi
    return Parameters(pi, parameters.theta[:, latent])


def over_classes(combine: np.ufunc, table: np.ndarray) -> np.ndarray:
    """combine over the columns of table (P, K), float (P,); much faster than axis=1 for the few columns of a posterior."""
    total = table[:, 0].copy()
    for k in range(1, table.shape[1]):
        combine(total, table[:, k], out=total)
    return total
