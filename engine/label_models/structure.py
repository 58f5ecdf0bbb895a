"""Which labeling functions depend on each other given the class: four detectors without gold, and factor values with it.

Dependencies are suggestions with evidence. Modelling more than a handful of them tends to hurt (Cachay et al. 2021); merging
near duplicates is the safer use.
"""

from __future__ import annotations

import warnings
from typing import Any, Sequence

import numpy as np

from groundswell.errors import GroundswellWarning, LabelModelError, did_you_mean
from groundswell.label_models.base import checked_gold, label_model
from groundswell.label_models.copies import residual_correlation
from groundswell.label_models.factors import DEPENDENCIES, SYMMETRIC, Dependency, dependency_table
from groundswell.label_models.moments import moments, vote_events
from groundswell.label_models.patterns import ABSTAIN, VotePatterns, canonical
from groundswell.label_models.pseudolikelihood import pair_weights
from groundswell.label_models.sparse_low_rank import MOST_LFS, decompose
from groundswell.label_models.trust import listed, pair_statistics

METHODS = ("duplicates", "residual", "pseudolikelihood", "low_rank", "gold")
SINGULAR = 1e-6
MOST_ENTITIES = 20_000
"""Entities that pseudolikelihood looks at: a sample of the patterns, drawn by seed."""

FEW = 100
"""Common votes below which no method sees a dependency reliably (LM225)."""

RIDGE = 0.01
"""Added to the diagonal of a singular correlation matrix: exact copies then stand out, within reach of the iteration."""


def dependencies(
    patterns: VotePatterns,
    method: str = "duplicates",
    *,
    types: Sequence[str] = ("similar",),
    threshold: float | None = None,
    penalty: float = 0.05,
    lam: float = 0.1,
    gamma: float = 0.3,
    gold: np.ndarray | None = None,
    at_most: int | None = None,
    seed: int = 0,
) -> list[Dependency]:
    """Pairs of LFs that depend on each other, strongest first; LFs that never vote, always say the same, or never meet are left out.

    method "duplicates"        agreement where both vote >= threshold (.95) on 30 entities and more. Two LFs of one class cannot
                               disagree: of those, the Jaccard index of their firings. weight: agreement, evidence: Jaccard index
           "residual"          correlation of their symbols that EM's classes leave unexplained, above threshold (.1) and three standard
                               errors; blind for three LFs and where copies have become the class. weight: correlation,
                               evidence: the correlation in standard errors
           "pseudolikelihood"  l1-penalised weight u of each of `types` ("similar", "fixing", "reinforcing", ...), above threshold
                               (penalty). weight: u, evidence: |u|. Bach et al. 2017
           "low_rank"          entries of the sparse part S of the inverse correlation of votes beside a part of low rank (lam, gamma),
                               above threshold (.5) times the largest; up to 200 LFs. weight: S, evidence: |S|
                               / largest. Varma et al. 2019
           "gold"              sum over entities with gold of phi(vote_j, vote_k, class) for each of `types`, above threshold
                               (0) per entity with gold. weight: the sum, evidence: the sum per entity. Cachay et al. 2021
    gold    integers (P, K)    entities of each pattern with a known class; needed by "gold", anchors "residual"
    at_most the strongest so many

    Issues GroundswellWarning: LM225 (kept pairs with few common votes), LM222 (singular), LM226 (nothing stands out), LM210.
    Raises LabelModelError LM107 (option value), LM111 (gold).
    """
    _check(method, types, threshold, penalty, lam, gamma)
    merged, known = canonical(patterns.hardened(), checked_gold(gold, patterns))
    if method == "gold" and known is None:
        raise LabelModelError("LM107", 'method "gold" needs gold', hint="pass gold=counts of known classes per pattern")
    used = _varying(merged)
    varying = VotePatterns(merged.votes[:, used], merged.counts, [merged.lfs[j] for j in used], merged.classes)
    if len(used) < 2 or not len(varying.counts):
        return []
    found = {
        "duplicates": lambda: _duplicates(varying, 0.95 if threshold is None else threshold),
        "residual": lambda: _residual(varying, known, 0.1 if threshold is None else threshold),
        "pseudolikelihood": lambda: _pseudolikelihood(varying, types, penalty, penalty if threshold is None else threshold, seed),
        "low_rank": lambda: _low_rank(varying, lam, gamma, 0.5 if threshold is None else threshold, seed),
        "gold": lambda: _by_gold(varying, known, types, threshold or 0.0),
    }[method]()
    strongest = sorted(found, key=lambda d: (-abs(d.evidence), d.type, d.lf_j, d.lf_k))[:at_most]
    few = [f"{d.lf_j} and {d.lf_k} ({d.support})" for d in strongest if d.support < FEW]
    if few:
        _warn(f"LM225: dependencies between LFs with fewer than {FEW} common votes are uncertain: {listed(few)}")
    return strongest


