"""A project's labeling functions: read, guarded, shaped, bound and linted; all problems collected."""

from __future__ import annotations

import hashlib
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Iterable

import duckdb
from sqlglot import exp

from ..errors import Diagnostic
from ..store import Store
from ..types import RESOURCES, EntityLayout, LabelingFunction, Project, Task
from .bind import bind_text, hide_gold, key_columns, require_syntax, show_entity, show_resources
from .gold import hand_gold_on
from .guard import GoldRelation, Scope, place, refusals
from .header import Statement, name_problem, read_statements
from .lint import lint
from .meaning import function_synonyms, meaning, warehouse_macros
from .parse import LFProblem, parse_statement
from .python import PythonLF, ibis_statement, location, read_python, row_function
from .second_look import second_look
from .shape import label_literals, shaped, unknown_class


@dataclass
class LoadedLFs:
    """Healthy LFs in name order, and everything there is to say about all of them."""

    lfs: list[LabelingFunction] = field(default_factory=list)
    diagnostics: list[Diagnostic] = field(default_factory=list)
    n_tests_passed: int = 0

    @property
    def errors(self) -> list[Diagnostic]:
        return [d for d in self.diagnostics if d.severity == "error"]

    @property
    def warnings(self) -> list[Diagnostic]:
        return [d for d in self.diagnostics if d.severity == "warning"]


def lf_files(project: Project, task: Task) -> list[Path]:
    """lfs/*.sql and *.py, and those in lfs/<task>/; with several tasks the shared folder belongs to all of them."""
    folder = project.root / "lfs"
    found = [p for place in (folder, folder / task.name) for suffix in ("*.sql", "*.py") for p in place.glob(suffix)]
    return sorted(p for p in found if not p.name.startswith(("_", ".")))


def lf_scope(store: Store, task: Task, layout: EntityLayout, relations) -> Scope:
    """What the task's LFs may see, with DuckDB's own list of functions that change from call to call."""
    stability = dict.fromkeys(["VOLATILE", "CONSISTENT_WITHIN_QUERY"], frozenset())
    for kind, names in store.rows(
        "SELECT stability, list(DISTINCT function_name) FROM duckdb_functions() WHERE stability IS NOT NULL AND internal GROUP BY 1"
    ):
        stability[kind] = frozenset(n.casefold() for n in names)
    gold = _gold_relations(task, layout, relations)
    sources = {(s.schema, s.relation) for s in layout.sources}
    resources = frozenset(r for r in RESOURCES if store.has_table(task.name, r) and ("main", r) not in relations)
    return Scope(relations, stability["VOLATILE"], stability["CONSISTENT_WITHIN_QUERY"], gold, hand_gold_on(store, gold) - _folded(sources), resources)


def _folded(names) -> frozenset[tuple[str, str]]:
    return frozenset((schema.casefold(), name.casefold()) for schema, name in names)


def _gold_relations(task: Task, layout: EntityLayout, relations) -> tuple[GoldRelation, ...]:
    sealed: dict[tuple[str, str], dict[str, str]] = {}
    for answers in task.answers:
        schema, _, name = answers.relation.rpartition(".")
        found = relations.get(((schema or "main").casefold(), name.casefold()))
        if found:
            sealed.setdefault(found, {}).update({column.casefold(): column for column in answers.sealed})
    rows = {(s.schema, s.relation): {c.casefold() for c in s.columns} for s in layout.sources}
    found = (GoldRelation(*at, tuple(c for fold, c in columns.items() if fold in rows.get(at, columns)), at in rows) for at, columns in sealed.items())
    return tuple(gold for gold in found if gold.columns)


