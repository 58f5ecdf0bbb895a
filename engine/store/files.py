"""Tables in files: Parquet, CSV, JSON, read and written by DuckDB."""

from __future__ import annotations

from pathlib import Path

import duckdb
import pyarrow as pa

from ..errors import ConfigError
from .arrow import as_reader, as_table

READERS = {".parquet": "read_parquet", ".csv": "read_csv", ".tsv": "read_csv", ".json": "read_json", ".jsonl": "read_json"}


def read_table(path: str) -> pa.Table:
    """A file as an Arrow table. Raises ConfigError CFG123."""
    return as_table(_rows(duckdb.connect(":memory:"), path))


def read_batches(path: str) -> pa.RecordBatchReader:
    """A file as Arrow batches. Raises ConfigError CFG123."""
    return as_reader(_rows(duckdb.connect(":memory:"), path), 65_536)


def _rows(connection: duckdb.DuckDBPyConnection, path: str) -> duckdb.DuckDBPyConnection:
    """The rows of a file, not yet fetched. By `execute`: a relation with parameters is materialised before the first row comes."""
    reader = READERS.get(Path(path).suffix.lower())
    if reader is None or not Path(path).is_file():
        what = "does not exist" if reader else f"is none of {', '.join(READERS)}"
        raise ConfigError("CFG123", f"{path} {what}", hint="name a Parquet, CSV or JSON file")
    try:
        return connection.execute(f"FROM {reader}($path)", {"path": str(path)})
    except duckdb.Error as error:
        raise ConfigError("CFG123", f"{path} cannot be read: {str(error).splitlines()[0]}") from error


def write_table(table: pa.Table | pa.RecordBatchReader, path: str) -> None:
    """Write an Arrow table or stream; the suffix says how. Raises ConfigError CFG123."""
    formats = {".parquet": "PARQUET", ".csv": "CSV", ".json": "JSON", ".jsonl": "JSON"}
    form = formats.get(Path(path).suffix.lower())
    if form is None:
        raise ConfigError("CFG123", f"cannot write {path}", hint=f"a name ending in {', '.join(formats)}")
    with duckdb.connect(":memory:") as connection:
        connection.register("rows", table)
        target = str(path).replace("'", "''")
        connection.execute(f"COPY (FROM rows) TO '{target}' (FORMAT {form}{', HEADER' if form == 'CSV' else ''})")
