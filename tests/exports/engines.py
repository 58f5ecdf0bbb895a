"""Other engines that run an exported view over the tables of a DuckDB warehouse: PostgreSQL and Spark, where they are present."""

from __future__ import annotations

import csv
import io
import json
import os
import pwd
import shutil
import subprocess
import sys
from importlib.util import find_spec
from pathlib import Path
from tempfile import mkdtemp

import duckdb
from support import absent

POSTGRES_TYPES = {"VARCHAR": "text", "DOUBLE": "double precision", "VARCHAR[]": "text[]", "BIGINT[]": "bigint[]"}


def tables_of(warehouse: Path) -> dict[str, tuple[dict[str, str], list[tuple]]]:
    """Table -> (column -> DuckDB type, rows); STRUCT columns left out."""
    with duckdb.connect(str(warehouse), read_only=True) as connection:
        names = [name for (name,) in connection.execute("SELECT table_name FROM duckdb_tables() ORDER BY 1").fetchall()]
        found = {}
        for name in names:
            kinds = {row[0]: row[1] for row in connection.execute(f'DESCRIBE "{name}"').fetchall() if not row[1].startswith("STRUCT")}
            columns = ", ".join(f'"{c}"' for c in kinds)
            found[name] = kinds, connection.execute(f'SELECT {columns} FROM "{name}"').fetchall()
        return found


class Postgres:
    """A server of its own in a temporary folder, reached by a socket there; as user postgres where the tests run as root."""

    def __init__(self):
        binaries = _postgres_binaries()
        if binaries is None or shutil.which("psql") is None or (os.geteuid() == 0 and not _has_user("postgres")):
            absent("postgresql")
        self.binaries, self.home = binaries, Path(mkdtemp(prefix="gs-pg-"))
        if os.geteuid() == 0:
            shutil.chown(self.home, "postgres")
        self._run("initdb", "-D", self.home / "data", "-U", "postgres", "-A", "trust", "-E", "UTF8", "--locale=C", "-N")
        options = f"-k {self.home} -c listen_addresses='' -c fsync=off -c timezone=UTC"
        self._run("pg_ctl", "-D", self.home / "data", "-o", options, "-l", self.home / "log", "-w", "start")

    def _run(self, program: str, *arguments: object) -> None:
        command = [str(self.binaries / program), *map(str, arguments)]
        as_postgres = ["runuser", "-u", "postgres", "--", *command] if os.geteuid() == 0 else command
        subprocess.run(as_postgres, check=True, stdout=subprocess.DEVNULL, stderr=subprocess.PIPE, cwd=self.home, timeout=60)

    def psql(self, text: str, database: str = "postgres") -> str:
        """What psql prints for a script; an error of the server is raised."""
        command = ["psql", "-X", "-q", "-h", str(self.home), "-U", "postgres", "-d", database, "-v", "ON_ERROR_STOP=1", "-f", "-"]
        done = subprocess.run(command, input=text, capture_output=True, text=True, timeout=120)
        assert done.returncode == 0, f"{done.stderr}\n{text[:3000]}"
        return done.stdout

    def load(self, warehouse: Path, database: str) -> None:
        """A database with the tables of a warehouse."""
        self.psql(f"DROP DATABASE IF EXISTS {database}; \nCREATE DATABASE {database}")
        for name, (kinds, rows) in tables_of(warehouse).items():
            columns = ", ".join(f'"{c}" {POSTGRES_TYPES.get(kind, kind)}' for c, kind in kinds.items())
            values = ",\n".join(f"({', '.join(map(_postgres_literal, row))})" for row in rows)
            self.psql(f'CREATE TABLE "{name}" ({columns});\n' + (f'INSERT INTO "{name}" VALUES {values};' if rows else ""), database)

    def rows(self, query: str, database: str) -> list[dict]:
        """The rows of a view made of the query."""
        script = f"CREATE OR REPLACE VIEW exported AS\n{query};\nCOPY (SELECT * FROM exported) TO STDOUT WITH (FORMAT csv, HEADER, NULL '<null>')"
        found = csv.DictReader(io.StringIO(self.psql(f"DROP VIEW IF EXISTS exported;\n{script}", database)))
        return [{k: None if v == "<null>" else v for k, v in row.items()} for row in found]

    def close(self) -> None:
        self._run("pg_ctl", "-D", self.home / "data", "-m", "immediate", "stop")
        shutil.rmtree(self.home)


def _postgres_binaries() -> Path | None:
    """Where initdb and pg_ctl are."""
    if shutil.which("initdb"):
        return Path(shutil.which("initdb")).parent
    return max((p for p in Path("/usr/lib/postgresql").glob("*/bin") if (p / "initdb").exists()), key=lambda p: int(p.parent.name), default=None)


def _has_user(name: str) -> bool:
    return name in {user.pw_name for user in pwd.getpwall()}


def _postgres_literal(value: object) -> str:
    if value is None:
        return "NULL"
    if isinstance(value, list):
        return _postgres_literal("{" + ", ".join("NULL" if v is None else json.dumps(v, ensure_ascii=False) for v in value) + "}")
    return str(value) if isinstance(value, (bool, int)) else "'" + str(value).replace("'", "''") + "'"


class Spark:
    """A local Spark session in a process of its own; its Python is GROUNDSWELL_SPARK_PYTHON, or this one where it has pyspark."""

    def __init__(self):
        python = os.environ.get("GROUNDSWELL_SPARK_PYTHON") or (sys.executable if find_spec("pyspark") else None)
        if python is None or shutil.which("java") is None:
            absent("spark")
        self.home = Path(mkdtemp(prefix="gs-spark-"))
        driver = Path(__file__).with_name("spark_driver.py")
        self.log = open(self.home / "log", "w+")
        self.process = subprocess.Popen([python, str(driver)], stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=self.log, text=True, cwd=self.home)

    def ask(self, **what: object) -> object:
        """What the driver answers."""
        self.process.stdin.write(json.dumps(what) + "\n")
        self.process.stdin.flush()
        line = self.process.stdout.readline()
        assert line, (self.home / "log").read_text()[-3000:]
        answer = json.loads(line)
        assert "error" not in answer, answer["error"]
        return answer["rows"]

    def load(self, warehouse: Path, database: str) -> None:
        """Views of the tables of a warehouse, by Parquet."""
        folder = self.home / database
        folder.mkdir()
        with duckdb.connect(str(warehouse), read_only=True) as connection:
            for (name,) in connection.execute("SELECT table_name FROM duckdb_tables()").fetchall():
                connection.execute(f"""COPY "{name}" TO '{folder / name}.parquet' (FORMAT parquet)""")
        self.ask(load=str(folder))

    def rows(self, query: str, database: str) -> list[dict]:
        """The rows of a view made of the query."""
        return self.ask(query=query)

    def close(self) -> None:
        self.process.stdin.close()
        self.process.stdout.close()
        self.process.wait(60)
        self.log.close()
        shutil.rmtree(self.home)


ENGINES = {"postgres": Postgres, "spark": Spark}
