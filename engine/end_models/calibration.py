"""Temperature scaling: one number that makes probabilities mean what they say."""

from __future__ import annotations

import numpy as np

LEAST, MOST = 0.05, 20.0


def best_temperature(logits: np.ndarray, p: np.ndarray, weight: np.ndarray) -> float:
    """The temperature T in [.05, 20] that minimises the cross-entropy of softmax(logits / T) to p.

    logits  float (n, K)
    p       float (n, K)   probabilistic labels of rows the weights were not trained on
    weight  float (n,)
    The objective is convex in 1/T. Labels do not change: division keeps the order. Source: Guo et al. 2017, section 4.
    """
    from scipy.optimize import minimize_scalar

    found = minimize_scalar(lambda inverse: cross_entropy(logits * inverse, p, weight), bounds=(1 / MOST, 1 / LEAST), method="bounded")
    better = found.fun < cross_entropy(logits, p, weight)
    return float(1 / found.x) if better else 1.0


def cross_entropy(logits: np.ndarray, p: np.ndarray, weight: np.ndarray) -> float:
    """Mean weighted cross-entropy of softmax(logits) to p, in nats."""
    shifted = logits - logits.max(axis=1, keepdims=True)
    log_softmax = shifted - np.log(np.exp(shifted).sum(axis=1, keepdims=True))
    return float(-(weight * (p * log_softmax).sum(axis=1)).sum() / weight.sum())


def probabilities(logits: np.ndarray) -> np.ndarray:
    """softmax of logits, both float (n, K); rows sum to 1 within 1e-12."""
    e = np.exp(logits - logits.max(axis=1, keepdims=True))
    return e / e.sum(axis=1, keepdims=True)
