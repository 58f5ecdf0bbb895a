"""The fitted label model as one SQL view: new rows are labelled from the LF predicates alone, in any warehouse, with no Python."""

from __future__ import annotations

import re
from contextlib import closing
from pathlib import Path
from typing import Iterable, Mapping

import sqlglot
from sqlglot import exp

from ..errors import ConfigError, Diagnostic, LabelModelError, LFError, did_you_mean
from ..features import entity_layout, relations, with_resources
from ..lfs import lf_scope, load_lfs, load_resources
from ..lfs.guard import base_tables
from ..lfs.meaning import function_synonyms, meaning
from ..store import Store, looking, reading
from ..types import EntityLayout, LabelingFunction, Project, Task
from ..votes.slots import stored_slots
from .lfs import Relations
from .model import Model, finite, read_model
from .view import View

DIALECTS = ("duckdb", "postgres", "spark", "snowflake", "bigquery")

OPERATORS = {"&&": "list_has_any", "@>": "list_has_all"}
"""Operators of DuckDB that are functions."""


def label_sql(project: Project, task: Task, dialect: str = "duckdb", extra: Iterable = ()) -> str:
    """The view's body with a comment on top: one row per row of the modalities' relations, with every vote, p_<class>, label and covered.

    extra  LFs declared in Python

    Raises ConfigError CFG125 for an unknown dialect, StoreError ST104 before a run, LabelModelError LM128 where LFs or classes are not
    those of the run, LM129 for weights SQL cannot hold, LFError LF126 (row functions in Python) and LF127 (what the dialect would
    read in another way, with its place).
    """
    if dialect not in DIALECTS:
        raise ConfigError("CFG125", f'there is no SQL dialect "{dialect}" for label models', hint=did_you_mean(dialect, DIALECTS) or f"one of {', '.join(DIALECTS)}")
    with closing(reading(project)) as published:
        model, slots = read_model(published, task), {s.lf: s.fingerprint.split(":")[0] for s in stored_slots(published, task.name)}
    if not finite(model):
        raise LabelModelError("LM129", f"the label model {model.method} holds weights that are not finite", hint="fit it with another method")
    with looking(project) as store:
        own = entity_layout(store, project, task)
        scope = lf_scope(store, task, own, relations(store))
        layout = with_resources(own, load_resources(store, project, own, scope).resources)
        loaded = load_lfs(store, project, task, layout, scope, extra)
        lfs = _fitted(loaded.lfs, model, slots, task.classes)
        _require_sql(store, lfs)
        known = Relations(scope, _columns(store, layout), f"{_prefix(store)}entity")
    view = View(project, task, layout, own.query, lfs, model, known, dialect)
    query = view.query()
    return _head(view, query) + query.sql(dialect, pretty=True, unsupported_level=sqlglot.ErrorLevel.RAISE) + "\n"


def write_label_sql(path: Path, text: str) -> None:
    """Write the view into a file. Raises ConfigError CFG123."""
    try:
        path.write_text(text, encoding="utf-8")
    except OSError as error:
        raise ConfigError("CFG123", f"cannot write {path}: {error.strerror}", hint="name another file with -o") from error


def _fitted(lfs: list[LabelingFunction], model: Model, slots: dict[str, str], classes: tuple[str, ...]) -> list[LabelingFunction]:
    """The LFs of the label model, in name order. Raises LabelModelError LM128."""
    here = {lf.name: lf for lf in lfs}
    if set(model.prior) != set(classes):
        raise LabelModelError("LM128", f"the label model was fitted on classes {', '.join(sorted(model.prior))}", hint="groundswell run, then export again")
    absent = sorted(set(model.weight) - set(here))
    changed = sorted(lf for lf in model.weight if lf in here and here[lf].meaning != slots.get(lf))
    for what, names in (("are missing or broken", absent), ("changed", changed)):
        if names:
            raise LabelModelError("LM128", f"since the label model was fitted, LFs {what}: {', '.join(names)}", hint="groundswell run, then export again")
    return [here[name] for name in sorted(model.weight)]


def _require_sql(store: Store, lfs: list[LabelingFunction]) -> None:
    """Raise LFError: LF126 for row functions in Python, LF127 for text that DuckDB alone can read."""
    hint = "say it in SQL or as an Ibis expression and run again; leaving it out would be another label model"
    problems = [Diagnostic("LF126", "a row function in Python has no form in SQL", lf.location, hint, lf.name) for lf in lfs if lf.kind == "python"]
    synonyms = function_synonyms(store) | OPERATORS
    for lf in (lf for lf in lfs if lf.kind == "relation"):
        said = _said(store, lf.query, synonyms)
        if said is None or said != _said(store, sqlglot.parse_one(lf.query, read="duckdb").sql("duckdb"), synonyms):
            problems.append(Diagnostic("LF127", "it reads differently once written anew: only DuckDB's own parser understands it", lf.location, "say it in a simpler way", lf.name))
    if problems:
        raise LFError(problems)


def _said(store: Store, text: str, synonyms: Mapping[str, str]) -> str | None:
    """What a query means, operators written as the functions they are."""
    found = meaning(store, text, synonyms)
    return found and re.sub(r'"is_operator":(true|false),|"schema":"(main)?",', "", found)


def _columns(store: Store, layout: EntityLayout) -> dict[tuple[str, str], dict[str, str]]:
    """(schema, name) -> column -> type of everything LFs may read."""
    found = store.rows("SELECT table_schema, table_name, column_name, data_type FROM information_schema.columns WHERE table_catalog = 'warehouse' ORDER BY ordinal_position")
    columns: dict[tuple[str, str], dict[str, str]] = {("", "entity"): dict(layout.columns)}
    for schema, table, column, kind in found:
        columns.setdefault((schema, table), {})[column] = kind
    return columns


def _prefix(store: Store) -> str:
    """What the steps of the view are called by: no relation of the warehouse begins so."""
    prefix, names = "gs_", [name for _, name in relations(store)]
    while any(name.startswith(prefix) for name in names):
        prefix += "_"
    return prefix


def _head(view: View, query: exp.Expression) -> str:
    """The comment on top of the view."""
    task, model, keys = view.task, view.model, ", ".join([*view.modality(), *view.names.keys])
    reads = sorted({".".join(part.name for part in table.parts) for table in base_tables(query)})
    lines = [
        f"Labels of task {task.name} of project {view.project.name}: label model {model.model_id} ({model.method}) over {len(view.lfs)} labeling functions.",
        f"Written by groundswell export sql --dialect {view.dialect}. To use it: CREATE VIEW {task.name}_labels AS, then the text below.",
        f"Reads       {', '.join(reads)}",
        f"Output      one row per row of the source: {keys}; one column per labeling function, its vote or NULL; p_<class>, summing to 1;",
        "            label, the most probable class, NULL on a tie or where nothing votes; covered, whether anything votes",
        f"Time zone   {view.project.timezone}: set it in the session where labeling functions read time stamps with a zone",
    ]
    return "".join(f"-- {' '.join(line.splitlines()) if not line.startswith(' ') else line}\n" for line in lines)


__all__ = ["DIALECTS", "label_sql", "write_label_sql"]
