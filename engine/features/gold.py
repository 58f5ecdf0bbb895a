"""Gold labels: the warehouse's, and the answers in gold/*.csv, of which the newest wins."""

from __future__ import annotations

import csv
import io
from datetime import datetime, timezone
from pathlib import Path

import pyarrow as pa
from sqlglot import exp

from ..errors import ConfigError, Diagnostic, Location, did_you_mean
from ..store import Store
from ..types import EntityLayout, Project, Task
from .columns import cast, column, composite_key
from .entity import _table, warehouse_columns

ANSWER_COLUMNS = ("key", "label", "annotator", "annotated_at", "note")


def answer_files(project: Project) -> list[Path]:
    """gold/*.csv without the affinity map, in name order."""
    return sorted(p for p in (project.root / "gold").glob("*.csv") if p.name != "affinity_map.csv")


def gold_query(store: Store, task: Task, layout: EntityLayout) -> exp.Expression | None:
    """entity_id and label of the warehouse's gold; None when the task has none there. Raises ConfigError CFG108, CFG109."""
    if not task.gold:
        return None
    asked_by = f"[task.{task.name}] gold"
    schema, relation, columns = warehouse_columns(store, task.gold.relation, asked_by)
    for name in (*task.gold.key, task.gold.label):
        if name.casefold() not in {c.casefold() for c in columns}:
            raise ConfigError("CFG109", f'{asked_by}: {relation} has no column "{name}"', hint=did_you_mean(name, columns) or f"it has: {', '.join(columns)}")
    key = cast(composite_key(task.gold.key), layout.key_type)
    label = cast(column(task.gold.label), "VARCHAR")
    return exp.select(exp.alias_(key, "entity_id"), exp.alias_(label, "label")).from_(_table(schema, relation)).where(f"{label.sql('duckdb')} IS NOT NULL", dialect="duckdb")


def gold_fingerprint(store: Store, project: Project, task: Task, layout: EntityLayout) -> str:
    """An order-free hash of the warehouse's gold, and the text of the answer files."""
    query = gold_query(store, task, layout)
    warehouse = "" if query is None else str(store.rows(f"SELECT count(*), CAST(sum(hash(entity_id, label)) AS VARCHAR) FROM ({query.sql('duckdb')})"))
    return "|".join([warehouse, *(p.name + ":" + p.read_bytes().hex() for p in answer_files(project))])


def build_gold(store: Store, project: Project, task: Task, layout: EntityLayout) -> list[Diagnostic]:
    """Build `gold_label` (one row per entity) and `unanswerable`; returns warnings (CFG201: gold for unknown keys).

    An answer without a label, but with a note, says that a person could not tell: it is no gold, and nobody is asked again.

    Raises ConfigError CFG113 for a label that is no class, CFG114 for an entity with two gold labels, CFG115 for an answer
    file that cannot be read.
    """
    answers = given_answers(store, project, task, layout.key_type)
    query = gold_query(store, task, layout)
    warehouse = query.sql("duckdb") if query is not None else f"SELECT CAST(NULL AS {layout.key_type}) AS entity_id, CAST(NULL AS VARCHAR) AS label LIMIT 0"
    store.connection.register("__answers", answers)
    try:
        with store.transaction():
            store.execute(
                f"""
                CREATE OR REPLACE TEMP TABLE answered AS WITH given AS (
                    SELECT DISTINCT entity_id, label, 'warehouse' AS source, CAST(NULL AS TIMESTAMPTZ) AS annotated_at, 0 AS turn FROM ({warehouse})
                    UNION ALL
                    SELECT CAST(key AS {layout.key_type}), label, source, annotated_at, turn FROM __answers
                )
                SELECT entity_id, label, source, annotated_at FROM given
                QUALIFY rank() OVER (PARTITION BY entity_id ORDER BY turn > 0 DESC, annotated_at DESC NULLS LAST, turn DESC) = 1
                """
            )
            store.create(task.name, "gold_label", "FROM answered WHERE label IS NOT NULL")
            store.create(task.name, "unanswerable", "SELECT entity_id FROM answered WHERE label IS NULL")
            return _checked(store, task)
    finally:
        store.connection.unregister("__answers")


