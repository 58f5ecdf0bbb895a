"""Does modelling dependencies between LFs help, and what do wrong ones cost?

    python -m tests.benchmarks.dependency_study [--worlds 5] [--rows 20000]

Each world has 20 LFs of accuracy .55 to .75 that vote on 20 to 50 % of the rows, 30 to 50 % positives. "factors": the votes are
drawn from a factor graph with five dependencies of weight .8 to 1.6 between disjoint pairs (fixing, reinforcing, bolstering,
similar), so that the model can be right. "copies": of four LFs each is repeated by one or two others on 50 to 80 % of the rows, which no
factor says exactly. Arms: no dependencies; the true pairs; pairs found without gold (at most five); the true pairs and twenty
random ones; twenty random ones alone. No gold and no class balance is given. Accuracy on covered rows and area under the ROC curve.
"""

from __future__ import annotations

import argparse
import warnings

import numpy as np
from rich.console import Console
from rich.table import Table

from groundswell.label_models import VotePatterns, label_model
from groundswell.label_models.factor_likelihood import Factor, Graph
from groundswell.label_models.factors import DEPENDENCIES, SYMMETRIC, accuracy_table, dependency_table, propensity_table
from groundswell.label_models.structure import dependencies

M, RANDOM, TYPES = 20, 20, ("fixing", "reinforcing", "bolstering", "similar")
NAMES = tuple(f"lf_{j:02d}" for j in range(M))
Pair = tuple[str, str, str]


def factor_world(rng: np.random.Generator, n: int) -> tuple[np.ndarray, np.ndarray, list[Pair]]:
    """(votes (n, M), gold (n,), true dependencies), drawn exactly: pairs by their joint table, others alone."""
    gold = (rng.random(n) < rng.uniform(0.3, 0.5)).astype(int)
    accuracy, coverage = rng.uniform(0.55, 0.75, M), rng.uniform(0.2, 0.5, M)
    pairs = rng.permutation(M)[:10].reshape(5, 2)
    votes, true = np.full((n, M), -1), []
    for j, k in [*pairs.tolist(), *([j, None] for j in np.setdiff1d(np.arange(M), pairs))]:
        lfs = [j] if k is None else [j, k]
        factors, weights = [], []
        for at, lf in enumerate(lfs):
            a = np.log(accuracy[lf] / (1 - accuracy[lf])) / 2
            b = np.log(coverage[lf] / (1 - coverage[lf]) / (np.exp(a) + np.exp(-a)))
            factors += [Factor("accuracy", (at,), accuracy_table(2), 0, None), Factor("propensity", (at,), propensity_table(2), 0, None)]
            weights += [a, b]
        if k is not None:
            kind = str(rng.choice(TYPES))
            factors.append(Factor(kind, (0, 1), dependency_table(kind, 2), 0, None))
            weights.append(rng.uniform(0.8, 1.6))
            true.append(_named(kind, j, k))
        graph = Graph(len(lfs), 2, factors)
        states = np.stack(np.meshgrid(*[[-1, 0, 1]] * len(lfs), indexing="ij"), axis=-1).reshape(-1, len(lfs))
        p = np.exp(graph.events(states) @ graph.scores(np.array(weights)))
        for y in range(2):
            rows = np.flatnonzero(gold == y)
            votes[np.ix_(rows, lfs)] = states[rng.choice(len(states), len(rows), p=p[:, y] / p[:, y].sum())]
    return votes, gold, true


def copied_world(rng: np.random.Generator, n: int) -> tuple[np.ndarray, np.ndarray, list[Pair]]:
    """As factor_world, with LFs that repeat others; a repeated LF is one of the less accurate."""
    gold = (rng.random(n) < rng.uniform(0.3, 0.5)).astype(int)
    accuracy, coverage = np.sort(rng.uniform(0.55, 0.75, M)), rng.uniform(0.2, 0.5, M)
    votes = np.where(rng.random((n, M)) < accuracy, gold[:, None], 1 - gold[:, None])
    votes = np.where(rng.random((n, M)) < coverage, votes, -1)
    order, true = rng.permutation(M), []
    sources, copies = rng.choice(10, 4, replace=False), [lf for lf in order if lf >= 10]
    for source in sources:
        for _ in range(rng.integers(1, 3)):
            copy = copies.pop()
            rows = rng.random(n) < rng.uniform(0.5, 0.8)
            votes[rows, copy] = votes[rows, source]
            true.append(_named("similar", int(source), int(copy)))
    return votes, gold, true


