"""A dbt package for the published store: sources with descriptions and tests, one example model, a profile for dbt-duckdb.

    models/sources.yml   every relation of the contract that is published; written again by every export
    the other files      an example to start from; written once and kept
"""

from __future__ import annotations

import os
import re
from pathlib import Path
from typing import Any, Mapping, Sequence

import yaml

from .errors import ConfigError
from .export_surface import CLASS_COLUMNS, COLUMNS, HISTORY, MODELS_OF, POINTS_TO, SHARED, STALE, TASK, VALUES, Relation
from .store import Store
from .types import SPLITS, Project, Task

DATABASE = "groundswell"
"""The name under which the profile attaches the published store."""

HEAD = "# Written by groundswell export dbt for task {task} of project {project}; written again by every export.\n"

PROJECT = """\
name: {package}
version: "1.0.0"
config-version: 2
require-dbt-version: ">=1.10.5"
profile: {package}

model-paths: [models]
test-paths: [tests]

vars:
  least_confidence: 0.9   # of training_rows

flags:
  send_anonymous_usage_stats: false
  require_generic_test_arguments_property: true
"""

PROFILES = """\
# dbt-duckdb: its own database for what dbt builds; the published store beside it, read-only. Paths count from where dbt runs.
{package}:
  target: dev
  outputs:
    dev:
      type: duckdb
      path: "{{{{ env_var('GROUNDSWELL_DBT_TARGET', '{package}.duckdb') }}}}"
      threads: 1
      attach:
        - path: "{{{{ env_var('GROUNDSWELL_STORE', '{store}') }}}}"
          alias: {database}
          read_only: true
"""

TRAINING_ROWS = """\
-- One row per entity whose label is sure enough to train on: dbt build --vars '{{least_confidence: 0.8}}'
{{{{ config(materialized="table") }}}}

SELECT
    t.entity_id,
    t.split,
    t.label,
    t.confidence,
    e.* EXCLUDE (entity_id, modality, split, event_time)
FROM {{{{ source("{task}", "training_set") }}}} AS t
JOIN {{{{ source("{task}", "entity") }}}} AS e USING (entity_id)
WHERE t.label IS NOT NULL
  AND t.confidence >= {{{{ var("least_confidence") }}}}
"""

UNIQUE_TOGETHER = """\
{% test unique_together(model, columns) %}
SELECT {{ columns | join(", ") }}, count(*) AS n
FROM {{ model }}
GROUP BY ALL
HAVING count(*) > 1
{% endtest %}
"""

P_SUMS_TO_1 = """\
SELECT entity_id, sum(p) AS total
FROM {{{{ source("{task}", "probabilistic_labels") }}}}
GROUP BY entity_id
HAVING abs(sum(p) - 1) > 1e-6
"""

README = """\
# {package}

What groundswell publishes for task {task}, as dbt sources with tests, and one model on top.

    pip install "dbt-core>=1.10.5" dbt-duckdb
    dbt build --profiles-dir .

The profile attaches the published store read-only ({store}; another place: GROUNDSWELL_STORE) and never blocks a run.
`groundswell export dbt` writes models/sources.yml again; every other file is yours and is kept. In a dbt project you have
already, take models/, tests/ and the attach block of profiles.yml. Everything here is tables, views and SQL tests.
"""


def export_dbt(store: Store, project: Project, task: Task, folder: Path) -> list[str]:
    """Write the package; returns the files written, in order. models/sources.yml is replaced, others are kept where they exist.

    Raises ConfigError CFG121 where the folder belongs to another task, CFG123 where it cannot be written.
    """
    words = {
        "package": _package(project, task), "task": task.name, "database": DATABASE,
        "store": Path(os.path.relpath(project.published.resolve(), folder.resolve())).as_posix(),
    }  # fmt: skip
    once = {
        "dbt_project.yml": PROJECT.format(**words), "profiles.yml": PROFILES.format(**words), "README.md": README.format(**words),
        "models/training_rows.sql": TRAINING_ROWS.format(**words), "models/training_rows.yml": _yaml(_example(task)),
        "tests/generic/unique_together.sql": UNIQUE_TOGETHER, "tests/p_sums_to_1.sql": P_SUMS_TO_1.format(**words),
    }  # fmt: skip
    head = HEAD.format(project=project.name, **words)
    try:
        _require_own(folder, head)
        replaced = _write(folder, {"models/sources.yml": head + _yaml(sources(store, project, task))}, replace=True)
        return replaced + _write(folder, once, replace=False)
    except OSError as error:
        raise ConfigError("CFG123", f"cannot write {folder}: {error.strerror}", hint="name another folder with -o") from error


def _require_own(folder: Path, head: str) -> None:
    """None. Raises ConfigError CFG121 if the folder holds the sources of something else."""
    path = folder / "models" / "sources.yml"
    if path.exists() and not path.read_text(encoding="utf-8").startswith(head):
        raise ConfigError("CFG121", f"{path} was not written for this task", hint="name another folder with -o")


