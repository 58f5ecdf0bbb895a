"""The database's binder as type checker: its complaints, at the place in the user's file."""

from __future__ import annotations

import re

import duckdb
from sqlglot import exp

from ..errors import Diagnostic, did_you_mean
from ..store import Store, error_detail
from ..store.names import quoted
from ..types import EntityLayout, LabelingFunction
from .guard import Scope
from .header import Statement
from .parse import LFProblem
from .shape import key_problem, label_problem

DESCRIBE = "DESCRIBE "


def show_entity(store: Store, layout: EntityLayout, schema: str | None) -> None:
    """Let LFs say `entity`: the task's table, or an empty relation of the same columns before it is built."""
    if schema is not None and store.has_table(schema, "entity"):
        source = f"FROM store.{exp.to_identifier(schema, quoted=True).sql('duckdb')}.entity"
    else:
        columns = (f'CAST(NULL AS {kind}) AS {exp.to_identifier(name, quoted=True).sql("duckdb")}' for name, kind in layout.columns.items())
        source = f"SELECT {', '.join(columns)} LIMIT 0"
    store.execute(f"CREATE OR REPLACE TEMP VIEW entity AS {source}")


def hide_gold(store: Store, scope: Scope) -> None:
    """Shadow a modality's relations that also hold gold labels by views without them, for every LF on this connection."""
    for gold in scope.gold:
        if gold.with_rows and scope.relations.get(("main", gold.name.casefold())) in (None, (gold.schema, gold.name)):
            source = exp.table_(gold.name, db=gold.schema, catalog="warehouse", quoted=True).sql("duckdb")
            store.execute(f"CREATE OR REPLACE TEMP VIEW {quoted(gold.name)} AS SELECT * EXCLUDE ({', '.join(map(quoted, gold.columns))}) FROM {source}")


def show_resources(store: Store, scope: Scope, schema: str) -> None:
    """Let LFs say the names of the task's resources."""
    for name in sorted(scope.resources):
        store.execute(f"CREATE OR REPLACE TEMP VIEW {name} AS FROM store.{exp.table_(name, db=schema, quoted=True).sql('duckdb')}")


def require_syntax(store: Store, statement: Statement) -> None:
    """Raise LFProblem LF101 where DuckDB's own parser stops, LF103 for a statement that is no SELECT."""
    try:
        found = store.connection.extract_statements(statement.text)
    except duckdb.Error as error:
        detail = error_detail(error)
        if "position" not in detail:
            return  # a refusal of DuckDB's without a place: the guard says it better
        raise LFProblem(_syntax_problem(detail, statement)) from error
    if len(found) == 1 and found[0].type != duckdb.StatementType.SELECT:
        word, at = statement.first_word
        raise LFProblem(Diagnostic("LF103", f"{word.upper()} is not allowed: an LF is one SELECT", at, "FROM relation WHERE condition", statement.name))


def _syntax_problem(detail: dict[str, str], statement: Statement) -> Diagnostic:
    message, hint = detail["exception_message"].splitlines()[0], None
    if "unterminated" in message:
        message, hint = "syntax error: a quote or comment is never closed", "look for a missing '"
    elif "end of input" in message:
        hint = "look for a missing part or a missing )"
    word = re.search(r'at or near "(.*)"$', message)
    return Diagnostic("LF101", message, _place(statement, int(detail["position"]), word[1] if word else ""), hint, statement.name)


def bind_text(store: Store, statement: Statement, text: str) -> list[str]:
    """Names of the result's columns of an LF as written, repeated ones too; reads no data.

    Raises LFProblem: LF102 unknown column, LF118 unknown function, LF113 anything else the binder refuses.
    """
    try:
        return [row[0] for row in store.connection.execute(DESCRIBE + text).fetchall()]
    except duckdb.Error as error:
        raise LFProblem(binder_diagnostic(error, statement, text)) from error


def binder_diagnostic(error: duckdb.Error, statement: Statement, text: str, code: str = "LF113") -> Diagnostic:
    """DuckDB's error in our words: `text` is what was sent after DESCRIBE; positions count bytes of it."""
    detail = error_detail(error)
    message, name = detail["exception_message"].splitlines()[0], detail.get("name", "")
    candidates = [c.strip() for c in detail.get("candidates", "").split(",") if c.strip()]
    if found := re.match(r'Table "(.*)" does not have a column named "(.*)"', message):
        name = found[2]
        candidates = re.findall(r'"([^"]+)"', detail["exception_message"].partition("Candidate bindings")[2])
    near = did_you_mean(name, [c.split(".")[-1] for c in candidates])
    at = _location(detail, statement, text, name)
    if found or detail.get("error_subtype") == "COLUMN_NOT_FOUND":
        return Diagnostic("LF102", f'column "{name}" does not exist' + (f" in {found[1]}" if found else ""), at, near or (f"there is: {', '.join(candidates[:8])}" if candidates else None), statement.name)
    if detail.get("error_subtype") == "MISSING_ENTRY" and "Function" in detail.get("type", ""):
        return Diagnostic("LF118", f"function {name}() does not exist", at, near, statement.name)
    if "aggregate" in message.lower() and "WHERE" in message:
        return Diagnostic("LF114", "an aggregate stands where a condition on one row is meant", at, "use GROUP BY ... HAVING", statement.name)
    if "INTERNAL" in detail.get("exception_type", ""):
        message = "DuckDB cannot bind this statement"
    return Diagnostic(code, _tidied(message), at, near, statement.name)


def _location(detail: dict[str, str], statement: Statement, text: str, name: str):
    if "position" not in detail or text != statement.text:
        return statement.header
    return _place(statement, int(detail["position"]) - len(DESCRIBE), name)


def _place(statement: Statement, byte: int, name: str):
    """The place of a byte of the statement's text, its word under the caret; the last character where the text is over."""
    offset = len(statement.text.encode()[: max(byte, 0)].decode(errors="ignore"))
    offset = min(offset, max(len(statement.text.rstrip()) - 1, 0))
    word = re.compile(r'"[^"]*"|\w+').match(statement.text, offset)
    return statement.at(offset, len(word.group()) if word else max(len(name.split("\n")[0]), 1))


def _tidied(message: str) -> str:
    return message.split("You might need to add explicit type casts")[0].strip()


def key_columns(columns: list[str], lf: LabelingFunction, layout: EntityLayout) -> tuple[str, ...]:
    """The columns of a relation LF's result that identify the entity. Raises LFProblem LF110."""
    names = [c.casefold() for c in columns]
    _require_plain_label(names, lf)
    if names.count("entity_id") == 1:
        return ("entity_id",)
    for source in layout.sources:
        if all(names.count(k.casefold()) == 1 for k in source.modality.key):
            return source.modality.key
    wanted = ["entity_id", *(k for s in layout.sources for k in s.modality.key)]
    repeated = next((k for k in wanted if names.count(k.casefold()) > 1), None)
    missing = next((k for k in wanted[1:] if k.casefold() not in names), wanted[1])
    raise key_problem(lf.name, lf.location, repeated or missing, names.count(repeated.casefold()) if repeated else 0)


def _require_plain_label(names: list[str], lf: LabelingFunction) -> None:
    if lf.label is None and "label" not in names:
        raise label_problem(lf.name, lf.location)
    for name in ("label", "p"):
        if lf.label is None and names.count(name) > 1:
            raise LFProblem(Diagnostic("LF110", f'the result has several columns "{name}"', lf.location, "keep one of them", lf.name))
