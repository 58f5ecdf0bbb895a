"""`init`: a project folder made from a table, ready for `check` and `run`."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

import duckdb

from ..errors import ConfigError, StoreError, did_you_mean
from .config import CONFIG_FILE

TEXT_WORDS = ("body", "text", "content", "message", "comment", "description", "title")


@dataclass(frozen=True)
class Scaffold:
    """What `init` found and wrote."""

    files: tuple[str, ...]
    n_rows: int
    classes: tuple[str, ...]
    example: str


def scaffold(folder: Path, warehouse: str, table: str, key: str, classes: tuple[str, ...], gold: str | None) -> Scaffold:
    """Write groundswell.toml, lfs/, tests/ and .gitignore into `folder`; existing files are never overwritten.

    Raises ConfigError CFG121 where a project exists, CFG108/CFG109 for relations and columns that do not, CFG122 without
    classes; StoreError ST103 without a warehouse.
    """
    if (folder / CONFIG_FILE).exists():
        raise ConfigError("CFG121", f"{folder / CONFIG_FILE} exists already", hint="edit it, or choose another folder with --project DIR")
    with _connected(folder, warehouse) as connection:
        columns = _columns(connection, warehouse, folder, table)
        for name in (*key.split(","), *([gold] if gold else [])):
            if name.strip().casefold() not in {c.casefold() for c in columns}:
                raise ConfigError("CFG109", f'{table} has no column "{name}"', hint=did_you_mean(name, columns) or f"it has: {', '.join(columns)}")
        relation = _relation(folder, warehouse, table)
        if not classes and gold:
            classes = tuple(str(v) for (v,) in connection.execute(f'SELECT DISTINCT "{gold}" FROM {relation} WHERE "{gold}" IS NOT NULL ORDER BY 1 LIMIT 50').fetchall())
        if len(classes) < 2:
            raise ConfigError("CFG122", "which classes are there?", hint="--classes no,yes (or --gold COLUMN, whose values are the classes)")
        n_rows = connection.execute(f"SELECT count(*) FROM {relation}").fetchone()[0]
        text = _text_column(connection, relation, columns, {*key.split(","), gold})
    return Scaffold(_write(folder, warehouse, table, key, classes, gold, columns, text), n_rows, classes, text or next(iter(columns)))


def _connected(folder: Path, warehouse: str) -> duckdb.DuckDBPyConnection:
    path = folder / warehouse
    if path.is_dir():
        return duckdb.connect(":memory:")
    if not path.is_file():
        raise StoreError("ST103", f"{path} does not exist", hint="name a DuckDB file or a folder of Parquet or CSV")
    try:
        return duckdb.connect(str(path), read_only=True)
    except duckdb.Error as error:
        code = "ST102" if "lock" in str(error).lower() else "ST103"
        raise StoreError(code, f"{path} cannot be read: {str(error).splitlines()[0]}", hint="close the program that has it open, or check that it is a DuckDB file") from error


def _relation(folder: Path, warehouse: str, table: str) -> str:
    path = folder / warehouse
    if not path.is_dir():
        return ".".join(f'"{part}"' for part in table.split("."))
    found = [p for p in sorted(path.iterdir()) if p.name.split(".")[0] == table]
    if not found:
        names = sorted({p.name.split(".")[0] for p in path.iterdir()})
        raise ConfigError("CFG108", f'there is no "{table}" in {warehouse}', hint=did_you_mean(table, names) or f"there is: {', '.join(names[:12])}")
    pattern = f"{found[0]}/**/*.parquet" if found[0].is_dir() else str(found[0])
    return f"'{pattern}'"


def _columns(connection: duckdb.DuckDBPyConnection, warehouse: str, folder: Path, table: str) -> dict[str, str]:
    relation = _relation(folder, warehouse, table)
    try:
        return {row[0]: row[1] for row in connection.execute(f"DESCRIBE FROM {relation}").fetchall()}
    except duckdb.CatalogException as error:
        names = [row[0] for row in connection.execute("SELECT table_name FROM information_schema.tables ORDER BY 1").fetchall()]
        raise ConfigError("CFG108", f'there is no table "{table}" in {warehouse}', hint=did_you_mean(table, names) or f"there is: {', '.join(names[:12])}") from error


def _text_column(connection: duckdb.DuckDBPyConnection, relation: str, columns: dict[str, str], taken: set) -> str | None:
    """The column an analyst would write keyword rules on: a well-known name, else the longest text."""
    strings = [c for c, kind in columns.items() if kind == "VARCHAR" and c not in taken]
    named = [c for c in strings if c.casefold() in TEXT_WORDS]
    if named or len(strings) < 2:
        return (named or strings or [None])[0]
    lengths = connection.execute(f"SELECT {', '.join(f'avg(length({chr(34)}{c}{chr(34)}))' for c in strings)} FROM (FROM {relation} LIMIT 1000)").fetchone()
    return max(zip(strings, lengths), key=lambda pair: pair[1] or 0)[0]


def _write(folder: Path, warehouse: str, table: str, key: str, classes, gold, columns, text) -> tuple[str, ...]:
    keys = [k.strip() for k in key.split(",")]
    shown_key = _toml(keys[0]) if len(keys) == 1 else "[" + ", ".join(_toml(k) for k in keys) + "]"
    gold_line = f"gold    = {{ from = {_toml(table)}, key = {shown_key}, label = {_toml(gold)} }}\n" if gold else ""
    config = (
        f"[project]\nname = {_toml(folder.resolve().name)}\n\n[warehouse]                      # read, never written\nfrom = {_toml(warehouse)}\n\n"
        f"[modality.rows]\nfrom = {_toml(table)}\nkey  = {shown_key}\n\n[task.{_task_name(table)}]\n"
        f"classes = [{', '.join(_toml(c) for c in classes)}]\n{gold_line}split   = {{ hash = [80, 10, 10] }}\n"
        'label_model = { method = "auto", seed = 0 }\nend_model   = { method = "logistic", seed = 0 }\n'
    )
    condition = f"{_name(text)} ILIKE '%keyword%'" if text else f"{_name(next(c for c in columns if c not in keys))} IS NOT NULL"
    lfs = "".join(f"-- lf: my_rule_for_{_slug(c)} -> {c}\nFROM {_name(table)} WHERE {condition.replace('keyword', f'a word that says {c}'.replace(chr(39), ''))};\n\n" for c in classes)
    files = {CONFIG_FILE: config, "lfs/rules.sql": lfs, ".gitignore": ".groundswell/\ngroundswell.duckdb\n"}
    for name, content in files.items():
        path = folder / name
        path.parent.mkdir(parents=True, exist_ok=True)
        if not path.exists():
            path.write_text(content, encoding="utf-8")
    return tuple(files)


def _task_name(table: str) -> str:
    slug = _slug(table.split(".")[-1])
    return slug if slug[0].isalpha() and slug not in {"gs", "main", "store", "warehouse"} else f"task_{slug}"


def _slug(text: str) -> str:
    return "".join(c if c.isascii() and c.isalnum() else "_" for c in text.lower()) or "x"


def _name(name: str) -> str:
    return ".".join(part if part.isascii() and part.isidentifier() else '"' + part.replace('"', '""') + '"' for part in name.split("."))


def _toml(text: str) -> str:
    return '"' + text.replace("\\", "\\\\").replace('"', '\\"') + '"'
