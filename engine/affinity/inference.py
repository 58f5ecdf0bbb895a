"""Class inference: from affinities to clusters, by methods registered under a name."""

from __future__ import annotations

from dataclasses import dataclass, fields
from typing import Any, ClassVar

import numpy as np

from ..errors import AffinityError, Diagnostic, did_you_mean
from .kept import KeptCodings

SMALL_CLUSTER = 0.01
"""A cluster below this share of its even size is called degenerate."""


@dataclass(frozen=True)
class Evidence:
    """What a method may look at, for N entities.

    affinity  float32 (N, M)  s_ij
    source    int (M,)        the entity prototype j comes from
    family    int (M,)        which affinity function (layer and rank) column j belongs to
    layer     int (M,)        which layer
    features  float32 (N, C) or None: pooled vectors
    gold      int (N,)        class, -1 = unknown; only the method "propagation" reads it
    column_class  int (M,) or None: the class of each column where it is known, as that of a labeling function is; only "em" reads it
    """

    affinity: np.ndarray
    source: np.ndarray
    family: np.ndarray
    layer: np.ndarray
    features: np.ndarray | None = None
    gold: np.ndarray | None = None
    column_class: np.ndarray | None = None


@dataclass(frozen=True)
class Clusters:
    """An answer: p float (N, K), rows sum to 1; a trace of (iteration, entities that changed cluster); did it converge?

    stability  share of entities on which another seed, or scale, agrees after the best matching of clusters; 1 where there is none
    """

    p: np.ndarray
    trace: tuple[tuple[int, int], ...] = ()
    converged: bool = True
    stability: float = 1.0
    diagnostics: tuple[Diagnostic, ...] = ()
    log_p: np.ndarray | None = None
    """float (N, K): logarithms, where p itself is rounded to 0 and 1."""

    @property
    def labels(self) -> np.ndarray:
        """int (N,): the likeliest cluster, the first on a tie."""
        return (self.p if self.log_p is None else self.log_p).argmax(axis=1)

    @property
    def log_odds(self) -> np.ndarray:
        """float (N, K): log p, finite."""
        return np.log(np.clip(self.p, 1e-12, 1)) if self.log_p is None else self.log_p


@dataclass(frozen=True)
class Inference:
    """A method, unfitted; its fields are its options."""

    name: ClassVar[str]
    random: ClassVar[bool] = True
    """Does another seed give another answer?"""
    overconfident: ClassVar[bool] = False
    """Is p a product over many prototypes that depend on each other, and so near 0 or 1 whatever it is worth?"""

    def clusters(self, evidence: Evidence, n_classes: int, seed: int) -> Clusters:
        """The answer of one start."""
        raise NotImplementedError


_METHODS: dict[str, type[Inference]] = {}
DEFAULT_METHOD = "spectral"


def register(method: type[Inference]) -> type[Inference]:
    """The class itself, found from now on under its name."""
    _METHODS[method.name] = method
    return method


def inference(name: str = DEFAULT_METHOD, **options: Any) -> Inference:
    """The method called `name`. Raises AffinityError AF108 for unknown names and options."""
    if name not in _METHODS:
        raise AffinityError("AF108", f'there is no inference method "{name}"', hint=did_you_mean(name, _METHODS) or f"one of {', '.join(sorted(_METHODS))}")
    known = [f.name for f in fields(_METHODS[name])]
    for option in options:
        if option not in known:
            raise AffinityError("AF108", f'method "{name}" has no option "{option}"', hint=did_you_mean(option, known) or f"options: {', '.join(known) or 'none'}")
    return _METHODS[name](**options)


def methods() -> tuple[str, ...]:
    """Names of all methods."""
    return tuple(sorted(_METHODS))


