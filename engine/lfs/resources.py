"""Organizational resources as annotated SQL: features/*.sql, read, guarded and bound like labeling functions.

    -- feature: topics   kind: service   set: C   servable: yes
    SELECT post_id, topics FROM text_post UNION ALL BY NAME SELECT post_id, topics FROM image_post;
"""

from __future__ import annotations

import re
from dataclasses import dataclass, replace
from functools import cached_property
from pathlib import Path

from sqlglot import exp

from ..errors import Diagnostic, did_you_mean
from ..services import BadCall, BadDeclaration, Desk, Service, Services, UnboundCall, load_services
from ..store import Store
from ..types import RESERVED_COLUMNS, EntityLayout, Project, Resource
from .bind import bind_text, hide_gold, require_syntax
from .guard import Scope, base_tables, place, refusals
from .header import OPTION, Statement, read_statements
from .meaning import function_synonyms, meaning, warehouse_macros
from .parse import LFProblem, parse_statement
from .second_look import second_look

HEADER = re.compile(r"[ \t]*--[ \t]*feature[ \t]*:[ \t]*(?P<rest>.*)", re.IGNORECASE)
OPTIONS = ("kind", "set", "servable", "modalities", "owner", "description")
KINDS = ("service", "aggregate", "rule")
SERVABLE = {"yes": True, "no": False}
NAME = re.compile(r"[A-Za-z_][A-Za-z0-9_]*")


def feature_files(project: Project) -> list[Path]:
    """features/*.sql, in name order."""
    return sorted(p for p in (project.root / "features").glob("*.sql") if not p.name.startswith(("_", ".")))


@dataclass
class LoadedResources:
    """The healthy features in name order, the services they may call, and what is wrong with the others."""

    resources: list[Resource]
    services: Services
    diagnostics: list[Diagnostic]


def load_resources(store: Store, project: Project, layout: EntityLayout, scope: Scope) -> LoadedResources:
    """The features of a project and the services of its resources/*.py; reads no data.

    layout  of the task's modalities, without features

    Problems: FT1xx, and LF1xx for what is wrong with the SQL.
    """
    services = load_services(project)
    loader = _Loader(store, project, layout, scope, services)
    if feature_files(project):
        hide_gold(store, scope)
    loader.check_fits()
    for path in feature_files(project):
        loader.read(path)
    return LoadedResources(sorted(loader.found.values(), key=lambda r: r.name), services, [*services.diagnostics, *loader.problems])


