"""Where a human answer helps most: patterns on which the label model and what people said differ most."""

from __future__ import annotations

import numpy as np

LEAST_MODEL = 1e-5
"""P(Y | votes) is kept this far from 0 in a divergence."""

LEAST_ANSWER = 0.01
"""The share of a class among n answers is kept this far, divided by n, from 0."""


def answer_divergence(posterior: np.ndarray, before: np.ndarray, answers: np.ndarray) -> np.ndarray:
    """KL(p || q) of each vote pattern in nats, float (P,).

    posterior  float (P, K)   p, the label model with the answers so far
    before     float (P, K)   the label model without any answer
    answers    float (P, K)   how often people named each class for entities with that pattern

    q is the share of each class among the answers; without answers the class `before` holds most likely. p is kept in
    [1e-5, 1 - 1e-5]; q in [e, 1 - e] with e = .01 / max(1, n). Source: Biegel et al. 2021 (Active WeaSuL), section 3.2.
    """
    n = answers.sum(axis=1, keepdims=True)
    guess = np.eye(posterior.shape[1])[before.argmax(axis=1)]
    share = np.divide(answers, n, out=guess, where=n > 0)
    p = np.clip(posterior, LEAST_MODEL, 1 - LEAST_MODEL)
    least = LEAST_ANSWER / np.maximum(1.0, n)
    q = np.clip(share, least, 1 - least)
    return (p * np.log(p / q)).sum(axis=1)
