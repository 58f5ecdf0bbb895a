"""Where the names of a scatter's points can be written without overlap."""

from __future__ import annotations

from math import sqrt
from typing import Sequence

WIDTH, HEIGHT = 960.0, 340.0
LETTER, LINE = 6.6, 14.0
DOT = 6.0
Box = tuple[float, float, float, float]


def sides_of_names(points: Sequence[tuple[float, float, str]], lowest: float) -> list[str]:
    """For each (x, y, name) "right" or "left" of its point, "" where there is no room; x is on a square-root scale.

    lowest  where the y axis begins; it ends at 1.02. Positions are those of a wide screen; names of earlier points win.
    """
    if not points:
        return []
    most = sqrt(max(x for x, _, _ in points)) or 1
    centres = [(sqrt(x) / most * WIDTH, (1.02 - y) / (1.02 - lowest) * HEIGHT) for x, y, _ in points]
    dots = [(x - DOT, y - DOT, x + DOT, y + DOT) for x, y in centres]
    taken: list[Box] = []
    sides = []
    for number, ((x, y), (_, _, name)) in enumerate(zip(centres, points)):
        others = taken + dots[:number] + dots[number + 1 :]
        side = next((s for s in ("right", "left") if _fits(_box(x, y, name, s), others)), "")
        sides.append(side)
        taken += [_box(x, y, name, side)] if side else []
    return sides


def _box(x: float, y: float, name: str, side: str) -> Box:
    length = 9 + LETTER * min(len(name), 26)
    return (x + DOT, y - LINE / 2, x + length, y + LINE / 2) if side == "right" else (x - length, y - LINE / 2, x - DOT, y + LINE / 2)


def _fits(box: Box, others: Sequence[Box]) -> bool:
    return box[0] >= 0 and box[2] <= WIDTH and not any(_overlap(box, other) for other in others)


def _overlap(a: Box, b: Box) -> bool:
    return a[0] < b[2] and b[0] < a[2] and a[1] < b[3] and b[1] < a[3]
