"""Where each LF's vote is packed: a few bits of a 64-bit word beside the key.

Code 0 is abstain, code c is the symbol at position first + c - 1 (see `ballots`): for most LFs a class. LFs sit in name order, so
that words do not depend on the order in which LFs were written.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Iterable, Mapping

import pyarrow as pa
from sqlglot import exp

from ..store import Store
from ..types import Ballot
from .ballots import first_position, n_codes

WORD_BITS = 64


@dataclass(frozen=True)
class Slot:
    """The place of one LF's vote. first: position of the symbol of code 1; fingerprint: what the stored votes were computed from."""

    lf: str
    word: int
    shift: int
    bits: int
    fingerprint: str
    first: int = 0

    @property
    def mask(self) -> int:
        """Ones over the slot's bits, before shifting."""
        return (1 << self.bits) - 1


def assign_slots(fingerprints: Mapping[str, str], n_classes: int, ballots: Mapping[str, Ballot] = {}) -> list[Slot]:
    """One slot per LF, in name order; ballots: LF -> its kind of ballot where that is not "vote"."""
    word, shift, found = 0, 0, []
    for lf in sorted(fingerprints):
        ballot = ballots.get(lf, "vote")
        bits = n_codes(ballot, n_classes).bit_length()
        if shift + bits > WORD_BITS:
            word, shift = word + 1, 0
        found.append(Slot(lf, word, shift, bits, fingerprints[lf], first_position(ballot, n_classes)))
        shift += bits
    return found


def stored_slots(store: Store, schema: str) -> list[Slot]:
    """The slots of the votes in the store, with their fingerprints; empty before the first run."""
    if not store.has_table(schema, "vote_slot"):
        return []
    table = exp.table_("vote_slot", db=schema, quoted=True).sql("duckdb")
    return [Slot(*row) for row in store.rows(f"SELECT lf, word, shift, bits, fingerprint, first FROM {table} ORDER BY lf")]


def write_slots(store: Store, schema: str, slots: Iterable[Slot]) -> None:
    """Replace `vote_slot`."""
    rows = list(slots)
    store.create_from_arrow(
        schema, "vote_slot",
        pa.table({
            "lf": pa.array([s.lf for s in rows], pa.string()), "word": pa.array([s.word for s in rows], pa.int32()),
            "shift": pa.array([s.shift for s in rows], pa.int32()), "bits": pa.array([s.bits for s in rows], pa.int32()),
            "fingerprint": pa.array([s.fingerprint for s in rows], pa.string()), "first": pa.array([s.first for s in rows], pa.int32()),
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
