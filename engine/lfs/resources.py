"""Organizational resources as annotated SQL: features/*.sql, read, guarded and bound like labeling functions.

    -- feature: topics   kind: service   set: C   servable: yes
    SELECT post_id, topics FROM text_post UNION ALL BY NAME SELECT post_id, topics FROM image_post;
"""

from __future__ import annotations

import re
from dataclasses import replace
from pathlib import Path

from sqlglot import exp

from ..errors import Diagnostic, did_you_mean
from ..store import Store
from ..types import RESERVED_COLUMNS, EntityLayout, Project, Resource
from .bind import bind_text, hide_gold, require_syntax
from .guard import Scope, refusals
from .header import OPTION, Statement, read_statements
from .parse import LFProblem, parse_statement
from .second_look import second_look

HEADER = re.compile(r"[ \t]*--[ \t]*feature[ \t]*:[ \t]*(?P<rest>.*)", re.IGNORECASE)
OPTIONS = ("kind", "set", "servable", "owner", "description")
KINDS = ("service", "aggregate", "rule")
SERVABLE = {"yes": True, "no": False}
NAME = re.compile(r"[A-Za-z_][A-Za-z0-9_]*")


def feature_files(project: Project) -> list[Path]:
    """features/*.sql, in name order."""
    return sorted(p for p in (project.root / "features").glob("*.sql") if not p.name.startswith(("_", ".")))


def load_resources(store: Store, project: Project, layout: EntityLayout, scope: Scope) -> tuple[list[Resource], list[Diagnostic]]:
    """The healthy features of a project in name order, and what is wrong with the others (FT1xx, and LF1xx for their SQL); reads no data.

    layout  of the task's modalities, without features
    """
    found: dict[str, Resource] = {}
    problems: list[Diagnostic] = []
    if feature_files(project):
        hide_gold(store, scope)
    for path in feature_files(project):
        statements, wrong = read_statements(path, str(path.relative_to(project.root)), HEADER)
        problems += wrong
        for statement in statements:
            try:
                resource = _resource(store, statement, layout, scope)
                _require_new_name(resource, statement, found, layout)
                found[resource.name.casefold()] = resource
            except LFProblem as problem:
                problems.append(replace(problem.diagnostic, lf=None))
    return sorted(found.values(), key=lambda r: r.name), problems


def _resource(store: Store, statement: Statement, layout: EntityLayout, scope: Scope) -> Resource:
    name, options = _header(statement)
    statement = replace(statement, name=name)
    require_syntax(store, statement)
    tree, _ = parse_statement(statement)
    for problem in refusals(tree, statement, scope):
        if problem.severity == "error":
            raise LFProblem(problem)
    if any(table.name.casefold() == "entity" and not table.db for table in tree.find_all(exp.Table)):
        raise LFProblem(Diagnostic("FT106", "a feature cannot read `entity`: entity is made of features", statement.header, "read the warehouse", name))
    second_look(store, statement, statement.text, tree)
    columns = bind_text(store, statement, statement.text)
    return Resource(
        name=name, kind=options["kind"], feature_set=options.get("set"), servable=SERVABLE[options["servable"]], query=statement.sql,
        key=_key(columns, statement, layout), type=_type(store, statement, columns), path=statement.path, line=statement.first_line,
    )  # fmt: skip


def _header(statement: Statement) -> tuple[str, dict[str, str]]:
    """(name, options) of "topics   kind: service   set: C   servable: yes". Raises LFProblem FT101."""
    line = HEADER.match(statement.text)["rest"]
    name = line.split()[0].rstrip(":") if line.split() else ""
    options = {m["key"].lower(): m["value"].rstrip(", ") for m in OPTION.finditer(line[len(name) :])} | statement.options
    at = statement.at(statement.text.find(line), max(len(name), 1))

    def wrong(message: str, hint: str) -> LFProblem:
        return LFProblem(Diagnostic("FT101", message, at, hint, name or None))

    if not NAME.fullmatch(name) or name.casefold() in RESERVED_COLUMNS:
        raise wrong(f'"{name}" cannot name a feature', "letters, digits and _; it is a column of entity")
    for key in options:
        if key not in OPTIONS:
            raise wrong(f'unknown option "{key}"', did_you_mean(key, OPTIONS) or f"options: {', '.join(OPTIONS)}")
    if options.get("kind") not in KINDS:
        raise wrong(f'kind is {options.get("kind") or "missing"}', f"kind: {', '.join(KINDS)}")
    if options.setdefault("servable", "yes") not in SERVABLE:
        raise wrong(f'servable is "{options["servable"]}"', "servable: yes or no")
    return name, options


def _key(columns: list[str], statement: Statement, layout: EntityLayout) -> tuple[str, ...]:
    """The columns of the result that identify the entity. Raises LFProblem FT102."""
    names = [c.casefold() for c in columns]
    for key in [("entity_id",), *(source.modality.key for source in layout.sources)]:
        if all(names.count(k.casefold()) == 1 for k in key):
            return key
    wanted = " or ".join(", ".join(s.modality.key) for s in layout.sources)
    raise LFProblem(Diagnostic("FT102", f"the result lacks the key ({wanted}), or has it twice", statement.header, f"SELECT {wanted}, ... AS {statement.name}", statement.name))


def _type(store: Store, statement: Statement, columns: list[str]) -> str:
    """The DuckDB type of the column called like the feature. Raises LFProblem FT103."""
    if [c.casefold() for c in columns].count(statement.name.casefold()) != 1:
        hint = did_you_mean(statement.name, columns) or f"the result has: {', '.join(columns)}"
        raise LFProblem(Diagnostic("FT103", f'the result has no column "{statement.name}"', statement.header, hint, statement.name))
    described = store.connection.execute("DESCRIBE " + statement.text).fetchall()
    return next(kind for name, kind, *_ in described if name.casefold() == statement.name.casefold())


def _require_new_name(resource: Resource, statement: Statement, found: dict[str, Resource], layout: EntityLayout) -> None:
    """Raise LFProblem FT104 for a second feature of a name, or one that a modality's relation has as a column."""
    first = found.get(resource.name.casefold())
    where = f"{first.path}:{first.line}" if first else "a modality's relation" if resource.name.casefold() in {c.casefold() for c in layout.columns} else None
    if where:
        raise LFProblem(Diagnostic("FT104", f'there is a "{resource.name}" already, in {where}', statement.header, "rename the feature", resource.name))
