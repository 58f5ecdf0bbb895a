"""What can be mined in a column of `entity`, as SQL: its items, and the predicate that holds where itemsets do."""

from __future__ import annotations

import re
from dataclasses import dataclass
from typing import Mapping, Sequence

from sqlglot.dialects.duckdb import DuckDB

from ..store.names import literal, quoted
from ..types import NUMBER_TYPES, RESERVED_COLUMNS

PLAIN = re.compile(r"[A-Za-z_][A-Za-z0-9_]*")
LINE = 100
"""Characters of a line of generated SQL."""

Itemset = tuple[str, ...]


@dataclass(frozen=True)
class MinedFeature:
    """A column of `entity` whose values are items. kind: category (one item a row), list (several), number (a side of a quantile), flag."""

    name: str
    kind: str
    type: str

    @property
    def texts(self) -> str:
        """The items of a row, as SQL: of a list feature a list of texts, of another a text; NULL where it has none."""
        column = f"e.{quoted(self.name)}"
        if self.kind != "list":
            return f"CAST({column} AS VARCHAR)"
        return column if self.type == "VARCHAR[]" else f"CAST({column} AS VARCHAR[])"


def distinct_items(listed: str) -> str:
    """A list without repetitions, as SQL; `listed` is a column. Items of a short list are compared with each other: `list_distinct` costs more than counting."""
    size, (first, second, third, fourth) = f"len({listed})", (f"{listed}[{i}]" for i in range(1, 5))
    repeats = (
        f"CASE WHEN {size} < 2 THEN false WHEN {size} > 4 OR {first} = {second} THEN true WHEN {size} = 2 THEN false "
        f"WHEN {third} IN ({first}, {second}) THEN true WHEN {size} = 3 THEN false ELSE {fourth} IN ({first}, {second}, {third}) END"
    )
    return f"CASE WHEN {repeats} THEN list_distinct({listed}) ELSE {listed} END"


def minable(columns: Mapping[str, str]) -> list[MinedFeature]:
    """The columns of `entity` that hold items, in their order; column -> DuckDB type. Vectors, structures and times hold none."""
    found = [(name, kind, _kind(kind)) for name, kind in columns.items() if name not in RESERVED_COLUMNS]
    return [MinedFeature(name, kind, type_) for name, type_, kind in found if kind]


def _kind(type_: str) -> str | None:
    if type_.endswith("[]"):
        return "list" if type_.count("[") == 1 and not type_.startswith(("FLOAT", "DOUBLE", "STRUCT", "MAP", "BLOB", "UNION")) else None
    if type_.endswith("]"):
        return None
    if type_.startswith(NUMBER_TYPES):
        return "number"
    return "flag" if type_ == "BOOLEAN" else "category" if type_ == "VARCHAR" or type_.startswith("ENUM") else None


def column_name(name: str) -> str:
    """A column as people write it: quoted only where it must be."""
    return name if PLAIN.fullmatch(name) and name.upper() not in DuckDB().tokenizer_class.KEYWORDS else quoted(name)


def predicate(feature: MinedFeature, itemsets: Sequence[Itemset]) -> str:
    """The SQL condition that holds where any of the itemsets does."""
    column = column_name(feature.name)
    if feature.kind == "number":
        return " OR ".join(f"{column} {items[0]}" for items in itemsets)
    if feature.kind == "flag":
        return " OR ".join(column if items[0] == "true" else f"NOT {column}" for items in itemsets)
    singles = [items[0] for items in itemsets if len(items) == 1]
    if feature.kind == "category":
        value = column if feature.type == "VARCHAR" else f"CAST({column} AS VARCHAR)"
        return f"{value} = {literal(singles[0])}" if len(singles) == 1 else f"{value} IN ({_wrapped(singles)})"
    listed = column if feature.type == "VARCHAR[]" else f"CAST({column} AS VARCHAR[])"
    parts = [f"list_contains({listed}, {literal(singles[0])})" if len(singles) == 1 else f"list_has_any({listed}, [{_wrapped(singles)}])"] if singles else []
    return " OR ".join(parts + [f"list_has_all({listed}, [{_wrapped(items)}])" for items in itemsets if len(items) > 1])


def _wrapped(values: Sequence[str]) -> str:
    """Literals between commas; on lines of their own where they are many."""
    texts = [literal(v) for v in values]
    if sum(map(len, texts)) + 2 * len(texts) <= LINE:
        return ", ".join(texts)
    lines, line = [], ""
    for text in texts:
        if line and len(line) + len(text) + 2 > LINE:
            lines.append(line)
            line = ""
        line = f"{line}, {text}" if line else text
    return "\n    " + ",\n    ".join([*lines, line]) + "\n"
