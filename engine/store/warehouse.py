"""The user's warehouse, attached read-only under the name `warehouse`."""

from __future__ import annotations

from pathlib import Path

import duckdb

from ..errors import ConfigError, StoreError
from ..types import Project
from .names import literal, quoted
from .detail import lock_holder

READERS = {".parquet": "read_parquet", ".csv": "read_csv", ".csv.gz": "read_csv", ".tsv": "read_csv"}


def attach(connection: duckdb.DuckDBPyConnection, project: Project) -> list[str]:
    """Attach the project's warehouse; returns the folders queries may read from (for Parquet and CSV sources).

    A DuckDB file is attached READ_ONLY. A folder of Parquet or CSV becomes views in an in-memory catalogue, one per file or
    sub-folder of Parquet files. Frames given in Python become tables there.

    Raises StoreError ST102 when its owner has it locked, ST103 when it is missing or not readable.
    """
    if project.frames:
        return _attach_frames(connection, project)
    source = project.warehouse or ""
    if "://" in source:
        raise ConfigError(
            "CFG107", f'warehouse "{source}": only DuckDB files and folders of Parquet or CSV can be read so far',
            hint="export the tables to Parquet and point [warehouse] from at the folder",
        )
    path = (project.root / source).resolve()
    if path.is_dir():
        return _attach_folder(connection, path)
    if not path.is_file():
        raise StoreError("ST103", f"the warehouse {path} does not exist", hint="check [warehouse] from in groundswell.toml")
    _attach_file(connection, path)
    return []


def _attach_file(connection: duckdb.DuckDBPyConnection, path: Path) -> None:
    try:
        connection.execute(f"ATTACH {literal(path)} AS warehouse (READ_ONLY)")
    except duckdb.IOException as error:
        if "lock" in str(error).lower():
            raise StoreError(
                "ST102", f"the warehouse {path} is locked by {lock_holder(error)}, which has it open for writing",
                hint="close that process (a DuckDB shell, a notebook) and run again",
            ) from error
        raise StoreError("ST103", f"the warehouse {path} cannot be read: {_first_line(error)}", hint="is it a DuckDB file?") from error
    except duckdb.Error as error:
        raise StoreError("ST103", f"the warehouse {path} cannot be read: {_first_line(error)}", hint="is it a DuckDB file?") from error


def _attach_folder(connection: duckdb.DuckDBPyConnection, folder: Path) -> list[str]:
    connection.execute("ATTACH ':memory:' AS warehouse")
    found = dict(_relations(folder))
    if not found:
        raise StoreError("ST103", f"no Parquet or CSV files in {folder}", hint="check [warehouse] from in groundswell.toml")
    for name, (reader, pattern) in found.items():
        options = "" if reader == "read_parquet" else ", sample_size = -1"
        try:
            connection.execute(f"CREATE VIEW warehouse.main.{quoted(name)} AS FROM {reader}({literal(pattern)}{options})")
        except duckdb.Error as error:
            raise StoreError("ST103", f"{pattern} cannot be read: {_first_line(error)}", hint="mend or remove the file") from error
    return [f"{folder}/"]


def _relations(folder: Path):
    for path in sorted(folder.iterdir()):
        if path.is_dir() and any(path.rglob("*.parquet")):
            yield path.name, ("read_parquet", f"{path}/**/*.parquet")
        for suffix, reader in READERS.items():
            if path.is_file() and path.name.lower().endswith(suffix):
                yield path.name[: -len(suffix)], (reader, path)


def _attach_frames(connection: duckdb.DuckDBPyConnection, project: Project) -> list[str]:
    connection.execute("ATTACH ':memory:' AS warehouse")
    for name, frame in project.frames.items():
        connection.register("__frame", frame)
        connection.execute(f"CREATE TABLE warehouse.main.{quoted(name)} AS FROM __frame")
        connection.unregister("__frame")
    return []




def _first_line(error: Exception) -> str:
    return str(error).splitlines()[0]
