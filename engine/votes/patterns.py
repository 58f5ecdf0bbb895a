"""Vote patterns: the distinct rows of the label matrix with their counts, and everything computed from them."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Sequence

import numpy as np
import pyarrow as pa

from ..errors import Diagnostic
from ..store import Store
from ..store.names import literal, quoted, table_name
from ..types import Task
from .ballots import ballot_at, n_codes, symbols
from .plan import Evaluation
from .slots import Slot, stored_slots, word_names

TABLES = ("pattern_vote", "vote_pattern", "pattern_gold", "pattern_answer")
REGISTRY = {
    "lf": pa.string(), "kind": pa.string(), "label": pa.string(), "sql": pa.string(), "path": pa.string(), "line": pa.int32(),
    "owner": pa.string(), "tags": pa.list_(pa.string()), "reads": pa.list_(pa.string()), "servable": pa.bool_(),
    "fingerprint": pa.string(), "status": pa.string(), "error": pa.string(),
}  # fmt: skip
STATISTICS = ("lf_summary", "lf_pair", "lf_confusion", "coverage")


@dataclass(frozen=True)
class PatternMatrix:
    """The vote patterns as arrays.

    pattern_ids  uint64 (P,)
    votes        int16 (P, m)  position of the symbol (for most LFs a class), -1 = abstain
    counts       int64 (P,)    entities per pattern
    lfs          m names, in name order
    symbols      S names; the first K are the classes
    meaning      float (S, K)  P(Y) that a symbol speaks for
    """

    pattern_ids: np.ndarray
    votes: np.ndarray
    counts: np.ndarray
    lfs: tuple[str, ...]
    symbols: tuple[str, ...]
    meaning: np.ndarray


def build_patterns(store: Store, task: Task) -> None:
    """`pattern_split`, `pattern_code`, `pattern_vote`, `vote_pattern`, `pattern_gold` and the row-level views, in one transaction."""
    slots = stored_slots(store, task.name)
    names = ", ".join(word_names(slots))
    with store.transaction():
        store.execute(f"CREATE OR REPLACE TEMP TABLE counted AS SELECT modality, split, {names}, count(*) AS n_entities FROM {table_name(task.name, 'vote_code')} GROUP BY ALL")
        store.create(
            task.name, "pattern_code",
            f"SELECT CAST(row_number() OVER (ORDER BY {names}) - 1 AS UBIGINT) AS pattern_id, {names}, list_value({names}) AS words, "
            f"CAST(sum(n_entities) AS BIGINT) AS n_entities FROM counted GROUP BY {names}",
        )  # fmt: skip
        store.create(
            task.name, "pattern_split",
            f"SELECT c.modality, c.split, p.pattern_id, c.n_entities FROM counted AS c JOIN {table_name(task.name, 'pattern_code')} AS p USING ({names})",
        )
        store.create_view(task.name, "entity_vote", _entity_vote(task, names))
        store.create_view_from_file(task.name, "entity_pattern")
        for table in TABLES:
            store.create_from_file(task.name, table)
        store.create_view_from_file(task.name, "votes")
        store.create_view_from_file(task.name, "excluded_vote")
        store.create_view(task.name, "label_matrix", _label_matrix(task, slots))


def _entity_vote(task: Task, names: str) -> str:
    """entity_id, modality, split and pattern_id of every entity: all row-level views stand on it."""
    code, pattern = table_name(task.name, "vote_code"), table_name(task.name, "pattern_code")
    return f"SELECT v.entity_id, v.modality, v.split, p.pattern_id FROM {code} AS v JOIN {pattern} AS p USING ({names})"


def _label_matrix(task: Task, slots: list[Slot]) -> str:
    """entity_id and one column per LF, NULL = abstain; every entity."""
    labels = [s.label for s in symbols(task.classes, {"vote", "exclude", "soft"})]
    size = {slot.lf: n_codes(ballot_at(slot.first, len(task.classes)), len(task.classes)) for slot in slots}
    said = {s.lf: "[" + ", ".join(literal(label) for label in labels[s.first : s.first + size[s.lf]]) + "]" for s in slots}
    columns = [f"list_extract({said[s.lf]}, CAST((w{s.word} >> {s.shift}) & {s.mask} AS BIGINT)) AS {quoted(s.lf)}" for s in slots]
    return f"SELECT {', '.join(['entity_id', *columns])} FROM {table_name(task.name, 'vote_code')}"


def build_statistics(store: Store, task: Task) -> None:
    """`lf_summary`, `lf_pair`, `lf_confusion` and `coverage`, with the definitions of Ratner et al. 2017, section 4."""
    with store.transaction():
        for table in STATISTICS:
            store.create_from_file(task.name, table)


def pattern_matrix(store: Store, task: Task) -> PatternMatrix:
    """The patterns as arrays, for a label model."""
    lfs = tuple(s.lf for s in stored_slots(store, task.name))
    code = store.arrow(f"SELECT pattern_id, n_entities FROM {table_name(task.name, 'pattern_code')} ORDER BY pattern_id")
    long = store.arrow(
        f"SELECT v.pattern_id, CAST(s.position AS BIGINT) AS lf, CAST(y.place AS BIGINT) AS vote FROM {table_name(task.name, 'pattern_vote')} AS v "
        f"JOIN (SELECT lf, row_number() OVER (ORDER BY lf) - 1 AS position FROM {table_name(task.name, 'vote_slot')}) AS s USING (lf) "
        f"JOIN (SELECT symbol, row_number() OVER (ORDER BY position) - 1 AS place FROM {table_name(task.name, 'vote_symbol')}) AS y USING (symbol)"
    )
    known = store.arrow(f"SELECT symbol, p FROM {table_name(task.name, 'vote_symbol')} ORDER BY position")
    votes = np.full((code.num_rows, len(lfs)), -1, dtype=np.int16)
    votes[long["pattern_id"].to_numpy().astype(np.int64), long["lf"].to_numpy()] = long["vote"].to_numpy()
    counts, meaning = code["n_entities"].to_numpy().astype(np.int64), np.array(known["p"].to_pylist(), float)
    return PatternMatrix(code["pattern_id"].to_numpy(), votes, counts, lfs, tuple(known["symbol"].to_pylist()), meaning)


def write_registry(store: Store, task: Task, rows: list[dict]) -> None:
    """Replace `lf`: one row per labeling function, broken ones included. rows: dicts with the columns of REGISTRY."""
    table = pa.table({name: pa.array([row.get(name) for row in rows], kind) for name, kind in REGISTRY.items()})
    store.create_from_arrow(task.name, "lf", table)


def registry_rows(evaluations: Sequence[Evaluation], broken: Sequence[Diagnostic]) -> list[dict]:
    """The rows of `lf`: evaluated LFs (status ok or error), and LFs that could not be loaded (status error)."""
    rows = [_registry_row(e) for e in evaluations]
    known = {row["lf"] for row in rows}
    for each in broken:
        if each.lf and each.lf not in known:
            known.add(each.lf)
            at = each.location
            rows.append({"lf": each.lf, "path": at and at.path, "line": at and at.line, "status": "error", "error": str(each)})
    return sorted(rows, key=lambda row: row["lf"])


def _registry_row(evaluation: Evaluation) -> dict:
    lf, error = evaluation.lf, evaluation.error
    return {
        "lf": lf.name, "kind": lf.kind, "label": lf.label, "sql": lf.sql, "path": lf.path, "line": lf.line, "owner": lf.owner,
        "tags": list(lf.tags), "reads": list(lf.reads), "servable": True, "fingerprint": evaluation.fingerprint,
        "status": "error" if error else "ok", "error": str(error) if error else None,
    }  # fmt: skip


def write_classes(store: Store, task: Task, prior: list[float] | None = None) -> None:
    """Replace `class`: label, position, and the class balance the label model found (NULL before)."""
    rows = pa.table({
        "label": pa.array(task.classes, pa.string()), "position": pa.array(range(len(task.classes)), pa.int32()),
        "prior": pa.array(prior or [None] * len(task.classes), pa.float64()),
    })  # fmt: skip
    store.create_from_arrow(task.name, "class", rows)