def sources(store: Store, project: Project, task: Task) -> dict[str, Any]:
    """The content of models/sources.yml: schema gs and the task's schema, the relations of the contract that are there."""
    return {
        "version": 2,
        "sources": [
            _source(store, project, task, "gs", "What all tasks share: runs and lineage.", SHARED),
            _source(store, project, task, task.name, f"Task {task.name}: entities, votes, labels, models.", TASK),
        ],
    }


def _source(store: Store, project: Project, task: Task, schema: str, description: str, surface: Mapping[str, Relation]) -> dict[str, Any]:
    present = {name: relation for name, relation in surface.items() if store.has_table(schema, name)}
    describe = _Describer(store, project, task, schema, set(present))
    return {"name": schema, "database": DATABASE, "schema": schema, "description": description, "tables": [describe.table(n, r) for n, r in present.items()]}


class _Describer:
    """Descriptions and tests of the relations of one schema."""

    def __init__(self, store: Store, project: Project, task: Task, schema: str, present: set[str]):
        self.store, self.task, self.schema, self.present = store, task, schema, present
        self.modalities = [project.modalities[name].name for name in task.modalities]

    def table(self, name: str, relation: Relation) -> dict[str, Any]:
        types = self.store.columns(f'"{self.schema}"."{name}"')
        found: dict[str, Any] = {"name": name, "description": relation.grain}
        if len(relation.key) > 1:
            found["data_tests"] = [_test("unique_together", columns=list(relation.key))]
        return found | {"columns": [self.column(name, relation, column, kind) for column, kind in types.items()]}

    def column(self, name: str, relation: Relation, column: str, kind: str) -> dict[str, Any]:
        described = not relation.others or column in (*relation.key, *relation.known)
        text = relation.columns.get(column, COLUMNS.get(column, "")) if described else relation.others
        tests = self.tests(name, relation, column) if described else []
        found = {"name": column, "description": text, "data_type": kind, "quote": True, "data_tests": tests}
        return {key: value for key, value in found.items() if value}

    def tests(self, name: str, relation: Relation, column: str) -> list[Any]:
        """What the contract promises of one column."""
        promised: list[Any] = []
        if relation.key == (column,):
            promised.append("unique")
        if column in relation.key and column not in relation.nullable:
            promised.append("not_null")
        if values := self.values(name, column):
            promised.append(_test("accepted_values", values=_escaped(values)))
        if target := self.target(name, column):
            promised.append(_test("relationships", to=f"source('{self.schema}', '{target[0]}')", field=target[1]))
        return [_warning(test) for test in promised] if name in STALE else promised

    def values(self, name: str, column: str) -> list[str]:
        """All values a column may have; empty where any is fine."""
        if self.schema == "gs":
            return list(VALUES.get((name, column), ()))
        if column in CLASS_COLUMNS and name not in HISTORY:
            return list(self.task.classes)
        if column in ("split", "modality"):
            return list(SPLITS) if column == "split" else self.modalities
        return list(VALUES.get((name, column), ()))

    def target(self, name: str, column: str) -> tuple[str, str] | None:
        """(relation, column) a column points to."""
        if self.schema == "gs":
            found = ("run", "run_id") if column == "run_id" else None
        elif column == "model_id":
            found = (MODELS_OF[name], "model_id") if name in MODELS_OF else None
        else:
            found = None if name in HISTORY else POINTS_TO.get(column)
        return found if found and found[0] in self.present and found[0] != name else None


def _example(task: Task) -> dict[str, Any]:
    columns = [
        {"name": "entity_id", "description": COLUMNS["entity_id"], "data_tests": ["unique", "not_null"]},
        {"name": "label", "description": "The most probable class.", "data_tests": ["not_null", _test("accepted_values", values=_escaped(task.classes))]},
        {"name": "confidence", "description": COLUMNS["confidence"], "data_tests": ["not_null"]},
    ]
    description = "One row per entity whose label is sure enough to train on, with its features."
    return {"version": 2, "models": [{"name": "training_rows", "description": description, "columns": columns}]}


def _test(name: str, **arguments: Any) -> dict[str, Any]:
    return {name: {"arguments": arguments}}


def _warning(test: str | dict[str, Any]) -> dict[str, Any]:
    """The test, failing as a warning."""
    name, rest = (test, {}) if isinstance(test, str) else next(iter(test.items()))
    return {name: {**rest, "config": {"severity": "warn"}}}


def _escaped(values: Sequence[str]) -> list[str]:
    """Values as accepted_values wants them: dbt puts them between quotes as they are."""
    return [value.replace("'", "''") for value in values]


def _package(project: Project, task: Task) -> str:
    """A name dbt accepts: letters, digits and underscores, not starting with a digit."""
    name = re.sub(r"\W+", "_", f"{project.name}_{task.name}", flags=re.ASCII).strip("_").lower()
    return name if name[:1].isalpha() else f"task_{name}".rstrip("_")


def _yaml(what: Mapping[str, Any]) -> str:
    return yaml.safe_dump(dict(what), sort_keys=False, allow_unicode=True, width=120)


def _write(folder: Path, files: Mapping[str, str], replace: bool) -> list[str]:
    written = []
    for name, text in files.items():
        path = folder / name
        if replace or not path.exists():
            path.parent.mkdir(parents=True, exist_ok=True)
            path.write_text(text, encoding="utf-8")
            written.append(name)
    return written
