"""What a vote can say: a class, a class that is ruled out, or a class with a probability. Every such saying is a symbol.

    vote     refund          P(Y = refund) = 1
    exclude  !refund         refund is ruled out: the other classes share the probability
    soft     refund ~0.75    P(Y = refund) between .7 and .8; the other classes share the rest

Symbols stand at fixed positions: the K classes, then the K exclusions, then LEVELS soft ones per class. A soft vote keeps its
exact probability in `soft_vote`; vote patterns hold its level, so that rows can be counted.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Sequence

import pyarrow as pa

from ..store import Store
from ..types import Ballot, Task

RULED_OUT = "!"
LEVELS = 10


@dataclass(frozen=True)
class Symbol:
    """position from 0; name as people read it; label = the class it is about, "!class" where it speaks against it; p = P(Y), K numbers."""

    position: int
    name: str
    label: str
    ballot: Ballot
    p: tuple[float, ...]


def symbols(classes: Sequence[str], ballots: set[Ballot]) -> list[Symbol]:
    """The symbols of some kinds of ballot, in order of position."""
    each = (*(_vote(classes, c) for c in range(len(classes))), *(_exclude(classes, c) for c in range(len(classes))), *_soft(classes))
    return [s for s in each if s.ballot in ballots]


def first_position(ballot: Ballot, n_classes: int) -> int:
    """The position of the first symbol of a kind of ballot: code 1 of its LFs."""
    return {"vote": 0, "exclude": n_classes, "soft": 2 * n_classes}[ballot]


def ballot_at(position: int, n_classes: int) -> Ballot:
    """The kind of ballot whose first symbol stands at a position."""
    return {0: "vote", n_classes: "exclude"}.get(position, "soft")


def n_codes(ballot: Ballot, n_classes: int) -> int:
    """How many different votes such an LF can cast."""
    return n_classes * LEVELS if ballot == "soft" else n_classes


def write_symbols(store: Store, task: Task, ballots: set[Ballot]) -> None:
    """Replace `vote_symbol`: position, symbol, label, ballot, p, and `hard`: the class with more than half of p, NULL = none."""
    found = symbols(task.classes, ballots | {"vote"})
    store.create_from_arrow(task.name, "vote_symbol", pa.table({
        "position": pa.array([s.position for s in found], pa.int32()), "symbol": pa.array([s.name for s in found], pa.string()),
        "label": pa.array([s.label for s in found], pa.string()), "ballot": pa.array([s.ballot for s in found], pa.string()),
        "p": pa.array([s.p for s in found], pa.list_(pa.float64())),
        "hard": pa.array([task.classes[s.p.index(max(s.p))] if max(s.p) > 0.5 else None for s in found], pa.string()),
    }))  # fmt: skip


def _vote(classes: Sequence[str], c: int) -> Symbol:
    return Symbol(c, classes[c], classes[c], "vote", _spread(len(classes), c, 1.0))


def _exclude(classes: Sequence[str], c: int) -> Symbol:
    return Symbol(len(classes) + c, RULED_OUT + classes[c], RULED_OUT + classes[c], "exclude", _spread(len(classes), c, 0.0))


def _soft(classes: Sequence[str]) -> list[Symbol]:
    first, found = first_position("soft", len(classes)), []
    for c, name in enumerate(classes):
        for level in range(LEVELS):
            p = (level + 0.5) / LEVELS
            found.append(Symbol(first + c * LEVELS + level, f"{name} ~{p:.2f}", _about(classes, c, p), "soft", _spread(len(classes), c, p)))
    return found


def _about(classes: Sequence[str], c: int, p: float) -> str:
    """The class a soft vote is for: its own, the other of two, or "not this one"."""
    if p * len(classes) > 1:
        return classes[c]
    return classes[1 - c] if len(classes) == 2 else RULED_OUT + classes[c]


def _spread(n_classes: int, c: int, p: float) -> tuple[float, ...]:
    return tuple(p if k == c else (1 - p) / (n_classes - 1) for k in range(n_classes))
