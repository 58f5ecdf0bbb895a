"""Numbers and names as people read them."""

from __future__ import annotations

from typing import Any


def count(value: int | None) -> str:
    """1234567 -> 1,234,567; NULL is a dash."""
    return "–" if value is None else f"{value:,}"


def percent(value: float | None, digits: int = 1) -> str:
    """0.1234 -> 12.3 %; what is not all or nothing never reads 0.0 % or 100.0 %; NULL is a dash."""
    if value is None:
        return "–"
    least = 10.0 ** -(digits + 2)
    if 0 < value < least / 2:
        return f"< {100 * least:.{digits}f} %"
    if 1 - least / 2 < value < 1:
        return f"> {100 * (1 - least):.{digits}f} %"
    return f"{100 * value:.{digits}f} %"


def signed(value: float) -> str:
    """0.1234 -> +0.12, with a true minus."""
    return f"{value:+.2f}".replace("-", "−")


def plural(n: int, noun: str, nouns: str | None = None) -> str:
    """2, "row" -> 2 rows."""
    return f"{count(n)} {noun if n == 1 else nouns or noun + 's'}"


def sentence(items: list[Any], most: int = 4) -> str:
    """a, b and c; what is beyond `most` is counted."""
    shown = [str(each) for each in items[:most]]
    if len(items) > most:
        shown.append(plural(len(items) - most, "other"))
    return shown[0] if len(shown) == 1 else f"{', '.join(shown[:-1])} and {shown[-1]}" if shown else ""
