"""The only room that touches a connection: queries in, Arrow out, DuckDB's errors in our words."""

from __future__ import annotations

import logging
import threading
from contextlib import contextmanager
from functools import cached_property
from pathlib import Path
from typing import Any, Iterator, Mapping

import duckdb
import pyarrow as pa
from sqlglot import exp

from ..errors import StoreError
from ..types import Project
from . import queries, warehouse
from .arrow import as_reader, as_table
from .cache import attach_cache
from .detail import is_full, lock_holder
from .names import literal
from .lock import writer_lock
from .schema import STORAGE_VERSION, ensure_schema, require_version

sql_log = logging.getLogger("groundswell.sql")

Query = str | exp.Expression
CATALOG = "store"
BINARY_UNITS = ("bytes", "KiB", "MiB", "GiB", "TiB")


class QueryTimeout(Exception):
    """A query ran longer than it was given."""


class Store:
    """A DuckDB connection in which the store is catalogue `store` and the user's data is catalogue `warehouse`."""

    def __init__(self, connection: duckdb.DuckDBPyConnection, path: Path | None):
        self.connection = connection
        self.path = path

    # -- asking ---------------------------------------------------------------------------------------------------------

    def execute(self, query: Query, parameters: Mapping[str, Any] | None = None) -> duckdb.DuckDBPyConnection:
        """Run one statement; DuckDB's complaints about disk, memory and locks become StoreErrors."""
        text = query.sql("duckdb") if isinstance(query, exp.Expression) else query
        sql_log.debug("%s;", text)
        try:
            return self.connection.execute(text, dict(parameters or {}))
        except (duckdb.IOException, duckdb.OutOfMemoryException) as error:
            raise storage_error(error) from error
        except (duckdb.TransactionException, duckdb.FatalException) as error:
            if is_full(error):
                raise storage_error(error) from error
            raise

    def arrow(self, query: Query, parameters: Mapping[str, Any] | None = None) -> pa.Table:
        """The whole result as an Arrow table."""
        return as_table(self.execute(query, parameters))

    def rows(self, query: Query, parameters: Mapping[str, Any] | None = None) -> list[tuple]:
        """The whole result as tuples."""
        table = self.arrow(query, parameters)
        return list(zip(*(column.to_pylist() for column in table.columns))) if table.num_columns else []

    def value(self, query: Query, parameters: Mapping[str, Any] | None = None) -> Any:
        """The first column of the first row; None when there is none."""
        found = self.rows(query, parameters)
        return found[0][0] if found else None

    def stream(self, query: Query, parameters: Mapping[str, Any] | None = None, batch_size: int = 65_536) -> pa.RecordBatchReader:
        """The result as Arrow batches, never whole in memory; a cursor of its own, so that other queries may run between."""
        cursor = self.connection.cursor()
        if self.path:
            cursor.execute(f"USE {CATALOG}")
        text = query.sql("duckdb") if isinstance(query, exp.Expression) else query
        return as_reader(cursor.execute(text, dict(parameters or {})), batch_size)

    def file(self, name: str, schema: str, **parameters: Any) -> pa.Table:
        """The result of sql/`name`.sql on the tables of `schema`."""
        return self.arrow(queries.qualified(name, schema), parameters)

    def columns(self, relation: str | exp.Expression) -> dict[str, str]:
        """Column name -> type of a relation or SELECT, as the binder sees it; reads no data."""
        text = relation.sql("duckdb") if isinstance(relation, exp.Expression) else relation
        return {row[0]: row[1] for row in self.connection.execute(f"DESCRIBE {text}").fetchall()}

    def has_table(self, schema: str, name: str) -> bool:
        """Is there a table or view of this name in the store?"""
        return bool(
            self.value(
                "SELECT count(*) FROM information_schema.tables WHERE table_catalog = $c AND table_schema = $s AND table_name = $n",
                {"c": CATALOG, "s": schema, "n": name},
            )
        )

    def memory_limit(self) -> int:
        """Bytes that DuckDB may use."""
        amount, unit = self.value("SELECT current_setting('memory_limit')").split()
        return int(float(amount) * 1024 ** BINARY_UNITS.index(unit))

    @cached_property
    def ibis(self):
        """The same connection as an Ibis backend."""
        import ibis

        return ibis.duckdb.from_connection(self.connection)

    # -- writing --------------------------------------------------------------------------------------------------------

    def create(self, schema: str, name: str, query: Query, parameters: Mapping[str, Any] | None = None) -> None:
        """CREATE OR REPLACE TABLE schema.name AS query."""
        text = query.sql("duckdb") if isinstance(query, exp.Expression) else query
        target = exp.table_(name, db=schema, quoted=True).sql("duckdb")
        self.execute(f"CREATE OR REPLACE TABLE {target} AS {text}", parameters)

    def create_from_file(self, schema: str, name: str, **parameters: Any) -> None:
        """Table schema.name from sql/`name`.sql."""
        self.create(schema, name, queries.qualified(name, schema), parameters)

    def create_view(self, schema: str, name: str, query: Query) -> None:
        """CREATE OR REPLACE VIEW schema.name AS query."""
        text = query.sql("duckdb") if isinstance(query, exp.Expression) else query
        target = exp.table_(name, db=schema, quoted=True).sql("duckdb")
        self.execute(f"CREATE OR REPLACE VIEW {target} AS {text}")

    def create_view_from_file(self, schema: str, name: str) -> None:
        """View schema.name from sql/`name`.sql."""
        self.create_view(schema, name, queries.qualified(name, schema))

    def create_macro_from_file(self, schema: str, name: str, arguments: tuple[str, ...]) -> None:
        """Table macro schema.name from sql/`name`.sql, whose $parameters are its arguments."""
        self.execute(queries.as_macro(name, schema, arguments))

    def create_from_arrow(self, schema: str, name: str, table: pa.Table) -> None:
        """Table schema.name with the rows of an Arrow table."""
        self.connection.register("__rows", table)
        try:
            self.create(schema, name, "FROM __rows")
        finally:
            self.connection.unregister("__rows")

    def append_beside(self, table: str, rows: pa.Table) -> None:
        """INSERT Arrow rows BY NAME into a quoted table by a cursor of its own, at once and for good: a result may be streaming meanwhile."""
        cursor = self.connection.cursor()
        cursor.register("__rows", rows)
        try:
            cursor.execute(f"INSERT INTO {table} BY NAME FROM __rows")
        finally:
            cursor.close()

    def streaming(self, query: str, batch_size: int) -> pa.RecordBatchReader:
        """The result as Arrow batches on this very connection, which sees its temporary macros; ask nothing else of it meanwhile."""
        return as_reader(self.execute(query), batch_size)

    def append_arrow(self, schema: str, name: str, table: pa.Table) -> None:
        """INSERT the rows of an Arrow table, columns matched by name."""
        target = exp.table_(name, db=schema, quoted=True).sql("duckdb")
        self.connection.register("__rows", table)
        try:
            self.execute(f"INSERT INTO {target} BY NAME FROM __rows")
        finally:
            self.connection.unregister("__rows")

    @contextmanager
    def transaction(self) -> Iterator[None]:
        """All or nothing; a killed process leaves what was there before."""
        self.execute("BEGIN TRANSACTION")
        try:
            yield
        except BaseException:
            self.connection.execute("ROLLBACK")
            raise
        self.execute("COMMIT")

    @contextmanager
    def within(self, seconds: float) -> Iterator[None]:
        """Interrupt what runs inside after `seconds`; raises QueryTimeout."""
        fired = threading.Event()

        def interrupt() -> None:
            fired.set()
            self.connection.interrupt()

        timer = threading.Timer(seconds, interrupt)
        timer.start()
        try:
            yield
        except duckdb.InterruptException as error:
            if fired.is_set():
                raise QueryTimeout(f"interrupted after {seconds:g} s") from error
            raise
        finally:
            timer.cancel()

    def checkpoint(self) -> None:
        """Move everything from the write-ahead log into the file."""
        self.execute(f"CHECKPOINT {CATALOG}")

    def close(self) -> None:
        """Close the connection; open Ibis relations on it become unusable."""
        self.connection.close()


