"""How much of each LF's vote repeats other LFs, beyond what a common class explains."""

from __future__ import annotations

import numpy as np

from groundswell.label_models.patterns import VotePatterns
from groundswell.label_models.statistics import majority_posterior
from groundswell.label_models.trust import pair_statistics

STANDARD_ERRORS = 3.0
"""A residual correlation below this many standard errors (1 / sqrt(n)) counts as none."""

LEAST_COMMON = 10
"""Two LFs with fewer common votes are not compared: among thousands of crowd workers some pairs meet once or twice by chance."""

REPEATED_WEIGHT = 0.5
"""Below this weight the residual correlations of an LF sum to more than one: other LFs repeat it more than once over (LM215)."""


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


def repeated_lfs(patterns: VotePatterns, eligible: np.ndarray) -> list[str]:
    """Names of the eligible LFs that other eligible LFs repeat more than once over, beyond what the class explains.

    eligible   bool (m,)
    The class is majority vote's: that of EM cannot judge, because it takes what copies share for the class.
    """
    weight = copy_weights(patterns, majority_posterior(patterns), eligible)
    return [lf for lf, w in zip(patterns.lfs, weight) if w < REPEATED_WEIGHT]


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
