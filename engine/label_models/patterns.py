"""Vote patterns: the distinct rows of a label matrix with their counts, which is all a label model needs to see."""

from __future__ import annotations

from dataclasses import dataclass
from functools import cached_property
from typing import TYPE_CHECKING, Sequence

import numpy as np

from groundswell.errors import LabelModelError
from groundswell.label_models.one_hot import ABSTAIN, one_hot

if TYPE_CHECKING:
    from scipy.sparse import csr_array

_LARGEST_CODE = 2**62


@dataclass(frozen=True)
class VotePatterns:
    """Distinct vote patterns, how many entities share each, and the names that give the numbers a meaning.

    votes    int8 or int16 (P, m)   class index of each LF's vote, -1 = abstain
    counts   int64 (P,)             entities with this pattern, at least 1; the same pattern may stand in several rows
    lfs      m distinct names       one per column of votes
    classes  K distinct names       K >= 2; class index k means classes[k]
    partial  float (E, K)           what vote K + e means, for LFs that give probabilities or rule classes out: P(Y), rows sum to 1;
                                    none by default

    The arrays are copied and made read-only. Raises LabelModelError: LM101 (shape or type), LM102 (vote outside 0..K+E-1),
    LM103 (count below 1), LM104 (a name twice), LM112 (fewer than two classes).
    """

    votes: np.ndarray
    counts: np.ndarray
    lfs: tuple[str, ...]
    classes: tuple[str, ...]
    partial: np.ndarray | None = None

    def __post_init__(self) -> None:
        lfs, classes = _names(self.lfs, "LF"), _names(self.classes, "class")
        if len(classes) < 2:
            raise LabelModelError("LM112", f"a label model needs at least two classes, got {list(classes)}")
        partial = _partial(self.partial, classes)
        votes = _votes(self.votes, lfs, classes, len(partial))
        counts = _counts(self.counts, len(votes))
        for field, value in (("votes", votes), ("counts", counts), ("lfs", lfs), ("classes", classes), ("partial", partial)):
            object.__setattr__(self, field, value)

    @classmethod
    def from_matrix(
        cls, matrix: np.ndarray, lfs: Sequence[str], classes: Sequence[str]
    ) -> tuple[VotePatterns, np.ndarray]:
        """(patterns, inverse) of a label matrix: matrix[i] equals patterns.votes[inverse[i]].

        matrix   integers (n, m)   class index, -1 = abstain
        returns  P distinct patterns in lexicographic order with their counts, and int64 (n,)

        Raises like VotePatterns.
        """
        votes = _votes(matrix, _names(lfs, "LF"), _names(classes, "class"))
        first, inverse = distinct_rows(votes, len(tuple(classes)))
        counts = np.bincount(inverse, minlength=len(first))
        return cls(votes[first], counts, tuple(lfs), tuple(classes)), inverse

    @property
    def hard_codes(self) -> np.ndarray:
        """int64 (E,): the class a partial vote amounts to, the one with more than half of the probability; -1 = none."""
        best = self.partial.argmax(axis=1) if len(self.partial) else np.zeros(0, np.int64)
        return np.where(self.partial.max(axis=1, initial=0.0) > 0.5, best, ABSTAIN)

    def hardened(self) -> VotePatterns:
        """The same entities with partial votes as the plain votes they amount to."""
        if not len(self.partial):
            return self
        codes = np.concatenate([np.arange(len(self.classes)), self.hard_codes, [ABSTAIN]])
        return VotePatterns(codes[self.votes], self.counts, self.lfs, self.classes)

    @property
    def n_symbols(self) -> int:
        """S = K + E: how many different votes there are."""
        return len(self.classes) + len(self.partial)

    @cached_property
    def events(self) -> csr_array:
        """Sparse float 0/1 (P, m S): column j S + v is 1 where LF j votes v, of S = K + E votes; made once, kept."""
        return one_hot(self.votes, self.n_symbols)

    @cached_property
    def votes_cast(self) -> np.ndarray:
        """Entities on which each LF gives each vote, int64 (m, S)."""
        cast = self.events.T @ self.counts.astype(float)
        return np.round(cast).astype(np.int64).reshape(len(self.lfs), self.n_symbols)

    def voted_mass(self, mass: np.ndarray) -> np.ndarray:
        """sum_p mass_py [v_pj = v], float (m, S, K) over LF, vote and class. mass float (P, K)."""
        return (self.events.T @ mass).reshape(len(self.lfs), self.n_symbols, mass.shape[1])

    @cached_property
    def covered(self) -> np.ndarray:
        """bool (P,): at least one LF votes."""
        return (self.votes != ABSTAIN).any(axis=1)

    @property
    def n_entities(self) -> int:
        """Entities behind all patterns: the sum of counts."""
        return int(self.counts.sum())

    def aligned(self, lfs: Sequence[str]) -> np.ndarray:
        """votes (P, m) with columns in the order of `lfs`; raises LM110 where the LF names differ."""
        if tuple(lfs) == self.lfs:
            return self.votes
        if set(lfs) != set(self.lfs):
            unknown, missing = sorted(set(self.lfs) - set(lfs)), sorted(set(lfs) - set(self.lfs))
            raise LabelModelError(
                "LM110",
                f"the label model was fitted on other LFs: {unknown} were not in the fit, {missing} are missing here",
                hint="fit again, or pass patterns with the LFs of the fit",
            )
        column = {lf: j for j, lf in enumerate(self.lfs)}
        return self.votes[:, [column[lf] for lf in lfs]]


