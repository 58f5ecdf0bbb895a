"""Which labelled entities judge what was learned from the others: one rule for all methods that learn from gold."""

from __future__ import annotations

TENTHS = 3
"""Of ten labelled entities, those held out, by a hash of their key."""

LEAST_GOLD = 200
"""Gold labels of the train split from which three of ten are spared to judge by."""


def held_out(key: str) -> str:
    """Whether a labelled entity is held out, as SQL of its key."""
    return f"(md5_number_lower(concat('held out ', {key})) % 10 < {TENTHS})"
