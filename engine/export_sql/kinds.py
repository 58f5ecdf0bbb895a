"""Kinds of values: what a translation must know of a type, and no more."""

from __future__ import annotations

from sqlglot import exp

T = exp.DataType.Type
TEXT, INT, DECIMAL, DOUBLE, BOOL, DATE, TIMESTAMP, TIMESTAMPTZ, NULL = "text", "int", "decimal", "double", "bool", "date", "timestamp", "timestamptz", "null"
NUMBERS = (INT, DECIMAL, DOUBLE)
INSTANTS = (DATE, TIMESTAMP)

KINDS = {
    **dict.fromkeys((T.TEXT, T.VARCHAR, T.CHAR), TEXT),
    **dict.fromkeys((T.TINYINT, T.SMALLINT, T.INT, T.BIGINT, T.UTINYINT, T.USMALLINT, T.UINT), INT),
    **dict.fromkeys((T.DECIMAL,), DECIMAL), T.DOUBLE: DOUBLE, T.BOOLEAN: BOOL, T.DATE: DATE, T.TIMESTAMP: TIMESTAMP, T.TIMESTAMPNTZ: TIMESTAMP,
    T.TIMESTAMPTZ: TIMESTAMPTZ, T.NULL: NULL,
}  # fmt: skip
"""Types all engines agree on. Floats of 32 bits, integers of more than 64, unsigned 64 and times of day are none of them."""

TARGET = {TEXT: "text", INT: "bigint", DOUBLE: "double", DATE: "date", BOOL: "boolean"}


def kind_of(type_: exp.DataType | None) -> str:
    """The kind of a type: one of KINDS, "list:<kind>", or the type's own name."""
    if type_ is None:
        return "unknown"
    if type_.this in (T.ARRAY, T.LIST) and type_.expressions:
        return f"list:{kind_of(type_.expressions[0])}"
    return KINDS.get(type_.this, type_.sql("duckdb"))


def literal_kind(node: exp.Literal) -> str:
    """The kind DuckDB gives a literal."""
    if node.is_string:
        return TEXT
    return DOUBLE if "e" in node.this.lower() else DECIMAL if "." in node.this else INT


def timestamp_type(dialect: str) -> exp.DataType:
    """A time stamp without a zone, in the words of the dialect."""
    return exp.DataType.build("TIMESTAMP" if dialect == "postgres" else "TIMESTAMPNTZ")


def is_list(kind: str) -> bool:
    """A list of something?"""
    return kind.startswith("list:")


def number(x: float, dialect: str) -> exp.Expression:
    """A float64 every dialect reads as the same double: shortest digits with an exponent, cast where that is a decimal number."""
    import numpy as np

    literal = exp.Literal.number(np.format_float_scientific(abs(float(x)), trim="-"))
    signed = exp.Neg(this=literal) if x < 0 else literal
    return exp.cast(signed, "double") if dialect in ("postgres", "snowflake") else signed
