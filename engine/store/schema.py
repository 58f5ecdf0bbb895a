"""The schema `gs`: runs, lineage, state; its version and migrations."""

from __future__ import annotations

from typing import TYPE_CHECKING, Callable

from ..errors import StoreError
from .names import table_name

if TYPE_CHECKING:
    from .connection import Store

STORAGE_VERSION = "v1.4.0"
"""DuckDB 1.4 and later read files of this format."""

SCHEMA_VERSION = 2

TABLES = """
CREATE SCHEMA gs;
CREATE TABLE gs.schema_version (version INTEGER);
CREATE TABLE gs.run (run_id BIGINT, verb VARCHAR, task VARCHAR, started_at TIMESTAMPTZ, seconds DOUBLE, status VARCHAR,
                     versions MAP(VARCHAR, VARCHAR));
CREATE TABLE gs.lf_run (run_id BIGINT, task VARCHAR, lf VARCHAR, fingerprint VARCHAR, reason VARCHAR, n_votes BIGINT,
                        seconds DOUBLE, error VARCHAR);
CREATE TABLE gs.lineage (run_id BIGINT, output VARCHAR, input VARCHAR, input_hash VARCHAR);
CREATE TABLE gs.state (task VARCHAR, output VARCHAR, fingerprint VARCHAR);
"""
"""gs.state holds, per output table, the fingerprint of what it was last built from."""


def forget_votes(store: Store) -> None:
    """Drop the packed votes of every task: the next run evaluates its LFs again and builds all that stands on them."""
    for (schema,) in store.rows("SELECT schema_name FROM duckdb_tables() WHERE database_name = current_database() AND table_name = 'vote_slot'"):
        for table in ("vote_slot", "vote_code"):
            store.execute(f"DROP TABLE {table_name(schema, table)}")


MIGRATIONS: dict[int, Callable[[Store], None]] = {1: forget_votes}
"""From version n to n + 1: what does it. 1: slots hold symbols, not only classes."""


def ensure_schema(store: Store) -> None:
    """Create or migrate the schema `gs`; raises StoreError ST105 for a store of a newer version."""
    with store.transaction():
        if not store.has_table("gs", "schema_version"):
            store.connection.execute(TABLES)
            store.connection.execute(f"INSERT INTO gs.schema_version VALUES ({SCHEMA_VERSION})")
        for version in range(require_version(store), SCHEMA_VERSION):
            MIGRATIONS[version](store)
            store.connection.execute(f"UPDATE gs.schema_version SET version = {version + 1}")


def require_version(store: Store) -> int:
    """The store's schema version; raises StoreError ST105 when this groundswell is too old for it."""
    if not store.has_table("gs", "schema_version"):
        raise StoreError("ST105", f"{store.path} is not a groundswell store", hint="move it away and run again")
    version = store.connection.execute("SELECT version FROM gs.schema_version").fetchone()[0]
    if version > SCHEMA_VERSION:
        raise StoreError(
            "ST105", f"{store.path} has schema version {version}; this groundswell knows up to {SCHEMA_VERSION}",
            hint="upgrade groundswell (pip install -U groundswell), or delete the store to rebuild it with this version",
        )
    return version