def _named(kind: str, j: int, k: int) -> Pair:
    a, b = (min(j, k), max(j, k)) if kind in SYMMETRIC else (j, k)
    return kind, NAMES[a], NAMES[b]


def random_pairs(rng: np.random.Generator, besides: list[Pair]) -> list[Pair]:
    """Twenty dependencies of any type between LFs drawn at random."""
    found: list[Pair] = []
    while len(found) < RANDOM:
        pair = _named(str(rng.choice(DEPENDENCIES)), *(int(x) for x in rng.choice(M, 2, replace=False)))
        found += [pair] if pair not in [*found, *besides] else []
    return found


def arms(true: list[Pair], found: list[Pair], wrong: list[Pair]) -> dict[str, tuple[str, dict]]:
    return {
        "majority": ("majority", {}),
        "auto": ("auto", {}),
        "independent": ("factor_graph", {}),
        "true": ("factor_graph", {"dependencies": true}),
        "found": ("factor_graph", {"dependencies": found}),
        "20 random": ("factor_graph", {"dependencies": wrong}),
        "true + 20 random": ("factor_graph", {"dependencies": [*true, *wrong]}),
        "metal": ("metal", {}),
        "metal, true": ("metal", {"dependencies": true}),
    }


def scored(kind: str, seed: int, n: int) -> dict[str, tuple[float, float]]:
    """(accuracy, area under the ROC curve) on covered rows of every arm in one world."""
    rng = np.random.default_rng(seed)
    votes, gold, true = (factor_world if kind == "factors" else copied_world)(rng, n)
    patterns, inverse = VotePatterns.from_matrix(votes, NAMES, ("no", "yes"))
    covered = patterns.covered[inverse]
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # few common votes
        suggested = dependencies(patterns, "pseudolikelihood", types=TYPES, at_most=5)
    found = [(d.type, d.lf_j, d.lf_k) for d in suggested]
    scores = {}
    for arm, (name, options) in arms(true, found, random_pairs(rng, true)).items():
        p = label_model(name, **options).fit(patterns, seed=seed).predict(patterns)[inverse][covered]
        scores[arm] = (_accuracy(p, gold[covered]), _area(p[:, 1], gold[covered]))
    return scores


def _accuracy(p: np.ndarray, gold: np.ndarray) -> float:
    top = p >= p.max(axis=1, keepdims=True) - 1e-5
    return float((top[np.arange(len(gold)), gold] / top.sum(axis=1)).mean())


def _area(score: np.ndarray, gold: np.ndarray) -> float:
    from scipy.stats import rankdata

    positives = (gold == 1).sum()
    return float((rankdata(score)[gold == 1].sum() - positives * (positives + 1) / 2) / (positives * (len(gold) - positives)))


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--worlds", type=int, default=5)
    parser.add_argument("--rows", type=int, default=20_000)
    given = parser.parse_args()
    console = Console(width=150)
    for kind in ("factors", "copies"):
        worlds = [scored(kind, seed, given.rows) for seed in range(given.worlds)]
        table = Table(title=f"{kind}: mean of {given.worlds} worlds, {given.rows:,} rows; differences to no dependencies in points")
        for column in ("arm", "accuracy", "area", "accuracy, worst and best difference", "area, worst and best difference"):
            table.add_column(column, justify="right")
        for arm in worlds[0]:
            mean = [np.mean([w[arm][i] for w in worlds]) for i in (0, 1)]
            gaps = [[100 * (w[arm][i] - w["independent"][i]) for w in worlds] for i in (0, 1)]
            table.add_row(arm, *[f"{x:.4f}" for x in mean], *[f"{np.mean(g):+.2f} ({min(g):+.2f} to {max(g):+.2f})" for g in gaps])
        console.print(table)


if __name__ == "__main__":
    main()
