"""Conditional vote tables from the inverse covariance of votes, where known groups of LFs depend on each other; two classes.

Off the blocks of dependent LFs, the inverse covariance of votes is -z z^T; z and the class balance give Cov(vote, Y).
Source: Ratner et al. 2019, section 4; Loh & Wainwright 2013.
"""

from __future__ import annotations

import numpy as np

from groundswell.label_models.moments import Events, Moments

SINGULAR, RIDGE = 1e-9, 1e-6
"""Eigenvalue of the correlation matrix from which on it is inverted as it is; else RIDGE is added to its diagonal."""


def inverse_tables(events: Events, found: Moments, balance: np.ndarray) -> tuple[np.ndarray, list[str]]:
    """(P(event | y) float (E, 2), warnings); not yet clipped to probabilities."""
    sigma, pi = found.covariance, balance[1]
    kept = independent_events(sigma, events.source)
    spread = np.sqrt(np.diag(sigma)[kept])
    correlation = sigma[np.ix_(kept, kept)] / np.outer(spread, spread)
    warnings = []
    if len(kept) and np.linalg.eigvalsh(correlation)[0] < SINGULAR:
        correlation = correlation + RIDGE * np.eye(len(kept))
        warnings.append(f"LM222: the covariance of the votes is singular: LFs of different groups say the same; {RIDGE:g} was added to its diagonal")
    inverse = np.linalg.inv(correlation)
    z = rank_one(-inverse, events.foreign[np.ix_(kept, kept)])
    with_class = spread * (correlation @ z) * np.sqrt(pi * (1 - pi) / (1 + z @ correlation @ z))
    covariance = completion(kept, sigma, events.source) @ with_class
    votes_one = np.array([{((1,),): 1.0, ((0,),): -1.0}.get((tuple(v for _, v in w),), 0.0) for w in events.what])
    if (votes_one * covariance).sum() < 0:
        covariance = -covariance
    joint = covariance + found.mean * pi
    return np.stack([(found.mean - joint) / (1 - pi), joint / pi], axis=1), warnings


def independent_events(sigma: np.ndarray, source: np.ndarray) -> np.ndarray:
    """Indexes of events of which none is a linear combination of others of its source (an LF that always votes has one too many)."""
    from scipy.linalg import qr

    kept = []
    for s in np.unique(source):
        block = np.flatnonzero(source == s)
        triangle, order = qr(sigma[np.ix_(block, block)], mode="r", pivoting=True)
        size = np.abs(np.diag(triangle))
        kept += block[order[size > 1e-10 * max(size[0], 1e-12)]].tolist() if size[0] > 1e-14 else []
    return np.sort(np.array(kept, int))


def rank_one(target: np.ndarray, foreign: np.ndarray) -> np.ndarray:
    """z minimising the squares of target - z z^T over foreign pairs, float (E,), by L-BFGS from the leading eigenvector."""
    from scipy.optimize import minimize

    masked = np.where(foreign, target, 0.0)
    if not masked.any():
        return np.zeros(len(target))
    values, vectors = np.linalg.eigh(masked)
    start = vectors[:, -1] * np.sqrt(max(values[-1], 1e-6))

    def loss(z: np.ndarray) -> tuple[float, np.ndarray]:
        residual = np.where(foreign, np.outer(z, z) - target, 0.0)
        return scale * float((residual**2).sum()), scale * 4 * (residual @ z)

    scale = 1e3 / float((masked**2).sum())
    return minimize(loss, start, jac=True, method="L-BFGS-B", options={"maxiter": 5000, "maxfun": 20000, "ftol": 1e-18, "gtol": 1e-11, "maxcor": 30}).x


def completion(kept: np.ndarray, sigma: np.ndarray, source: np.ndarray) -> np.ndarray:
    """float (E, D): Cov(event, Y) of all events as linear combinations of those of the D kept ones.

    kept  positions of linearly independent events; sigma float (E, E), their covariance; source int (E,)
    """
    found = np.zeros((len(sigma), len(kept)))
    found[kept, np.arange(len(kept))] = 1.0
    for s in np.unique(source):
        mine, left = np.flatnonzero(source[kept] == s), np.setdiff1d(np.flatnonzero(source == s), kept)
        if len(mine) and len(left):
            found[np.ix_(left, mine)] = sigma[np.ix_(left, kept[mine])] @ np.linalg.inv(sigma[np.ix_(kept[mine], kept[mine])])
    return found
