"""The catalogue `gs_cache`: answers of services and values of features, kept beside the store and never published."""

from __future__ import annotations

from pathlib import Path

import duckdb

from ..types import Project
from .names import literal, quoted

CACHE = "gs_cache"
FILE = "features.duckdb"


def attach_cache(connection: duckdb.DuckDBPyConnection, project: Project, read_only: bool) -> None:
    """Attach .groundswell/features.duckdb as `gs_cache`; to look at, where there is none or another process has it open, an empty one."""
    path = project.state_dir / FILE
    if read_only and not (path.is_file() and _attached(connection, path)):
        connection.execute(f"ATTACH ':memory:' AS {CACHE}")
    elif not read_only:
        connection.execute(f"ATTACH {literal(path)} AS {CACHE} (STORAGE_VERSION 'v1.4.0')")


def _attached(connection: duckdb.DuckDBPyConnection, path: Path) -> bool:
    try:
        connection.execute(f"ATTACH {literal(path)} AS {CACHE} (READ_ONLY)")
    except duckdb.IOException:
        return False
    return True


def cache_table(schema: str, name: str) -> str:
    """The quoted name of a table of the cache."""
    return f"{CACHE}.{quoted(schema)}.{quoted(name)}"


def is_cached(connection: duckdb.DuckDBPyConnection, schema: str, name: str) -> bool:
    """Is there such a table in the cache?"""
    found = connection.execute(
        "SELECT count(*) FROM duckdb_tables() WHERE database_name = $c AND schema_name = $s AND table_name = $n", {"c": CACHE, "s": schema, "n": name}
    )
    return bool(found.fetchone()[0])
