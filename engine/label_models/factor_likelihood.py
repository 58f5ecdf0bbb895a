"""Likelihood of a factor graph over votes and the class, exact: p(votes | y) factorises over components of dependent LFs.

p_w(votes, y) = pi_y exp(sum_f w_f phi_f(votes, y)) / Z(y). Factors of votes alone or of votes and class touch one or two LFs,
so log p is linear in events ("LF j votes v", "j and k vote v and u"): a pattern is a sparse row of events X, events weigh
S = design @ w for each class, and log p(votes | y) = X S - log Z(y). Source: Ratner et al. 2016, section 3.
"""

from __future__ import annotations

from dataclasses import dataclass
from functools import cached_property
from itertools import product
from math import prod
from typing import TYPE_CHECKING, Sequence

import numpy as np

from groundswell.label_models.em import over_classes
from groundswell.label_models.one_hot import one_hot

if TYPE_CHECKING:
    from scipy.sparse import csr_array

LIMIT = 10.0
"""|w| stays within this: an LF that is never contradicted has no finite best weight."""


@dataclass(frozen=True)
class Factor:
    """A weight's function of votes and class.

    name    "accuracy", "propensity", ... or a dependency type
    lfs     columns (j,) or (j, k)
    table   float (K+1, K) over v, y or (K+1, K+1, K) over v_j, v_k, y; 0 in a one-LF table where the LF abstains
    start   first value of the weight
    toward  where regularisation pulls it, None = nowhere
    """

    name: str
    lfs: tuple[int, ...]
    table: np.ndarray
    start: float
    toward: float | None


class Graph:
    """Factors as a sparse design over events; m LFs, K classes.

    voted   bool (m, K)   classes that each LF can vote; default all
    Events: j K + v for "LF j votes v", then (K+1)^2 for each pair with a dependency, v_j (K+1) + v_k with j < k.
    design  sparse (E K, F)   phi of each factor at event and class; (design @ w).reshape(E, K) = S
    """

    def __init__(self, m: int, n_classes: int, factors: Sequence[Factor], voted: np.ndarray | None = None):
        self.voted = np.ones((m, n_classes), bool) if voted is None else voted
        self.m, self.n_classes, self.factors = m, n_classes, tuple(factors)
        self.pairs = sorted({tuple(sorted(f.lfs)) for f in factors if len(f.lfs) == 2})
        self.n_events = m * n_classes + len(self.pairs) * (n_classes + 1) ** 2
        self.design = self._design()
        self.squared = self.design.power(2)

    def scores(self, weights: np.ndarray) -> np.ndarray:
        """S, float (E, K): what each event adds to log p for each class."""
        return (self.design @ weights).reshape(self.n_events, self.n_classes)

    def per_factor(self, per_event: np.ndarray) -> np.ndarray:
        """sum over events and classes of per_event (E, K) phi, float (F,)."""
        return self.design.T @ per_event.ravel()

    def events(self, votes: np.ndarray, pairs: Sequence[int] | None = None) -> csr_array:
        """Events of vote patterns, sparse 0/1 (P, E); only those of the numbered `pairs`, default all."""
        from scipy.sparse import csr_array, hstack

        base, found = self.n_classes + 1, [one_hot(votes, self.n_classes)]
        for d, (j, k) in enumerate(self.pairs):
            n = len(votes) if pairs is None or d in pairs else 0
            state = (votes[:n, j] % base).astype(np.int32) * base + votes[:n, k] % base  # -1 becomes K
            starts = np.minimum(np.arange(len(votes) + 1), n)
            found.append(csr_array((np.ones(n), state, starts), shape=(len(votes), base * base)))
        return hstack(found, format="csr") if self.pairs else found[0]

    def unary(self, scores: np.ndarray) -> np.ndarray:
        """The scores of single votes, float (m, K, K) over j, v, y."""
        return scores[: self.m * self.n_classes].reshape(self.m, self.n_classes, self.n_classes)

    def possible(self, scores: np.ndarray) -> np.ndarray:
        """As unary, -inf for votes that an LF cannot give."""
        return np.where(self.voted[:, :, None], self.unary(scores), -np.inf)

    def n_states(self, lfs: Sequence[int]) -> int:
        """Joint votes that `lfs` can give, abstentions included."""
        return prod(int(n) + 1 for n in self.voted[list(lfs)].sum(axis=1))

    def pairwise(self, scores: np.ndarray) -> np.ndarray:
        """The scores of pairs, float (pairs, K+1, K+1, K)."""
        base = self.n_classes + 1
        return scores[self.m * self.n_classes :].reshape(len(self.pairs), base, base, self.n_classes)

    @cached_property
    def components(self) -> list[tuple[list[int], list[int]]]:
        """(LFs, pairs) of each connected component with more than one LF."""
        from scipy.sparse import coo_array
        from scipy.sparse.csgraph import connected_components

        if not self.pairs:
            return []
        ends = np.array(self.pairs)
        linked = coo_array((np.ones(len(ends)), (ends[:, 0], ends[:, 1])), shape=(self.m, self.m))
        label = connected_components(linked, directed=False)[1]
        groups = [np.flatnonzero(label == c).tolist() for c in np.unique(label[ends[:, 0]])]
        return [(lfs, [d for d, pair in enumerate(self.pairs) if pair[0] in lfs]) for lfs in groups]

    @property
    def alone(self) -> np.ndarray:
        """Columns of LFs without dependencies, int (n,)."""
        dependent = [j for lfs, _ in self.components for j in lfs]
        return np.setdiff1d(np.arange(self.m), dependent)

    def _design(self) -> csr_array:
        from scipy.sparse import csr_array

        K, base = self.n_classes, self.n_classes + 1
        rows, columns, values = [np.zeros(0, int)], [np.zeros(0, int)], [np.zeros(0)]
        for f, factor in enumerate(self.factors):
            if len(factor.lfs) == 1:
                first, table = factor.lfs[0] * K, factor.table[:K]
            else:
                at = self.pairs.index(tuple(sorted(factor.lfs)))
                first = self.m * K + at * base * base
                table = factor.table if factor.lfs[0] < factor.lfs[1] else factor.table.transpose(1, 0, 2)
            flat = table.ravel()
            used = np.flatnonzero(flat)
            rows.append(first * K + used), columns.append(np.full(len(used), f)), values.append(flat[used])
        where = (np.concatenate(rows), np.concatenate(columns))
        return csr_array((np.concatenate(values), where), shape=(self.n_events * K, len(self.factors)))