def factor_values(patterns: VotePatterns, gold: np.ndarray, kind: str) -> np.ndarray:
    """sum over entities with gold of phi(vote_j, vote_k, class), float (m, m) at [j, k]. gold: counts (P, K)."""
    table, m = dependency_table(kind, len(patterns.classes)), len(patterns.lfs)
    rows = gold.sum(axis=1) > 0
    votes, gold = patterns.votes[rows], gold[rows]
    values = np.zeros((m, m))
    for j in range(m):
        for k in range(m):
            if j != k:
                values[j, k] = (table[votes[:, j], votes[:, k]] * gold).sum()
    return values


def _duplicates(patterns: VotePatterns, threshold: float) -> list[Dependency]:
    both, agree, _ = pair_statistics(patterns)
    fires = np.diag(both)
    rate = np.divide(agree, both, out=np.zeros_like(both), where=both > 0)
    jaccard = np.divide(both, np.add.outer(fires, fires) - both, out=np.zeros_like(both), where=both > 0)
    of_one_class = np.array([len(np.unique(votes[votes != ABSTAIN])) == 1 for votes in patterns.votes.T])
    measure = np.where(of_one_class[:, None] | of_one_class, np.minimum(rate, jaccard), rate)
    return _pairs(patterns, "similar", "duplicates", (measure >= threshold) & (both >= 30), rate, jaccard, both)


def _residual(patterns: VotePatterns, gold: np.ndarray | None, threshold: float) -> list[Dependency]:
    posterior = label_model("dawid_skene").fit(patterns, gold=gold).predict(patterns)
    residual = residual_correlation(patterns, posterior)
    errors = residual * np.sqrt(patterns.n_entities)
    both = pair_statistics(patterns)[0]
    return _pairs(patterns, "similar", "residual", (np.abs(residual) > threshold) & (np.abs(errors) > 3), residual, errors, both)


def _pseudolikelihood(patterns: VotePatterns, types: Sequence[str], penalty: float, threshold: float, seed: int) -> list[Dependency]:
    weights = pair_weights(_sampled(patterns, seed), types, penalty)
    both = pair_statistics(patterns)[0]
    return [d for kind, u in weights.items() for d in _pairs(patterns, kind, "pseudolikelihood", np.abs(u) > threshold, u, np.abs(u), both)]


def _low_rank(patterns: VotePatterns, lam: float, gamma: float, threshold: float, seed: int) -> list[Dependency]:
    if len(patterns.lfs) > MOST_LFS:
        raise LabelModelError("LM107", f'method "low_rank" takes up to {MOST_LFS} LFs, got {len(patterns.lfs)}', hint='method "duplicates" takes any number')
    correlation = vote_correlation(patterns, seed)
    if np.linalg.eigvalsh(correlation)[0] < SINGULAR:
        correlation = correlation + RIDGE * np.eye(len(correlation))
        _warn(f"LM222: the covariance of the votes is singular; {RIDGE:g} was added to its diagonal")
    found = decompose(correlation, lam, gamma)
    if not found.converged:
        _warn(f"LM210: sparse plus low rank did not settle in {found.n_steps} steps")
    sparse = np.where(np.eye(len(correlation), dtype=bool), 0.0, found.sparse)
    size = np.abs(sparse)
    entries = size[np.triu_indices(len(size), 1)]
    low, high = np.quantile(entries, [0.25, 0.75])
    if size.max() <= max(high + 2 * (high - low), 1e-6):
        _warn("LM226: no pair of LFs stands out from the others: probably no real dependency")
        return []
    return _pairs(patterns, "similar", "low_rank", size > threshold * size.max(), sparse, size / size.max(), pair_statistics(patterns)[0])


