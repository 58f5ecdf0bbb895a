"""The first wall: what an LF may be and read, decided on the syntax tree before anything is executed."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Iterator, Mapping

from sqlglot import exp

from ..errors import Diagnostic, did_you_mean
from ..types import RESOURCES
from .header import Statement

TABLE_FUNCTIONS = {"unnest", "range", "generate_series", "generateseries", "explode"}
FORBIDDEN_FUNCTIONS = {
    "query", "query_table", "getenv", "getvariable", "current_setting", "set_config", "nextval", "currval", "write_log",
    "current_user", "user", "session_user", "current_database", "current_schema", "current_schemas", "current_catalog",
    "txid_current", "pg_typeof", "in_search_path", "read_csv", "read_text", "read_blob", "read_json", "read_parquet",
}  # fmt: skip
CLOCK_KEYWORDS = {"current_date", "current_time", "current_timestamp", "localtime", "localtimestamp"}
NOT_A_QUERY = (exp.DML, exp.DDL, exp.Command, exp.Into, exp.Parameter, exp.Placeholder, exp.Describe, exp.Summarize, exp.Show)
FILE_SUFFIXES = (".csv", ".parquet", ".json", ".jsonl", ".tsv", ".txt", ".gz", ".db", ".duckdb", ".xlsx", ".arrow")


@dataclass(frozen=True)
class GoldRelation:
    """Where the warehouse keeps gold labels, or labels that only studies are told. LFs never see these columns; `with_rows`: the
    relation is also a modality's, so that they may read the rest of it, by its bare name, through the view that hides them."""

    schema: str
    name: str
    columns: tuple[str, ...]
    with_rows: bool

    def seals(self, column: str) -> bool:
        """Is this one of the columns nothing may read?"""
        return column.casefold() in {c.casefold() for c in self.columns}


@dataclass(frozen=True)
class Scope:
    """What LFs of a task may see.

    relations   warehouse relations: (schema, name) folded to lower case -> (schema, name) as written
    volatile    functions whose value changes from call to call; clock  those fixed within one query
    gold        the relations that hold gold labels
    """

    relations: Mapping[tuple[str, str], tuple[str, str]]
    volatile: frozenset[str]
    clock: frozenset[str]
    gold: tuple[GoldRelation, ...] = ()
    reads_gold: frozenset[tuple[str, str]] = frozenset()
    """Views and macros of the warehouse that hand gold labels on: (schema, name) in lower case."""
    resources: frozenset[str] = frozenset()
    """Relations of the task that LFs may read beside `entity`, e.g. affinity_label."""
    services: frozenset[str] = frozenset()
    """Functions that run only while a feature is built, in lower case."""

    def resolve(self, table: exp.Table) -> tuple[str, str] | None:
        """(schema, name) of a table as the warehouse spells it; schema "" for `entity`; None when unknown."""
        catalog, schema, name = table.catalog.casefold(), table.db.casefold(), table.name.casefold()
        if not schema and not catalog and name == "entity":
            return "", "entity"
        if schema == "warehouse" and not catalog:
            schema, catalog = "main", "warehouse"
        if catalog not in ("", "warehouse"):
            return None
        found = self.relations.get((schema or "main", name))
        if found is None and not schema and name in self.resources:
            return "", name
        if found is None and not schema:
            return next(((g.schema, g.name) for g in self.gold if name == g.name.casefold()), None)
        return found

    def holds_gold(self, table: exp.Table) -> GoldRelation | None:
        """The relation of gold labels that a table is, None for others."""
        found = self.resolve(table)
        return next((g for g in self.gold if found == (g.schema, g.name)), None)


def base_tables(tree: exp.Expression) -> Iterator[exp.Table]:
    """The tables of a tree that are not references to a CTE visible where they stand."""
    for table in tree.find_all(exp.Table):
        if not isinstance(table.this, exp.Identifier) or table.db or not _is_cte(table):
            yield table


def _is_cte(table: exp.Table) -> bool:
    name, inside = table.name.casefold(), None
    node: exp.Expression | None = table
    while node is not None:
        clause = node.args.get("with_")
        if clause is not None:
            visible = clause.expressions
            if inside is not None and inside.parent is clause:
                visible = visible[: visible.index(inside) + bool(clause.args.get("recursive"))]
            if any(cte.alias_or_name.casefold() == name for cte in visible):
                return True
        inside = node if isinstance(node, exp.CTE) else inside
        node = node.parent
    return False


def refusals(tree: exp.Expression, statement: Statement, scope: Scope) -> Iterator[Diagnostic]:
    """Everything an LF does that it may not: LF103, LF105, LF106, LF107, LF115, FT115; warning LF204 for the clock."""

    def problem(code: str, message: str, node: exp.Expression | None, hint: str | None = None) -> Diagnostic:
        return Diagnostic(code, message, place(node, statement), hint, statement.name)

    if not isinstance(tree, exp.Query) or isinstance(tree, exp.Values):
        word, at = statement.first_word
        yield Diagnostic("LF103", f"{word.upper()} is not allowed: an LF is one SELECT", at, "FROM relation WHERE condition", statement.name)
        return
    for node in tree.find_all(*NOT_A_QUERY):
        if not isinstance(node, exp.Query):
            yield problem("LF103", f"{type(node).__name__.upper()} is not allowed in an LF", node, "an LF is one SELECT without parameters")
    for table in base_tables(tree):
        yield from _table_refusals(table, scope, problem)
    for lateral in tree.find_all(exp.Lateral):
        if isinstance(lateral.this, exp.Func) and not isinstance(lateral.this, exp.Query):
            yield from _table_function_refusals(lateral.this, problem)
    for function in tree.find_all(exp.Func):
        yield from _function_refusals(function, scope, problem)
    for sample in tree.find_all(exp.TableSample):
        yield problem("LF115", "a sample gives other rows each time", sample, "use a hash of the key, e.g. hash(key) % 100 < 5")
    for limit in tree.find_all(exp.Limit, exp.Fetch):
        if limit.parent.args.get("order") is None and not limit.find_ancestor(exp.Exists):
            yield problem("LF213", "LIMIT without ORDER BY may keep other rows each time", limit, "add ORDER BY with the key last")
    yield from _gold_column(tree, scope, problem)


