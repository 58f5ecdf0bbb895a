"""tests/*.yaml: rows in, votes out. Each case runs an LF on a few written-out rows and nothing else.

    - lf: says_refund
      given:
        ticket:
          - {ticket_id: 1, body: I want a refund}
          - {ticket_id: 2, body: hello}
      expect: {1: refund, 2: null}
"""

from __future__ import annotations

from pathlib import Path
from typing import Any, Mapping

import duckdb
import yaml
from sqlglot import exp

from ..errors import Diagnostic, Location, did_you_mean
from ..store import Store, scratch
from ..store.names import key_expression, literal, quoted
from ..types import EntityLayout, LabelingFunction, Project, SourceLayout, Task

CASE_KEYS = {"lf", "given", "expect", "name"}


def test_files(project: Project) -> list[Path]:
    """tests/*.yaml and *.yml of a project."""
    return sorted(p for suffix in ("*.yaml", "*.yml") for p in (project.root / "tests").glob(suffix))


def run_row_tests(project: Project, task: Task, lfs: list[LabelingFunction], layout: EntityLayout, types: Mapping[str, Mapping[str, str]]) -> tuple[int, list[Diagnostic]]:
    """How many cases passed, and what is wrong with the others (LF123).

    types  relation -> column -> DuckDB type, of every warehouse relation: the rows given are read with these types
    """
    by_name = {lf.name: lf for lf in lfs}
    passed, problems = 0, []
    for path in test_files(project):
        shown = str(path.relative_to(project.root))
        for case, line, wrong in _cases(path, shown):
            problem = wrong or _failure(case, by_name, task.classes, layout, types, project, Location(shown, line))
            problems += [problem] if problem else []
            passed += problem is None
    return passed, problems


def _cases(path: Path, shown: str):
    """(case, line, problem) of every case in a file."""
    try:
        node = yaml.compose(path.read_text(encoding="utf-8"), Loader=yaml.SafeLoader)
        cases = yaml.safe_load(path.read_text(encoding="utf-8")) or []
    except (yaml.YAMLError, UnicodeDecodeError) as error:
        mark = getattr(error, "problem_mark", None)
        yield None, 1, Diagnostic("LF123", f"not YAML: {getattr(error, 'problem', error)}", Location(shown, mark.line + 1 if mark else 1, mark.column + 1 if mark else 1))
        return
    if not isinstance(cases, list):
        yield None, 1, Diagnostic("LF123", "a test file is a list of cases", Location(shown, 1), "- lf: name, given: {relation: [rows]}, expect: {key: label}")
        return
    for case, place in zip(cases, node.value if node else ()):
        yield case, place.start_mark.line + 1, _malformed(case, Location(shown, place.start_mark.line + 1))


def _malformed(case: Any, at: Location) -> Diagnostic | None:
    if not isinstance(case, dict) or not {"lf", "given", "expect"} <= case.keys() or not isinstance(case["lf"], str):
        return Diagnostic("LF123", "a case needs lf, given and expect", at, "- lf: name, given: {relation: [rows]}, expect: {key: label}")
    if unknown := next((k for k in case if k not in CASE_KEYS), None):
        return Diagnostic("LF123", f'unknown key "{unknown}" in a case', at, did_you_mean(str(unknown), CASE_KEYS))
    if not isinstance(case["given"], dict) or not isinstance(case["expect"], dict):
        return Diagnostic("LF123", "given is {relation: [rows]} and expect is {key: label}", at)
    return None


def _failure(case: dict, lfs: dict[str, LabelingFunction], classes: tuple[str, ...], layout: EntityLayout, types, project: Project, at: Location) -> Diagnostic | None:
    lf = lfs.get(case["lf"])
    if lf is None:
        return Diagnostic("LF123", f'tests an LF "{case["lf"]}" that is not there or has errors', at, did_you_mean(str(case["lf"]), lfs), case["lf"])
    try:
        votes = _votes(lf, case["given"], layout, types, project)
    except (duckdb.Error, _BadCase) as error:
        return Diagnostic("LF123", f"{lf.name}: {str(error).splitlines()[0]}", at, "given rows have the columns of the warehouse relation", lf.name)
    expected = {str(key): label for key, label in case["expect"].items()}
    if wrong := next((label for label in expected.values() if label is not None and label not in classes), None):
        return Diagnostic("LF123", f'{lf.name}: expects "{wrong}", which is not a class', at, did_you_mean(str(wrong), classes), lf.name)
    wrong = [f"{key}: expected {label or 'abstain'}, voted {votes.get(key) or 'abstain'}" for key, label in expected.items() if votes.get(key) != label]
    return Diagnostic("LF123", f"{lf.name}: {'; '.join(wrong)}", at, "mend the LF or the case", lf.name) if wrong else None