def _connect(project: Project | None) -> duckdb.DuckDBPyConnection:
    connection = duckdb.connect(":memory:", config={"python_enable_replacements": "false"})
    if project is not None:
        connection.execute(f"SET memory_limit = '{project.memory_limit}'")
    connection.execute("SET enable_progress_bar = false")
    return connection


@contextmanager
def writing(project: Project, verb: str) -> Iterator[Store]:
    """The working store, locked for this process, with the warehouse attached read-only and the sandbox closed."""
    with writer_lock(project.state_dir, verb):
        spill = project.state_dir / "spill"
        spill.mkdir(exist_ok=True)
        connection = _connect(project)
        store = Store(connection, project.work)
        try:
            connection.execute(f"SET temp_directory = {literal(spill)}")
            attach_store(connection, project.work, read_only=False)
            ensure_schema(store)
            attach_cache(connection, project, read_only=False)
            folders = warehouse.attach(connection, project)
            _close_sandbox(store, project, folders)
            yield store
        finally:
            store.close()


@contextmanager
def looking(project: Project) -> Iterator[Store]:
    """The warehouse, for binding and planning; the last state of the store where it can be read; writes nothing."""
    connection = _connect(project)
    try:
        state = _readable_state(project)
        store = Store(connection, state)
        if state:
            attach_store(connection, state, read_only=True)
            require_version(store)
        else:
            connection.execute(f"ATTACH ':memory:' AS {CATALOG}")
            connection.execute(f"USE {CATALOG}")
        attach_cache(connection, project, read_only=True)
        _close_sandbox(store, project, warehouse.attach(connection, project))
        yield store
    finally:
        connection.close()