def _table_function_refusals(function: exp.Expression, problem) -> Iterator[Diagnostic]:
    name = function_name(function)
    if name not in TABLE_FUNCTIONS:
        yield problem("LF106", f"{name}() is not allowed in an LF", function, "LFs read warehouse relations and `entity`, nothing else")


def _table_refusals(table: exp.Table, scope: Scope, problem) -> Iterator[Diagnostic]:
    if not isinstance(table.this, exp.Identifier):
        yield from _table_function_refusals(table.this, problem)
        return
    name = ".".join(part.name for part in table.parts)
    gold, found = scope.holds_gold(table), scope.resolve(table)
    if table.name.casefold() == "gold_label" or (gold and not gold.with_rows):
        yield problem("LF107", f"{name} holds the gold labels: an LF must not read them", table.this, "LFs are judged by gold, so they cannot see it")
    elif gold and (table.catalog or table.db.casefold() not in ("", "main")):
        yield problem("LF107", f"{name} holds the gold labels beside its rows", table.this, f'write "{gold.name}" alone: that is the same relation without {", ".join(gold.columns)}')
    elif found is not None and (found[0].casefold(), found[1].casefold()) in scope.reads_gold:
        yield problem("LF107", f"{name} is a view over the gold labels: an LF must not read it", table.this, "LFs are judged by gold, so they cannot see it")
    elif scope.resolve(table) is None and (table.name.casefold().endswith(FILE_SUFFIXES) or "/" in table.name):
        yield problem("LF106", f"'{table.name}' is a file: LFs read warehouse relations only", table.this, "put the file into the warehouse")
    elif scope.resolve(table) is None:
        known = [name for _, name in scope.relations.values()] + ["entity"]
        made_by = f"groundswell {RESOURCES[table.name.casefold()]} makes it: run that first" if table.name.casefold() in RESOURCES else None
        hint = made_by or did_you_mean(table.name, known) or f"known: {', '.join(sorted(known)[:8])}"
        yield problem("LF105", f'there is no relation "{name}" in the warehouse', table.this, hint)


def _function_refusals(function: exp.Func, scope: Scope, problem) -> Iterator[Diagnostic]:
    name = function_name(function)
    if is_forbidden(name):
        yield problem("LF106", f"{name}() is not allowed in an LF", function, "LFs read warehouse relations and `entity`, nothing else")
    elif any(macro == name for _, macro in scope.reads_gold):
        yield problem("LF107", f"{name}() reads the gold labels: an LF must not call it", function, "LFs are judged by gold, so they cannot see it")
    elif name in scope.services:
        yield problem("FT115", f"{name}() is a service: it runs only while a feature is built", function, "call it in features/*.sql and read the feature from entity")
    elif name in scope.volatile:
        yield problem("LF115", f"{name}() gives another answer each time", function, f"use a hash of the key, e.g. hash(key) % 100 < 5")
    elif name in scope.clock or name in CLOCK_KEYWORDS or (name == "age" and len(function.expressions) == 1):
        yield problem("LF204", f"{name}() depends on the clock: this LF is evaluated again on every run", function, "compare with a date column or a constant if you can")


def is_forbidden(name: str) -> bool:
    """Does a function (lower-case name) read files, settings, the catalogue or SQL text?"""
    return name in FORBIDDEN_FUNCTIONS or name.startswith(("read_", "pragma_", "duckdb_", "pg_")) or name.endswith("_scan")


def _gold_column(tree: exp.Expression, scope: Scope, problem) -> Iterator[Diagnostic]:
    read = [gold for gold in map(scope.holds_gold, base_tables(tree)) if gold]
    for node in tree.find_all(exp.Column) if read else ():
        if any(gold.seals(node.name) for gold in read):
            yield problem("LF107", f'"{node.name}" is the gold label: an LF must not read it', node.this, "LFs are judged by gold, so they cannot see it")


def function_name(node: exp.Expression) -> str:
    """The lower-case name of a function node as DuckDB spells it."""
    if isinstance(node, exp.Anonymous):
        return node.name.casefold()
    head = node.sql("duckdb").split("(")[0].strip().casefold()
    return head if head.isidentifier() else node.key


def place(node: exp.Expression | None, statement: Statement):
    """Where a node stands in the user's file; the header when the parser kept no position."""
    for candidate in [] if node is None else [node, *node.find_all(exp.Identifier, exp.Func, exp.Column)]:
        meta = candidate.meta
        if "start" in meta:
            return statement.at(meta["start"], meta["end"] - meta["start"] + 1)
    return statement.header
