"""How much of each LF's vote repeats other LFs, beyond what a common class explains."""

from __future__ import annotations

import numpy as np

from groundswell.label_models.moments import sparse_moments
from groundswell.label_models.one_hot import one_hot
from groundswell.label_models.patterns import ABSTAIN, VotePatterns
from groundswell.label_models.statistics import majority_posterior
from groundswell.label_models.trust import listed, pair_statistics

STANDARD_ERRORS = 3.0
"""A residual correlation or agreement below this many standard errors (1 / sqrt(entities)) counts as none."""

LEAST = 0.1
"""LFs below this residual correlation or agreement do not repeat each other."""

LEAST_COMMON = 10
"""Two LFs with fewer common votes are not compared: among thousands of crowd workers some pairs meet once or twice by chance."""

REPEATED_WEIGHT = 0.5
"""Below this weight the residual correlations of an LF sum to more than one: other LFs repeat it more than once over (LM215)."""

NAMED_WEIGHT = 0.75
"""LFs below this weight are named in LM214."""


def copy_weights(patterns: VotePatterns, posterior: np.ndarray, eligible: np.ndarray) -> np.ndarray:
    """w_j = 1 / (1 + sum_k c_jk), float (m,) in (0, 1]: LFs that repeat each other share one LF's weight.

    posterior  float (P, K)
    eligible   bool (m,)      pairs of eligible LFs only are compared; the others keep weight 1

    c_jk is the correlation of "both give the same symbol" (a class, or abstain) left when the class is known, where it
    exceeds STANDARD_ERRORS / sqrt(n). Of g exact copies each gets 1/g. LFs that are independent given the class keep 1.
    """
    residual = residual_correlation(patterns, posterior)
    noise = STANDARD_ERRORS / np.sqrt(patterns.n_entities)
    counted = np.outer(eligible, eligible) & ~np.eye(len(eligible), dtype=bool) & (residual > noise)
    return 1.0 / (1.0 + np.where(counted, residual, 0.0).sum(axis=1))


def repetition(patterns: VotePatterns, posterior: np.ndarray, eligible: np.ndarray) -> np.ndarray:
    """Residual correlation of two LFs where they also agree more often than the class explains, else 0; float (m, m), diagonal 0.

    posterior  float (P, K)
    eligible   bool (m,)      other LFs repeat nobody

    Long rows and common topics make LFs fire together; only copies also say the same wherever both fire. LFs of a single class
    cannot but agree, so that nothing is found between them. The posterior should be tied to the vote share: EM that took what
    copies share for the class finds their agreement explained.
    """
    residual = residual_correlation(patterns, posterior)
    level = max(LEAST, STANDARD_ERRORS / np.sqrt(max(patterns.n_entities, 1)))
    linked = np.outer(eligible, eligible) & ~np.eye(len(eligible), dtype=bool) & (residual > level)
    at = np.flatnonzero(linked.any(axis=1))
    if len(at):
        linked[np.ix_(at, at)] &= agree_beyond_class(patterns, posterior, at)
    return np.where(linked, residual, 0.0)


def agree_beyond_class(patterns: VotePatterns, posterior: np.ndarray, at: np.ndarray) -> np.ndarray:
    """bool (s, s): pairs of the s LFs at columns `at` whose votes agree, where both vote, more than LFs independent given the class.

    posterior  float (P, K)
    kappa = (A - E) / (n - E) with A agreements among n common entities and E expected ones, as Cohen 1960, must exceed LEAST
    and STANDARD_ERRORS / sqrt(n).
    """
    K, mass = len(patterns.classes), patterns.counts[:, None] * posterior
    votes = patterns.votes[:, at]
    fires = one_hot(np.where(votes == ABSTAIN, ABSTAIN, 0), 1)
    said = patterns.voted_mass(mass)[at]
    said = said / np.maximum(said.sum(axis=1, keepdims=True), np.finfo(float).tiny)  # P(v | votes, y), (s, V, K)
    common = [sparse_moments(fires, mass[:, y]) for y in range(K)]
    expected = sum(n * (said[:, :, y] @ said[:, :, y].T) for y, n in enumerate(common))
    events = (one_hot(np.where(votes == v, 0, ABSTAIN), 1) for v in range(K))
    agreed, both = sum(sparse_moments(e, patterns.counts) for e in events), sum(common)
    room = both - expected
    kappa = np.divide(agreed - expected, room, out=np.zeros_like(room), where=room > 1e-9 * max(patterns.n_entities, 1))
    return kappa > np.maximum(LEAST, STANDARD_ERRORS / np.sqrt(np.maximum(both, 1.0)))


def repeated_lfs(patterns: VotePatterns, eligible: np.ndarray) -> list[str]:
    """Names of the eligible LFs that other eligible LFs repeat more than once over, beyond what the class explains.

    eligible   bool (m,)
    The class is majority vote's: that of EM cannot judge, because it takes what copies share for the class.
    """
    weight = copy_weights(patterns, majority_posterior(patterns), eligible)
    return [lf for lf, w in zip(patterns.lfs, weight) if w < REPEATED_WEIGHT]


def repeated(patterns: VotePatterns, eligible: np.ndarray) -> list[str]:
    """LM215: eligible LFs that repeat each other and are not discounted."""
    named = repeated_lfs(patterns, eligible)
    return [f"LM215: LFs that repeat each other count in full, as if they were independent: {listed(named)}"] if named else []


def discounted(lfs: tuple[str, ...] | list[str], weight: np.ndarray) -> list[str]:
    """LM214: LFs whose votes count less; weight float (m,)."""
    named = [f"{lf} ({w:.2f})" for lf, w in zip(lfs, weight) if w < NAMED_WEIGHT]
    return [f"LM214: LFs that repeat each other count less, weight in parentheses: {listed(named)}"] if named else []


def residual_correlation(patterns: VotePatterns, posterior: np.ndarray) -> np.ndarray:
    """Correlation of the symbols of two LFs given the class, float (m, m) in [-1, 1]; 0 where an LF is constant, or fewer than
    LEAST_COMMON entities have votes of both.

    posterior  float (P, K)   r
    C_jk = sum_s sum_p n_p sum_y r_py (x_pjs - m_jys)(x_pks - m_kys), x one-hot over classes and abstain, m its mean given y;
    returns C_jk / sqrt(C_jj C_kk): Pearson's correlation within classes, pooled.
    """
    both, agree, _ = pair_statistics(patterns)
    mass = patterns.counts[:, None] * posterior
    per_class = np.maximum(mass.sum(axis=0), np.finfo(float).tiny)
    mean = patterns.voted_mass(mass).transpose(0, 2, 1) / per_class[None, :, None]
    fires = mean.sum(axis=2)
    explained = np.einsum("y,jyv,kyv->jk", per_class, mean, mean) + np.einsum("y,jy,ky->jk", per_class, fires, fires)
    covariance = both + agree - explained
    spread = np.sqrt(np.maximum(np.diag(covariance), 0.0))
    scale = np.outer(spread, spread)
    floor = 1e-9 * patterns.n_entities
    return np.divide(covariance, scale, out=np.zeros_like(covariance), where=(scale > floor) & (both >= LEAST_COMMON))