def _by_gold(patterns: VotePatterns, gold: np.ndarray, types: Sequence[str], threshold: float) -> list[Dependency]:
    both, found = pair_statistics(patterns)[0], []
    for kind in types:
        values = factor_values(patterns, gold, kind)
        found += _pairs(patterns, kind, "gold", values / gold.sum() > threshold, values, values / gold.sum(), both)
    return found


def vote_correlation(patterns: VotePatterns, seed: int) -> np.ndarray:
    """Correlation of votes coded -1, +1 and 0 for abstain, float (m, m), every LF varying; more classes: the mean over floor(log2 K) random halvings."""
    K, rng = len(patterns.classes), np.random.default_rng(seed)
    events = vote_events(patterns)
    covariance = moments(events, patterns.counts).covariance
    lf, vote = np.array([what[0] for what in events.what]).T
    total = np.zeros((len(patterns.lfs),) * 2)
    for _ in range(int(np.log2(K))):
        sign = np.array([-1.0, 1.0]) if K == 2 else rng.permutation(np.where(np.arange(K) < K // 2, -1.0, 1.0))
        code = np.zeros((len(lf), len(patterns.lfs)))
        code[np.arange(len(lf)), lf] = sign[vote]
        halved = code.T @ covariance @ code
        spread = np.sqrt(np.maximum(np.diag(halved), 1e-12))
        total += halved / np.outer(spread, spread)
    return total / int(np.log2(K))


def _pairs(
    patterns: VotePatterns, kind: str, method: str, kept: np.ndarray, weight: np.ndarray, evidence: np.ndarray, both: np.ndarray
) -> list[Dependency]:
    """The kept pairs that have common votes, once for a symmetric type."""
    allowed = kept & (both > 0) & ~np.eye(len(kept), dtype=bool)
    if kind in SYMMETRIC:
        allowed = np.triu(allowed)
    return [
        Dependency(kind, patterns.lfs[j], patterns.lfs[k], float(weight[j, k]), method, int(both[j, k]), float(evidence[j, k]))
        for j, k in np.argwhere(allowed)
    ]


def _varying(patterns: VotePatterns) -> list[int]:
    """Columns of LFs whose symbol varies over entities."""
    return [j for j, votes in enumerate(patterns.votes.T) if len(np.unique(votes)) > 1]


def _sampled(patterns: VotePatterns, seed: int) -> VotePatterns:
    """At most MOST_ENTITIES entities, drawn in proportion to the counts."""
    n = patterns.n_entities
    if n <= MOST_ENTITIES or len(patterns.counts) <= MOST_ENTITIES // 4:
        return patterns
    drawn = np.random.default_rng(seed).multinomial(MOST_ENTITIES, patterns.counts / n)
    return VotePatterns(patterns.votes[drawn > 0], drawn[drawn > 0], patterns.lfs, patterns.classes)


def _warn(text: str) -> None:
    warnings.warn(text, GroundswellWarning, stacklevel=3)


def _check(method: str, types: Sequence[str], threshold: float | None, *positive: Any) -> None:
    for value, allowed, what in ((method, METHODS, "method"), *((kind, DEPENDENCIES, "dependency type") for kind in types)):
        if value not in allowed:
            raise LabelModelError("LM107", f'there is no {what} "{value}"', hint=did_you_mean(str(value), allowed) or f"one of {', '.join(allowed)}")
    if any(not value >= 0 for value in positive) or (threshold is not None and not threshold >= 0):
        raise LabelModelError("LM107", "threshold, penalty, lam and gamma cannot be negative")
