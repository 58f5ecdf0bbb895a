"""What a posterior says about LFs and about itself; shared by all label models."""

from __future__ import annotations

import numpy as np

from groundswell.label_models.evidence import TIE_TOLERANCE, largest
from groundswell.label_models.patterns import ABSTAIN, VotePatterns


def vote_counts(patterns: VotePatterns) -> np.ndarray:
    """Number of LFs voting each class, float (P, K)."""
    return patterns.events @ np.tile(np.eye(len(patterns.classes)), (len(patterns.lfs), 1))


def majority_posterior(patterns: VotePatterns) -> np.ndarray:
    """Majority vote as probabilities, float (P, K): 1/t for each of t tied classes; uniform without votes."""
    return largest(vote_counts(patterns))


def hard_labels(posterior: np.ndarray, tolerance: float = TIE_TOLERANCE) -> np.ndarray:
    """Class index of the largest probability, int64 (P,); -1 where the two largest differ by at most `tolerance`.

    posterior  float (P, K)
    """
    if not len(posterior):
        return np.zeros(0, np.int64)
    top = np.partition(posterior, -2, axis=1)
    tied = top[:, -1] - top[:, -2] <= tolerance
    return np.where(tied, ABSTAIN, posterior.argmax(axis=1))


def learned_accuracy(patterns: VotePatterns, posterior: np.ndarray) -> np.ndarray:
    """Accuracy of each LF given that it votes, float (m,): sum_p n_p r_p[v_pj] / sum_p n_p [v_pj votes].

    posterior  float (P, K)   r, one row per pattern
    NaN for an LF that never votes. It is the posterior's opinion, not a measurement.
    """
    right = np.einsum("jyy->j", patterns.voted_mass(patterns.counts[:, None] * posterior))
    total = patterns.votes_cast.sum(axis=1)
    return np.divide(right, total, out=np.full(len(total), np.nan), where=total > 0)


def majority_disagreement(patterns: VotePatterns, posterior: np.ndarray) -> float:
    """Fraction of covered entities whose hard label differs from majority vote's, in [0, 1]; NaN without coverage.

    An entity on which majority vote ties stays in the denominator and never counts as different; where majority vote
    decides and the posterior ties, it does.
    """
    covered = patterns.covered
    majority, label = hard_labels(majority_posterior(patterns)), hard_labels(posterior)
    differs = covered & (majority != ABSTAIN) & (label != majority)
    n = patterns.counts[covered].sum()
    return float(patterns.counts[differs].sum() / n) if n else float("nan")


def expected_accuracy(patterns: VotePatterns, posterior: np.ndarray) -> float:
    """Mean of the largest probability over covered entities, in [1/K, 1]; NaN without coverage.

    The accuracy of the hard labels if the posterior is right.
    """
    covered = patterns.covered
    n = patterns.counts[covered]
    return float((n * posterior[covered].max(axis=1)).sum() / n.sum()) if len(n) else float("nan")


def expected_balance(patterns: VotePatterns, posterior: np.ndarray) -> np.ndarray:
    """Mean posterior over covered entities, float (K,); uniform without coverage."""
    covered = patterns.covered
    n = patterns.counts[covered, None]
    if not len(n):
        return np.full(len(patterns.classes), 1.0 / len(patterns.classes))
    return (n * posterior[covered]).sum(axis=0) / n.sum()
