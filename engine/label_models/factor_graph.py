"""Data programming: one factor graph over votes and the class, with accuracies, propensities and known dependencies."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any, ClassVar, Sequence

import numpy as np

from groundswell.errors import LabelModelError
from groundswell.label_models.base import Fit, LabelModel, Task, register, undefined_params, uniform
from groundswell.label_models.dawid_skene import majority_stand_in, unidentified
from groundswell.label_models.evidence import Evidence, Interaction
from groundswell.label_models.factor_likelihood import LIMIT, Data, ExactNormalizer, Factor, Graph, Likelihood, Solution, lone_log_z
from groundswell.label_models.factors import (
    Dependency,
    accuracy_table,
    class_propensity_tables,
    dependency_table,
    propensity_table,
    read_dependencies,
)
from groundswell.label_models.gibbs import BATCHES, climb
from groundswell.label_models.patterns import ABSTAIN, VotePatterns
from groundswell.label_models.trust import fit_warnings, listed

TRUSTED_ACCURACY = 2.0
"""Log-odds (against one wrong class) of the accuracy that fits start from and regularisation pulls to: sigmoid(2) = .88."""

Normalised = tuple[np.ndarray, np.ndarray]
"""log Z(y) (K,) and P(event | y) (E, K)."""


@register
@dataclass
class FactorGraph(LabelModel):
    """P(votes, Y) proportional to exp(w . phi(votes, Y)): accuracies, propensities, class balance, and given dependencies.

    dependencies      [(type, lf_j, lf_k), ...] or Dependency objects; "lf_k fixes / reinforces / negates / has priority over
                      lf_j" (asymmetric), bolstering, similar, exclusive (symmetric)
    propensity        a weight for how often each LF votes
    class_propensity  also a weight for how that depends on the class: abstention then is evidence
    regularization    r of -r/2 |w - w0|^2 per entity: accuracies are pulled to .88, dependencies and class propensities to 0
    max_states        components of dependent LFs with at most so many joint votes, at most (K+1)^LFs, are exact; larger ones are
                      sampled by `chains` persistent Gibbs chains per class over `steps` gradient steps, and the Monte-Carlo
                      error is reported (LM219)

    Two classes: accuracy is vote * y with classes -1, +1, so P(right | vote) = sigmoid(2 w) without dependencies; more
    classes: [vote = y], e^w / (e^w + K - 1). Weights stay within +-10 (LM217); the mean accuracy weight is not negative (LM221).
    An LF's votes are those it gives anywhere: the abstentions of an LF of one class are then evidence, as its votes alone say
    nothing. The class balance is estimated with the rest, unless given, or no LF tells the classes apart (LM218). A dependency that no
    entity shows is dropped (LM216). weights_ maps (factor, LF, ...) to its weight. objective_ is the penalised mean
    log-likelihood. Source: Ratner et al. 2016; factor types of Bach et al. 2017 and Cachay et al. 2021.

    Raises LabelModelError: LM107 (option value).
    """

    name: ClassVar[str] = "factor_graph"
    dependencies: Sequence[Any] = ()
    propensity: bool = True
    class_propensity: bool = False
    regularization: float = 0.01
    max_states: int = 59049
    chains: int = 1000
    steps: int = 200
    tolerance: float = 1e-10
    max_iterations: int = 2000
    _weights: dict[tuple[str, ...], float] = field(default_factory=dict, init=False, repr=False, compare=False)

    def _fit(self, task: Task) -> Fit:
        self._weights = {}
        _check_options(self)
        wanted = read_dependencies(self.dependencies, task.patterns.lfs)
        reason = unidentified(task)
        if reason:
            return majority_stand_in(task, reason)
        return _Fitting(self, task, wanted).run()

    @property
    def weights_(self) -> dict[tuple[str, ...], float]:
        """(factor, LF) or (factor, lf_j, lf_k) -> weight; empty where majority vote stands in. Several class propensities of one
        LF (three classes and more) are (factor, LF, class). Raises LM109 before a fit.
        """
        self._fitted()
        return dict(self._weights)


class _Fitting:
    """One fit: the votes of the LFs that vote, the factors over them, and what is worth a warning."""

    def __init__(self, model: FactorGraph, task: Task, wanted: list[Dependency]):
        self.model, self.task = model, task
        patterns = task.patterns
        self.voting = np.flatnonzero((patterns.votes != ABSTAIN).any(axis=0))
        self.lfs = [patterns.lfs[j] for j in self.voting]
        self.votes = patterns.votes[:, self.voting]
        self.K = len(patterns.classes)
        self.warnings: list[str] = []
        self.voted = np.stack([(self.votes == k).any(axis=0) for k in range(self.K)], axis=1)
        self.graph = Graph(len(self.lfs), self.K, [*self._unary(), *self._supported(wanted)], self.voted)
        self.data = _data(self.graph, self.votes, task)

    def run(self) -> Fit:
        """Fit, described in the terms of all label models."""
        likelihood = Likelihood(self.graph, self.data, self._fixed_balance(), self.model.regularization)
        solution, (log_z, expected) = self._solved(likelihood)
        self._warn_of_limits(solution)
        self.model._weights = {self._key(f): float(w) for f, w in zip(self.graph.factors, solution.weights)}
        evidence, params = self._described(solution, log_z, expected)
        fit = Fit(evidence, solution.pi, params, solution.pi, solution.n_iterations, solution.converged, solution.objective)
        settled = [] if solution.converged else [f"LM210: the fit did not settle in {self.model.max_iterations} iterations"]
        patterns = self.task.patterns
        return fit.warned(*fit_warnings(patterns, fit.posterior(patterns), fit.class_balance), *settled, *self.warnings)

    def _key(self, factor: Factor) -> tuple[str, ...]:
        several = factor.name == "class_propensity" and self.K > 2
        which = (self.task.patterns.classes[int(factor.table[0].argmax())],) if several else ()
        return (factor.name, *(self.lfs[j] for j in factor.lfs), *which)

    # -- factors --------------------------------------------------------------------------------------------------------

    def _unary(self) -> list[Factor]:
        K, found = self.K, []
        trusted = TRUSTED_ACCURACY / 2 if K == 2 else TRUSTED_ACCURACY + np.log(K - 1)
        fires = np.array([self.task.patterns.counts[votes != ABSTAIN].sum() for votes in self.votes.T], float)
        coverage = np.clip(fires / self.task.patterns.n_entities, 1e-4, 1 - 1e-4)
        mass = np.exp(trusted) + (np.exp(-trusted) if K == 2 else K - 1)
        for j in range(len(self.lfs)):
            found.append(Factor("accuracy", (j,), accuracy_table(K), trusted, trusted))
            if self.model.propensity:
                start = np.log(coverage[j] / (1 - coverage[j]) / mass)
                found.append(Factor("propensity", (j,), propensity_table(K), start, None))
            if self.model.class_propensity:
                found += [Factor("class_propensity", (j,), table, 0.0, 0.0) for table in class_propensity_tables(K)]
        return found

    def _supported(self, wanted: list[Dependency]) -> list[Factor]:
        """Factors of the dependencies whose +1 or -1 cells hold entities."""
        kept, dropped, at = [], [], {lf: j for j, lf in enumerate(self.lfs)}
        for d in wanted:
            table = dependency_table(d.type, self.K)
            pair = (at.get(d.lf_j), at.get(d.lf_k))
            if None in pair or not table[self.votes[:, pair[0]], self.votes[:, pair[1]]].any():
                dropped.append(f"{d.type} {d.lf_j} {d.lf_k}")
            else:
                kept.append(Factor(d.type, pair, table, 0.0, 0.0))
        if dropped:
            self.warnings.append(f"LM216: dependencies that no entity shows are left out: {listed(dropped)}")
        return kept

    def _fixed_balance(self) -> np.ndarray | None:
        if self.task.class_balance is not None:
            return self.task.class_balance
        voted = np.unique(self.votes[self.votes != ABSTAIN])
        if len(voted) > 1 or self.task.gold is not None:
            return None
        only = self.task.patterns.classes[voted[0]]
        self.warnings.append(f"LM218: all LFs vote {only}, which does not tell the class balance: it is taken to be uniform; give class_balance")
        return uniform(self.K)

    # -- fit ------------------------------------------------------------------------------------------------------------

    def _solved(self, likelihood: Likelihood) -> tuple[Solution, Normalised]:
        """The maximum; if its mean accuracy weight is negative, the maximum with no accuracy weight negative."""
        accuracy = np.array([f.name == "accuracy" for f in self.graph.factors])
        bounds = _bounds(self.graph)
        solution, normalised = self._within(likelihood, bounds)
        if solution.weights[accuracy].mean() < 0:
            self.warnings.append("LM221: the votes fit best with LFs that are wrong on average; accuracies were kept at chance or better")
            bounds[accuracy, 0] = 0.0
            solution, normalised = self._within(likelihood, bounds)
        return solution, normalised

    def _within(self, likelihood: Likelihood, bounds: np.ndarray) -> tuple[Solution, Normalised]:
        if any(self.graph.n_states(lfs) > self.model.max_states for lfs, _ in self.graph.components):
            return self._climbed(likelihood, bounds)
        solution = _maximised(self.model, likelihood, bounds)
        return solution, ExactNormalizer(self.graph)(self.graph.scores(solution.weights))

    def _climbed(self, likelihood: Likelihood, bounds: np.ndarray) -> tuple[Solution, Normalised]:
        """By Gibbs chains, from the fit without dependencies."""
        alone = Graph(self.graph.m, self.K, [f for f in self.graph.factors if len(f.lfs) == 1], self.voted)
        first = Likelihood(alone, _data(alone, self.votes, self.task), likelihood.fixed_pi, likelihood.regularization)
        start = _maximised(self.model, first, _bounds(alone))
        weights = np.append(start.weights, np.zeros(len(self.graph.factors) - len(start.weights)))
        sampled = climb(
            likelihood, weights, start.pi, bounds,
            max_states=self.model.max_states, chains=self.model.chains, steps=self.model.steps, seed=self.task.seed,
        )  # fmt: skip
        largest = max(len(lfs) for lfs, _ in self.graph.components)
        worst = int(np.argmax(sampled.error))
        factor = self.graph.factors[worst]
        self.warnings.append(
            f"LM219: {largest} dependent LFs are too many to enumerate; weights come from {self.model.chains} Gibbs chains, with "
            f"Monte-Carlo standard errors of up to {sampled.error[worst]:.3f} ({factor.name} {' '.join(self.lfs[j] for j in factor.lfs)})"
        )
        return sampled.solution, (sampled.log_z, sampled.expected)

    def _warn_of_limits(self, solution: Solution) -> None:
        always = np.array([f.name == "propensity" for f in self.graph.factors]) & (solution.weights > 0)  # an LF that votes everywhere
        at_limit = np.flatnonzero((np.abs(solution.weights) >= LIMIT) & ~always)
        named = [" ".join([self.graph.factors[f].name, *(self.lfs[j] for j in self.graph.factors[f].lfs)]) for f in at_limit]
        if named:
            self.warnings.append(f"LM217: weights that reached their limit of {LIMIT:.0f}: {listed(named)}")

    # -- description ----------------------------------------------------------------------------------------------------

    def _described(self, solution: Solution, log_z: np.ndarray, expected: np.ndarray) -> tuple[Evidence, np.ndarray]:
        """Evidence and params over all LFs: silent ones weigh nothing and have no table."""
        patterns, K = self.task.patterns, self.K
        scores = self.graph.scores(solution.weights)
        weight = np.zeros((len(patterns.lfs), K + 1, K))
        weight[self.voting, :K] = self.graph.unary(scores)
        norm = lone_log_z(self.graph.possible(scores)[self.graph.alone])
        prior = np.log(solution.pi) - _centred(log_z - norm.sum(axis=0))
        weight[self.voting[self.graph.alone]] -= _centred(norm)[:, None, :]
        params = undefined_params(patterns)
        voted = self.graph.unary(expected).transpose(0, 2, 1)
        silent = np.maximum(1 - voted.sum(axis=2, keepdims=True), 0.0)
        params[self.voting] = np.concatenate([voted, silent], axis=2)
        return Evidence(patterns.lfs, patterns.classes, prior, weight, interactions=self._interactions(scores)), params

    def _interactions(self, scores: np.ndarray) -> tuple[Interaction, ...]:
        """What pairs add for a class; dependencies of votes alone cancel and are not shown."""
        tables = self.graph.pairwise(scores)
        named = [Interaction((self.lfs[j], self.lfs[k]), table - table.mean(axis=2, keepdims=True)) for (j, k), table in zip(self.graph.pairs, tables)]
        return tuple(i for i in named if np.abs(i.log_weight).max() > 1e-12)


def _maximised(model: FactorGraph, likelihood: Likelihood, bounds: np.ndarray) -> Solution:
    start = np.array([f.start for f in likelihood.graph.factors])
    return likelihood.maximise(np.clip(start, -LIMIT, LIMIT), bounds, model.tolerance, model.max_iterations)


def _bounds(graph: Graph) -> np.ndarray:
    return np.tile([-LIMIT, LIMIT], (len(graph.factors), 1))


def _centred(log_z: np.ndarray) -> np.ndarray:
    """Log normalisers less their mean over classes; 0 where rounding alone tells the classes apart."""
    off = log_z - log_z.mean(axis=-1, keepdims=True)
    return np.where(np.abs(off).max(axis=-1, keepdims=True) > 1e-9, off, 0.0)


def _data(graph: Graph, votes: np.ndarray, task: Task) -> Data:
    n = float(task.patterns.n_entities)
    counts, gold = task.patterns.counts / n, None if task.gold is None else task.gold / n
    return Data(graph.events(votes), counts if gold is None else np.maximum(counts - gold.sum(axis=1), 0.0), gold, n)


def _check_options(model: FactorGraph) -> None:
    if not model.regularization >= 0 or not model.tolerance >= 0:
        raise LabelModelError("LM107", "regularization and tolerance cannot be negative")
    for option in ("max_states", "chains", "steps", "max_iterations"):
        least = 2 * BATCHES if option == "steps" else 1
        if not getattr(model, option) >= least:
            raise LabelModelError("LM107", f"{option} must be at least {least}, got {getattr(model, option)!r}")
