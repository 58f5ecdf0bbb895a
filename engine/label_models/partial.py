"""Votes that are less than a class: probabilities, and classes that are ruled out.

A label model is fitted on what such votes amount to as plain votes. What each of them is worth is then learned from that
model's posterior in one step, theta_j[y, s] = P(LF j says s | Y = y): a score that says .9 and is right half of the time
counts like any other LF that is right half of the time.
"""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING

import numpy as np

from groundswell.label_models.evidence import share
from groundswell.label_models.patterns import VotePatterns

if TYPE_CHECKING:
    from groundswell.label_models.base import Fit

PSEUDO_COUNT = 2.0
"""Entities with a partial vote that are imagined before any is seen, spread over the classes as the vote says."""


def with_partial_votes(fit: Fit, patterns: VotePatterns, known: np.ndarray | None) -> Fit:
    """The fit of `patterns.hardened()`, extended to the partial votes of `patterns`.

    fit    LFs in the order of patterns.lfs
    known  float (P, K) or None   entities of each pattern whose class is known

    Where votes are counted (majority vote), a partial vote counts with its probabilities. Else log_weight of LF j gets
    w_j log theta_j[y, s] for its partial votes s, with abstain left as it was; w_j is the LF's weight among copies.
    """
    size = len(patterns.classes) + len(patterns.partial)
    weight = _with_rows(fit.evidence.log_weight, size)
    params = _with_columns(fit.params, size)
    posterior = None if fit.evidence.unit == "votes" else _start(fit, patterns)
    for j in np.flatnonzero((patterns.votes >= len(patterns.classes)).any(axis=0)):
        if posterior is None:
            weight[j, len(patterns.classes) : size] = patterns.partial
            continue
        theta = _table(patterns, j, posterior, known)
        weight[j, :size] = fit.lf_weight(j) * np.log(theta).T
        weight[j, size] = 0.0
        params[j, :, :size] = theta
    hard = (*range(len(patterns.classes)), *patterns.hard_codes.tolist())
    return replace(fit, evidence=replace(fit.evidence, log_weight=weight, hard=hard), params=params)


def _start(fit: Fit, patterns: VotePatterns) -> np.ndarray:
    """P(Y) of each pattern, float (P, K): the fit's where plain votes cover it, else the share of its partial votes."""
    hard = patterns.hardened()
    meant = np.concatenate([np.eye(len(patterns.classes)), patterns.partial, np.zeros((1, len(patterns.classes)))])
    return np.where(hard.covered[:, None], fit.posterior(hard), share(meant[patterns.votes].sum(axis=1)))


def _table(patterns: VotePatterns, j: int, posterior: np.ndarray, known: np.ndarray | None) -> np.ndarray:
    """P(LF j says s | Y = y, it says something), float (K, S)."""
    K, size = len(patterns.classes), len(patterns.classes) + len(patterns.partial)
    mass = patterns.counts[:, None] * posterior if known is None else (patterns.counts - known.sum(axis=1))[:, None] * posterior + known
    said = patterns.votes[:, j]
    table = np.zeros((size + 1, K))
    np.add.at(table, said, mass)
    meant = np.concatenate([np.eye(K), patterns.partial])
    used = table[:size].sum(axis=1, keepdims=True) > 0
    theta = np.where(used, table[:size] + PSEUDO_COUNT * np.maximum(meant, 0.5 / K), 1e-12)
    return (theta / theta.sum(axis=0)).T


def _with_rows(weight: np.ndarray, size: int) -> np.ndarray:
    """log_weight (m, S+1, K) with room for all symbols before abstain; zeros for the new ones."""
    m, K = len(weight), weight.shape[2]
    found = np.zeros((m, size + 1, K))
    found[:, :K], found[:, size] = weight[:, :K], weight[:, K]
    return found


def _with_columns(params: np.ndarray, size: int) -> np.ndarray:
    """params (m, K, S+1) likewise; NaN where nothing is defined."""
    m, K = params.shape[:2]
    found = np.full((m, K, size + 1), np.nan)
    found[:, :, :K], found[:, :, size] = params[:, :, :K], params[:, :, K]
    return found