class ExactNormalizer:
    """log Z(y) and expected events, by closed form for lone LFs and by enumeration of states for small components."""

    def __init__(self, graph: Graph, components: Sequence[tuple[list[int], list[int]]] | None = None):
        self.graph = graph
        self.alone = graph.alone
        self.states = [_states(graph, lfs, pairs) for lfs, pairs in (graph.components if components is None else components)]

    def __call__(self, scores: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        """(log Z(y) (K,), P(event | y) (E, K)) over the LFs of this normalizer; P is 0 for events of others."""
        graph, K = self.graph, self.graph.n_classes
        expected = np.zeros_like(scores)
        unary = graph.possible(scores)[self.alone]
        log_z = lone_log_z(unary)
        graph.unary(expected)[self.alone] = np.exp(unary - log_z[:, None])
        total = log_z.sum(axis=0)
        for states in self.states:
            log_p = states @ scores
            log_z = np.logaddexp.reduce(log_p, axis=0)
            expected += states.T @ np.exp(log_p - log_z)
            total = total + log_z
        return total, expected


def lone_log_z(possible: np.ndarray) -> np.ndarray:
    """log(1 + sum_v exp S_vy) of LFs without dependencies, float (n, K), from Graph.possible (n, K, K)."""
    return np.logaddexp(0.0, np.logaddexp.reduce(possible, axis=1))


def _states(graph: Graph, lfs: list[int], pairs: list[int]) -> csr_array:
    """Events of every joint vote that `lfs` can give, sparse (states, E)."""
    votes = np.full((graph.n_states(lfs), graph.m), -1)
    votes[:, lfs] = list(product(*([-1, *np.flatnonzero(graph.voted[j])] for j in lfs)))
    return graph.events(votes, pairs)


@dataclass(frozen=True)
class Data:
    """What the likelihood sees: events sparse (P, E), unknown float (P,) and gold float (P, K) entities as shares of n."""

    events: csr_array
    unknown: np.ndarray
    gold: np.ndarray | None
    n: float

    def expect(self, log_joint: np.ndarray) -> tuple[np.ndarray, float]:
        """(share of entities per pattern and class (P, K), mean log-likelihood) from log p(votes, y) (P, K)."""
        top = over_classes(np.maximum, log_joint)
        mass = np.exp(log_joint - top[:, None])
        total = over_classes(np.add, mass)
        mass *= (self.unknown / total)[:, None]
        likelihood = (self.unknown * (top + np.log(total))).sum()
        if self.gold is not None:
            mass += self.gold
            likelihood += (self.gold * log_joint).sum()
        return mass, float(likelihood)


@dataclass(frozen=True)
class Solution:
    """weights float (F,), pi float (K,), mean penalised log-likelihood, iterations, whether it converged."""

    weights: np.ndarray
    pi: np.ndarray
    objective: float
    n_iterations: int
    converged: bool


class Likelihood:
    """Mean penalised log-likelihood of the factors' weights and the class balance, with its gradient.

    pi              float (K,) or None   fixed class balance; None = one more parameter, with one pseudo-entity per class
    regularization  r of - r/2 sum_f (w_f - toward_f)^2, per entity
    """

    def __init__(self, graph: Graph, data: Data, pi: np.ndarray | None, regularization: float):
        self.graph, self.data, self.fixed_pi, self.regularization = graph, data, pi, regularization
        self.penalised = np.array([f.toward is not None for f in graph.factors], bool)
        self.toward = np.array([f.toward or 0.0 for f in graph.factors])

    def pi(self, logits: np.ndarray) -> np.ndarray:
        """The class balance from K-1 logits against the first class."""
        if self.fixed_pi is not None:
            return self.fixed_pi
        p = np.exp(np.append(0.0, logits) - max(0.0, logits.max()))
        return p / p.sum()

    def penalty(self, weights: np.ndarray) -> tuple[float, np.ndarray]:
        """(r/2 |w - w0|^2, its gradient) over the penalised weights."""
        off = np.where(self.penalised, weights - self.toward, 0.0)
        return 0.5 * self.regularization * float(off @ off), self.regularization * off

    def negative(self, parameters: np.ndarray, normalizer: ExactNormalizer) -> tuple[float, np.ndarray]:
        """Minus the objective and its gradient at [weights, logits of pi]."""
        n_factors, K, data = len(self.graph.factors), self.graph.n_classes, self.data
        weights, pi = parameters[:n_factors], self.pi(parameters[n_factors:])
        scores = self.graph.scores(weights)
        log_z, expected = normalizer(scores)
        mass, likelihood = data.expect(data.events @ scores + (np.log(pi) - log_z))
        per_class = mass.sum(axis=0)
        penalty, pull = self.penalty(weights)
        gradient = self.graph.per_factor(data.events.T @ mass - per_class * expected) - pull
        value = likelihood - penalty
        if self.fixed_pi is not None:
            return -value, -gradient
        value += np.log(pi).sum() / data.n
        per_logit = per_class + 1 / data.n - pi * (per_class.sum() + K / data.n)
        return -value, -np.append(gradient, per_logit[1:])

    def maximise(self, start: np.ndarray, bounds: np.ndarray, tolerance: float, max_iterations: int) -> Solution:
        """The weights and class balance at a maximum, by L-BFGS-B from `start` (F,) within bounds (F, 2)."""
        from scipy.optimize import minimize

        n_factors, n_logits = len(start), 0 if self.fixed_pi is not None else self.graph.n_classes - 1
        limits = [*bounds.tolist(), *[(-LIMIT, LIMIT)] * n_logits]
        options = {"maxiter": max_iterations, "maxfun": 4 * max_iterations, "ftol": tolerance, "gtol": 1e-9, "maxcor": 30}
        first, normalizer = np.append(start, np.zeros(n_logits)), ExactNormalizer(self.graph)
        found = minimize(self.negative, first, args=(normalizer,), jac=True, method="L-BFGS-B", bounds=limits, options=options)
        return Solution(found.x[:n_factors], self.pi(found.x[n_factors:]), -float(found.fun), int(found.nit), bool(found.success))
