"""Small syntax trees: columns, casts, literals, keys."""

from __future__ import annotations

from sqlglot import exp

from ..types import EntityLayout

KEY_SEPARATOR = "|"


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
    """The key of a row: its one column, or several joined to text; NULL when any part is."""
    if len(key) == 1:
        return column(key[0])
    joined: exp.Expression = cast(column(key[0]), "VARCHAR")
    for part in key[1:]:
        joined = exp.DPipe(this=exp.DPipe(this=joined, expression=literal(KEY_SEPARATOR)), expression=cast(column(part), "VARCHAR"))
    return exp.paren(joined)


def type_name(layout: EntityLayout) -> str:
    """Columns and types of `entity` in one line: part of its fingerprint."""
    return ", ".join(f"{name} {kind}" for name, kind in layout.columns.items())
