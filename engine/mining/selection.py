"""Which itemsets become labeling functions: bounds, redundancy, one function per feature and class."""

from __future__ import annotations

from collections import Counter
from dataclasses import dataclass, field
from itertools import combinations
from typing import Callable, Iterable, Sequence

import numpy as np

from ..intervals import wilson_lower
from .bounds import Bounds, relaxations
from .counting import Counts, Labelled
from .items import Itemset, MinedFeature, predicate
from .options import MiningOptions

GAIN_OF_LARGER = 0.02
"""Precision by which an itemset must exceed its best part to be kept beside it."""
NEW_SHARE = 0.05
"""Share of an itemset's entities of the class that no itemset before it covers, from which it is kept."""
LEAK_PRECISION, LEAK_RECALL = 0.999, 0.5
"""A single value beyond both may hold the label itself."""
RANKED = 4
"""Itemsets of a list feature that are compared for what they add, in multiples of max_items."""
CUTS = ("support", "recall", "lift", "precision")

Cover = Callable[[MinedFeature, Sequence[Itemset], int], "tuple[np.ndarray, np.ndarray]"]
"""(feature, itemsets, class) -> bool (G, I): which itemsets hold in each group of mined entities of the class; int (G,) entities."""
Reach = Callable[["Sequence[MinedLF]", int], float]
"""(LFs, class) -> the share of mined entities of the class on which any of them votes."""


@dataclass(frozen=True)
class Found:
    """An itemset of a class: tp, fp entities of the class and others; f1 of precision and recall on mined entities."""

    feature: MinedFeature
    items: Itemset
    label: int
    tp: int
    fp: int
    recall: float
    lift: float
    wilson_lower: float

    @property
    def precision(self) -> float:
        return self.tp / (self.tp + self.fp)

    @property
    def f1(self) -> float:
        return 2 * self.precision * self.recall / (self.precision + self.recall)

    @property
    def leaks(self) -> bool:
        return self.precision > LEAK_PRECISION and self.recall > LEAK_RECALL


@dataclass(frozen=True)
class MinedLF:
    """A labeling function: votes `label` (class position) where any of its itemsets holds."""

    feature: MinedFeature
    label: int
    itemsets: tuple[Found, ...]

    @property
    def predicate(self) -> str:
        return predicate(self.feature, [found.items for found in self.itemsets])

    @property
    def leaks(self) -> bool:
        return any(found.leaks for found in self.itemsets)


@dataclass
class Selection:
    """What was kept for one class, and why the rest was not.

    bounds      those that were used
    candidates  itemsets counted; cut: bound -> itemsets it was the first to cut
    reach       share of the class's mined entities on which an LF votes
    """

    label: int
    bounds: Bounds
    candidates: int
    cut: dict[str, int]
    lfs: list[MinedLF] = field(default_factory=list)
    reach: float = 0.0


def select(counts: Sequence[Counts], labelled: Labelled, options: MiningOptions, cover: Cover, reach: Reach) -> list[list[Selection]]:
    """For each class every set of bounds that was tried, in order; the last is the one that counts.

    Bounds are relaxed until the LFs of a class reach enough_recall of it. Classes without mined entities are left out.
    Source: Suri et al. 2020, section 4.3.
    """
    total = labelled.mined.sum()
    return [_class(counts, labelled, options, cover, reach, y) for y in range(len(labelled.mined)) if 0 < labelled.mined[y] < total]


def _class(counts: Sequence[Counts], labelled: Labelled, options: MiningOptions, cover: Cover, reach: Reach, y: int) -> list[Selection]:
    tried: list[Selection] = []
    for bounds in relaxations(options, labelled.mined[y] / labelled.mined.sum()):
        selection = _within(counts, labelled, bounds, y)
        selection.lfs = _without_redundant(selection.lfs, counts, options, cover, y)
        selection.reach = reach(selection.lfs, y)
        tried.append(selection)
        if selection.reach >= options.enough_recall:
            break
    return tried


def _within(counts: Sequence[Counts], labelled: Labelled, bounds: Bounds, y: int) -> Selection:
    """Itemsets of class y within bounds, as one LF per feature (to be pruned); what cut the others."""
    n_class, total = int(labelled.mined[y]), int(labelled.mined.sum())
    selection = Selection(y, bounds, sum(len(c.itemsets) for c in counts), {})
    cut: Counter[str] = Counter()
    for each in counts:
        tp, n = each.n[:, y], each.n.sum(axis=1)
        lower = wilson_lower(tp, n)
        failed = np.stack([tp < bounds.support, tp < bounds.recall * n_class, tp * total <= n * n_class, lower < bounds.precision], axis=1)
        first = np.where(failed.any(axis=1), failed.argmax(axis=1), -1)
        cut.update({CUTS[k]: int((first == k).sum()) for k in range(len(CUTS))})
        found = [_found(each, i, y, n_class, total, float(lower[i])) for i in np.flatnonzero(first < 0)]
        if found:
            selection.lfs.append(MinedLF(each.feature, y, tuple(sorted(found, key=_rank))))
    selection.cut = {name: cut[name] for name in CUTS}
    return selection


