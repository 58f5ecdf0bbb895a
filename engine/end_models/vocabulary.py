"""What columns of categories share: a vocabulary of the frequent training values, and a place for the others."""

from __future__ import annotations

from collections import Counter

import pyarrow as pa

from .features import Feature

MISSING = 1
"""The sparse column of a missing value; 0 is that of an unknown one."""


class VocabularyColumn:
    """Sparse columns [out of vocabulary, missing, values in alphabetical order]; subclasses say how rows hold values."""

    dense_width = 0

    def __init__(self, feature: Feature, options):
        self.feature, self.options = feature, options
        self.counts: Counter[str] = Counter()
        self.vocabulary = pa.array([], pa.string())

    @property
    def sparse_width(self) -> int:
        return 2 + len(self.vocabulary)

    def count(self, counted: pa.StructArray) -> None:
        """Add the value_counts of one block."""
        self.counts.update(dict(zip(counted.field(0).to_pylist(), counted.field(1).to_pylist())))

    def keep_frequent(self) -> int:
        """End the count: values seen min_count times or more, the most frequent max_categories of them; returns how many there were."""
        kept = sorted((-n, v) for v, n in self.counts.items() if n >= self.options.min_count)
        self.vocabulary = pa.array(sorted(v for _, v in kept[: self.options.max_categories]), pa.string())
        distinct, self.counts = len(self.counts), Counter()
        return distinct

    def dense(self, column: pa.Array) -> None:
        return None

    def pieces(self, column: pa.Array) -> dict[int, str]:
        """Sparse column -> what it stands for."""
        return dict(enumerate(["(unknown)", "(missing)", *self.vocabulary.to_pylist()]))

    def state(self) -> dict:
        return {"vocabulary": self.vocabulary.to_pylist()}

    def restore(self, state: dict) -> None:
        self.vocabulary = pa.array(state["vocabulary"], pa.string())
