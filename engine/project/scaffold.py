"""`init`: a project folder made from a table, ready for `check` and `run`."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

from ..errors import ConfigError, did_you_mean
from ..store import Store, looking
from ..store.names import quoted
from ..types import Project
from .config import CONFIG_FILE, RESERVED_TASKS

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
    with looking(Project(folder.resolve(), folder.resolve().name, warehouse, {}, {})) as store:
        relation = _relation(store, warehouse, table)
        columns = store.columns(relation)
        keys = {k.strip() for k in key.split(",")}
        for name in (*sorted(keys), *([gold] if gold else [])):
            if name.casefold() not in {c.casefold() for c in columns}:
                raise ConfigError("CFG109", f'{table} has no column "{name}"', hint=did_you_mean(name, columns) or f"it has: {', '.join(columns)}")
        if not classes and gold:
            shown = quoted(gold)
            classes = tuple(str(v) for (v,) in store.rows(f"SELECT DISTINCT {shown} FROM {relation} WHERE {shown} IS NOT NULL ORDER BY 1 LIMIT 50"))
        if len(classes) < 2:
            raise ConfigError("CFG122", "which classes are there?", hint="--classes no,yes (or --gold COLUMN, whose values are the classes)")
        n_rows = store.value(f"SELECT count(*) FROM {relation}")
        text = _text_column(store, relation, columns, {*keys, gold})
        keywords = {k for (k,) in store.rows("SELECT keyword_name FROM duckdb_keywords() WHERE keyword_category <> 'unreserved'")}
    return Scaffold(_write(folder, warehouse, table, key, classes, gold, columns, text, keywords), n_rows, classes, text or next(iter(columns)))


def _relation(store: Store, warehouse: str, table: str) -> str:
    """The table's full name, as the warehouse spells it."""
    known = {f"{schema}.{name}": (schema, name) for schema, name in store.rows("SELECT table_schema, table_name FROM information_schema.tables WHERE table_catalog = 'warehouse'")}
    by_fold = {name.casefold(): parts for name, parts in known.items()}
    found = by_fold.get(table.casefold()) or by_fold.get(f"main.{table}".casefold())
    if not found:
        names = sorted(name.removeprefix("main.") for name in known)
        raise ConfigError("CFG108", f'there is no table "{table}" in {warehouse}', hint=did_you_mean(table, names) or f"there is: {', '.join(names[:12])}")
    return ".".join(["warehouse", *(quoted(part) for part in found)])


def _text_column(store: Store, relation: str, columns: dict[str, str], taken: set) -> str | None:
    """The column an analyst would write keyword rules on: a well-known name, else the longest text."""
    strings = [c for c, kind in columns.items() if kind == "VARCHAR" and c not in taken]
    named = [c for c in strings if c.casefold() in TEXT_WORDS]
    if named or len(strings) < 2:
        return (named or strings or [None])[0]
    lengths = store.rows(f"SELECT {', '.join(f'avg(length({quoted(c)}))' for c in strings)} FROM (FROM {relation} LIMIT 1000)")[0]
    return max(zip(strings, lengths), key=lambda pair: pair[1] or 0)[0]


def _write(folder: Path, warehouse: str, table: str, key: str, classes, gold, columns, text, keywords) -> tuple[str, ...]:
    keys = [k.strip() for k in key.split(",")]
    shown_key = _toml(keys[0]) if len(keys) == 1 else "[" + ", ".join(_toml(k) for k in keys) + "]"
    gold_line = f"gold    = {{ from = {_toml(table)}, key = {shown_key}, label = {_toml(gold)} }}\n" if gold else ""
    config = (
        f"[project]\nname = {_toml(folder.resolve().name)}\n\n[warehouse]                      # read, never written\nfrom = {_toml(warehouse)}\n\n"
        f"[modality.rows]\nfrom = {_toml(table)}\nkey  = {shown_key}\n\n[task.{_task_name(table)}]\n"
        f"classes = [{', '.join(_toml(c) for c in classes)}]\n{gold_line}split   = {{ hash = [80, 10, 10] }}\n"
        'label_model = { method = "auto", seed = 0 }\nend_model   = { method = "logistic", seed = 0 }\n'
    )
    condition = f"{_name(text, keywords)} ILIKE '%keyword%'" if text else f"{_name(next((c for c in columns if c not in keys), keys[0]), keywords)} IS NOT NULL"
    lfs = "".join(f"-- lf: my_rule_for_{_slug(c)} -> {c}\nFROM {_name(table, keywords)} WHERE {condition.replace('keyword', f'a word that says {c}'.replace(chr(39), ''))};\n\n" for c in classes)
    files = {CONFIG_FILE: config, "lfs/rules.sql": lfs, ".gitignore": ".groundswell/\ngroundswell.duckdb\n"}
    for name, content in files.items():
        path = folder / name
        path.parent.mkdir(parents=True, exist_ok=True)
        if not path.exists():
            path.write_text(content, encoding="utf-8")
    return tuple(files)


def _task_name(table: str) -> str:
    slug = _slug(table.split(".")[-1])
    return slug if slug[0].isalpha() and slug not in RESERVED_TASKS else f"task_{slug}"


def _slug(text: str) -> str:
    return "".join(c if c.isascii() and c.isalnum() else "_" for c in text.lower()) or "x"


def _name(name: str, keywords: set[str]) -> str:
    """A name as an analyst writes it: quoted only where SQL needs it."""
    return ".".join(part if part.isascii() and part.isidentifier() and part.casefold() not in keywords else quoted(part) for part in name.split("."))



def _toml(text: str) -> str:
    return '"' + text.replace("\\", "\\\\").replace('"', '\\"') + '"'