def _found(counts: Counts, i: int, y: int, n_class: int, total: int, lower: float) -> Found:
    tp = int(counts.n[i, y])
    fp = int(counts.n[i].sum()) - tp
    lift = (tp / n_class) / (fp / (total - n_class)) if fp else float("inf")
    return Found(counts.feature, counts.itemsets[i], y, tp, fp, tp / n_class, lift, lower)


def _rank(found: Found) -> tuple:
    return (-found.f1, -found.tp, found.items)


def _without_redundant(lfs: Iterable[MinedLF], counts: Sequence[Counts], options: MiningOptions, cover: Cover, y: int) -> list[MinedLF]:
    """The best max_lfs LFs, without itemsets that add nothing."""
    of = {each.feature.name: each for each in counts}
    kept = [_pruned(lf, of[lf.feature.name], options, cover, y) for lf in lfs]
    if options.grouping == "per_itemset":
        kept = [(MinedLF(lf.feature, y, (found,)), found.recall) for lf, _ in kept for found in lf.itemsets]
    kept.sort(key=lambda each: (-_f1(*each), each[0].feature.name, each[0].itemsets[0].items))
    return [lf for lf, _ in kept[: options.max_lfs]]


def _f1(lf: MinedLF, recall: float) -> float:
    """F1 on mined entities, false positives counted once per itemset: a rank, no measurement."""
    tp = recall * lf.itemsets[0].tp / lf.itemsets[0].recall
    precision = tp / (tp + sum(found.fp for found in lf.itemsets))
    return 2 * precision * recall / (precision + recall)


def _pruned(lf: MinedLF, counts: Counts, options: MiningOptions, cover: Cover, y: int) -> tuple[MinedLF, float]:
    """The LF without itemsets that add nothing, and its recall."""
    if lf.feature.kind == "number":
        return _best_sides(lf)
    found = _precise_enough(lf.itemsets, counts, y)
    if lf.feature.kind != "list":
        found = found[: options.max_items]
        return MinedLF(lf.feature, y, tuple(found)), sum(f.recall for f in found)
    found = found[: RANKED * options.max_items]
    held, n = cover(lf.feature, [f.items for f in found], y)
    chosen, recall = _greedy(found, held, n, options.max_items)
    return MinedLF(lf.feature, y, tuple(chosen)), recall


def _best_sides(lf: MinedLF) -> tuple[MinedLF, float]:
    """The best cut above and the best below; both only where they leave a gap."""
    best = [next((f for f in lf.itemsets if f.items[0].startswith(side)), None) for side in (">=", "<")]
    found = sorted((f for f in best if f), key=_rank)
    if len(found) == 2 and float(best[0].items[0].split()[1]) <= float(best[1].items[0].split()[1]):
        found = found[:1]
    return MinedLF(lf.feature, lf.label, tuple(found)), sum(f.recall for f in found)


def _precise_enough(found: Sequence[Found], counts: Counts, y: int) -> list[Found]:
    """Without itemsets of several items that are hardly more precise than a part of theirs."""
    if all(len(f.items) == 1 for f in found):
        return list(found)
    precision = {items: n[y] / n.sum() for items, n in zip(counts.itemsets, counts.n)}
    parts = lambda items: (part for size in range(1, len(items)) for part in combinations(items, size))  # noqa: E731
    return [f for f in found if f.precision > max((precision.get(part, 0.0) for part in parts(f.items)), default=-1.0) + (GAIN_OF_LARGER if len(f.items) > 1 else 0)]


def _greedy(found: Sequence[Found], held: np.ndarray, n: np.ndarray, most: int) -> tuple[list[Found], float]:
    """Itemsets in their rank that cover enough new entities of the class, and the share of it that they cover together.

    held  bool (G, I)   which itemsets hold in each group of entities; n int (G,) entities of the group
    """
    covered, chosen = np.zeros(len(n), bool), []
    for i, each in enumerate(found):
        if len(chosen) < most and n[held[:, i] & ~covered].sum() >= NEW_SHARE * max(n[held[:, i]].sum(), 1):
            chosen.append(each)
            covered |= held[:, i]
    return chosen, float(n[covered].sum() / max(n.sum(), 1))
