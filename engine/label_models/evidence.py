"""Additive explanations: what each LF's vote adds for each class, and the rule that turns sums into probabilities."""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Callable

import numpy as np

from groundswell.label_models.one_hot import one_hot

if TYPE_CHECKING:
    from groundswell.label_models.patterns import VotePatterns

TIE_TOLERANCE = 1e-5


@dataclass(frozen=True)
class Interaction:
    """What the joint votes of several LFs add beyond the sum of their own weights.

    lfs         g names, g >= 2
    log_weight  float (K+1, ..., K+1, K), g vote axes   log_weight[v_1, ..., v_g, y]; v = K is abstain
    """

    lfs: tuple[str, ...]
    log_weight: np.ndarray


@dataclass(frozen=True)
class Evidence:
    """Why a label model says what it says: score_y = log_prior[y] + sum_j log_weight[j, vote_j, y] + interactions.

    lfs           m names
    classes       K names
    log_prior     float (K,)          what is believed before any vote
    log_weight    float (m, K+1, K)   log_weight[j, v, y]: what vote v of LF j adds for class y; v = K is abstain
    unit          "nats"              scores are log-probabilities up to a constant: softmax(score) is the posterior
                  "votes"             scores count votes (majority vote)
    rule          "softmax", "largest" or "share": how scores become probabilities (RULES)
    interactions  Interaction, ...    none for models in which LFs are independent given the class
    hard          S class indexes     where there are partial votes (log_weight then has S + 1 rows): the class each symbol amounts
                                      to, -1 = none; interactions see that

    The sum explains covered patterns; a pattern without votes gets the class balance whatever its score.
    """

    lfs: tuple[str, ...]
    classes: tuple[str, ...]
    log_prior: np.ndarray
    log_weight: np.ndarray
    unit: str = "nats"
    rule: str = "softmax"
    interactions: tuple[Interaction, ...] = ()
    hard: tuple[int, ...] = ()

    def scores(self, votes: np.ndarray) -> np.ndarray:
        """Scores of vote patterns, float (P, K). votes: integers (P, m), columns in the order of self.lfs, -1 = abstain.

        LFs are added in the order of their names, so that the bits do not depend on the order of columns.
        """
        total = np.repeat(self.log_prior[None, :], len(votes), axis=0)
        for j in sorted(range(len(self.lfs)), key=self.lfs.__getitem__):
            total += self.log_weight[j][votes[:, j]]  # -1 takes the last row: abstain
        for interaction in sorted(self.interactions, key=lambda i: i.lfs):
            total += self._joint(interaction, votes)
        return total

    def posterior_of(self, patterns: VotePatterns) -> np.ndarray:
        """`posterior` of the patterns' votes by one sparse product, for votes are few among LFs; the same bits in any order of LFs."""
        votes = patterns.aligned(self.lfs)
        if self.interactions or len(patterns.classes) + len(patterns.partial) != self.log_weight.shape[1] - 1:
            return self.posterior(votes)
        by_name = tuple(sorted(self.lfs))
        weight = self.reordered(by_name).log_weight
        abstains = weight[:, -1]
        added = (weight[:, :-1] - abstains[:, None]).reshape(-1, len(self.classes))
        events = patterns.events if patterns.lfs == by_name else one_hot(patterns.aligned(by_name), weight.shape[1] - 1)
        return RULES[self.rule](events @ added + (self.log_prior + abstains.sum(axis=0)))

    def posterior(self, votes: np.ndarray) -> np.ndarray:
        """P(Y | votes) by the rule, float (P, K); rows sum to 1 within 1e-12."""
        return RULES[self.rule](self.scores(votes))

    def reordered(self, lfs: tuple[str, ...]) -> Evidence:
        """The same evidence with LFs in another order."""
        at = {lf: j for j, lf in enumerate(self.lfs)}
        return replace(self, lfs=tuple(lfs), log_weight=self.log_weight[[at[lf] for lf in lfs]])

    def _columns(self, interaction: Interaction) -> list[int]:
        return [self.lfs.index(lf) for lf in interaction.lfs]

    def _joint(self, interaction: Interaction, votes: np.ndarray) -> np.ndarray:
        plain = np.array([*self.hard, -1])[votes] if self.hard else votes
        return interaction.log_weight[tuple(plain[:, j] for j in self._columns(interaction))]


def softmax(scores: np.ndarray) -> np.ndarray:
    """exp(scores) normalised along the last axis, float (P, K)."""
    shifted = np.exp(scores - scores.max(axis=-1, keepdims=True))
    return shifted / shifted.sum(axis=-1, keepdims=True)


def largest(scores: np.ndarray) -> np.ndarray:
    """All mass on the class with the largest score, shared equally among ties, float (P, K)."""
    tied = scores >= scores.max(axis=-1, keepdims=True) - TIE_TOLERANCE
    return tied / tied.sum(axis=-1, keepdims=True)


def share(scores: np.ndarray) -> np.ndarray:
    """Each class's share of the (non-negative) scores, float (P, K); uniform where all are zero."""
    total = scores.sum(axis=-1, keepdims=True)
    uniform = np.full(scores.shape, 1.0 / scores.shape[-1])
    return np.divide(scores, total, out=uniform, where=total > 0)


RULES: dict[str, Callable[[np.ndarray], np.ndarray]] = {"softmax": softmax, "largest": largest, "share": share}
"""Rule name -> scores (P, K) to probabilities (P, K)."""
