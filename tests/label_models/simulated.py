"""Votes with known truth, for the tests of label models."""

from __future__ import annotations

import numpy as np

from groundswell.label_models import VotePatterns


def names(m: int) -> tuple[str, ...]:
    return tuple(f"lf_{j:03d}" for j in range(m))


def class_names(k: int) -> tuple[str, ...]:
    return tuple(f"class_{y:02d}" for y in range(k))


def random_votes(rng: np.random.Generator, n: int, m: int, k: int, coverage: float = 0.5, accuracy: float = 0.7):
    """(gold (n,), votes (n, m)): every LF votes with the same coverage; errors are uniform over the other classes."""
    gold = rng.integers(0, k, n)
    wrong = (gold[:, None] + rng.integers(1, k, (n, m))) % k
    votes = np.where(rng.random((n, m)) < accuracy, gold[:, None], wrong)
    return gold, np.where(rng.random((n, m)) < coverage, votes, -1)


def one_sided(n: int, seed: int, positives: float = 0.1):
    """Three positive LFs firing .4/.3/.5 on positives, .02/.01/.05 on negatives; three negative ones .5/.4/.3 vs .05/.04/.03."""
    rng = np.random.default_rng(seed)
    gold = (rng.random(n) < positives).astype(int)
    right, wrong = np.array([0.4, 0.3, 0.5, 0.5, 0.4, 0.3]), np.array([0.02, 0.01, 0.05, 0.05, 0.04, 0.03])
    voted = np.array([1, 1, 1, 0, 0, 0])
    rate = np.where(gold[:, None] == voted, right, wrong)
    return gold, np.where(rng.random((n, 6)) < rate, voted, -1), right, wrong


def copied(n: int, rho: float, seed: int):
    """Gold (n,) and votes (n, 10): two-sided LFs, of which LFs 5 to 9 repeat LF 4 (accuracy .6) with probability rho."""
    rng = np.random.default_rng(seed)
    gold = rng.integers(0, 2, n)
    accuracy, coverage = rng.uniform(0.6, 0.9, 10), rng.uniform(0.2, 0.6, 10)
    accuracy[4], coverage[4] = 0.6, 0.5
    fires = rng.random((n, 10)) < coverage
    right = rng.random((n, 10)) < accuracy
    votes = np.where(fires, np.where(right, gold[:, None], 1 - gold[:, None]), -1)
    if rho:
        for lf in range(5, 10):
            copies = rng.random(n) < rho
            votes[copies, lf] = votes[copies, 4]
    return gold, votes


def patterns_of(votes: np.ndarray, k: int = 2) -> tuple[VotePatterns, np.ndarray]:
    return VotePatterns.from_matrix(votes, names(votes.shape[1]), class_names(k))


def accuracy(posterior: np.ndarray, gold: np.ndarray, covered: np.ndarray) -> float:
    """Share of covered rows labelled right, ties at equal credit."""
    top = posterior >= posterior.max(axis=1, keepdims=True) - 1e-5
    credit = top[np.arange(len(gold)), gold] / top.sum(axis=1)
    return float(credit[covered].mean())
