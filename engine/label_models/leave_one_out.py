"""How well a label model predicts each vote from the other votes of the same entity: judged without gold."""

from __future__ import annotations

import numpy as np

from groundswell.label_models.base import Fit
from groundswell.label_models.patterns import VotePatterns


def left_out_likelihood(patterns: VotePatterns, fit: Fit) -> np.ndarray:
    """sum over the votes of a pattern of log P(vote | the other votes, who votes), float (P,).

    P = sum_y P(y | other votes) P(vote_j = v | y, j votes): the posterior without LF j by the fit's evidence, and the fit's tables.
    Who votes is given, because that says as much about the length of a row as about its class.
    Source: Geisser & Eddy 1979 (predictive sample reuse), one LF at a time. Evidence without interactions only.
    """
    K, events = len(patterns.classes), patterns.events
    weight = fit.evidence.log_weight[:, :K].reshape(-1, K)
    said = np.nan_to_num(fit.params[:, :, :K].transpose(0, 2, 1).reshape(len(weight), K), nan=1.0)
    said = said / np.repeat(said.reshape(-1, K, K).sum(axis=1), K, axis=0)
    row = np.repeat(np.arange(len(patterns.counts)), np.diff(events.indptr))
    without = (events @ weight + fit.evidence.log_prior)[row] - weight[events.indices]
    posterior = np.exp(without - without.max(axis=1, keepdims=True))
    posterior /= posterior.sum(axis=1, keepdims=True)
    found = np.log(np.maximum((posterior * said[events.indices]).sum(axis=1), np.finfo(float).tiny))
    return np.bincount(row, weights=found, minlength=len(patterns.counts))


def most_careful(patterns: VotePatterns, fits: list[Fit], standard_errors: float) -> int:
    """The first of `fits` that predicts left-out votes as well as the best does, within so many paired standard errors."""
    found = [left_out_likelihood(patterns, fit) for fit in fits]
    n = patterns.counts
    best = found[int(np.argmax([(n * likelihood).sum() for likelihood in found]))]
    for i, likelihood in enumerate(found):
        behind = best - likelihood
        mean = (n * behind).sum() / n.sum()
        if (n * behind).sum() <= standard_errors * np.sqrt((n * (behind - mean) ** 2).sum()):
            return i
    raise AssertionError("the best is as good as itself")
