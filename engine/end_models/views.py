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
"""The column of a training batch that names each row's modality; rows to predict may have it."""


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

    def is_new(self, batch: pa.RecordBatch, modality: str) -> np.ndarray:
        """bool (n,): rows of a new modality, by the column `modality`, else by its own features, else by the lack of an old one's own."""
        if MODALITY in batch.schema.names:
            return pc.equal(batch.column(MODALITY), modality).fill_null(False).to_numpy(zero_copy_only=False)
        if self.own(modality):
            return present(batch, self.own(modality))
        foreign = [f for m in self.old for f in self.of[m] if f not in self.of[modality]]
        return ~present(batch, foreign) if foreign else np.ones(batch.num_rows, bool)


def present(batch: pa.RecordBatch, features: Sequence[str]) -> np.ndarray:
    """bool (n,): rows with a value of any of the features; an empty list is a value."""
    found = np.zeros(batch.num_rows, bool)
    for name in features:
        found |= batch.column(name).is_valid().to_numpy(zero_copy_only=False)
    return found


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
