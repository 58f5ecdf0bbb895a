"""The factors of data programming: what a factor graph over votes and the class can say about one LF or a pair of LFs.

v, u = votes of LFs j and k (K = abstain), y = the class. Ratner et al. 2016; Cachay et al. 2021, table of factor types.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass

import numpy as np

from groundswell.errors import LabelModelError, did_you_mean

SYMMETRIC = ("bolstering", "exclusive", "similar")
DEPENDENCIES = ("bolstering", "exclusive", "fixing", "negated", "priority", "reinforcing", "similar")


@dataclass(frozen=True)
class Dependency:
    """Two LFs that depend on each other given the class.

    type      one of DEPENDENCIES
    lf_j      the LF acted on: `lf_k` fixes, reinforces, negates or has priority over `lf_j`
    lf_k      the acting LF; symmetric types hold their LFs in order of names
    weight    strength, in the unit of the method
    method    what found it, "" = given
    support   entities on which both LFs vote
    evidence  what the method measured to decide, in its own unit
    """

    type: str
    lf_j: str
    lf_k: str
    weight: float = float("nan")
    method: str = ""
    support: int = 0
    evidence: float = float("nan")


def read_dependencies(given: Iterable[Dependency | Sequence[str]], lfs: Sequence[str]) -> list[Dependency]:
    """Dependencies as given in options: Dependency objects or (type, lf_j, lf_k), sorted, over the known `lfs`.

    Raises LabelModelError LM107: not three names, unknown type or LF, an LF with itself, the same dependency twice.
    """
    if isinstance(given, str):
        raise LabelModelError("LM107", "dependencies must be a list of (type, lf_j, lf_k), got text")
    found = [_read(d, lfs) for d in given]
    keys = [(d.type, d.lf_j, d.lf_k) for d in found]
    twice = sorted({key for key in keys if keys.count(key) > 1})
    if twice:
        raise LabelModelError("LM107", f"dependencies given twice: {', '.join(' '.join(key) for key in twice)}")
    return sorted(found, key=lambda d: (d.type, d.lf_j, d.lf_k))


def _read(given: Dependency | Sequence[str], lfs: Sequence[str]) -> Dependency:
    parts = (given.type, given.lf_j, given.lf_k) if isinstance(given, Dependency) else given
    if isinstance(parts, str) or not isinstance(parts, Sequence) or len(parts) != 3:
        raise LabelModelError("LM107", f"a dependency is (type, lf_j, lf_k), got {given!r}")
    kind, j, k = parts
    if kind not in DEPENDENCIES:
        hint = did_you_mean(str(kind), DEPENDENCIES) or f"one of {', '.join(DEPENDENCIES)}"
        raise LabelModelError("LM107", f'there is no dependency of type "{kind}"', hint=hint)
    for lf in (j, k):
        if lf not in lfs:
            raise LabelModelError("LM107", f'dependencies name the unknown LF "{lf}"', hint=did_you_mean(str(lf), lfs))
    if j == k:
        raise LabelModelError("LM107", f'LF "{j}" cannot depend on itself')
    return Dependency(kind, *(sorted((j, k)) if kind in SYMMETRIC else (j, k)))


def dependency_table(kind: str, n_classes: int) -> np.ndarray:
    """phi(v, u, y) in {-1, 0, 1}, float (K+1, K+1, K), of a dependency type.

    "The opposite class" of the two-class papers is read as any other class. Bolstering asks both LFs to vote: read to the
    letter it would also count two abstentions, which cancels in the posterior.
    """
    v, u, y = np.ix_(np.arange(n_classes + 1), np.arange(n_classes + 1), np.arange(n_classes))
    votes_j, votes_k = v < n_classes, u < n_classes
    right_j, right_k = v == y, u == y
    wrong_j, wrong_k = votes_j & ~right_j, votes_k & ~right_k
    plus, minus = {
        "similar": (v == u, False),
        "exclusive": (False, votes_j & votes_k),
        "fixing": (wrong_j & right_k, ~votes_j & votes_k),
        "reinforcing": (right_j & right_k, ~votes_j & votes_k),
        "priority": (wrong_j & right_k, right_j & wrong_k),
        "bolstering": (right_j & right_k, votes_j & votes_k & ~(right_j & right_k)),
        "negated": (wrong_j & right_k, (right_j & wrong_k) | (votes_j & (v == u))),
    }[kind]
    shape = (n_classes + 1, n_classes + 1, n_classes)
    return np.broadcast_to(plus, shape).astype(float) - np.broadcast_to(minus, shape)


def accuracy_table(n_classes: int) -> np.ndarray:
    """phi(v, y), float (K+1, K): for two classes vote * y with classes -1 and +1, else [v = y]; 0 where the LF abstains."""
    right = np.eye(n_classes + 1, n_classes)
    if n_classes == 2:
        right[:2] = [[1, -1], [-1, 1]]
    return right


def propensity_table(n_classes: int) -> np.ndarray:
    """phi(v, y) = [the LF votes], float (K+1, K)."""
    return np.repeat((np.arange(n_classes + 1) < n_classes).astype(float)[:, None], n_classes, axis=1)


def class_propensity_tables(n_classes: int) -> list[np.ndarray]:
    """phi(v, y), float (K+1, K) each: for two classes y [the LF votes] with classes -1 and +1, else [y = c][the LF votes], c > 0."""
    votes = propensity_table(n_classes)
    if n_classes == 2:
        return [votes * np.array([-1.0, 1.0])]
    return [votes * (np.arange(n_classes) == c) for c in range(1, n_classes)]
