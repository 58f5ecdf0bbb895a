"""From scores to labels and probabilities: thresholds that held-out seeds bear out, class-mass normalisation."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from ..intervals import wilson_lower


@dataclass(frozen=True)
class Threshold:
    """The least score at which a row gets a class, and what that was worth on held-out seeds.

    value        None: the class gets no label
    meets        did the lower Wilson bound of the precision reach the target? Else the value is that of the best F1
    n_held_out   held-out seeds of the class; n_labelled: held-out seeds at or above the threshold
    """

    value: float | None
    meets: bool
    n_held_out: int
    n_labelled: int
    precision: float | None
    lower: float | None
    recall: float | None
    f1: float | None


def threshold(score: np.ndarray, is_class: np.ndarray, target: float) -> Threshold:
    """The smallest score of held-out seeds whose precision has a lower Wilson bound of `target` or more; else the one of the best F1.

    score  float (n,)  of one class on held-out seeds, NaN = unreached; is_class  bool (n,)

    The value lies midway between that score and the next lower one: no held-out seed tells scores between them apart.
    """
    n_class = int(is_class.sum())
    reached = np.isfinite(score) & (score > 0)
    if not n_class or not (is_class & reached).any():
        return Threshold(None, False, n_class, 0, None, None, None, None)
    ranked = np.argsort(-score[reached], kind="stable")
    value, right = score[reached][ranked], np.cumsum(is_class[reached][ranked])
    ends = np.flatnonzero(np.r_[value[1:] != value[:-1], True])
    value, right, n = value[ends], right[ends], ends + 1
    lower, precision, recall = wilson_lower(right, n), right / n, right / n_class
    f1 = 2 * right / (n + n_class)
    good = np.flatnonzero(lower >= target)
    at = int(good[-1]) if len(good) else int(f1.argmax())
    return Threshold(_midway(value[at], value[at + 1] if at + 1 < len(value) else 0.0 if (score == 0).any() else value[at]), bool(len(good)), n_class, int(n[at]), float(precision[at]), float(lower[at]), float(recall[at]), float(f1[at]))


def _midway(high: float, low: float) -> float:
    """A number above `low`, at most `high`."""
    middle = float(high + low) / 2
    return middle if middle > low else float(high)


def class_mass_weights(score: np.ndarray, balance: np.ndarray) -> np.ndarray:
    """float64 (K,): q_l / mean score of class l; a row's scores times these, divided by their sum, are its probabilities.

    score    float (n, K)  of reached rows that are no seeds
    balance  float (K,)    q

    Class-mass normalisation (Zhu, Ghahramani and Lafferty 2003, section 4): the ranking within a class stays.
    """
    mass = score.mean(axis=0) if len(score) else balance
    return np.where(mass > 0, balance / np.maximum(mass, 1e-300), 1.0)


def normalised(score: np.ndarray, weights: np.ndarray) -> np.ndarray:
    """float64 (n, K): probabilities from scores and class-mass weights; rows sum to 1."""
    found = score * weights
    return found / found.sum(axis=1, keepdims=True)
