"""Live metrics from a sample that people reviewed: which rows to draw, with which probability, and what the answers say of all rows.

Source: Horvitz & Thompson 1952; Hajek 1971; Sarndal, Swensson & Wretman 1992, sections 3.5 (Poisson sampling) and 5.5 (linearisation).
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Iterator, Sequence

import numpy as np

RANDOM, IMPORTANCE, DISAGREEMENT = 0.4, 0.3, 0.3
"""Shares of a draw: any row alike; rows of classes that are seldom; rows on which two models differ."""


def inclusion_probabilities(n: int, p: np.ndarray, other: np.ndarray | None) -> np.ndarray:
    """float (N,): the probability with which each row is drawn, n of them on average, none zero.

    p      float (N, K)  what the model says; importance of a row = root of sum_k p_k / (mean p_k): seldom classes count as much
                         as frequent ones, so the rows that decide precision and recall are drawn more often
    other  float (N, K)  what another model says, NaN where it is silent; disagreement = half the sum of |p - other|
    Where nothing disagrees, that share is drawn like the random one. Probabilities above 1 are cut, and the others raised for it.
    """
    importance = np.sqrt((p / np.maximum(p.mean(axis=0), 1e-9)).sum(axis=1))
    apart = np.zeros(len(p)) if other is None else np.nan_to_num(np.abs(p - other).sum(axis=1) / 2)
    size = RANDOM / len(p) + IMPORTANCE * importance / importance.sum()
    size += DISAGREEMENT * (apart / apart.sum() if apart.sum() > 0 else 1 / len(p))
    return _cut(size, min(n, len(p)))


def _cut(size: np.ndarray, n: float) -> np.ndarray:
    """Probabilities proportional to size that sum to n and do not exceed 1."""
    certain = np.zeros(len(size), bool)
    while True:
        left = n - certain.sum()
        found = np.where(certain, 1.0, left * size / max(size[~certain].sum(), 1e-300))
        if not (found > 1 + 1e-12).any():
            return np.minimum(found, 1.0)
        certain |= found > 1


def horvitz_thompson(y: np.ndarray, probability: np.ndarray) -> float:
    """The sum of y over all rows, estimated from the drawn ones; unbiased."""
    return float((y / probability).sum())


@dataclass(frozen=True)
class Reviewed:
    """Rows that were drawn and answered, each (n,). probability: of being drawn and answered; weight: share of the draw among draws."""

    gold: np.ndarray
    predicted: np.ndarray
    probability: np.ndarray
    weight: np.ndarray


@dataclass(frozen=True)
class Estimate:
    """A metric of all rows with its 95 % interval; None where no reviewed row tells."""

    metric: str
    value: float | None
    low: float | None
    high: float | None


def answered_probability(probability: np.ndarray, known: np.ndarray, answered: np.ndarray) -> np.ndarray:
    """float (n,): the probability of being drawn and answered, for all drawn rows.

    Rows known before the draw are answered for certain; of the others, asked in random order, a share was: an early end, and what
    nobody could tell, are taken to have nothing to do with the class.
    """
    asked = ~known
    share = answered[asked].mean() if asked.any() else 1.0
    return np.where(known, probability, probability * share)


def estimates(rows: Reviewed, classes: Sequence[str]) -> list[Estimate]:
    """accuracy, and precision, recall, f1, positive_rate of the last class; of each class, by name, where there are more than two."""
    found = [_ratio("accuracy", rows, rows.gold == rows.predicted, np.ones(len(rows.gold)))]
    for k in range(len(classes)) if len(classes) > 2 else [1]:
        name = f" {classes[k]}" if len(classes) > 2 else ""
        found += [_ratio(metric + name, rows, a, b) for metric, a, b in _ratios(rows.gold == k, rows.predicted == k)]
    return found


def _ratios(is_k: np.ndarray, called: np.ndarray) -> Iterator[tuple[str, np.ndarray, np.ndarray]]:
    """(metric, numerator, denominator) per row; a metric is the ratio of their sums."""
    hit = is_k & called
    yield "precision", hit, called
    yield "recall", hit, is_k
    yield "f1", 2.0 * hit, called.astype(float) + is_k
    yield "positive_rate", is_k, np.ones(len(is_k))


def _ratio(metric: str, rows: Reviewed, a: np.ndarray, b: np.ndarray) -> Estimate:
    """The ratio of two estimated sums. Interval: Wilson's for the number of independent rows with the same variance, which is that
    of the linearised ratio under Poisson sampling; Student's t for few rows (Korn & Graubard 1998)."""
    d = rows.weight / rows.probability
    total, n = float((d * b).sum()), int((b > 0).sum())
    if not total > 0:
        return Estimate(metric, None, None, None)
    value = float((d * a).sum()) / total
    spread = rows.weight**2 * (1 - rows.probability) / rows.probability**2
    variance = float((spread * (a - value * b) ** 2).sum()) / total**2
    alike = float((spread * b**2).sum()) / total**2
    size = value * (1 - value) / variance if variance > 0 else 1 / alike if alike > 0 else np.inf
    return Estimate(metric, value, *_wilson(value, size, n))


def _wilson(p: float, size: float, n: int) -> tuple[float, float]:
    """The interval of a share of `size` rows, fewer where it is estimated from n."""
    from scipy.stats import t

    if np.isinf(size):
        return p, p
    z2 = t.ppf(0.975, n - 1) ** 2 if n > 1 else 12.7**2
    centre, half = (p + z2 / (2 * size)) / (1 + z2 / size), np.sqrt(z2 * (p * (1 - p) / size + z2 / (4 * size**2))) / (1 + z2 / size)
    return float(max(0.0, centre - half)), float(min(1.0, centre + half))
