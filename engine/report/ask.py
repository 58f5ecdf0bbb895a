"""Questions to the store: each answer carries the very SQL it came from."""

from __future__ import annotations

import json
from dataclasses import dataclass
from decimal import Decimal
from typing import Any

from sqlglot import exp

from ..store import Store
from ..store.queries import qualified, text
from ..types import Task

HEADER_LINES = 5
ENTITY = "entity"
"""The column that holds a whole row of the user's as JSON: whatever types it has."""


@dataclass(frozen=True)
class Answer:
    """The rows of a query (column -> value) and the query as anybody can run it on the published store."""

    name: str
    sql: str
    rows: list[dict[str, Any]]

    def by(self, column: str) -> dict[Any, dict[str, Any]]:
        """The rows by the values of a column that is unique."""
        return {row[column]: row for row in self.rows}


class Questions:
    """What a report asks about one task."""

    def __init__(self, store: Store, task: Task):
        self.store, self.task = store, task

    def has(self, table: str) -> bool:
        """Is there such a relation of the task?"""
        return self.store.has_table(self.task.name, table)

    def ask(self, name: str, **parameters: Any) -> Answer:
        """The answer of sql/`name`.sql on the tables of the task."""
        sql = runnable(name, self.task.name, parameters)
        rows = self.store.arrow(sql).to_pylist()
        return Answer(name, sql, [{key: _plain(key, value) for key, value in row.items()} for row in rows])


def runnable(name: str, schema: str, parameters: dict[str, Any]) -> str:
    """sql/`name`.sql with its header, tables qualified and parameters written out: runs in any DuckDB client."""
    query = qualified(name, schema)
    for place in list(query.find_all(exp.Parameter, exp.Placeholder)):
        key = place.this.name if isinstance(place.this, exp.Expression) else str(place.this)
        place.replace(exp.convert(parameters[key]))
    header = "\n".join(text(name).splitlines()[:HEADER_LINES])
    return f"{header}\n{query.sql('duckdb', pretty=True, comments=False)}"


def _plain(key: str, value: Any) -> Any:
    """A value of Python's own kinds: decimals as floats, the columns of an entity from their JSON."""
    if key == ENTITY and isinstance(value, str):
        return json.loads(value)
    if isinstance(value, Decimal):
        return float(value)
    if isinstance(value, dict):
        return {name: _plain(name, each) for name, each in value.items()}
    if isinstance(value, (list, tuple)):
        return type(value)(_plain("", each) for each in value)
    return value