def _checked(store: Store, task: Task) -> list[Diagnostic]:
    schema = exp.to_identifier(task.name, quoted=True).sql("duckdb")
    classes = ", ".join(exp.Literal.string(c).sql("duckdb") for c in task.classes)
    strange = store.rows(f"SELECT label, count(*) FROM {schema}.gold_label WHERE label NOT IN ({classes}) GROUP BY 1 ORDER BY 2 DESC, 1 LIMIT 5")
    if strange:
        hint = did_you_mean(strange[0][0], task.classes) or f"classes are: {', '.join(task.classes)}"
        raise ConfigError("CFG113", f'[task.{task.name}] gold: "{strange[0][0]}" ({strange[0][1]:,} rows) is not a class', hint=hint)
    twice = store.rows(f"SELECT entity_id, list_sort(list(label)) FROM {schema}.gold_label GROUP BY 1 HAVING count(*) > 1 ORDER BY 1 LIMIT 3")
    if twice:
        raise ConfigError("CFG114", f"[task.{task.name}] gold: {twice[0][0]} has two labels: {' and '.join(twice[0][1])}", hint="one gold label per entity")
    unknown = store.value(f"SELECT count(*) FROM {schema}.gold_label ANTI JOIN {schema}.entity USING (entity_id)")
    if not unknown:
        return []
    store.execute(f"DELETE FROM {schema}.gold_label WHERE entity_id NOT IN (SELECT entity_id FROM {schema}.entity)")
    return [Diagnostic("CFG201", f"task {task.name}: {unknown:,} gold labels are for keys that no modality has; left out", hint="check gold key and the modality's relation")]


def _text(path: Path, shown: str) -> str:
    try:
        return path.read_bytes().decode("utf-8-sig")
    except UnicodeDecodeError as error:
        raise ConfigError("CFG115", f"{shown} is not UTF-8: byte {error.start}", location=Location(shown, 1, source=""), hint="save the file as UTF-8") from error


def _require_keys(store: Store, answers: list[dict], key_type: str) -> None:
    """Raise ConfigError CFG115 for a key that cannot be one, at its line."""
    keys = pa.table({"key": pa.array([a["key"] for a in answers], pa.string()), "place": pa.array(range(len(answers)), pa.int64())})
    store.connection.register("__keys", keys)
    try:
        wrong = store.rows(f"SELECT key, place FROM __keys WHERE TRY_CAST(key AS {key_type}) IS NULL ORDER BY place LIMIT 1")
    finally:
        store.connection.unregister("__keys")
    if wrong:
        shown, line = answers[wrong[0][1]]["at"]
        raise ConfigError("CFG115", f'{shown}: "{wrong[0][0] or ""}" is not a key ({key_type})', location=Location(shown, line), hint="keys look like those of the modality")


def given_answers(store: Store, project: Project, task: Task, key_type: str) -> pa.Table:
    """key, label (None: nobody can tell), source, annotated_at and turn of every answer about a task in gold/*.csv, in file order.

    Raises ConfigError CFG115.
    """
    found: list[dict] = []
    for path in answer_files(project):
        shown = f"gold/{path.name}"
        reader = csv.DictReader(io.StringIO(_text(path, shown)))
        if not {"key", "label"} <= set(reader.fieldnames or ()):
            raise ConfigError("CFG115", f"{shown} needs the columns {', '.join(ANSWER_COLUMNS)}", location=Location(shown, 1))
        found += [_answer(row, shown, reader.line_num, len(found) + i) for i, row in enumerate(reader, start=1)]
    wanted = [a for a in found if a["task"] in (None, "", task.name)]
    _require_keys(store, wanted, key_type)
    fields = {"key": pa.string(), "label": pa.string(), "source": pa.string(), "annotated_at": pa.timestamp("us", "UTC"), "turn": pa.int64()}
    return pa.table({name: pa.array([a[name] for a in wanted], kind) for name, kind in fields.items()})


def _answer(row: dict, shown: str, line: int, turn: int) -> dict:
    try:
        at = datetime.fromisoformat(row["annotated_at"]) if row.get("annotated_at") else None
    except ValueError as error:
        raise ConfigError("CFG115", f'{shown}: "{row["annotated_at"]}" is not a time', location=Location(shown, line), hint="e.g. 2026-01-31T12:00:00+00:00") from error
    if not row["label"] and not row.get("note"):
        hint = "delete the line, or say in a note why nobody can tell"
        raise ConfigError("CFG115", f"{shown}: an answer without a label", location=Location(shown, line), hint=hint)
    if at is not None and at.tzinfo is None:
        at = at.replace(tzinfo=timezone.utc)
    return {"key": row["key"], "label": row["label"] or None, "source": row.get("annotator") or shown, "annotated_at": at, "turn": turn, "task": row.get("task"), "at": (shown, line)}
