"""LFs that copy others, in five ways: how far below an oracle does `auto` stay?

    python -m tests.benchmarks.copied_lfs [--worlds 5]

Ten LFs of two sides, coverage .2 to .6, accuracy .6 to .9 (three classes: .45 to .85); LF 4 is the worst of them. `whole`: five
LFs repeat its vote, abstention included, with probability rho; `fired`: only what it says, where both fire anyway; `chain`: each
repeats the one before; `clique`: six repeat a hidden seventh; `two`: two groups of three. The oracle is naive Bayes told the
gold and which LFs belong together. Accuracy on covered rows, ties at equal credit, mean over worlds.
"""

from __future__ import annotations

import argparse

import numpy as np
from rich.console import Console
from rich.table import Table

from groundswell.label_models import VotePatterns, label_model

KINDS = ("whole", "fired", "chain", "clique", "two")


def world(kind: str, n: int, rho: float, seed: int, k: int = 2) -> tuple[np.ndarray, np.ndarray, list[np.ndarray]]:
    """Gold (n,), votes (n, 10), and the LFs that belong together (singles too)."""
    rng = np.random.default_rng(1000 + seed)
    gold = rng.integers(0, k, n)
    accuracy, coverage = rng.uniform(0.6, 0.9, 10) if k == 2 else rng.uniform(0.45, 0.85, 10), rng.uniform(0.2, 0.6, 10)
    accuracy[4], coverage[4] = (0.6 if k == 2 else 0.45), 0.5
    wrong = (gold[:, None] + rng.integers(1, k, (n, 10))) % k
    votes = np.where(rng.random((n, 10)) < coverage, np.where(rng.random((n, 10)) < accuracy, gold[:, None], wrong), -1)
    sources = {"whole": [4] * 5, "fired": [4] * 5, "chain": [4, 5, 6, 7, 8]}
    if kind in sources:
        for source, copy in zip(sources[kind], range(5, 10)):
            rows = rng.random(n) < rho
            rows &= (votes[:, copy] >= 0) & (votes[:, source] >= 0) if kind == "fired" else True
            votes[rows, copy] = votes[rows, source]
    if kind == "clique":
        hidden = np.where(rng.random(n) < 0.5, np.where(rng.random(n) < accuracy[4], gold, (gold + 1) % k), -1)
        for copy in range(4, 10):
            rows = rng.random(n) < np.sqrt(rho)
            votes[rows, copy] = hidden[rows]
    if kind == "two":
        for source, copy in ((4, 5), (4, 6), (7, 8), (7, 9)):
            rows = rng.random(n) < rho
            votes[rows, copy] = votes[rows, source]
    groups = [np.arange(4, 7), np.arange(7, 10)] if kind == "two" else [np.arange(4, 10)]
    return gold, votes, [np.array([j]) for j in range(4)] + groups


def oracle(gold: np.ndarray, votes: np.ndarray, groups: list[np.ndarray]) -> np.ndarray:
    """Posterior (n, K) of naive Bayes over the joint votes of each group, tables counted on gold."""
    k = gold.max() + 1
    score = np.tile(np.log(np.bincount(gold, minlength=k) / len(gold)), (len(gold), 1))
    for group in groups:
        _, at = np.unique(votes[:, group], axis=0, return_inverse=True)
        table = np.ones((at.max() + 1, k))
        np.add.at(table, (at, gold), 1)
        score += np.log(table / table.sum(axis=0))[at]
    return score


def accuracy(p: np.ndarray, gold: np.ndarray, covered: np.ndarray) -> float:
    top = p >= p.max(axis=1, keepdims=True) - 1e-5
    return float((top[np.arange(len(gold)), gold] / top.sum(axis=1))[covered].mean())


def scored(kind: str, n: int, rho: float, seed: int, k: int) -> dict[str, float]:
    gold, votes, groups = world(kind, n, rho, seed, k)
    patterns, inverse = VotePatterns.from_matrix(votes, [f"lf_{j}" for j in range(10)], [f"class_{c}" for c in range(k)])
    covered = patterns.covered[inverse]
    arms = {"majority": label_model("majority"), "discount": label_model("dawid_skene", discount_copies=True), "auto": label_model("auto")}
    found = {name: accuracy(model.fit(patterns).predict(patterns)[inverse], gold, covered) for name, model in arms.items()}
    return found | {"oracle": accuracy(oracle(gold, votes, groups), gold, covered)}


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--worlds", type=int, default=5)
    worlds = parser.parse_args().worlds
    table = Table(title=f"accuracy on covered rows, mean of {worlds} worlds")
    for column in ("classes", "rows", "kind", "rho", "majority", "discount", "auto", "oracle", "auto below oracle", "worst auto - majority"):
        table.add_column(column, justify="right")
    for k, n in ((2, 20_000), (2, 2_000), (3, 20_000)):
        for kind in KINDS:
            for rho in (0.5, 0.8):
                found = [scored(kind, n, rho, seed, k) for seed in range(worlds)]
                mean = {name: np.mean([f[name] for f in found]) for name in found[0]}
                worst = min(f["auto"] - f["majority"] for f in found)
                cells = [f"{mean[name]:.3f}" for name in ("majority", "discount", "auto", "oracle")]
                table.add_row(str(k), f"{n:,}", kind, f"{rho}", *cells, f"{mean['oracle'] - mean['auto']:.3f}", f"{worst:+.3f}")
    Console(width=150).print(table)


if __name__ == "__main__":
    main()
