"""How labeling functions are mined."""

from __future__ import annotations

from dataclasses import dataclass, fields
from typing import Any, Mapping

from ..errors import MiningError, did_you_mean

GROUPINGS = ("per_feature", "per_itemset")


@dataclass(frozen=True)
class MiningOptions:
    """How labeling functions are mined; None: relative to each class's prior, see `bounds`.

    order          most items of an itemset; several only inside one list feature
    min_support    entities of the class an itemset must occur in
    min_recall     share of the class's entities, in [0, 1]
    min_precision  of the Wilson lower bound, in [0, 1]
    enough_recall  share of a class that its LFs must cover before bounds stop being relaxed
    relax          relax bounds for a class that stays below enough_recall
    max_lfs        LFs per class
    max_items      itemsets per LF
    grouping       per_feature: one LF per feature and class that fires when any itemset holds; per_itemset: one each
    features       mine these only (default: all common features)
    exclude        features left out
    """

    order: int = 1
    min_support: int | None = None
    min_recall: float | None = None
    min_precision: float | None = None
    enough_recall: float = 0.2
    relax: bool = True
    max_lfs: int = 20
    max_items: int = 50
    grouping: str = "per_feature"
    features: tuple[str, ...] = ()
    exclude: tuple[str, ...] = ()

    def __post_init__(self) -> None:
        for name, low, high in (("order", 1, 5), ("min_support", 1, 2**62), ("max_lfs", 1, 1000), ("max_items", 1, 10_000)):
            _require(name, getattr(self, name), low, high, int)
        for name in ("min_recall", "min_precision", "enough_recall"):
            _require(name, getattr(self, name), 0, 1, (int, float))
        if self.grouping not in GROUPINGS:
            raise MiningError("MN101", f'grouping cannot be "{self.grouping}"', hint=f"one of {', '.join(GROUPINGS)}")


def mining_options(given: Mapping[str, Any]) -> MiningOptions:
    """Options by name. Raises MiningError MN101 for a name nobody knows or a value that cannot be."""
    known = [f.name for f in fields(MiningOptions)]
    for name in given:
        if name not in known:
            raise MiningError("MN101", f'mining has no option "{name}"', hint=did_you_mean(name, known) or f"options: {', '.join(known)}")
    return MiningOptions(**{k: tuple(v) if k in ("features", "exclude") else v for k, v in given.items()})


def _require(name: str, value: Any, low: float, high: float, kind: type | tuple[type, ...]) -> None:
    if value is not None and (isinstance(value, bool) or not isinstance(value, kind) or not low <= value <= high):
        raise MiningError("MN101", f"{name} = {value!r} is out of range", hint=f"from {low} to {high}")
