"""Worlds for tests, made once per session and size."""

from __future__ import annotations

from functools import cache
from pathlib import Path
from tempfile import TemporaryDirectory

import duckdb

from groundswell.examples.moderation.build import Sizes, as_duckdb, build

_FOLDERS: list[TemporaryDirectory] = []


@cache
def world(n_text: int, n_image: int, n_test: int, seed: int = 0, threads: int = 2, with_text: bool = True) -> Path:
    """A folder with warehouse/, truth/ and warehouse.duckdb."""
    _FOLDERS.append(TemporaryDirectory(prefix="moderation-"))
    folder = Path(_FOLDERS[-1].name)
    build(folder, Sizes(n_text, n_image, n_test), seed, threads=threads, with_text=with_text)
    as_duckdb(folder, folder / "warehouse.duckdb")
    return folder


def ask(folder: Path, query: str) -> list[tuple]:
    """Rows of a query on the warehouse; what is true of the posts is the view `truth`."""
    with duckdb.connect() as connection:
        connection.execute(f"ATTACH '{folder}/warehouse.duckdb' AS w (READ_ONLY)")
        connection.execute("USE w")
        connection.execute(f"CREATE TEMP VIEW truth AS SELECT i AS post_id, * EXCLUDE (i) FROM read_parquet('{folder}/truth/*.parquet')")
        return connection.execute(query).fetchall()
