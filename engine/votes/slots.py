"""Where each LF's vote is packed: a few bits of a 64-bit word beside the key.

Code 0 is abstain, code c + 1 is the class at position c. LFs sit in name order, so that words do not depend on the order in
which LFs were written.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Iterable

import pyarrow as pa
from sqlglot import exp

from ..store import Store

WORD_BITS = 64


@dataclass(frozen=True)
class Slot:
    """The place of one LF's vote. fingerprint: what the stored votes were computed from."""

    lf: str
    word: int
    shift: int
    bits: int
    fingerprint: str

    @property
    def mask(self) -> int:
        """Ones over the slot's bits, before shifting."""
        return (1 << self.bits) - 1


def assign_slots(fingerprints: dict[str, str], n_classes: int) -> list[Slot]:
    """One slot per LF, in name order."""
    bits = n_classes.bit_length()
    per_word = WORD_BITS // bits
    return [Slot(lf, i // per_word, i % per_word * bits, bits, fingerprints[lf]) for i, lf in enumerate(sorted(fingerprints))]


def stored_slots(store: Store, schema: str) -> list[Slot]:
    """The slots of the votes in the store, with their fingerprints; empty before the first run."""
    if not store.has_table(schema, "vote_slot"):
        return []
    table = exp.table_("vote_slot", db=schema, quoted=True).sql("duckdb")
    return [Slot(*row) for row in store.rows(f"SELECT lf, word, shift, bits, fingerprint FROM {table} ORDER BY lf")]


def write_slots(store: Store, schema: str, slots: Iterable[Slot]) -> None:
    """Replace `vote_slot`."""
    rows = list(slots)
    store.create_from_arrow(
        schema, "vote_slot",
        pa.table({
            "lf": pa.array([s.lf for s in rows], pa.string()), "word": pa.array([s.word for s in rows], pa.int32()),
            "shift": pa.array([s.shift for s in rows], pa.int32()), "bits": pa.array([s.bits for s in rows], pa.int32()),
            "fingerprint": pa.array([s.fingerprint for s in rows], pa.string()),
        }),
    )  # fmt: skip


def n_words(slots: list[Slot]) -> int:
    """How many 64-bit words a row takes; at least one."""
    return max((s.word for s in slots), default=0) + 1


def word_names(slots: list[Slot]) -> list[str]:
    """Column names of the words: w0, w1, ..."""
    return [f"w{i}" for i in range(n_words(slots))]


def recoded(old: list[Slot], new: list[Slot], names: set[str], alias: str) -> list[str]:
    """SQL per new word: the votes of `names` moved from their old slots to their new ones.

    Neighbouring slots that move by the same distance travel together, under one mask.
    """
    was = {s.lf: s for s in old}
    moves: list[dict[tuple[int, int], int]] = [{} for _ in range(n_words(new))]
    for slot in new:
        if slot.lf in names:
            before = was[slot.lf]
            step = (before.word, slot.shift - before.shift)
            moves[slot.word][step] = moves[slot.word].get(step, 0) | (before.mask << before.shift)
    return [" | ".join(_moved(alias, *step, mask) for step, mask in each.items()) or "0::UBIGINT" for each in moves]


def _moved(alias: str, word: int, step: int, mask: int) -> str:
    kept = f"({alias}.w{word} & {mask}::UBIGINT)"
    return kept if step == 0 else f"({kept} {'<<' if step > 0 else '>>'} {abs(step)})"
