"""Small projects for tests: a warehouse, a groundswell.toml and labeling functions, written into a folder."""

from __future__ import annotations

import io
import json
import os
import subprocess
import sys
from contextlib import redirect_stderr, redirect_stdout
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any, Mapping, NoReturn

import duckdb
import pytest

from groundswell.workspace import Workspace, open_workspace

TICKETS = """
CREATE TABLE ticket (ticket_id BIGINT, body VARCHAR, queue VARCHAR, order_id BIGINT, created_at TIMESTAMP, score DOUBLE, words VARCHAR[], extra STRUCT(lang VARCHAR, n INTEGER));
INSERT INTO ticket VALUES
    (1, 'I want a refund', 'billing', 10, '2026-01-01 10:00', 0.9, ['refund', 'want'], {'lang': 'en', 'n': 1}),
    (2, 'where is my parcel', 'logistics', 11, '2026-01-02 10:00', 0.1, ['parcel'], {'lang': 'en', 'n': 2}),
    (3, 'Refund! money back', 'billing', NULL, '2026-01-03 10:00', 0.8, ['refund', 'money'], {'lang': 'de', 'n': 3}),
    (4, 'parcel is late, refund me', 'logistics', 12, '2026-01-04 10:00', NULL, ['parcel', 'refund'], NULL),
    (5, 'hello', 'general', NULL, '2026-01-05 10:00', 0.5, [], {'lang': 'en', 'n': 0}),
    (6, NULL, NULL, 13, '2026-01-06 10:00', 0.2, NULL, {'lang': 'fr', 'n': 5});
CREATE TABLE orders (order_id BIGINT, is_late BOOLEAN, status VARCHAR);
INSERT INTO orders VALUES (10, false, 'done'), (11, true, 'sent'), (12, true, 'sent'), (13, NULL, 'lost');
CREATE TABLE ticket_gold (ticket_id BIGINT, label VARCHAR);
INSERT INTO ticket_gold VALUES (1, 'refund'), (2, 'delivery'), (3, 'refund'), (4, 'delivery');
"""

CONFIG = """
[project]
name = "shop"
{project}
[warehouse]
from = "{warehouse}"

[modality.text]
from = "ticket"
key  = "ticket_id"
event_time = "created_at"

[task.intent]
classes = ["refund", "delivery", "other"]
{task}
"""

GOLD = 'gold = { from = "ticket_gold", key = "ticket_id", label = "label" }'

HEALTHY = """-- lf: says_refund -> refund
FROM ticket WHERE body ILIKE '%refund%';

-- lf: late_order -> delivery
FROM ticket JOIN orders USING (order_id) WHERE is_late;
"""


@cache
def absent(extra: str) -> NoReturn:
    """Skip the calling test, visibly: the optional `extra` is not here. Fails it where GROUNDSWELL_REQUIRE names the extra."""
    if extra in os.environ.get("GROUNDSWELL_REQUIRE", "").split(","):
        pytest.fail(f"{extra} is required here (GROUNDSWELL_REQUIRE) and absent")
    pytest.skip(f"{extra} is not installed")


def warehouse_file(sql: str) -> bytes:
    """The bytes of a DuckDB file in which the statements were run; made once."""
    with TemporaryDirectory() as folder:
        with duckdb.connect(f"{folder}/warehouse.duckdb") as connection:
            connection.execute(sql)
        return Path(folder, "warehouse.duckdb").read_bytes()


def write(folder: Path, files: Mapping[str, str | bytes]) -> Path:
    """Write files (path -> text or bytes) below a folder."""
    for name, content in files.items():
        path = folder / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(content if isinstance(content, bytes) else content.encode())
    return folder


def project(
    folder: Path, lfs: str | Mapping[str, str | bytes] = HEALTHY, *, sql: str = TICKETS, config: str | None = None, options: str = "", task: str = GOLD,
    warehouse: str = "warehouse.duckdb", files: Mapping[str, str | bytes] = {},
) -> Path:
    """A project folder with the tickets warehouse.

    lfs      the text of lfs/rules.sql, or several files (path -> content)
    sql      what the warehouse holds; "" leaves the one that is there
    options  lines for [project]; task  lines for [task.intent]; config  a whole groundswell.toml instead
    """
    folder.mkdir(parents=True, exist_ok=True)
    if sql:
        (folder / "warehouse.duckdb").write_bytes(warehouse_file(sql))
    text = config if config is not None else CONFIG.format(project=options, task=task, warehouse=warehouse)
    write(folder, {"groundswell.toml": text, **({"lfs/rules.sql": lfs} if isinstance(lfs, str) else lfs), **files})
    return folder


def change(folder: Path, sql: str) -> None:
    """Change the warehouse of a project."""
    with duckdb.connect(str(folder / "warehouse.duckdb")) as connection:
        connection.execute(sql)


def workspace(folder: Path, **options: Any) -> Workspace:
    """The project's workspace."""
    return open_workspace(folder, **options)


def votes(folder: Path, task: str = "intent") -> dict[str, dict[Any, str]]:
    """lf -> {key: label} of the published store."""
    found: dict[str, dict[Any, str]] = {}
    for key, lf, label in published(folder, f'SELECT entity_id, lf, label FROM "{task}".votes ORDER BY ALL'):
        found.setdefault(lf, {})[key] = label
    return found


def published(folder: Path, query: str, parameters: list | None = None) -> list[tuple]:
    """Rows of a query on the published store, by a plain read-only connection."""
    with duckdb.connect(str(folder / "groundswell.duckdb"), read_only=True) as connection:
        return connection.execute(query, parameters or []).fetchall()


def command(folder: Path, *arguments: str) -> list[str]:
    """The command line of a verb, in a process of its own."""
    return [sys.executable, "-m", "groundswell", *arguments, "--project", str(folder)]


def shell(folder: Path, *arguments: str, **options: Any) -> subprocess.CompletedProcess:
    """A verb in a process of its own."""
    return subprocess.run(command(folder, *arguments), capture_output=True, text=True, timeout=60, **options)


def rows_of(text: str) -> list[dict]:
    """The objects of a JSON answer."""
    found = json.loads(text)
    assert isinstance(found, list) and all(isinstance(row, dict) for row in found)
    return found


def diagnosed(folder: Path, code: str) -> list:
    """The diagnostics of one code that `check` gives."""
    return [d for d in workspace(folder).check().diagnostics if d.code == code]


@dataclass(frozen=True)
class Answer:
    """What a verb gave back."""

    code: int
    out: str
    err: str


def verb(folder: Path | None, *arguments: str) -> Answer:
    """A verb in this process; without a folder no --project is added."""
    from groundswell.cli import main

    out, err = io.StringIO(), io.StringIO()
    given = [*arguments, *(("--project", str(folder)) if folder else ())]
    with redirect_stdout(out), redirect_stderr(err):
        try:
            main(given)
        except SystemExit as ended:
            return Answer(int(ended.code or 0), out.getvalue(), err.getvalue())
    raise AssertionError("main returned without an exit code")


def checked(folder: Path) -> tuple[int, list[dict]]:
    """Exit code and objects of `check --format json`."""
    answer = verb(folder, "check", "--format", "json")
    return answer.code, rows_of(answer.out)
