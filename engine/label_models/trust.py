"""Warnings: when a label model's output should not be trusted, judged from votes and posterior alone."""

from __future__ import annotations

import numpy as np

from groundswell.label_models.moments import DENSE_WIDTH, second_moments
from groundswell.label_models.patterns import ABSTAIN, VotePatterns
from groundswell.label_models.statistics import (
    hard_labels,
    learned_accuracy,
    majority_disagreement,
    majority_posterior,
)

DISAGREEMENT_LEVEL = 0.25
"""Above this fraction of covered entities labelled against majority vote, one of the two is badly wrong (LM206)."""

DUPLICATE_LEVEL, DUPLICATE_SUPPORT = 0.95, 30
"""Agreement and correlation of coverage from which two LFs are near duplicates, given this many entities with both."""

FEW_ENTITIES = 30
"""An LF with fewer votes than this has an accuracy with a standard error above .07 (LM209)."""

LOST_CLASS_SHARE, LOST_CLASS_FACTOR = 0.01, 0.1
"""A class that majority vote gives to at least 1 % of covered entities, and the model to less than a tenth of those, is lost (LM207)."""


def fit_warnings(patterns: VotePatterns, posterior: np.ndarray, class_balance: np.ndarray) -> list[str]:
    """All warnings about votes and a model's posterior, each 'LM2xx: sentence', in order of codes.

    posterior      float (P, K)
    class_balance  float (K,)
    """
    if not patterns.covered.any():
        return vote_warnings(patterns)
    found = (
        vote_warnings(patterns)
        + too_few_lfs(patterns)
        + no_overlap(patterns)
        + worse_than_chance(patterns, posterior, class_balance)
        + against_majority(patterns, posterior)
        + lost_class_warnings(patterns, posterior)
        + few_entities(patterns)
    )
    return sorted(found, key=lambda w: w[:5])


def vote_warnings(patterns: VotePatterns) -> list[str]:
    """Warnings that concern any use of these votes, majority vote included."""
    if not patterns.covered.any():
        return ["LM205: no LF votes on any entity; every posterior is the class balance"]
    return silent_lfs(patterns) + unvoted_classes(patterns) + near_duplicates(patterns)


def too_few_lfs(patterns: VotePatterns) -> list[str]:
    """LM201: accuracies cannot be identified."""
    n = int((patterns.votes != ABSTAIN).any(axis=0).sum())
    if n >= 3:
        return []
    return [f"LM201: only {n} LF{'s vote' if n != 1 else ' votes'}; accuracies are identified from three independent LFs on"]


def no_overlap(patterns: VotePatterns) -> list[str]:
    """LM202: nothing to compare an LF with."""
    if ((patterns.votes != ABSTAIN).sum(axis=1) >= 2).any():
        return []
    return ["LM202: no two LFs vote on the same entity; nothing in the votes tells a good LF from a bad one"]


def worse_than_chance(patterns: VotePatterns, posterior: np.ndarray, class_balance: np.ndarray) -> list[str]:
    """LM203: LFs whose votes the posterior contradicts more often than chance would."""
    accuracy, chance = learned_accuracy(patterns, posterior), chance_accuracy(patterns, class_balance)
    worse = np.flatnonzero(below_chance(patterns, posterior, class_balance))
    named = [f"{patterns.lfs[j]} (accuracy {accuracy[j]:.2f}, chance {chance[j]:.2f})" for j in worse]
    return [f"LM203: LFs estimated worse than voting the same classes at random: {listed(named)}"] if named else []


def below_chance(patterns: VotePatterns, posterior: np.ndarray, class_balance: np.ndarray) -> np.ndarray:
    """bool (m,): learned accuracy below that of the same votes at random; False for silent LFs."""
    return learned_accuracy(patterns, posterior) < chance_accuracy(patterns, class_balance) - 1e-9


def chance_accuracy(patterns: VotePatterns, class_balance: np.ndarray) -> np.ndarray:
    """Accuracy of each LF if its votes were shuffled over entities, float (m,): mean class balance of its votes; NaN if silent."""
    n = patterns.votes_cast
    total = n.sum(axis=1)
    return np.divide(n @ class_balance, total, out=np.full(len(n), np.nan), where=total > 0)


def unvoted_classes(patterns: VotePatterns) -> list[str]:
    """LM204: classes that only the class balance speaks for."""
    voted = set(np.unique(patterns.votes).tolist())
    missing = [c for k, c in enumerate(patterns.classes) if k not in voted]
    return [f"LM204: no LF votes for {listed(missing)}: nothing but the class balance speaks for it"] if missing else []


def against_majority(patterns: VotePatterns, posterior: np.ndarray) -> list[str]:
    """LM206: the labels are far from majority vote."""
    differs = majority_disagreement(patterns, posterior)
    if not differs > DISAGREEMENT_LEVEL:
        return []
    return [f"LM206: {differs:.0%} of covered entities are labelled against majority vote; check a sample by hand"]