class Loader:
    """Turns files and Python objects into LabelingFunctions for one task; reads no data."""

    def __init__(self, store: Store, project: Project, task: Task, layout: EntityLayout, scope: Scope):
        self.store, self.project, self.task, self.layout, self.scope = store, project, task, layout, scope
        self.synonyms = function_synonyms(store)
        self.macros = warehouse_macros(store)
        self.loaded = LoadedLFs()

    def load(self, extra: Iterable[Statement | PythonLF] = ()) -> LoadedLFs:
        """Everything in lfs/ and what was declared in Python."""
        show_entity(self.store, self.layout, None)
        hide_gold(self.store, self.scope)
        show_resources(self.store, self.scope, self.task.name)
        for path in lf_files(self.project, self.task):
            shown = str(path.relative_to(self.project.root))
            if path.suffix == ".py":
                found, wrong = read_python(path, shown)
            else:
                found, wrong = read_statements(path, shown)
            self.loaded.diagnostics += wrong
            for each in found:
                self._add(each, shown, path)
        for each in extra:
            self._add(each, "<python>", Path("<python>"))
        self._unique_names()
        self.loaded.lfs.sort(key=lambda f: f.name)
        self.loaded.diagnostics += lint(self.loaded.lfs)
        return self.loaded

    def _add(self, source: Statement | PythonLF, shown: str, path: Path) -> None:
        try:
            self.loaded.lfs.append(self._from_python(source, shown, path) if isinstance(source, PythonLF) else self._from_sql(source))
        except LFProblem as problem:
            self.loaded.diagnostics.append(problem.diagnostic)

    def _from_python(self, marked: PythonLF, shown: str, path: Path) -> LabelingFunction:
        if wrong := name_problem(marked.name):
            raise LFProblem(Diagnostic(wrong[0], wrong[1], location(marked, shown), wrong[2], marked.name))
        if marked.columns:
            found = row_function(marked, self.layout, shown)
            self._check_class(found.label, found)
            return replace(found, meaning=self._fingerprinted(found, found.meaning))
        statement, n, at = ibis_statement(marked, self.store, self.layout, shown, path), len(self.loaded.diagnostics), location(marked, shown)
        try:  # places are those of the function: nobody wrote the compiled SQL
            found = replace(self._from_sql(statement), location=at)
            self.loaded.diagnostics[n:] = [replace(d, location=at) for d in self.loaded.diagnostics[n:]]
            return found
        except LFProblem as problem:
            raise LFProblem(replace(problem.diagnostic, location=at)) from problem

    def _from_sql(self, statement: Statement) -> LabelingFunction:
        is_duckdb = statement.options.get("dialect", "duckdb").lower() == "duckdb"
        if is_duckdb:
            require_syntax(self.store, statement)
        tree, warnings = parse_statement(statement)
        self.loaded.diagnostics += warnings
        volatile = False
        for problem in refusals(tree, statement, self.scope):
            if problem.severity == "error":
                raise LFProblem(problem)
            self.loaded.diagnostics.append(problem)
            volatile = volatile or problem.code == "LF204"
        text = statement.text if is_duckdb else tree.sql("duckdb")
        second_look(self.store, statement, text, tree)
        columns = bind_text(self.store, statement, text)
        found = replace(shaped(tree, statement, self.layout, self.scope), volatile=volatile)
        self._check_classes(found, tree, statement)
        return self._completed(found, tree, text, columns, statement)

    def _completed(self, found: LabelingFunction, tree: exp.Expression, text: str, columns: list[str], statement: Statement) -> LabelingFunction:
        written = meaning(self.store, text, self.synonyms)
        faithful = written is not None and written == meaning(self.store, tree.sql("duckdb"), self.synonyms)
        if found.kind == "predicate" and not (faithful and self._binds(found, statement)):
            found = replace(found, kind="relation", expression=None, modality=None, columns=tuple((relation, "*") for relation in found.reads))
        if found.kind == "relation":
            runnable = statement.sql if text is statement.text else text
            names = {c.casefold() for c in columns} if found.label is None else set()
            ballot = "soft" if names & {"p", "worker"} else found.ballot
            found = replace(found, key=key_columns(columns, found, self.layout), query=runnable, ballot=ballot, crowd="worker" in names and "p" not in names)
        used = {f.name.casefold() for f in tree.find_all(exp.Anonymous)} & self.macros.keys()
        parts = [written or " ".join(text.split()), *(self.macros[name] for name in sorted(used))]
        return replace(found, meaning=self._fingerprinted(found, "\n".join(parts)))

    def _binds(self, found: LabelingFunction, statement: Statement) -> bool:
        """Does the expression over `entity` bind, and is a condition a condition?"""
        try:
            kind = self.store.connection.execute(f"DESCRIBE SELECT {found.expression.sql('duckdb')} FROM entity").fetchone()[1]
        except duckdb.Error:
            return False  # it reads something that only the statement as a whole has
        if found.label is not None and kind == "VARCHAR":
            at = place(found.expression, statement)
            raise LFProblem(Diagnostic("LF113", "the condition is text, not true or false", at, "compare it with something", statement.name))
        return True

    def _check_classes(self, found: LabelingFunction, tree: exp.Expression, statement: Statement) -> None:
        self._check_class(found.label, found, statement)
        if found.label is None:
            votes = found.expression or next((s.unalias() for s in getattr(tree, "selects", ()) if s.alias_or_name.casefold() == "label"), exp.null())
            for literal in label_literals(votes) or ():
                if literal.name not in self.task.classes:
                    raise unknown_class(found.name, literal.name, self.task.classes, place(literal, statement))

    def _check_class(self, label: str | None, found: LabelingFunction, statement: Statement | None = None) -> None:
        if label is None:
            return
        at = found.location
        if statement is not None and (start := statement.text.find(label, statement.text.find("->"))) >= 0:
            at = statement.at(start, len(label))
        if label not in self.task.classes:
            raise unknown_class(found.name, label, self.task.classes, at)

    def _fingerprinted(self, found: LabelingFunction, text: str) -> str:
        parts = [found.kind, found.ballot, found.label or "", found.modality or "", self.project.timezone, duckdb.__version__, text]
        return hashlib.sha256("\n".join(parts).encode()).hexdigest()

    def _unique_names(self) -> None:
        seen: dict[str, LabelingFunction] = {}
        for each in list(self.loaded.lfs):
            first = seen.setdefault(each.name.casefold(), each)
            if first is not each:
                where = f"{first.path}:{first.line}"
                self.loaded.diagnostics.append(Diagnostic("LF109", f'a second LF named "{each.name}"; the first is at {where}', each.location, "rename one of them", each.name))
                self.loaded.lfs.remove(each)


def load_lfs(
    store: Store, project: Project, task: Task, layout: EntityLayout, scope: Scope, extra: Iterable[Statement | PythonLF] = ()
) -> LoadedLFs:
    """All labeling functions of a task with every diagnostic; healthy ones are returned even when others are not."""
    return Loader(store, project, task, layout, scope).load(extra)
