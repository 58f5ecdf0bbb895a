"""Small syntax trees: columns, casts, literals, keys."""

from __future__ import annotations

from sqlglot import exp

from ..store.names import key_expression
from ..types import EntityLayout


def column(name: str) -> exp.Column:
    """A quoted column."""
    return exp.column(name, quoted=True)


def literal(value: str | int) -> exp.Literal:
    """A string or number literal."""
    return exp.Literal.string(value) if isinstance(value, str) else exp.Literal.number(value)


def cast(node: exp.Expression, kind: str) -> exp.Cast:
    """CAST(node AS kind)."""
    return exp.cast(node, exp.DataType.build(kind, dialect="duckdb", udt=True))


def composite_key(key: tuple[str, ...]) -> exp.Expression:
    """The key of a row as a tree; see `key_expression`."""
    return exp.maybe_parse(key_expression(key), dialect="duckdb")


def type_name(layout: EntityLayout) -> str:
    """Columns and types of `entity` in one line: part of its fingerprint."""
    return ", ".join(f"{name} {kind}" for name, kind in layout.columns.items())