def lost_classes(patterns: VotePatterns, posterior: np.ndarray) -> list[int]:
    """Indexes of classes that majority vote gives to covered entities and the model (almost) never does."""
    of_majority = label_shares(patterns, majority_posterior(patterns))
    of_model = label_shares(patterns, posterior)
    lost = (of_majority >= LOST_CLASS_SHARE) & (of_model < LOST_CLASS_FACTOR * of_majority)
    return np.flatnonzero(lost).tolist()


def lost_class_warnings(patterns: VotePatterns, posterior: np.ndarray) -> list[str]:
    """LM207: classes that majority vote finds and the model does not."""
    lost = [patterns.classes[k] for k in lost_classes(patterns, posterior)]
    if not lost:
        return []
    left = len(patterns.classes) - len(lost)
    what = "the model gives every covered entity the same class" if left == 1 else "the model has lost a class"
    return [f"LM207: {what}; majority vote also finds {', '.join(lost)}"]


def label_shares(patterns: VotePatterns, posterior: np.ndarray) -> np.ndarray:
    """Share of covered entities with each hard label, float (K,); ties belong to none."""
    covered = patterns.covered
    labels, n = hard_labels(posterior)[covered], patterns.counts[covered]
    shares = np.array([n[labels == k].sum() for k in range(len(patterns.classes))], float)
    return shares / max(n.sum(), 1)


def near_duplicates(patterns: VotePatterns) -> list[str]:
    """Pairs of LFs that fire together and say the same: two votes of one opinion."""
    both, agree, correlation = pair_statistics(patterns)
    rate = np.divide(agree, both, out=np.zeros_like(both), where=both > 0)
    same = (both >= DUPLICATE_SUPPORT) & (rate >= DUPLICATE_LEVEL) & (correlation >= DUPLICATE_LEVEL)
    named = [
        f"{patterns.lfs[a]} and {patterns.lfs[b]} (agree on {rate[a, b]:.0%} of {both[a, b]:.0f} common entities)"
        for a, b in np.argwhere(np.triu(same, 1))
    ]
    return [f"LM208: near-duplicate LFs count as several opinions, merge or drop them: {listed(named)}"] if named else []


def pair_statistics(patterns: VotePatterns) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Per pair of LFs, float (m, m): entities both vote on, entities they agree on, correlation of their coverage.

    Where coverage does not vary, the correlation is 1 if both always vote together, else 0.
    """
    m, K = len(patterns.lfs), len(patterns.classes)
    if m * K > DENSE_WIDTH:
        return _sparse_pair_statistics(patterns)
    common = second_moments(patterns.events, patterns.counts).reshape(m, K, m, K)
    both = common.sum(axis=(1, 3))
    return both, np.einsum("jvkv->jk", common), _phi(both, float(patterns.n_entities))


def _sparse_pair_statistics(patterns: VotePatterns) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """The same for thousands of LFs: one (m, m) matrix per class at a time."""
    from scipy.sparse import csr_array

    def together(said: np.ndarray) -> np.ndarray:
        events = csr_array(said.astype(float))
        return (events.T @ events.multiply(patterns.counts[:, None].astype(float)).tocsr()).toarray()

    both = together(patterns.votes != ABSTAIN)
    agree = np.zeros_like(both)
    for k in range(len(patterns.classes)):
        agree += together(patterns.votes == k)
    return both, agree, _phi(both, float(patterns.n_entities))


def _phi(both: np.ndarray, n: float) -> np.ndarray:
    p = np.diag(both) / n
    spread = np.sqrt(p * (1 - p))
    scale = np.outer(spread, spread)
    constant = np.where(np.outer(p == 1, p == 1), 1.0, 0.0)
    return np.divide(both / n - np.outer(p, p), scale, out=constant, where=scale > 0)


def silent_lfs(patterns: VotePatterns) -> list[str]:
    """LM211: LFs without a vote."""
    named = [lf for lf, votes in zip(patterns.lfs, _votes_cast(patterns)) if votes == 0]
    return [f"LM211: LFs that never vote: {listed(named)}"] if named else []


def few_entities(patterns: VotePatterns) -> list[str]:
    """LM209: LFs with too few votes to learn from."""
    few = [f"{lf} ({n})" for lf, n in zip(patterns.lfs, _votes_cast(patterns)) if 0 < n < FEW_ENTITIES]
    return [f"LM209: LFs with fewer than {FEW_ENTITIES} votes to learn from: {listed(few)}"] if few else []


def _votes_cast(patterns: VotePatterns) -> np.ndarray:
    """Entities each LF votes on, int64 (m,)."""
    return patterns.votes_cast.sum(axis=1)


def listed(items: list[str], at_most: int = 5) -> str:
    """The first few of many names, and how many are left."""
    left = len(items) - at_most
    return ", ".join(items[:at_most]) + (f" and {left} more" if left > 0 else "")
