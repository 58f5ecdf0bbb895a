"""What is compared in each study: which rows an arm learns from, whose labels they carry, which features it sees, how it fuses."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Mapping, Sequence

BASELINE = "embedding, supervised"
"""The arm all others are relative to: hand labels of the new modality, its embedding alone."""
CROSS_MODAL = "cross-modal"
LEAST_LABELS = 50


@dataclass(frozen=True)
class Source:
    """Rows of one modality and where their labels come from: gold (people, as the pipeline knows them), weak (the label model), told
    (people, known to studies alone). most: at most so many rows, a random part that depends on the seed and grows with `most`."""

    modality: str
    labels: str
    most: int | None = None


@dataclass(frozen=True)
class Arm:
    """One model: what it learns from, which features each modality's rows show, how modalities are fused.

    features  modality -> features its rows keep, the others are NULL; test rows show those of their modality, else of the first
    labels    the name of the label model's answers that weak rows carry
    """

    name: str
    sources: tuple[Source, ...]
    features: Mapping[str, tuple[str, ...]]
    fusion: str = "early"
    labels: str = "current"

    def shown(self, modality: str) -> tuple[str, ...]:
        """The features that rows of a modality show."""
        return self.features.get(modality) or next(iter(self.features.values()))


@dataclass(frozen=True)
class FeatureSets:
    """The features of a task as studies see them.

    old, new  the labelled modality and the one nobody labelled
    sets      set name -> features both have, in the order they are added
    own       features of the new modality alone; embeddings: those of them that are vectors; old_own: of the old one alone
    """

    old: str
    new: str
    sets: Mapping[str, tuple[str, ...]]
    own: tuple[str, ...] = ()
    embeddings: tuple[str, ...] = ()
    old_own: tuple[str, ...] = ()

    @property
    def shared(self) -> tuple[str, ...]:
        """Features both modalities have."""
        return tuple(f for features in self.sets.values() for f in features)

    def upto(self, count: int) -> tuple[str, ...]:
        """The features of the first `count` sets."""
        return tuple(f for features in list(self.sets.values())[:count] for f in features)

    def names(self, count: int) -> str:
        """The names of the first `count` sets, as one word where they are letters."""
        names = list(self.sets)[:count]
        return "".join(names) if all(len(n) == 1 for n in names) else " + ".join(names)


def end_to_end_arms(f: FeatureSets) -> list[Arm]:
    """Text, image, both, and the same features with hand labels, beside the supervised baseline (Table 2)."""
    full = f.shared + f.own
    both = {f.old: f.shared + f.old_own, f.new: full}
    return [
        *_baseline(f),
        Arm(f.old, (Source(f.old, "gold"),), {f.old: f.shared}),
        Arm(f"{f.new} (weak)", (Source(f.new, "weak"),), {f.new: full}),
        Arm(CROSS_MODAL, (Source(f.old, "gold"), Source(f.new, "weak")), both),
        Arm("all features, supervised", (Source(f.new, "told"),), {f.new: full}),
    ]


def _baseline(f: FeatureSets) -> list[Arm]:
    return [Arm(BASELINE, (Source(f.new, "told"),), {f.new: f.embeddings})] if f.embeddings else []


def supervised_arms(f: FeatureSets, pool: int, points: int = 8) -> list[Arm]:
    """The supervised learning curve on all features, at sizes that grow by a constant factor up to the pool (Figure 5)."""
    sizes = curve_sizes(pool, points)
    return [Arm(f"supervised {n}", (Source(f.new, "told", n),), {f.new: f.shared + f.own}) for n in sizes]


def curve_sizes(pool: int, points: int) -> list[int]:
    """Numbers of labels from LEAST_LABELS up to the pool, equally far apart in log n."""
    least = min(LEAST_LABELS, pool)
    return sorted({round(least * (pool / least) ** (i / max(points - 1, 1))) for i in range(points)}) if pool else []


def crossover_arms(f: FeatureSets, pool: int, points: int = 8) -> list[Arm]:
    """The pipeline's line, the curve it is compared with, and the baseline."""
    return [*_baseline(f), next(a for a in end_to_end_arms(f) if a.name == CROSS_MODAL), *supervised_arms(f, pool, points)]


def factor_arms(f: FeatureSets) -> list[Arm]:
    """Feature sets added one at a time, first to the old modality, then to the new one (Figure 6)."""
    old = [Arm(f"{f.old} {f.names(i)}", (Source(f.old, "gold"),), {f.old: f.upto(i)}) for i in range(1, len(f.sets) + 1)]
    added = [(f.names(i), f.upto(i)) for i in range(1, len(f.sets) + 1)] + ([("all + own", f.shared + f.own)] if f.own else [])
    whole = f"{f.old} {f.names(len(f.sets))}"
    new = [Arm(f"{whole}, {f.new} {name}", (Source(f.old, "gold"), Source(f.new, "weak")), {f.old: f.shared, f.new: shown}) for name, shown in added]
    return [*_baseline(f), *old, *new]


def lesion_arms(f: FeatureSets) -> list[Arm]:
    """Text only, image only, both, as sets are added (Figure 7)."""
    found = _baseline(f)
    for i in range(1, len(f.sets) + 1):
        name, shown = f.names(i), f.upto(i)
        found += [
            Arm(f"{f.old} {name}", (Source(f.old, "gold"),), {f.old: shown}),
            Arm(f"{f.new} {name}", (Source(f.new, "weak"),), {f.new: shown + f.own}),
            Arm(f"both {name}", (Source(f.old, "gold"), Source(f.new, "weak")), {f.old: shown, f.new: shown + f.own}),
        ]
    return found


def fusion_arms(f: FeatureSets) -> list[Arm]:
    """The ways to fuse, on the same rows and features (section 6.6)."""
    features = {f.old: f.shared + f.old_own, f.new: f.shared + f.own}
    sources = (Source(f.old, "gold"), Source(f.new, "weak"))
    schemes = ("early", "intermediate", "devise") + (("late", "auto") if f.own else ())
    return [*_baseline(f), *(Arm(scheme, sources, features, scheme) for scheme in schemes)]


def curation_arms(f: FeatureSets, parts: Sequence[str]) -> list[Arm]:
    """The cross-modal model on the labels that each part of curation gives (Table 3)."""
    whole = next(a for a in end_to_end_arms(f) if a.name == CROSS_MODAL)
    return [*_baseline(f), *(Arm(part, whole.sources, whole.features, labels=part) for part in parts)]
