"""Factor graphs whose components are too large to enumerate: persistent Gibbs chains instead of exact expectations.

Each large component keeps `chains` votes per class, drawn from p(votes | y), which follow the weights (Tieleman 2008). log Z(y)
comes from other chains, annealed from where dependencies weigh nothing, which is sampled and normalised exactly (Neal 2001); chains
that the weights react to would bias it. Steps are natural gradients, averaged over the second half. Source: Ratner et al. 2016.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

from groundswell.label_models.factor_likelihood import ExactNormalizer, Graph, Likelihood, Solution

if TYPE_CHECKING:
    from scipy.sparse import csr_array

RATE, SLOWER, BATCHES = 0.3, 25, 10
"""Step t is RATE / sqrt(1 + t / SLOWER) of a natural gradient; batches of steps that the Monte-Carlo error is taken from."""

STAGES, STEPS_PER_ANNEALING, STEPS_PER_METRIC = 25, 25, 5
"""Stages of an annealing; steps that share one, log Z moving by its slope in between; steps that share the information matrix."""


class Chains:
    """Votes of one component under p(votes | y), float scores S deciding how probable they are.

    votes   integers (K, chains, m)   abstain (-1) outside the component
    log_z   float (K,)                estimated log Z(y) under the last scores, if no score depended on the votes drawn
    """

    def __init__(self, graph: Graph, component: tuple[list[int], list[int]], scores: np.ndarray, chains: int, rng: np.random.Generator):
        self.graph, self.rng = graph, rng
        self.lfs, self.pairs = component
        self.scores = scores
        K = graph.n_classes
        self.votes = np.full((K, chains, graph.m), -1)
        self.log_z = np.zeros(K)
        self.class_index = np.arange(K)[:, None]
        for j in self.lfs:
            logits = np.concatenate([graph.possible(scores)[j].T, np.zeros((K, 1))], axis=1)
            self.log_z += np.logaddexp.reduce(logits, axis=1)
            self.votes[:, :, j] = self._drawn(np.broadcast_to(logits[:, None, :], (K, chains, K + 1)))

    def follow(self, scores: np.ndarray, sweeps: int) -> None:
        """`sweeps` over the component under new scores; log_z follows."""
        change = self._values(scores - self.scores)
        self.log_z = self.log_z + np.logaddexp.reduce(change, axis=1) - np.log(change.shape[1])
        self.scores = scores
        for _ in range(sweeps):
            self._sweep()

    def expected(self) -> np.ndarray:
        """P(event | y), float (E, K): shares of chains."""
        K, base = self.graph.n_classes, self.graph.n_classes + 1
        share = np.zeros_like(self.scores)
        unary, pairwise = self.graph.unary(share), self.graph.pairwise(share)
        for j in self.lfs:
            unary[j] = np.stack([(self.votes[:, :, j] == v).mean(axis=1) for v in range(K)])
        for d in self.pairs:
            a, b = self.graph.pairs[d]
            state = (self.votes[:, :, a] % base) * base + self.votes[:, :, b] % base + np.arange(K)[:, None] * base**2
            pairwise[d] = np.bincount(state.ravel(), minlength=K * base**2).reshape(K, base, base).transpose(1, 2, 0) / state.shape[1]
        return share

    def events(self, y: int) -> csr_array:
        """Events of the chains of class y, sparse (chains, E)."""
        return self.graph.events(self.votes[y], self.pairs)

    def _values(self, scores: np.ndarray) -> np.ndarray:
        """Scores of the chains' votes, float (K, chains)."""
        unary, pairwise = self.graph.unary(scores), self.graph.pairwise(scores)
        total = np.zeros(self.votes.shape[:2])
        for j in self.lfs:
            total += np.append(unary[j], np.zeros((1, len(total))), axis=0)[self.votes[:, :, j], self.class_index]
        for d in self.pairs:
            a, b = self.graph.pairs[d]
            total += pairwise[d][self.votes[:, :, a], self.votes[:, :, b], self.class_index]
        return total

    def _sweep(self) -> None:
        unary, pairwise = self.graph.possible(self.scores), self.graph.pairwise(self.scores)
        shape = (*self.votes.shape[:2], 1)
        for j in self.lfs:
            logits = np.concatenate([np.broadcast_to(unary[j].T[:, None, :], (*shape[:2], len(self.votes))), np.zeros(shape)], axis=2)
            for d in self.pairs:
                a, b = self.graph.pairs[d]
                if j in (a, b):
                    table = pairwise[d].transpose(2, 1, 0) if j == a else pairwise[d].transpose(2, 0, 1)  # [y, other, j]
                    logits += table[self.class_index, self.votes[:, :, b if j == a else a]]
            self.votes[:, :, j] = self._drawn(logits)

    def _drawn(self, logits: np.ndarray) -> np.ndarray:
        """Votes (K, chains) drawn with probabilities softmax(logits); the last one is abstain."""
        p = np.exp(logits - logits.max(axis=2, keepdims=True)).cumsum(axis=2)
        drawn = (p <= self.rng.random(p.shape[:2])[:, :, None] * p[:, :, -1:]).sum(axis=2)
        return np.where(drawn == self.graph.n_classes, -1, drawn)


@dataclass(frozen=True)
class Sampled:
    """A solution, the Monte-Carlo standard error of each weight (F,), and the normaliser at the solution.

    log_z     float (K,)     estimated log Z(y) of all components together
    expected  float (E, K)   estimated P(event | y)
    """

    solution: Solution
    error: np.ndarray
    log_z: np.ndarray
    expected: np.ndarray


