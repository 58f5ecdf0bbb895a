"""What makes rows alike, as arrays: numbers, sets of tokens, vectors; which rows have them, and among which modalities they count."""

from __future__ import annotations

from dataclasses import dataclass, field

import numpy as np

BANDWIDTH_SAMPLE = 2000
"""Values whose pairwise differences give the bandwidth of a number."""


@dataclass(frozen=True)
class Column:
    """One feature of n rows.

    present     bool (n,)      False: NULL. An empty set is present
    modalities  bool (M,)      where it can have a value; a pair of other modalities is compared without it
    weight      a_k > 0 of the mean
    """

    name: str
    present: np.ndarray
    modalities: np.ndarray
    weight: float = 1.0


@dataclass(frozen=True)
class Numbers(Column):
    """values float32 (n,), whatever where not present; bandwidth h > 0: s = exp(-|x - x'| / h)."""

    values: np.ndarray = field(default_factory=lambda: np.zeros(0, np.float32))
    bandwidth: float = 1.0


@dataclass(frozen=True)
class Sets(Column):
    """Tokens of row i: tokens[start[i]:start[i + 1]], int32, distinct; a category is a set of one. s = Jaccard, 0 of two empty sets."""

    start: np.ndarray = field(default_factory=lambda: np.zeros(1, np.int64))
    tokens: np.ndarray = field(default_factory=lambda: np.zeros(0, np.int32))

    @property
    def sizes(self) -> np.ndarray:
        """int64 (n,): tokens per row."""
        return np.diff(self.start)

    @property
    def n_tokens(self) -> int:
        """Size of the vocabulary."""
        return int(self.tokens.max()) + 1 if len(self.tokens) else 0


@dataclass(frozen=True)
class Vectors(Column):
    """unit float32 (n, d): rows of length 1, zeros where not present. s = max(0, cosine)."""

    unit: np.ndarray = field(default_factory=lambda: np.zeros((0, 0), np.float32))


@dataclass(frozen=True)
class Rows:
    """n rows: modality int (n,), 0..M-1, and their features."""

    modality: np.ndarray
    columns: tuple[Column, ...]

    def __len__(self) -> int:
        return len(self.modality)

    @property
    def n_modalities(self) -> int:
        """Modalities that have rows."""
        return int(self.modality.max()) + 1 if len(self) else 0

    @property
    def common(self) -> tuple[Column, ...]:
        """Features of more than one modality; all of them where there is only one."""
        return tuple(c for c in self.columns if c.modalities.sum() > 1 or self.n_modalities == 1)

    def of_modality(self, m: int) -> tuple[Column, ...]:
        """Features that rows of one modality can have."""
        return tuple(c for c in self.columns if c.modalities[m])


def where_present(present: np.ndarray, modality: np.ndarray, n_modalities: int) -> np.ndarray:
    """bool (M,): the modalities in which a feature has any value."""
    return np.bincount(modality[present], minlength=n_modalities) > 0


def bandwidth(values: np.ndarray, seed: int = 0) -> float:
    """The median absolute difference between two values of a sample; where most are equal, their interquartile range or standard deviation.

    0 for values that are all the same.
    """
    if len(values) > BANDWIDTH_SAMPLE:
        values = np.random.default_rng(seed).choice(values, BANDWIDTH_SAMPLE, replace=False)
    upper = np.triu_indices(len(values), 1)
    differences = np.abs(values[upper[0]] - values[upper[1]])
    found = (np.median(differences) if len(differences) else 0.0, np.subtract(*np.percentile(values, [75, 25])) if len(values) else 0.0, np.std(values) if len(values) else 0.0)
    return float(next((h for h in found if h > 0), 0.0))


def unit_rows(vectors: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """(float32 (n, d) rows of length 1, bool (n,) usable): a row with NaN, infinity or length 0 becomes zeros."""
    with np.errstate(over="ignore", invalid="ignore"):
        length = np.linalg.norm(vectors.astype(np.float32, copy=False), axis=1)
    usable = np.isfinite(length) & (length > 1e-12)
    unit = np.zeros(vectors.shape, np.float32)
    np.divide(vectors, length[:, None], out=unit, where=usable[:, None], casting="same_kind")
    return unit, usable
