"""The database's binder as type checker: its complaints, at the place in the user's file."""

from __future__ import annotations

import json
import re

import duckdb
from sqlglot import exp

from ..errors import Diagnostic, did_you_mean
from ..store import Store
from ..types import EntityLayout, LabelingFunction
from .header import Statement
from .parse import LFProblem
from .shape import key_problem, label_problem, soft_vote_problem

DESCRIBE = "DESCRIBE "


def show_entity(store: Store, layout: EntityLayout, schema: str | None) -> None:
    """Let LFs say `entity`: the task's table, or an empty relation of the same columns before it is built."""
    if schema is not None and store.has_table(schema, "entity"):
        source = f"FROM store.{exp.to_identifier(schema, quoted=True).sql('duckdb')}.entity"
    else:
        columns = (f'CAST(NULL AS {kind}) AS {exp.to_identifier(name, quoted=True).sql("duckdb")}' for name, kind in layout.columns.items())
        source = f"SELECT {', '.join(columns)} LIMIT 0"
    store.execute(f"CREATE OR REPLACE TEMP VIEW entity AS {source}")


def bind_text(store: Store, statement: Statement, text: str) -> dict[str, str]:
    """Result columns and types of an LF as written; reads no data.

    Raises LFProblem: LF102 unknown column, LF118 unknown function, LF113 anything else the binder refuses.
    """
    try:
        return {row[0]: row[1] for row in store.connection.execute(DESCRIBE + text).fetchall()}
    except duckdb.Error as error:
        raise LFProblem(binder_diagnostic(error, statement, text)) from error


def binder_diagnostic(error: duckdb.Error, statement: Statement, text: str, code: str = "LF113") -> Diagnostic:
    """DuckDB's error in our words: `text` is what was sent after DESCRIBE; positions count bytes of it."""
    detail = error_detail(error)
    message, name = detail["exception_message"].splitlines()[0], detail.get("name", "")
    candidates = [c.strip() for c in detail.get("candidates", "").split(",") if c.strip()]
    near = did_you_mean(name, [c.split(".")[-1] for c in candidates])
    at = _location(detail, statement, text, name)
    if detail.get("error_subtype") == "COLUMN_NOT_FOUND":
        return Diagnostic("LF102", f'column "{name}" does not exist', at, near or (f"there is: {', '.join(candidates[:8])}" if candidates else None), statement.name)
    if detail.get("error_subtype") == "MISSING_ENTRY" and "Function" in detail.get("type", ""):
        return Diagnostic("LF118", f"function {name}() does not exist", at, near, statement.name)
    if "aggregate" in message.lower() and "WHERE" in message:
        return Diagnostic("LF114", "an aggregate stands where a condition on one row is meant", at, "use GROUP BY ... HAVING", statement.name)
    if "INTERNAL" in detail.get("exception_type", ""):
        message = "DuckDB cannot bind this statement"
    return Diagnostic(code, _tidied(message), at, near, statement.name)


def error_detail(error: duckdb.Error) -> dict[str, str]:
    """DuckDB's structured error (errors_as_json), or its text under the same keys."""
    text = str(error)
    start = text.find("{")
    if start >= 0:
        try:
            return json.loads(text[start:])
        except json.JSONDecodeError:
            pass
    return {"exception_message": re.sub(r"^[A-Za-z ]+ Error: ", "", text)}


def _location(detail: dict[str, str], statement: Statement, text: str, name: str):
    if "position" not in detail or text != statement.text:
        return statement.header
    data = text.encode()[: max(int(detail["position"]) - len(DESCRIBE), 0)]
    offset = len(data.decode(errors="ignore"))
    word = re.compile(r'"[^"]*"|\w+').match(text, offset)
    return statement.at(offset, len(word.group()) if word else max(len(name), 1))


def _tidied(message: str) -> str:
    return message.split("You might need to add explicit type casts")[0].strip()


def key_columns(columns: dict[str, str], lf: LabelingFunction, layout: EntityLayout) -> tuple[str, ...]:
    """The columns of a relation LF's result that identify the entity. Raises LFProblem LF110, LF119."""
    names = [c.casefold() for c in columns]
    _require_plain_label(names, lf)
    if "entity_id" in names:
        return ("entity_id",)
    for source in layout.sources:
        if all(names.count(k.casefold()) == 1 for k in source.modality.key):
            return source.modality.key
    wanted = [k for s in layout.sources for k in s.modality.key]
    repeated = next((k for k in wanted if any(re.fullmatch(rf"{re.escape(k.casefold())}(_\d+|:\d+)", n) for n in names)), None)
    missing = next((k for k in wanted if k.casefold() not in names), wanted[0])
    raise key_problem(lf.name, lf.location, repeated or missing, 2 if repeated else 0)


def _require_plain_label(names: list[str], lf: LabelingFunction) -> None:
    if lf.label is None and "label" not in names:
        raise label_problem(lf.name, lf.location)
    if lf.label is None and "p" in names:
        raise soft_vote_problem(lf.name, lf.location)