class _BadCase(Exception):
    pass


def _votes(lf: LabelingFunction, given: dict, layout: EntityLayout, types, project: Project) -> dict[str, str]:
    """Key (as text) -> label: the LF's votes on the given rows, in a database that holds nothing else."""
    for relation, rows in given.items():
        if relation not in types:
            raise _BadCase(f'there is no relation "{relation}" in the warehouse')
        if not isinstance(rows, list) or not all(isinstance(row, dict) for row in rows):
            raise _BadCase(f"{relation}: the rows are a list of {{column: value}}")
    with scratch(project) as store:
        for relation, columns in types.items():
            _table(store, relation, columns, given.get(relation, []))
        if lf.kind == "relation":
            key = f"CAST({key_expression(lf.key)} AS VARCHAR)"
            label = literal(lf.label) if lf.label else "CAST(label AS VARCHAR)"
            query = f"SELECT {key}, {label} FROM (\n{lf.query}\n) AS lf_result"
        else:
            from .python import register_row_functions

            register_row_functions(store, [lf], layout)
            query = _local_query(lf, layout)
        return {key: label for key, label in store.rows(query) if label is not None}


def _local_query(lf: LabelingFunction, layout: EntityLayout) -> str:
    """A row-local LF over its source instead of `entity`."""
    source = next((s for s in layout.sources if s.modality.name == lf.modality), None)
    if source is None:
        key, expression, table = "CAST(entity_id AS VARCHAR)", lf.expression, "entity"
    else:
        key = f"CAST({key_expression(source.modality.key)} AS VARCHAR)"
        expression, table = _over_source(lf.expression, source), quoted(source.relation)
    vote = f"CASE WHEN {expression.sql('duckdb')} THEN {literal(lf.label)} END" if lf.label else expression.sql("duckdb")
    return f"SELECT {key}, {vote} FROM {table}"


def _over_source(expression: exp.Expression, source: SourceLayout) -> exp.Expression:
    """The expression with columns of `entity` put back to those of the source."""
    back = {value.name.casefold(): name for name, value in source.carried.items() if isinstance(value, exp.Column)}
    casts = {value.sql("duckdb"): name for name, value in source.carried.items() if not isinstance(value, exp.Column)}

    def replaced(node: exp.Expression) -> exp.Expression:
        if node.sql("duckdb") in casts:
            return exp.column(casts[node.sql("duckdb")], quoted=True)
        if isinstance(node, exp.Column) and node.name.casefold() in back:
            return exp.column(back[node.name.casefold()], quoted=True)
        return node

    return exp.Paren(this=expression.copy()).transform(replaced).this


def _table(store: Store, relation: str, columns: Mapping[str, str], rows: list[dict]) -> None:
    by_fold = {c.casefold(): c for c in columns}
    names = ", ".join(f"{quoted(c)} {kind}" for c, kind in columns.items())
    schema, _, name = relation.rpartition(".")
    target = f"{quoted(schema or 'main')}.{quoted(name)}"
    store.execute(f"CREATE SCHEMA IF NOT EXISTS {quoted(schema or 'main')}")
    store.execute(f"CREATE TABLE {target} ({names})")
    for row in rows:
        unknown = next((c for c in row if str(c).casefold() not in by_fold), None)
        if unknown is not None:
            raise _BadCase(f'{relation} has no column "{unknown}"')
        marks = ", ".join(f"$v{i}" for i in range(len(row)))
        into = ", ".join(quoted(by_fold[c.casefold()]) for c in row)
        store.execute(f"INSERT INTO {target} ({into}) VALUES ({marks})", {f"v{i}": value for i, value in enumerate(row.values())})
