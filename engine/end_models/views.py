"""Which features each modality has, and which modality a row is of: what fusing modalities needs to know of a batch."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Iterator, Mapping, Sequence

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from ..errors import EndModelError
from .batches import Batches
from .features import FeatureSpec

MODALITY = "modality"
"""The column of a training batch that names each row's modality; predictions do not look at it."""

Gate = tuple[tuple[str, ...], bool]
"""(features, wanted): rows that have a value of any of the features, or those that have none."""


@dataclass(frozen=True)
class Views:
    """The features that each modality has values of, and which modalities people labelled.

    of   modality -> its features
    old  the modalities with human labels; the others are new
    """

    of: Mapping[str, tuple[str, ...]]
    old: tuple[str, ...]

    def __post_init__(self) -> None:
        if not self.old or not set(self.old) < set(self.of):
            raise EndModelError(
                "EM124", f"fusing needs a modality with human labels and one without; of {', '.join(self.of)} {', '.join(self.old) or 'none'} has gold in train",
                hint='fusion = "early" trains one model on what there is',
            )  # fmt: skip

    @property
    def new(self) -> tuple[str, ...]:
        return tuple(m for m in self.of if m not in self.old)

    @property
    def shared(self) -> tuple[str, ...]:
        """Features that an old modality and a new one have, in the order of the first."""
        theirs = {f for m in self.new for f in self.of[m]}
        return tuple(dict.fromkeys(f for m in self.old for f in self.of[m] if f in theirs))

    def own(self, modality: str) -> tuple[str, ...]:
        """Features of a new modality that no old one has."""
        return tuple(f for f in self.of[modality] if f not in {g for m in self.old for g in self.of[m]})

    def everything(self, modalities: Sequence[str]) -> tuple[str, ...]:
        """Features that any of the modalities has."""
        return tuple(dict.fromkeys(f for m in modalities for f in self.of[m]))

    def gate(self, modality: str) -> Gate:
        """What tells a row of a new modality by its features: one of its own, else the lack of any that only an old one has."""
        if self.own(modality):
            return self.own(modality), True
        return tuple(f for m in self.old for f in self.of[m] if f not in self.of[modality]), False


def present(batch: pa.RecordBatch, features: Sequence[str]) -> np.ndarray:
    """bool (n,): rows with a value of any of the features; an empty list is a value, NaN is none."""
    found = np.zeros(batch.num_rows, bool)
    for name in features:
        column = batch.column(name)
        known = pc.and_(column.is_valid(), pc.invert(pc.is_nan(column).fill_null(True))) if pa.types.is_floating(column.type) else column.is_valid()
        found |= known.to_numpy(zero_copy_only=False)
    return found


def passed(batch: pa.RecordBatch, gates: Sequence[Gate]) -> np.ndarray:
    """bool (n,): rows that satisfy one of the gates."""
    found = np.zeros(batch.num_rows, bool)
    for features, wanted in gates:
        found |= present(batch, features) == wanted
    return found


def without(batch: pa.RecordBatch, features: Sequence[str]) -> pa.RecordBatch:
    """The batch with NULL in these columns."""
    columns = [pa.nulls(batch.num_rows, c.type) if name in features else c for name, c in zip(batch.schema.names, batch.columns)]
    return pa.RecordBatch.from_arrays(columns, names=batch.schema.names)


def only(batches: Batches, modalities: Sequence[str]) -> Batches:
    """The rows of some modalities. Raises EndModelError EM105 without the column `modality`."""

    def chosen() -> Iterator[pa.RecordBatch]:
        for batch in batches():
            if MODALITY not in batch.schema.names:
                raise EndModelError("EM105", f'rows to fuse need the column "{MODALITY}"', hint="train on rows of labelled_entity")
            kept = batch.filter(pc.is_in(batch.column(MODALITY), pa.array(modalities, pa.string())))
            if kept.num_rows:
                yield kept

    return chosen


def tenths(batches: Batches) -> tuple[Batches, Batches]:
    """(nine of ten rows, every tenth row), by their place: rows come in an order that tells nothing."""

    def parts(held: bool) -> Batches:
        def chosen() -> Iterator[pa.RecordBatch]:
            n = 0
            for batch in batches():
                place = np.arange(n, n + batch.num_rows) % 10 == 9
                n += batch.num_rows
                kept = batch.filter(pa.array(place == held))
                if kept.num_rows:
                    yield kept

        return chosen

    return parts(False), parts(True)


def has_rows(batches: Batches | None) -> bool:
    """Is there any row?"""
    return batches is not None and next(iter(batches()), None) is not None


def part_of(spec: FeatureSpec, names: Sequence[str]) -> FeatureSpec:
    """The features of these names, in the order of `spec`."""
    return FeatureSpec(tuple(f for f in spec.features if f.name in set(names)))
