"""LFs of a single class on rows of unequal length, with and without copies: which label model survives?

    python -m tests.benchmarks.one_sided [--worlds 20]

Each world has 6 to 14 LFs, half of them for either class, 8 to 50 % positives, 5,000 rows. An LF fires on a row of its class at
a rate of .03 to .3, on others 1.5 to 12 times less, times the row's length to a power of 0 to 1.5; length is log-normal with the
spread shown. With copies, two LFs repeat another one on half of the rows. Accuracy on covered rows, ties at equal credit.
"""

from __future__ import annotations

import argparse

import numpy as np
from rich.console import Console
from rich.table import Table

from groundswell.label_models import VotePatterns, label_model

MODELS = {
    "majority": ("majority", {}),
    "1 step": ("multinomial", {}),
    "3 steps": ("multinomial", {"steps": 3}),
    "100 steps": ("multinomial", {"steps": 100}),
    "Dawid-Skene": ("dawid_skene", {}),
    "auto": ("auto", {}),
}
SPREADS = (0.0, 0.3, 0.8, 1.5)


def world(seed: int, spread: float, copies: bool, n: int = 5000) -> tuple[np.ndarray, np.ndarray]:
    """Votes (n, m) and gold (n,)."""
    rng = np.random.default_rng(seed)
    gold = (rng.random(n) < rng.uniform(0.08, 0.5)).astype(int)
    length = np.exp(spread * rng.standard_normal(n) - spread**2 / 2)
    side = np.repeat([1, 0], rng.integers(3, 8, 2))
    votes = np.full((n, len(side)), -1)
    for j, own in enumerate(side):
        base, lift = rng.uniform(0.03, 0.3), rng.uniform(1.5, 12)
        rate = np.where(gold == own, base, base / lift) * length ** rng.uniform(0, 1.5)
        votes[rng.random(n) < np.minimum(rate, 0.95), j] = own
    for _ in range(2 if copies else 0):
        source, copy = rng.choice(len(side), 2, replace=False)
        rows = rng.random(n) < 0.5
        votes[rows, copy] = np.where(votes[rows, source] >= 0, side[copy], -1)
    return votes, gold


def with_default(votes: np.ndarray) -> np.ndarray:
    """The votes and one more LF that says class 0 on every row."""
    return np.column_stack([votes, np.zeros(len(votes), int)])


def accuracy(posterior: np.ndarray, gold: np.ndarray, covered: np.ndarray) -> float:
    top = posterior >= posterior.max(axis=1, keepdims=True) - 1e-5
    return float((top[np.arange(len(gold)), gold] / top.sum(axis=1))[covered].mean())


def scored(seed: int, spread: float, copies: bool, default: bool = False) -> dict[str, float]:
    """Accuracy of every model in one world."""
    votes, gold = world(seed, spread, copies)
    votes = with_default(votes) if default else votes
    names = [f"lf_{j:02d}" for j in range(votes.shape[1])]
    patterns, inverse = VotePatterns.from_matrix(votes, names, ("no", "yes"))
    posteriors = {label: label_model(name, **options).fit(patterns).predict(patterns) for label, (name, options) in MODELS.items()}
    return {label: accuracy(p[inverse], gold, patterns.covered[inverse]) for label, p in posteriors.items()}


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--worlds", type=int, default=20)
    worlds = parser.parse_args().worlds
    table = Table(title="accuracy on covered rows, mean over worlds")
    for column in ("length spread", "copies", *MODELS, "auto at worst against majority"):
        table.add_column(column, justify="right")
    for spread in SPREADS:
        for copies in (False, True):
            found = [scored(seed, spread, copies) for seed in range(worlds)]
            means = [f"{np.mean([s[m] for s in found]):.3f}" for m in MODELS]
            worst = min(s["auto"] - s["majority"] for s in found)
            table.add_row(f"{spread}", "yes" if copies else "no", *means, f"{worst:+.3f}")
    defaults = Table(title="the same with one more LF that says class 0 on every row")
    for column in ("length spread", *MODELS):
        defaults.add_column(column, justify="right")
    for spread in SPREADS:
        found = [scored(seed, spread, False, default=True) for seed in range(worlds)]
        defaults.add_row(f"{spread}", *[f"{np.mean([s[m] for s in found]):.3f}" for m in MODELS])
    Console(width=120).print(table, defaults)


if __name__ == "__main__":
    main()
