"""Names, literals and keys as SQL text: the one place that quotes."""

from __future__ import annotations

from typing import Sequence

KEY_SEPARATOR = "|"


def quoted(name: str) -> str:
    """A quoted identifier."""
    return '"' + name.replace('"', '""') + '"'


def literal(value: object) -> str:
    """A string literal."""
    return "'" + str(value).replace("'", "''") + "'"


def table_name(schema: str, name: str) -> str:
    """A quoted schema.table."""
    return f"{quoted(schema)}.{quoted(name)}"


def key_expression(key: Sequence[str]) -> str:
    """The key of a row: its one column as it is, or several joined to text by "|"; NULL when any part is.

    A separator or backslash inside a part is written with a backslash before it, so that two keys never read alike.
    """
    if len(key) == 1:
        return quoted(key[0])
    parts = (f"replace(replace(CAST({quoted(part)} AS VARCHAR), '\\', '\\\\'), '|', '\\|')" for part in key)
    return f"({f' || {literal(KEY_SEPARATOR)} || '.join(parts)})"