def annealed_log_z(graph: Graph, component: tuple[list[int], list[int]], scores: np.ndarray, chains: int, stages: int, rng: np.random.Generator) -> np.ndarray:
    """log Z(y) of a component, float (K,), on a straight path from scores in which its pairs weigh nothing."""
    start = scores.copy()
    graph.pairwise(start)[:] = 0.0
    followed = Chains(graph, component, start, chains, rng)
    for stage in range(1, stages + 1):
        followed.follow(start + (scores - start) * (stage / stages), 1)
    return followed.log_z


class MixedNormalizer:
    """log Z(y) and expected events: exact where components are small, by chains where they are large."""

    def __init__(self, graph: Graph, small: list, large: list, scores: np.ndarray, chains: int, rng: np.random.Generator):
        self.graph, self.n_chains, self.rng = graph, chains, rng
        self.exact = ExactNormalizer(graph, small)
        self.chains = [Chains(graph, component, scores, chains, rng) for component in large]
        self.known_at, self.known, self.calls = scores, np.zeros(graph.n_classes), 0

    def __call__(self, scores: np.ndarray, *, sweeps: int = 1) -> tuple[np.ndarray, np.ndarray]:
        log_z, exactly = self.exact(scores)
        for chains in self.chains:
            chains.follow(scores, sweeps)
        drawn = sum(chains.expected() for chains in self.chains)
        if self.calls % STEPS_PER_ANNEALING == 0:
            self.anneal(scores, STAGES)
        self.calls += 1
        return log_z + self.known + (drawn * (scores - self.known_at)).sum(axis=0), exactly + drawn

    def anneal(self, scores: np.ndarray, stages: int) -> None:
        """Find log Z(y) of the large components at `scores` anew."""
        self.known_at = scores
        self.known = sum(annealed_log_z(self.graph, (c.lfs, c.pairs), scores, self.n_chains, stages, self.rng) for c in self.chains)


def climb(
    likelihood: Likelihood, start: np.ndarray, pi: np.ndarray, bounds: np.ndarray, *, max_states: int, chains: int, steps: int, seed: int
) -> Sampled:
    """The weights after `steps` natural-gradient steps, averaged over the second half.

    start   float (F,)      weights in which every dependency is 0
    bounds  float (F, 2)    weights are clipped to it
    """
    graph, rng = likelihood.graph, np.random.default_rng(seed)
    states = [graph.n_states(lfs) for lfs, _ in graph.components]
    small, large = ([c for c, n in zip(graph.components, states) if (n <= max_states) == wanted] for wanted in (True, False))
    normalizer = MixedNormalizer(graph, small, large, graph.scores(start), chains, rng)
    weights, path, balances = start, [], []
    for t in range(steps):
        gradient, expected, per_class = _gradient(likelihood, normalizer, weights, pi)
        if t % STEPS_PER_METRIC == 0:
            metric = _information(likelihood, normalizer, expected, per_class)
        rate = RATE / np.sqrt(1 + t / SLOWER)
        weights = np.clip(weights + rate * np.linalg.solve(metric, gradient), bounds[:, 0], bounds[:, 1])
        balance = per_class + 1 / likelihood.data.n
        pi = pi if likelihood.fixed_pi is not None else balance / balance.sum()
        path.append(weights), balances.append(pi)
    kept = np.array(path[steps // 2 :])
    batches = [batch.mean(axis=0) for batch in np.array_split(kept, BATCHES)]
    error = np.std(batches, axis=0, ddof=1) / np.sqrt(BATCHES)
    mean, pi = kept.mean(axis=0), np.mean(balances[steps // 2 :], axis=0)
    normalizer.anneal(graph.scores(mean), 10 * STAGES)
    log_z, expected = normalizer(graph.scores(mean), sweeps=10)
    return Sampled(Solution(mean, pi, _objective(likelihood, mean, pi, log_z), steps, True), error, log_z, expected)


def _gradient(likelihood: Likelihood, normalizer: MixedNormalizer, weights: np.ndarray, pi: np.ndarray) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Gradient (F,), P(event | y) (E, K) and share of entities per class (K,) at `weights`."""
    graph, data = likelihood.graph, likelihood.data
    scores = graph.scores(weights)
    log_z, expected = normalizer(scores)
    mass, _ = data.expect(data.events @ scores + (np.log(pi) - log_z))
    per_class = mass.sum(axis=0)
    return graph.per_factor(data.events.T @ mass - per_class * expected) - likelihood.penalty(weights)[1], expected, per_class


def _information(likelihood: Likelihood, normalizer: MixedNormalizer, expected: np.ndarray, per_class: np.ndarray) -> np.ndarray:
    """Variance of the factors given the class, plus that of the prior, float (F, F): diagonal, or from chains within a component."""
    graph = likelihood.graph
    K = graph.n_classes
    mean = [graph.design[y::K].T @ expected[:, y] for y in range(K)]
    square = [graph.squared[y::K].T @ expected[:, y] for y in range(K)]
    total = np.diag(sum(per_class[y] * (square[y] - mean[y] ** 2) for y in range(K)))
    for chains in normalizer.chains:
        mine = np.array([f for f, factor in enumerate(graph.factors) if factor.lfs[0] in chains.lfs])
        values = [(chains.events(y) @ graph.design[y::K][:, mine]).toarray() for y in range(K)]
        total[np.ix_(mine, mine)] = sum(per_class[y] * np.cov(values[y], rowvar=False) for y in range(K))
    return total + np.diag(likelihood.regularization * likelihood.penalised + 1e-3)


def _objective(likelihood: Likelihood, weights: np.ndarray, pi: np.ndarray, log_z: np.ndarray) -> float:
    data = likelihood.data
    _, value = data.expect(data.events @ likelihood.graph.scores(weights) + (np.log(pi) - log_z))
    return value - likelihood.penalty(weights)[0]
