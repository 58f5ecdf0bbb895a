"""Identifiers as SQL text."""

from __future__ import annotations

from sqlglot import exp


def quoted(name: str) -> str:
    """A quoted identifier."""
    return exp.to_identifier(name, quoted=True).sql("duckdb")


def table_name(schema: str, name: str) -> str:
    """A quoted schema.table."""
    return f"{quoted(schema)}.{quoted(name)}"
