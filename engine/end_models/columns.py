"""How one column becomes numbers, one class per feature kind: numeric, categorical, text;
lists are in `list_columns`.

A column encoder has
    dense_width, sparse_width   columns it adds to the dense and to the sparse block; sparse_width is known after `freeze`
    observe(column)             one streamed pass over the training rows
    freeze()                    ends the pass; the warnings it gives rise to
    dense(column), sparse(column)   float32 (n, dense_width) and CSR (n, sparse_width); the one it does not use is None
    pieces(column)              sparse column -> what it stands for, for a column of one row
    state(), restore(state)     JSON
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
import scipy.sparse as sp

from ..errors import Diagnostic, EndModelError
from .features import Feature, decoded, is_instant, is_number, is_string
from .list_columns import EmbeddingColumn, MultivaluedColumn, unsuitable
from .vocabulary import MISSING, VocabularyColumn


@dataclass(frozen=True)
class EncoderOptions:
    """Options of the encoders; saved with the model."""

    min_count: int = 5
    """A category seen less often in training counts as out of vocabulary."""
    max_categories: int = 10_000
    """Size of a vocabulary; the most frequent values stay, ties in alphabetical order."""
    text_buckets: int = 2**18
    """Hash buckets per text column and n-gram family."""
    word_ngrams: int = 2
    """Word n-grams from 1 to this length."""
    char_ngrams: int = 4
    """Character n-grams inside words, from 3 to this length; 0 turns them off."""


COUNTED_VALUES = 1_000_000
"""Distinct values of one categorical column that are counted before it is refused: the bound on memory."""


class NumericColumn:
    """z-score with training statistics, and a missing flag: 2 dense columns. NULL and NaN are missing (z = 0, flag = 1)."""

    dense_width, sparse_width = 2, 0

    def __init__(self, feature: Feature, options: EncoderOptions):
        self.feature = feature
        self.n, self.mean, self.m2 = 0, 0.0, 0.0

    def observe(self, column: pa.Array) -> None:
        """Merge one block into count, mean and sum of squared deviations. Source: Chan, Golub & LeVeque 1983, eq. 2.1."""
        x = self._numbers(column)
        x = x[~np.isnan(x)]
        if not x.size:
            return
        n, mean, delta = self.n + x.size, x.mean(), x.mean() - self.mean
        self.m2 += float(((x - mean) ** 2).sum() + delta**2 * self.n * x.size / n)
        self.mean += float(delta * x.size / n)
        self.n = n

    @property
    def sd(self) -> float:
        """Population standard deviation; 0 if the values do not differ beyond float64 rounding."""
        sd = (self.m2 / self.n) ** 0.5 if self.n else 0.0
        return sd if sd > 1e-12 * abs(self.mean) else 0.0

    def freeze(self) -> list[Diagnostic]:
        if self.sd:
            return []
        what = "is missing in every training row" if not self.n else f"is {self.mean:g} in every training row"
        return [Diagnostic("EM201", f'feature "{self.feature.name}" {what}: it is encoded as 0', hint="leave it out")]

    def dense(self, column: pa.Array) -> np.ndarray:
        x = self._numbers(column)
        missing = np.isnan(x)
        z = np.where(missing, 0.0, (x - self.mean) / self.sd) if self.sd else np.zeros(len(x))
        return np.column_stack([z, missing]).astype(np.float32)

    def sparse(self, column: pa.Array) -> None:
        return None

    def _numbers(self, column: pa.Array) -> np.ndarray:
        """float64 (n,), NaN = missing; instants in seconds since 1970. Raises EndModelError EM104 for inf, EM113 for other types."""
        if is_instant(column.type):
            x = _float64(column.cast(pa.timestamp("us")).cast(pa.int64())) / 1e6
        elif is_number(column.type):
            x = _float64(column)
        else:
            raise unsuitable(self.feature, column.type)
        if np.isinf(x).any():
            hint = "map infinite values to NULL in the query"
            raise EndModelError("EM104", f'feature "{self.feature.name}" holds an infinite value', hint=hint)
        return x

    def state(self) -> dict:
        return {"n": self.n, "mean": self.mean, "m2": self.m2}

    def restore(self, state: dict) -> None:
        self.n, self.mean, self.m2 = state["n"], state["mean"], state["m2"]


class CategoricalColumn(VocabularyColumn):
    """One-hot over the training vocabulary."""

    def observe(self, column: pa.Array) -> None:
        self.count(pc.value_counts(pc.drop_null(self._strings(column))))
        if len(self.counts) > COUNTED_VALUES:
            hint = f'use kind "text" (hashed) for "{self.feature.name}", or group its values in the query'
            raise EndModelError("EM112", f'feature "{self.feature.name}" has over {COUNTED_VALUES:,} distinct values', hint=hint)

    def freeze(self) -> list[Diagnostic]:
        distinct = self.keep_frequent()
        if distinct > 1 and len(self.vocabulary):
            return []
        what = "has at most one value" if distinct < 2 else f"has no value {self.options.min_count} times or more"
        return [Diagnostic("EM201", f'feature "{self.feature.name}" {what} in the training rows', hint="leave it out")]

    def sparse(self, column: pa.Array) -> sp.csr_matrix:
        strings = self._strings(column)
        place = pc.fill_null(pc.index_in(strings, self.vocabulary), -2).to_numpy(zero_copy_only=False) + 2
        place[pc.is_null(strings).to_numpy(zero_copy_only=False)] = MISSING
        n = len(place)
        return sp.csr_matrix((np.ones(n, np.float32), place.astype(np.int32), np.arange(n + 1, dtype=np.int32)), (n, self.sparse_width))

    def _strings(self, column: pa.Array) -> pa.Array:
        try:
            return decoded(column)
        except pa.ArrowNotImplementedError as e:
            raise unsuitable(self.feature, column.type) from e


class TextColumn:
    """Hashed word 1-2-grams (and character n-grams): sublinear counts, each family's row L2-normalised, then a missing flag.

    Stateless: nothing is learned from the training rows, so vocabulary never grows. Source: Weinberger et al. 2009.
    """

    dense_width = 0

    def __init__(self, feature: Feature, options: EncoderOptions):
        from sklearn.feature_extraction.text import HashingVectorizer

        self.feature, self.options = feature, options
        common = {"n_features": options.text_buckets, "alternate_sign": False, "norm": None, "dtype": np.float32}
        self._families = [HashingVectorizer(ngram_range=(1, options.word_ngrams), **common)]
        if options.char_ngrams:
            self._families.append(HashingVectorizer(analyzer="char_wb", ngram_range=(3, options.char_ngrams), **common))

    @property
    def sparse_width(self) -> int:
        return self.options.text_buckets * len(self._families) + 1

    def observe(self, column: pa.Array) -> None:
        if not (is_string(column.type) or pa.types.is_dictionary(column.type)):
            raise unsuitable(self.feature, column.type)

    def freeze(self) -> list[Diagnostic]:
        return []

    def dense(self, column: pa.Array) -> None:
        return None

    def sparse(self, column: pa.Array) -> sp.csr_matrix:
        self.observe(column)
        if not len(column):
            return sp.csr_matrix((0, self.sparse_width), dtype=np.float32)
        strings = decoded(column)
        missing = sp.csr_matrix(pc.is_null(strings).to_numpy(zero_copy_only=False).astype(np.float32)[:, None])
        texts = pc.fill_null(strings, "").to_pylist()
        return sp.hstack([*(_sublinear(f.transform(texts)) for f in self._families), missing], format="csr")

    def pieces(self, column: pa.Array) -> dict[int, str]:
        """Sparse column -> the n-grams of this one text that are hashed into it."""
        from sklearn.feature_extraction import FeatureHasher

        text, found = decoded(column)[0].as_py() or "", {self.sparse_width - 1: "(missing)"}
        for family, vectorizer in enumerate(self._families):
            grams = sorted(set(vectorizer.build_analyzer()(text)))
            hasher = FeatureHasher(self.options.text_buckets, input_type="string", alternate_sign=False)
            for gram, row in zip(grams, hasher.transform([[gram] for gram in grams]) if grams else ()):
                place = int(row.indices[0]) + family * self.options.text_buckets
                found[place] = f"{found[place]} | {gram}" if place in found else gram
        return found

    def state(self) -> dict:
        return {}

    def restore(self, state: dict) -> None:
        """Nothing to restore: the options say it all."""


def _sublinear(counts: sp.csr_matrix) -> sp.csr_matrix:
    """(n, B) counts -> 1 + log(count), every row of L2 norm 1; a row without n-grams stays zero."""
    from sklearn.preprocessing import normalize

    counts.data = 1 + np.log(counts.data)
    return normalize(counts, copy=False)


def _float64(column: pa.Array) -> np.ndarray:
    return column.cast(pa.float64(), safe=False).to_numpy(zero_copy_only=False)


COLUMN_ENCODERS = {
    "numeric": NumericColumn, "categorical": CategoricalColumn, "text": TextColumn, "multivalued": MultivaluedColumn, "embedding": EmbeddingColumn,
}  # fmt: skip
"""Feature kind -> encoder. A new kind is one class and one entry here."""


def column_encoder(feature: Feature, options: EncoderOptions):
    """The encoder of a feature. Raises EndModelError EM113 for a kind that is not supported yet."""
    if feature.kind not in COLUMN_ENCODERS:
        hint = f"supported kinds are {', '.join(COLUMN_ENCODERS)}"
        raise EndModelError("EM113", f'feature "{feature.name}": kind "{feature.kind}" is not supported yet', hint=hint)
    return COLUMN_ENCODERS[feature.kind](feature, options)
