"""Static SQL files, qualified with the schema of a task."""

from __future__ import annotations

from functools import cache
from importlib.resources import files

import sqlglot
from sqlglot import exp


@cache
def text(name: str) -> str:
    """The SQL file `name`.sql as it stands."""
    return files("groundswell.sql").joinpath(f"{name}.sql").read_text(encoding="utf-8")


@cache
def tree(name: str) -> exp.Expression:
    """The syntax tree of `name`.sql; copy it before changing it."""
    return sqlglot.parse_one(text(name), read="duckdb")


def qualified(name: str, schema: str) -> exp.Expression:
    """The query of `name`.sql with every table that is not a CTE placed in `schema`."""
    query = tree(name).copy()
    return qualify(query, schema)


def qualify(query: exp.Expression, schema: str) -> exp.Expression:
    """`query` with every unqualified table that is not a CTE placed in `schema`, in place."""
    ctes = {cte.alias_or_name for cte in query.find_all(exp.CTE)}
    for table in query.find_all(exp.Table):
        if not table.db and table.name and table.name not in ctes and isinstance(table.this, exp.Identifier):
            table.set("db", exp.to_identifier(schema, quoted=True))
    return query


def parameters(query: exp.Expression) -> set[str]:
    """Names of the $parameters a query takes."""
    return {p.this.name if isinstance(p.this, exp.Expression) else str(p.this) for p in query.find_all(exp.Parameter, exp.Placeholder)}


def as_macro(name: str, schema: str, arguments: tuple[str, ...]) -> str:
    """CREATE MACRO text for `name`.sql: its $parameters become the macro's arguments."""
    query = qualified(name, schema)
    for parameter in list(query.find_all(exp.Parameter, exp.Placeholder)):
        this = parameter.this
        parameter.replace(exp.column(this.name if isinstance(this, exp.Expression) else str(this)))
    head = ", ".join(exp.to_identifier(a, quoted=True).sql("duckdb") for a in arguments)
    target = exp.table_(name, db=schema, quoted=True).sql("duckdb")
    return f"CREATE OR REPLACE MACRO {target}({head}) AS TABLE {query.sql('duckdb')}"