def canonical(patterns: VotePatterns, *known: np.ndarray | None) -> tuple[VotePatterns, *tuple[np.ndarray | None, ...]]:
    """The same votes with LFs sorted by name, patterns distinct and in lexicographic order, counts (and what is known) summed.

    known    each float (P, K) or None   entities of each pattern whose true class is known
    returns  VotePatterns, and each of known as (P', K) in its order

    Whatever is computed from the result alone has the same bits under any order of LFs, rows or patterns.
    """
    lfs = tuple(sorted(patterns.lfs))
    votes = patterns.aligned(lfs)
    first, inverse = distinct_rows(votes, len(patterns.classes) + len(patterns.partial))
    counts = np.zeros(len(first), np.int64)
    np.add.at(counts, inverse, patterns.counts)
    merged = VotePatterns(votes[first], counts, lfs, patterns.classes, patterns.partial)
    return merged, *(None if each is None else _summed(each, inverse, len(first)) for each in known)


def _summed(rows: np.ndarray, inverse: np.ndarray, n: int) -> np.ndarray:
    """float (n, K): rows (P, K) added up by where they went."""
    total = np.zeros((n, rows.shape[1]))
    np.add.at(total, inverse, rows)
    return total


def distinct_rows(votes: np.ndarray, n_classes: int) -> tuple[np.ndarray, np.ndarray]:
    """(first, inverse): votes[first] are the distinct rows in lexicographic order, votes[first][inverse] is votes.

    votes    integers (n, m) in -1..n_classes-1
    returns  int64 (P,), int64 (n,)

    Rows become numbers in base K + 1, as many LFs at a time as fit 62 bits next to the rank of the LFs before.
    """
    base, n, m = n_classes + 1, *votes.shape
    first, rank = np.zeros(min(n, 1), np.int64), np.zeros(n, np.int64)
    column = 0
    while column < m:
        width = _columns_that_fit(len(first), base, m - column)
        code = rank
        for j in range(column, column + width):
            code = code * base + (votes[:, j].astype(np.int64) + 1)
        _, first, rank = np.unique(code, return_index=True, return_inverse=True)
        column += width
    return first, rank


def _columns_that_fit(n_ranks: int, base: int, at_most: int) -> int:
    width, reach = 0, max(n_ranks, 1)
    while width < at_most and reach * base <= _LARGEST_CODE:
        width, reach = width + 1, reach * base
    return width


def _names(names: Sequence[str], what: str) -> tuple[str, ...]:
    found = tuple(names)
    if not all(isinstance(name, str) for name in found):
        raise LabelModelError("LM101", f"{what} names must be text, got {[n for n in found if not isinstance(n, str)]}")
    twice = sorted({name for name in found if found.count(name) > 1}) if len(set(found)) < len(found) else []
    if twice:
        raise LabelModelError("LM104", f"{what} names must be distinct, found twice: {', '.join(twice)}")
    return found


def _partial(partial: np.ndarray | None, classes: tuple[str, ...]) -> np.ndarray:
    """float (E, K), read-only; raises LM101 where rows are no distributions."""
    array = np.zeros((0, len(classes))) if partial is None else np.array(partial, float)
    if array.ndim != 2 or array.shape[1] != len(classes) or not (array >= 0).all() or not np.allclose(array.sum(axis=1), 1, atol=1e-6):
        raise LabelModelError("LM101", f"partial votes must be distributions over {len(classes)} classes, got shape {array.shape}")
    array.flags.writeable = False
    return array


def _votes(votes: np.ndarray, lfs: tuple[str, ...], classes: tuple[str, ...], n_partial: int = 0) -> np.ndarray:
    array = np.asarray(votes)
    if array.ndim != 2 or array.shape[1] != len(lfs):
        raise LabelModelError("LM101", f"votes must have one column for each of {len(lfs)} LFs, got shape {array.shape}")
    if not np.issubdtype(array.dtype, np.integer):
        raise LabelModelError(
            "LM101", f"votes must be integers (class index, -1 = abstain), got {array.dtype}", hint="abstain is -1, not NaN"
        )
    n_symbols = len(classes) + n_partial
    if array.size and (array.min() < ABSTAIN or array.max() >= n_symbols):
        _raise_out_of_range(array, lfs, classes, n_symbols)
    kept = array.astype(np.int8 if n_symbols <= 127 else np.int16)
    kept.flags.writeable = False
    return kept


def _raise_out_of_range(votes: np.ndarray, lfs: tuple[str, ...], classes: tuple[str, ...], n_symbols: int) -> None:
    row, column = np.argwhere((votes < ABSTAIN) | (votes >= n_symbols))[0]
    raise LabelModelError(
        "LM102",
        f'LF "{lfs[column]}" votes {votes[row, column]} in row {row}; '
        f"votes are -1 (abstain) or 0..{n_symbols - 1}, the index of one of {len(classes)} classes"
        + (f" or of {n_symbols - len(classes)} partial votes" if n_symbols > len(classes) else ""),
    )


def _counts(counts: np.ndarray, n_patterns: int) -> np.ndarray:
    array = np.asarray(counts)
    if array.shape != (n_patterns,) or not (np.issubdtype(array.dtype, np.integer) or n_patterns == 0):
        raise LabelModelError(
            "LM101", f"counts must be {n_patterns} integers, one per pattern, got {array.dtype} of shape {array.shape}"
        )
    if n_patterns and array.min() < 1:
        row = int(np.argmin(array))
        raise LabelModelError("LM103", f"counts must be at least 1, pattern {row} has {array[row]}")
    kept = array.astype(np.int64)
    kept.flags.writeable = False
    return kept