@contextmanager
def scratch(project: Project) -> Iterator[Store]:
    """An empty database in memory, with the project's time zone and the sandbox closed: for row tests."""
    connection = _connect(project)
    try:
        connection.execute(f"SET TimeZone = '{project.timezone}'")
        connection.execute("SET enable_external_access = false")
        connection.execute("SET lock_configuration = true")
        yield Store(connection, None)
    finally:
        connection.close()


def reading(project: Project) -> Store:
    """The published store, read-only: never blocked, never blocking. Raises StoreError ST104 when nothing is published yet."""
    if not project.published.is_file():
        raise StoreError("ST104", f"there is no {project.published.name} in {project.root} yet", hint="run `groundswell run` first")
    connection = _connect(project)
    store = Store(connection, project.published)
    try:
        attach_store(connection, project.published, read_only=True)
        require_version(store)
        connection.execute(f"SET TimeZone = '{project.timezone}'")
    except BaseException:
        connection.close()
        raise
    return store


def _readable_state(project: Project) -> Path | None:
    if project.work.is_file():
        try:
            with writer_lock(project.state_dir, "plan"):
                return project.work
        except StoreError:
            return project.published if project.published.is_file() else None
    return project.published if project.published.is_file() else None


def attach_store(connection: duckdb.DuckDBPyConnection, path: Path, read_only: bool) -> None:
    """Attach a store file as catalogue `store` and use it; StoreError ST101, ST103 or ST106 when that fails."""
    options = "READ_ONLY" if read_only else f"STORAGE_VERSION '{STORAGE_VERSION}'"
    try:
        connection.execute(f"ATTACH {literal(path)} AS {CATALOG} ({options})")
    except duckdb.Error as error:
        raise storage_error(error, path) from error
    connection.execute(f"USE {CATALOG}")


def _close_sandbox(store: Store, project: Project, folders: list[str]) -> None:
    """The second wall around LF text: no files, no settings. The first wall is the allow-list in groundswell.lfs."""
    store.ibis  # Ibis sets the time zone to UTC when it wraps a connection, which a locked configuration refuses
    connection = store.connection
    connection.execute(f"SET TimeZone = '{project.timezone}'")
    schemas = connection.execute("SELECT schema_name FROM duckdb_schemas() WHERE database_name = 'warehouse' AND NOT internal AND schema_name <> 'main' ORDER BY 1").fetchall()
    places = [CATALOG, "warehouse.main", *(f"warehouse.{exp.to_identifier(name, quoted=True).sql('duckdb')}" for (name,) in schemas)]
    connection.execute(f"SET search_path = {literal(','.join(places))}")  # an LF names warehouse relations as its author does
    connection.execute("SET errors_as_json = true")
    if folders:
        connection.execute(f"SET allowed_directories = [{', '.join(literal(f) for f in folders)}]")
    connection.execute("SET enable_external_access = false")
    connection.execute("SET lock_configuration = true")


def storage_error(error: Exception, path: Path | None = None) -> StoreError:
    """The StoreError for a DuckDB error about disk, memory, locks or file format."""
    text = str(error)
    if is_full(error):
        return StoreError("ST106", "the disk is full", hint="free some space and run again: the published store is untouched")
    if isinstance(error, duckdb.OutOfMemoryException):
        return StoreError("ST107", "out of memory", hint='raise memory_limit in [project], e.g. memory_limit = "4GB"')
    if "lock" in text.lower():
        return StoreError("ST101", f"{path or 'the store'} is locked by {lock_holder(error)}", hint="close the program that has it open")
    return StoreError("ST103", f"{path or 'the store'} cannot be read: {text.splitlines()[0]}", hint="delete .groundswell/ to start afresh: gold/ and the published store stay")