def infer(method: Inference, evidence: Evidence, n_classes: int, seed: int = 0, restarts: int = 3, kept: KeptCodings | None = None) -> Clusters:
    """The clusters of the start that agrees most with the others (of `restarts` seeds), with their stability and warnings.

    kept  where each start's answer is written, and those of an earlier run that ended early are read

    Raises AffinityError AF106 for fewer entities than classes or one class, AF107 when all entities look the same.
    Warnings: AF207 (a cluster is empty or almost), AF208 (not converged), AF209 (seeds disagree).
    """
    n = len(evidence.affinity)
    if n_classes < 2 or n < n_classes:
        raise AffinityError("AF106", f"{n} rows cannot be told apart into {n_classes} classes", hint="at least two classes, and a row for each")
    if np.ptp(evidence.affinity, axis=0).max(initial=0) < 1e-6 and (evidence.features is None or np.ptp(evidence.features, axis=0).max(initial=0) < 1e-6):
        raise AffinityError("AF107", "all rows have the same affinities: there is nothing to tell them apart by", hint="are all images the same file, or the vectors all equal?")
    seeds = [seed + i for i in range(restarts if method.random else 1)]
    answers = [method.clusters(evidence, n_classes, each) for each in seeds] if kept is None else _kept_answers(method, evidence, n_classes, seeds, kept)
    agreement = np.array([[agree(a.labels, b.labels, n_classes) for b in answers] for a in answers])
    best = int(agreement.sum(axis=1).argmax())
    chosen = answers[best]
    stability = chosen.stability if len(answers) == 1 else float(np.delete(agreement[best], best).mean())
    return Clusters(chosen.p, chosen.trace, chosen.converged, stability, (*chosen.diagnostics, *_too_few(evidence, n_classes), *_warnings(chosen, n_classes, stability)), chosen.log_p)


def _kept_answers(method: Inference, evidence: Evidence, n_classes: int, seeds: list[int], kept: KeptCodings) -> list[Clusters]:
    """What the method says from each seed, from disk where it has said so before."""
    arrays = (evidence.affinity, evidence.source, evidence.family, evidence.layer, evidence.features, evidence.gold, evidence.column_class)
    place = kept.of(method.name, method, n_classes, *arrays)
    found = []
    for seed in seeds:
        answer = place.arrays(str(seed), lambda: _as_arrays(method.clusters(evidence, n_classes, seed)))
        trace = tuple((int(i), int(n)) for i, n in answer["trace"])
        found.append(Clusters(answer["p"], trace, bool(answer["converged"]), float(answer["stability"]), log_p=answer.get("log_p")))
    return found


def _as_arrays(found: Clusters) -> dict[str, np.ndarray]:
    arrays = {"p": found.p, "trace": np.array(found.trace, int).reshape(-1, 2), "converged": np.array(found.converged), "stability": np.array(found.stability)}
    return arrays if found.log_p is None else arrays | {"log_p": found.log_p}


def _too_few(evidence: Evidence, n_classes: int) -> list[Diagnostic]:
    """AF207 where there are fewer different rows than classes: equal rows are then told apart by nothing."""
    drawn = np.random.default_rng(0).random(evidence.affinity.shape[1], dtype=np.float32)
    n = len(np.unique((evidence.affinity @ drawn / len(drawn)).round(5)))
    return [Diagnostic("AF207", f"there are only {n} different rows for {n_classes} classes", hint="fewer classes, or another layer")] if n < n_classes else []


def _warnings(found: Clusters, n_classes: int, stability: float) -> list[Diagnostic]:
    sizes = np.bincount(found.labels, minlength=n_classes)
    few = np.flatnonzero(sizes < max(1, SMALL_CLUSTER * len(found.p) / n_classes))
    warnings = [Diagnostic("AF207", f"cluster {k} holds {sizes[k]:,} of {len(found.p):,} rows", hint="fewer classes than asked for, or another layer") for k in few]
    if not found.converged:
        warnings.append(Diagnostic("AF208", f"labels still changed after {len(found.trace)} iterations", hint="compare methods: --method kmeans"))
    if stability < 0.9:
        warnings.append(Diagnostic("AF209", f"another seed or scale puts {1 - stability:.0%} of the rows into other clusters", hint="the classes may not be what the images differ in most"))
    return warnings


def agree(a: np.ndarray, b: np.ndarray, n_classes: int) -> float:
    """Share of entities on which two clusterings agree, after the best matching of their clusters."""
    from scipy.optimize import linear_sum_assignment

    counts = confusion(a, b, n_classes)
    return float(counts[linear_sum_assignment(-counts)].sum() / max(len(a), 1))


def confusion(a: np.ndarray, b: np.ndarray, n_classes: int) -> np.ndarray:
    """int (K, K): [i, j] = entities with a = i and b = j."""
    return np.bincount(a * n_classes + b, minlength=n_classes**2).reshape(n_classes, n_classes)


def one_hot(labels: np.ndarray, n_classes: int) -> np.ndarray:
    """float (N, K)."""
    return np.eye(n_classes)[labels]


