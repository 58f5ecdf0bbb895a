"""What an itemset must reach to become part of a labeling function, relative to its class's prior; and what gives way when nothing does."""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import Iterator

from .options import MiningOptions

MIN_SUPPORT = 30
LEAST_SUPPORT = 5
"""Entities an itemset needs after bounds were relaxed."""
RARE_RECALL, FREQUENT_RECALL = 0.01, 0.05


@dataclass(frozen=True)
class Bounds:
    """What an itemset of one class must reach on the mined entities.

    support    entities of the class it occurs in
    recall     share of the class's entities
    precision  Wilson lower bound of the share of its entities that are of the class
    relaxed    what gave way, "" for the bounds asked for
    """

    support: int
    recall: float
    precision: float
    relaxed: str = ""


def bounds_of(options: MiningOptions, prior: float) -> Bounds:
    """The bounds of a class of this prior.

    A class below one half: precision max(1/2, min(.95, 5 prior)), recall .01; another: precision 1 - (1 - prior) / 5, recall .05.
    A bound in absolute terms would be met by guessing where the class is frequent, and by nothing where it is rare.
    """
    rare = prior <= 0.5
    precision = max(0.5, min(0.95, 5 * prior)) if rare else 1 - (1 - prior) / 5
    return Bounds(
        MIN_SUPPORT if options.min_support is None else options.min_support,
        (RARE_RECALL if rare else FREQUENT_RECALL) if options.min_recall is None else options.min_recall,
        precision if options.min_precision is None else options.min_precision,
    )


def relaxations(options: MiningOptions, prior: float) -> Iterator[Bounds]:
    """The bounds of a class, then weaker ones in the order in which they give way; bounds given by the user stay.

    support to 10 and recall to a fifth; support to 5 and recall to nothing; precision halfway to the prior; halfway again.
    """
    bounds = bounds_of(options, prior)
    yield bounds
    if not options.relax:
        return
    if options.min_support is None or options.min_recall is None:
        for support, share in ((10, 5), (LEAST_SUPPORT, 0)):
            least = bounds.support if options.min_support is not None else support
            recall = bounds.recall if options.min_recall is not None else bounds_of(options, prior).recall / share if share else 0.0
            bounds = replace(bounds, support=least, recall=recall, relaxed=f"support {least}, recall {recall:.3g}")
            yield bounds
    if options.min_precision is None:
        for share in (2, 4):
            precision = prior + max(bounds.precision - prior, 0.0) / share
            yield replace(bounds, precision=precision, relaxed=", ".join(filter(None, (bounds.relaxed, f"precision {precision:.3g}"))))