class _Loader:
    """Turns headers and queries into Resources."""

    def __init__(self, store: Store, project: Project, layout: EntityLayout, scope: Scope, services: Services):
        self.store, self.project, self.layout, self.scope, self.services = store, project, layout, scope, services
        self.desk = Desk(store, project, services)
        self.found: dict[str, Resource] = {}
        self.problems: list[Diagnostic] = []

    @cached_property
    def synonyms(self) -> dict[str, str]:
        return function_synonyms(self.store)

    @cached_property
    def macros(self) -> dict[str, str]:
        return warehouse_macros(self.store)

    def check_fits(self) -> None:
        """Guard and bind what services are fitted on, like features; an unhealthy service is unknown from here on."""
        for name, service in list(self.services.known.items()):
            if service.fit is None:
                continue
            try:
                self._check_fit(service)
            except LFProblem as problem:
                self.problems.append(replace(problem.diagnostic, location=service.location, lf=None))
                del self.services.known[name]

    def _check_fit(self, service: Service) -> None:
        statement = Statement(service.name, None, service.fit, service.location.path, service.location.line)
        self._require_no_circle(service, service, ())
        _, _, columns = self._bound(statement)
        wanted = 2 if service.follows_fit else 1
        if len(columns) != wanted:
            hint = "SELECT vector, label FROM ..." if wanted == 2 else "SELECT text FROM ..."
            raise LFProblem(Diagnostic("FT108", f"{service.name}: fit gives {len(columns)} columns, not {wanted}", service.location, hint))

    def _require_no_circle(self, first: Service, service: Service, seen: tuple[str, ...]) -> None:
        """Raise LFProblem FT108 for a service that is fitted on its own answers."""
        tree, _ = parse_statement(Statement(service.name, None, service.fit, "", 1))
        called = {f.name.casefold() for f in tree.find_all(exp.Anonymous)}
        for inner in (self.services.known[name] for name in sorted(called & self.services.known.keys())):
            if inner is first:
                raise LFProblem(Diagnostic("FT108", f"{first.name} is fitted on its own answers", first.location, "fit it on columns of the warehouse"))
            if inner.fit is not None and inner.name not in seen:
                self._require_no_circle(first, inner, (*seen, inner.name))

    def read(self, path: Path) -> None:
        """The features of one file."""
        statements, wrong = read_statements(path, str(path.relative_to(self.project.root)), HEADER)
        self.problems += wrong
        for statement in statements:
            try:
                resource = self._resource(statement)
                _require_new_name(resource, statement, self.found, self.layout)
                self.found[resource.name.casefold()] = resource
            except LFProblem as problem:
                self.problems.append(replace(problem.diagnostic, lf=None))

    def _resource(self, statement: Statement) -> Resource:
        name, options = _header(statement, self.project)
        statement = replace(statement, name=name)
        tree, services, columns = self._bound(statement)
        written = meaning(self.store, statement.text, self.synonyms)
        if services and written != meaning(self.store, tree.sql("duckdb"), self.synonyms):
            raise LFProblem(Diagnostic("FT111", "the arguments of its services cannot be read exactly", statement.header, "write the query more plainly, or prepare the arguments in a view", name))
        used = {f.name.casefold() for f in tree.find_all(exp.Anonymous)} & self.macros.keys()
        modalities = options.get("modalities")
        return Resource(
            name=name, kind=options["kind"], feature_set=options.get("set"), servable=SERVABLE[options["servable"]], query=statement.sql,
            key=_key(columns, statement, self.layout), type=_type(self.store, statement, columns), path=statement.path, line=statement.first_line,
            modalities=None if modalities is None else tuple(m.strip() for m in modalities.split(",")),
            meaning="\n".join([written or " ".join(statement.text.split()), *(self.macros[m] for m in sorted(used))]),
            reads=_reads(tree, self.scope), services=tuple(sorted(s.name for s in services)), volatile=self._volatile(tree, statement),
        )  # fmt: skip

    def _volatile(self, tree: exp.Expression, statement: Statement) -> bool:
        return any(problem.code == "LF204" for problem in refusals(tree, statement, self.scope))

    def _bound(self, statement: Statement) -> tuple[exp.Expression, list[Service], list[str]]:
        """(tree, services called, columns) of a query that is allowed and binds. Raises LFProblem."""
        require_syntax(self.store, statement)
        tree, _ = parse_statement(statement)
        for problem in refusals(tree, statement, self.scope):
            if problem.severity == "error":
                raise LFProblem(problem)
        if any(table.name.casefold() == "entity" and not table.db for table in tree.find_all(exp.Table)):
            raise LFProblem(Diagnostic("FT106", "a feature cannot read `entity`: entity is made of features", statement.header, "read the warehouse", statement.name))
        second_look(self.store, statement, statement.text, tree)
        try:
            services = self.desk.declare(tree)
        except BadDeclaration as problem:
            raise LFProblem(problem.diagnostic) from problem
        except BadCall as problem:
            if isinstance(problem, UnboundCall):
                bind_text(self.store, statement, statement.text)  # what is wrong with the whole is better said by the binder
            raise LFProblem(Diagnostic(problem.code, problem.message, place(problem.node, statement), problem.hint, statement.name)) from problem
        return tree, services, bind_text(self.store, statement, statement.text)


def _reads(tree: exp.Expression, scope: Scope) -> tuple[tuple[str, str], ...]:
    """(relation, column) pairs a query may read: every name it mentions, for each of its relations; "*" for all of them."""
    tables = {found for t in base_tables(tree) if isinstance(t.this, exp.Identifier) and (found := scope.resolve(t)) is not None}
    stars = [s for s in tree.find_all(exp.Star) if not isinstance(s.parent, exp.Count)]
    natural = any(j.args.get("method") == "NATURAL" for j in tree.find_all(exp.Join))
    names = {part.name.casefold() for c in tree.find_all(exp.Column) for part in c.parts} | {i.name.casefold() for j in tree.find_all(exp.Join) for i in j.args.get("using") or ()}
    return tuple(sorted((exp.table_(name, db=schema, catalog="warehouse", quoted=True).sql("duckdb"), column) for schema, name in tables for column in ({"*"} if stars or natural else names)))


def _header(statement: Statement, project: Project) -> tuple[str, dict[str, str]]:
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
    for modality in (m.strip() for m in options.get("modalities", "").split(",") if m.strip()):
        if modality not in project.modalities:
            raise wrong(f'there is no modality "{modality}"', did_you_mean(modality, project.modalities) or f"modalities: {', '.join(project.modalities)}")
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
