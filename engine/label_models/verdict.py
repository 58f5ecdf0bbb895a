"""Is the label model better than majority vote? Measured where gold exists, otherwise on its own reckoning."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from groundswell.label_models.evidence import largest
from groundswell.label_models.patterns import VotePatterns
from groundswell.label_models.statistics import majority_posterior

STANDARD_ERRORS = 2.0
"""A measured difference below this many paired standard errors is none."""


@dataclass(frozen=True)
class Verdict:
    """accuracy, majority: of hard labels, ties at equal credit; difference with its standard error; n entities with gold.

    n = 0: nothing was measured; all three are then expectations under the label model's own posterior, and the error is NaN.
    """

    accuracy: float
    majority: float
    difference: float
    error: float
    n: int

    @property
    def words(self) -> str:
        """The verdict in a sentence."""
        if not self.n:
            return f"no gold to measure by; on its own reckoning it gains {self.difference:.1%} over majority vote"
        measured = f"measured on {self.n:,} covered rows with gold: right on {self.accuracy:.1%}, majority vote on {self.majority:.1%}"
        if abs(self.difference) <= STANDARD_ERRORS * self.error:
            return f"{measured}: no better than majority vote, as far as gold can tell"
        return f"{measured}: {'better' if self.difference > 0 else 'WORSE'} than majority vote"


def verdict(patterns: VotePatterns, posterior: np.ndarray, gold: np.ndarray | None) -> Verdict:
    """The label model against majority vote on covered entities.

    posterior  float (P, K)
    gold       float (P, K) or None   entities of each pattern by known class, none of which the fit has seen
    """
    covered = patterns.covered
    ours, theirs = largest(posterior)[covered], majority_posterior(patterns.hardened())[covered]
    if gold is None or not gold[covered].any():
        mass = patterns.counts[covered, None] * posterior[covered]
        n = max(mass.sum(), 1.0)
        accuracy, majority = float((mass * ours).sum() / n), float((mass * theirs).sum() / n)
        return Verdict(accuracy, majority, accuracy - majority, float("nan"), 0)
    known = gold[covered]
    n = known.sum()
    gap = ours - theirs
    mean = float((known * gap).sum() / n)
    spread = float((known * (gap - mean) ** 2).sum() / n)
    return Verdict(float((known * ours).sum() / n), float((known * theirs).sum() / n), mean, float(np.sqrt(spread / n)), int(n))
