"""Which labeling functions must be evaluated again, and why: decided by meaning and data, never by text."""

from __future__ import annotations

import hashlib
from dataclasses import dataclass, field
from typing import Sequence

from ..errors import Diagnostic
from ..store import Store, content_of
from ..store.names import quoted, table_name
from ..types import RESOURCES, LabelingFunction, Task
from .slots import Slot, stored_slots

NEW, CHANGED, DATA, CLOCK, ASKED, ROWS, UNCHANGED = (
    "new", "changed", "data changed", "depends on the clock", "asked for", "new or changed rows", "unchanged",
)  # fmt: skip


@dataclass
class Evaluation:
    """What became of one LF in a run."""

    lf: LabelingFunction
    fingerprint: str
    reason: str
    seconds: float = 0.0
    error: Diagnostic | None = None
    warnings: list[Diagnostic] = field(default_factory=list)


@dataclass
class VotePlan:
    """Which LFs must be evaluated and why.

    everything  no vote can be kept: all LFs over all rows
    rows        some rows of `entity` are new or changed: row-local LFs see these again
    """

    evaluations: list[Evaluation]
    everything: bool
    rows: bool
    removed: list[str] = field(default_factory=list)

    @property
    def reason(self) -> str:
        """Why votes must be built, in a few words."""
        if self.everything:
            return "all LFs over all rows"
        parts = [f"{len(self.stale)} of {len(self.evaluations)} LFs"] if self.stale else []
        parts += ["new or changed rows"] if self.rows else []
        parts += [f"{len(self.removed)} LFs removed"] if self.removed else []
        return ", ".join(parts) or UNCHANGED

    @property
    def stale(self) -> list[Evaluation]:
        return [e for e in self.evaluations if e.reason not in (UNCHANGED, ROWS)]

    @property
    def nothing_to_do(self) -> bool:
        return not (self.everything or self.rows or self.stale or self.removed)


def content_hash(store: Store, lf: LabelingFunction, entity: str, cache: dict[tuple, str]) -> str:
    """An order-free hash of the columns a relation LF reads: sum of row hashes and the number of rows, per relation."""
    parts = []
    for relation in lf.reads:
        wanted = frozenset(c for r, c in lf.columns if r == relation)
        if (relation, wanted) not in cache:
            table = entity if relation == "entity" else f"temp.{relation}" if relation in RESOURCES else _in_warehouse(relation)
            cache[relation, wanted] = f"{relation}:{content_of(store, table, wanted)}"
        parts.append(cache[relation, wanted])
    return "|".join(parts)


def plan_votes(
    store: Store, task: Task, lfs: Sequence[LabelingFunction], only: set[str] | None = None, full: bool = False,
    coming: int | None = 0, entity: str | None = None,
) -> VotePlan:
    """What a run would evaluate and why; changes nothing.

    only    LFs asked for by name: the others keep the votes they have
    coming  how many rows of `entity` are going to change before; None: all of them
    entity  the relation that `entity` is going to be, where it is not built yet
    """
    slots = {s.lf: s for s in stored_slots(store, task.name)}
    rows = _changed_rows(store, task.name)
    everything = full or rows is None or coming is None or _classes_changed(store, task) or not store.has_table(task.name, "vote_code")
    changed = bool(rows) or bool(coming)
    entity = entity or (table_name(task.name, "entity") if store.has_table(task.name, "entity") else None)
    cache: dict[tuple, str] = {}
    evaluations = []
    for lf in lfs:
        slot = slots.get(lf.name)
        if only is not None and lf.name not in only and not everything:
            evaluations += [Evaluation(lf, slot.fingerprint, ROWS if changed and lf.kind != "relation" else UNCHANGED)] if slot else []
            continue
        fingerprint = _fingerprint(store, lf, entity, cache)
        evaluations.append(Evaluation(lf, fingerprint, _reason(lf, fingerprint, slot, everything, changed, full or only is not None)))
    return VotePlan(evaluations, everything, changed, sorted(set(slots) - {lf.name for lf in lfs}))


def _fingerprint(store: Store, lf: LabelingFunction, entity: str | None, cache: dict[tuple, str]) -> str:
    """Meaning, and for a relation LF the content of what it reads; row-local LFs follow the changes of `entity` row by row."""
    if lf.kind != "relation" or entity is None:
        return lf.meaning
    return f"{lf.meaning}:{hashlib.sha256(content_hash(store, lf, entity, cache).encode()).hexdigest()[:16]}"


def _reason(lf: LabelingFunction, fingerprint: str, slot: Slot | None, everything: bool, rows: bool, asked: bool) -> str:
    if slot is None:
        return NEW
    if asked:
        return ASKED
    if slot.fingerprint.split(":")[0] != fingerprint.split(":")[0]:
        return CHANGED
    if slot.fingerprint != fingerprint or everything:
        return DATA
    if lf.volatile:
        return CLOCK
    return ROWS if rows and lf.kind != "relation" else UNCHANGED


def _changed_rows(store: Store, schema: str) -> int | None:
    """How many rows of `entity` are newer than their votes; None: all of them."""
    if not store.has_table(schema, "entity_change"):
        return None
    table = table_name(schema, "entity_change")
    n, nulls = store.rows(f"SELECT count(*), count(*) - count(entity_id) FROM {table}")[0]
    return None if nulls else n


def _classes_changed(store: Store, task: Task) -> bool:
    if not store.has_table(task.name, "class"):
        return True
    table = table_name(task.name, "class")
    return tuple(label for (label,) in store.rows(f"SELECT label FROM {table} ORDER BY position")) != task.classes


def _in_warehouse(relation: str) -> str:
    return ".".join(["warehouse", *(quoted(p) for p in (relation if "." in relation else f"main.{relation}").split(".", 1))])
