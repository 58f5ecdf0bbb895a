"""How good are probabilities? Point values, and bootstrap intervals that resample entities."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

RESAMPLES, LEVEL = 500, 0.95
CHUNK = 20_000_000
"""Resampled weights held at once (rows x resamples)."""


@dataclass(frozen=True)
class Metric:
    """A value with its bootstrap interval; None where it is not defined (no positives, no rows)."""

    name: str
    value: float | None
    low: float | None
    high: float | None
    n: int


def judged(gold: np.ndarray, p: np.ndarray, threshold: float | None = None, seed: int = 0) -> list[Metric]:
    """average_precision, f1, accuracy and log_loss of probabilities against gold.

    gold       int (n,)      class index
    p          float (n, K)  rows sum to 1
    threshold  two classes, for f1: call the last class from this probability on (chosen on dev); None = the largest p
    Two classes: the positive class is the last one. More: mean over the classes found in gold. Intervals: 95 % percentile
    bootstrap over entities, Poisson weights, RESAMPLES resamples. Source: Davis & Goadrich 2006 (average precision); Efron &
    Tibshirani 1993, chapter 13 (intervals).
    """
    n = len(gold)
    if not n:
        return [Metric(name, None, None, None, 0) for name in METRICS]
    weights = _resamples(n, seed)
    called = p.argmax(axis=1) if threshold is None else (p[:, -1] >= threshold).astype(int)
    return [_with_interval(name, METRICS[name], weights, gold, p, called) for name in METRICS]


def best_threshold(gold: np.ndarray, p: np.ndarray) -> float | None:
    """The probability of the last class from which calling it gives the largest F1; None without positives or for K > 2."""
    if p.shape[1] != 2 or not (gold == 1).any():
        return None
    order = np.argsort(-p[:, 1], kind="stable")
    score, hit = p[order, 1], (gold[order] == 1)
    last = np.append(score[1:] != score[:-1], True)
    tp, called = np.cumsum(hit)[last], np.flatnonzero(last) + 1
    f1 = 2 * tp / (called + hit.sum())
    return float(score[last][int(np.argmax(f1))])


def _with_interval(name: str, metric, weights: np.ndarray, gold: np.ndarray, p: np.ndarray, called: np.ndarray) -> Metric:
    """weights float (R + 1, n): the first row is 1 everywhere."""
    values = np.concatenate([metric(w, gold, p, called) for w in np.array_split(weights, max(1, weights.size // CHUNK + 1))])
    value, resampled = values[0], values[1:][np.isfinite(values[1:])]
    if not np.isfinite(value) or not len(resampled):
        return Metric(name, None, None, None, len(gold))
    low, high = np.quantile(resampled, [(1 - LEVEL) / 2, (1 + LEVEL) / 2])
    return Metric(name, float(value), float(low), float(high), len(gold))


def _resamples(n: int, seed: int) -> np.ndarray:
    rng = np.random.default_rng(seed)
    count = max(20, min(RESAMPLES, 5 * CHUNK // max(n, 1)))
    return np.concatenate([np.ones((1, n), np.float32), rng.poisson(1.0, (count, n)).astype(np.float32)])


def _average_precision(w: np.ndarray, gold: np.ndarray, p: np.ndarray, called: np.ndarray) -> np.ndarray:
    """Step-wise average precision, float (R,): ties form one step; mean over the classes found in gold when K > 2."""
    classes = [1] if p.shape[1] == 2 else sorted(set(gold.tolist()))
    return np.mean([_one_vs_rest(w, gold == k, p[:, k]) for k in classes], axis=0)


def _one_vs_rest(w: np.ndarray, hit: np.ndarray, score: np.ndarray) -> np.ndarray:
    order = np.argsort(-score, kind="stable")
    score, hit, w = score[order], hit[order], w[:, order]
    last = np.append(score[1:] != score[:-1], True)
    tp, called = np.cumsum(w * hit, axis=1)[:, last], np.cumsum(w, axis=1)[:, last]
    gain = np.diff(tp, axis=1, prepend=0)
    precision = np.divide(tp, called, out=np.zeros_like(tp), where=called > 0)
    total = tp[:, -1]
    return np.divide((gain * precision).sum(axis=1), total, out=np.full(len(total), np.nan), where=total > 0)


def _f1(w: np.ndarray, gold: np.ndarray, p: np.ndarray, called: np.ndarray) -> np.ndarray:
    classes = [1] if p.shape[1] == 2 else sorted(set(gold.tolist()))
    found = []
    for k in classes:
        tp, either = w @ ((gold == k) & (called == k)), w @ (gold == k) + w @ (called == k)
        found.append(np.divide(2 * tp, either, out=np.full(len(w), np.nan), where=(w @ (gold == k)) > 0))
    return np.mean(found, axis=0)


def _accuracy(w: np.ndarray, gold: np.ndarray, p: np.ndarray, called: np.ndarray) -> np.ndarray:
    return (w @ (p.argmax(axis=1) == gold)) / np.maximum(w.sum(axis=1), 1e-9)


def _log_loss(w: np.ndarray, gold: np.ndarray, p: np.ndarray, called: np.ndarray) -> np.ndarray:
    loss = -np.log(np.maximum(p[np.arange(len(gold)), gold], 1e-15))
    return (w @ loss) / np.maximum(w.sum(axis=1), 1e-9)


METRICS = {"average_precision": _average_precision, "f1": _f1, "accuracy": _accuracy, "log_loss": _log_loss}
