"""What people know of labeling functions before any vote is seen, as pseudo-counts of their tables."""

from __future__ import annotations

from collections.abc import Mapping

import numpy as np

from groundswell.errors import LabelModelError, did_you_mean
from groundswell.label_models.patterns import VotePatterns


def prior_counts(patterns: VotePatterns, accuracies: Mapping[str, float] | None, strength: float, value: np.ndarray, balance: np.ndarray) -> np.ndarray:
    """float (m, K, K+1): `strength` imagined votes of each LF with a known accuracy; 0 elsewhere.

    accuracies  LF -> the share of its votes that are right, in (0, 1); of any LFs
    value       bool (m,)   LFs whose abstentions are a symbol. Their imagined votes are for the classes they vote for, and
                            abstentions are imagined too, so that the prior says nothing about coverage; the others are right
                            equally often in every class
    balance     float (K,)  P(Y)

    Raises LabelModelError LM107.
    """
    K, m = len(patterns.classes), len(patterns.lfs)
    prior = np.zeros((m, K, K + 1))
    for lf, accuracy in checked_accuracies(accuracies, patterns.lfs, strength).items():
        j = patterns.lfs.index(lf)
        cast = patterns.votes_cast[j, :K].astype(float)
        if not cast.any():
            continue
        spread = (strength * cast / cast.sum())[None, :] if value[j] else (strength * balance)[:, None]
        prior[j, :, :K] = np.where(np.eye(K, dtype=bool), accuracy, (1 - accuracy) / (K - 1)) * spread
        if value[j]:
            coverage = cast.sum() / patterns.n_entities
            prior[j, :, K] = np.maximum(balance * strength / coverage - prior[j].sum(axis=1), 0.0)
    return prior


def checked_accuracies(accuracies: Mapping[str, float] | None, lfs: tuple[str, ...], strength: float) -> Mapping[str, float]:
    """The mapping, {} for None. Raises LabelModelError LM107 for names or numbers that do not fit."""
    if not isinstance(accuracies or {}, Mapping):
        raise LabelModelError("LM107", "accuracies must be a mapping from LF to accuracy", hint="accuracies = { says_refund = 0.9 }")
    if isinstance(strength, bool) or not isinstance(strength, (int, float)) or not strength > 0:
        raise LabelModelError("LM107", f"strength must be a positive number of votes, got {strength!r}")
    for lf, accuracy in (accuracies or {}).items():
        if lf not in lfs:
            raise LabelModelError("LM107", f'accuracies name the unknown LF "{lf}"', hint=did_you_mean(str(lf), lfs))
        if isinstance(accuracy, bool) or not isinstance(accuracy, (int, float)) or not 0 < accuracy < 1:
            raise LabelModelError("LM107", f'the accuracy of "{lf}" must be between 0 and 1, got {accuracy!r}')
    return accuracies or {}
