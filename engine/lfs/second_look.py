"""The first wall, looked at twice: DuckDB's own parser must see the one SELECT and the relations that ours saw.

Text that two parsers read differently could hide a relation or a function from the guard. Such an LF is refused.
"""

from __future__ import annotations

import json
from typing import Any, Iterator

import duckdb
from sqlglot import exp

from ..errors import Diagnostic
from ..store import Store
from .guard import TABLE_FUNCTIONS, is_forbidden
from .header import Statement
from .parse import LFProblem

OWN_TABLES = ("SHOW_REF", "PIVOT")


def second_look(store: Store, statement: Statement, text: str, tree: exp.Expression) -> None:
    """Raise LFProblem LF103 or LF106 where DuckDB, which will run the text, reads it as something else than the guard did."""
    nodes = duckdb_nodes(store, text)
    if nodes is None:
        raise LFProblem(Diagnostic("LF103", "not exactly one SELECT", statement.header, "FROM relation WHERE condition", statement.name))
    hidden = sorted(_hidden(nodes, tree))
    if hidden:
        raise LFProblem(
            Diagnostic("LF106", f"{hidden[0]} is not allowed in an LF", statement.header, "LFs read warehouse relations and `entity`, nothing else", statement.name)
        )


def _hidden(nodes: list[dict[str, Any]], tree: exp.Expression) -> Iterator[str]:
    """What DuckDB sees and the guard did not: relations, table functions, forbidden functions."""
    guarded = {_name(t.catalog, t.db, t.name) for t in tree.find_all(exp.Table) if isinstance(t.this, exp.Identifier)}
    for node in nodes:
        kind = node.get("type")
        if kind == "BASE_TABLE" and (name := _name(node.get("catalog_name"), node.get("schema_name"), node["table_name"])) not in guarded:
            yield name
        if kind == "TABLE_FUNCTION" and (name := node["function"]["function_name"].casefold()) not in TABLE_FUNCTIONS:
            yield f"{name}()"
        if "function_name" in node and is_forbidden(node["function_name"].casefold()):
            yield f"{node['function_name'].casefold()}()"
        if kind in OWN_TABLES:
            yield kind.split("_")[0]


def duckdb_nodes(store: Store, text: str) -> list[dict[str, Any]] | None:
    """Every node of DuckDB's syntax tree of a text; None unless it is exactly one SELECT."""
    try:
        found = json.loads(store.connection.execute("SELECT json_serialize_sql($q)", {"q": text}).fetchone()[0])
    except duckdb.Error:
        return None
    if found.get("error") or len(found["statements"]) != 1:
        return None
    return list(_walk(found["statements"]))


def _walk(node: Any) -> Iterator[dict[str, Any]]:
    if isinstance(node, dict):
        yield node
        for value in node.values():
            yield from _walk(value)
    elif isinstance(node, list):
        for value in node:
            yield from _walk(value)


def _name(catalog: str | None, schema: str | None, name: str) -> str:
    return ".".join(part.casefold() for part in (catalog, schema, name) if part)
