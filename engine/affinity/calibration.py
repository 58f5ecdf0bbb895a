"""A confidence that means something: one temperature, fitted where gold labels exist."""

from __future__ import annotations

import numpy as np

TEMPERATURES = np.geomspace(0.25, 1e5, 181)
LEAST_GOLD = 10
"""Fewer gold labels than this say nothing about confidence."""


def tempered(log_p: np.ndarray, temperature: float) -> np.ndarray:
    """float (N, K): softmax of log p divided by the temperature; the likeliest class stays the same."""
    scaled = (log_p - log_p.max(axis=1, keepdims=True)) / temperature
    p = np.exp(scaled)
    return p / p.sum(axis=1, keepdims=True)


def fitted_temperature(log_p: np.ndarray, gold: np.ndarray) -> float | None:
    """The temperature under which gold labels are likeliest, after one more row of every kind that is wrong; None with too few.

    log_p  float (n, K), gold int (n,). Without the extra row, gold that is right everywhere would ask for certainty.
    """
    if len(gold) < LEAST_GOLD:
        return None
    return float(TEMPERATURES[np.argmin([_loss(tempered(log_p, t), gold) for t in TEMPERATURES])])


def _loss(p: np.ndarray, gold: np.ndarray) -> float:
    log_p = np.log(np.clip(p, 1e-300, 1))
    right = log_p[np.arange(len(gold)), gold]
    wrong = (log_p.sum(axis=1) - right) / (p.shape[1] - 1)
    return float(-right.sum() - wrong.mean())
