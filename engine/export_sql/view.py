"""The whole view: source rows, votes, label model, and the columns a reader sees."""

from __future__ import annotations

import re
from dataclasses import dataclass
from typing import Iterator, Mapping, Sequence

from sqlglot import exp

from ..end_models.export_sql import RESERVED
from ..errors import Diagnostic, LFError, Location
from ..types import EntityLayout, LabelingFunction, Project, SourceLayout, Task
from .lfs import ROW, Relations, Translator, casts, reads, refusal
from .model import Model, posterior_ctes
from .portable import Refused

LONGEST_NAME = {"postgres": 63}
"""Bytes of a name; PostgreSQL cuts longer ones off."""


@dataclass(frozen=True)
class Names:
    """What the columns of the view are called. keys: of the modality, or entity_id; votes: LF -> column; p: class -> column."""

    keys: tuple[str, ...]
    votes: Mapping[str, str]
    p: Mapping[str, str]


class View:
    """One task's label model over one project's LFs, as a query of one dialect."""

    def __init__(self, project: Project, task: Task, layout: EntityLayout, rows: exp.Expression, lfs: Sequence[LabelingFunction], model: Model, relations: Relations, dialect: str):
        """rows: the query for `entity` without features."""
        self.project, self.task, self.layout, self.lfs, self.model, self.relations, self.dialect = project, task, layout, list(lfs), model, relations, dialect
        self.translator = Translator(dialect, layout, relations, task.classes)
        self.rows = _leaves(rows)
        self.resources = [r for r in layout.resources if any(reads(lf, r.name) for lf in self.lfs)]
        self.prefix = relations.entity.removesuffix("entity")
        self.column = {lf.name: f"v_{n}" for n, lf in enumerate(self.lfs, start=1)}
        self.problems: list[Diagnostic] = []
        self.names = self.output_names()

    def query(self) -> exp.Select:
        """The SELECT. Raises LFError with every LF that the dialect cannot say (LF127)."""
        ctes = [*self.features(), *self.sources(), *self.entity(), *self.relation_votes(), ("vote", self.votes())]
        if self.problems:
            raise LFError(self.problems)
        keep = [*self.modality(), *self.keys(), *self.column.values()]
        cast_by = {lf.name: casts(lf, self.task.classes) for lf in self.lfs}
        ctes += posterior_ctes(self.model, self.column, cast_by, keep, f"{self.prefix}vote", self.dialect, self.prefix)
        found = self.result()
        for name, body in ctes:
            found = found.with_(exp.to_identifier(f"{self.prefix}{name}", quoted=True), as_=body, copy=False)
        return self.quoted(found)

    # -- steps ----------------------------------------------------------------------------------------------------------

    def sources(self) -> Iterator[tuple[str, exp.Expression]]:
        """One relation per modality: entity_id, the key, and the columns of `entity` that LFs read."""
        for n, (source, select) in enumerate(self.selects(), start=1):
            columns = []
            for each in select.selects:
                if (name := each.alias_or_name) == "entity_id" or name in self.wanted(source.modality.name):
                    columns += self.tried(name, each, source)
            keys = [exp.alias_(exp.column(k, quoted=True), f"k_{i}", quoted=True) for i, k in enumerate(source.modality.key if self.own_keys() else ())]
            query = exp.select(*columns, *keys).from_(self.relations.table((source.schema, source.relation)))
            if self.resources:
                yield f"own_{n}", query
                query = self.with_features(n, [s.alias for s in query.selects])
            yield f"source_{n}", query

    def features(self) -> Iterator[tuple[str, exp.Expression]]:
        """One relation per feature that LFs read: entity_id and the value."""
        for i, resource in enumerate(self.resources, start=1):
            try:
                yield f"feature_{i}", self.translator.feature(resource)
            except Refused as error:
                at = Location(resource.path, resource.line)
                self.problems += [Diagnostic("LF127", f'feature "{resource.name}": {error.what}', at, error.hint, lf.name) for lf in self.readers(resource.name)]

    def with_features(self, n: int, columns: Sequence[str]) -> exp.Select:
        """The rows of a modality with the features that LFs read."""
        values = [exp.column(r.name, table=f"f_{i}", quoted=True) for i, r in enumerate(self.resources, start=1)]
        query = exp.select(*(exp.column(c, table=ROW, quoted=True) for c in columns), *values).from_(exp.alias_(self.table(f"own_{n}"), ROW, table=True))
        for i in range(1, len(values) + 1):
            query = query.join(exp.alias_(self.table(f"feature_{i}"), f"f_{i}", table=True), on=_same_entity(f"f_{i}"), join_type="left")
        return query

    def tried(self, name: str, each: exp.Expression, source: SourceLayout) -> list[exp.Expression]:
        """The column of `entity`, or nothing and a problem for the LFs that read it."""
        try:
            value = self.translator.projection(each.unalias(), (source.schema, source.relation))
            return [exp.alias_(value, name, quoted=True)]
        except Refused as error:
            for lf in self.lfs if name == "entity_id" else self.readers(name):
                self.problems.append(Diagnostic("LF127", f'column "{name}": {error.what}', lf.location, error.hint, lf.name))
            return []

    def selects(self) -> list[tuple[SourceLayout, exp.Select]]:
        """Each modality's part of the query that builds `entity`."""
        return list(zip(self.layout.sources, self.rows))

    def readers(self, column: str) -> list[LabelingFunction]:
        return [lf for lf in self.lfs if reads(lf, column)]

    def wanted(self, modality: str) -> set[str]:
        """The columns of `entity` that some LF reads of this modality."""
        mine = [lf for lf in self.lfs if lf.modality in (None, modality)]
        return {c for c in self.layout.columns if any(reads(lf, c) for lf in mine)} | ({"modality"} if len(self.layout.sources) > 1 else set())

    def entity(self) -> Iterator[tuple[str, exp.Expression]]:
        """All modalities over common columns, where a query reads `entity`."""
        if not any(lf.kind == "relation" and "entity" in lf.reads for lf in self.lfs):
            return
        parts = []
        wanted = {c for lf in self.lfs if lf.kind == "relation" for c in self.layout.columns if reads(lf, c)} - {"entity_id"}
        for n, (_, select) in enumerate(self.selects(), start=1):
            own = {s.alias_or_name for s in select.selects} | {r.name for r in self.resources}
            columns = [exp.column(c, quoted=True) if c in own else self.missing(c) for c in self.layout.columns if c in wanted]
            parts.append(exp.select(exp.column("entity_id", quoted=True), *columns).from_(self.table(f"source_{n}")))
        yield "entity", _union(parts)

    def missing(self, column: str) -> exp.Expression:
        kind = exp.DataType.build(self.layout.columns[column], dialect="duckdb", udt=True)
        return exp.alias_(exp.cast(exp.null(), kind), column, quoted=True)

    def relation_votes(self) -> Iterator[tuple[str, exp.Expression]]:
        for n, lf in enumerate(self.lfs, start=1):
            if lf.kind == "relation":
                try:
                    yield f"lf_{n}", self.translator.votes(lf)
                except Refused as error:
                    self.problems.append(refusal(lf, error, self.project))

    def votes(self) -> exp.Expression:
        """One row per entity, one column per vote."""
        parts = []
        for n, source in enumerate(self.layout.sources, start=1):
            columns = [exp.alias_(exp.Literal.string(source.modality.name), "modality", quoted=True)] if self.modality() else []
            columns += [exp.column(k, table=ROW, quoted=True) for k in self.keys()]
            columns += [exp.alias_(vote, self.column[lf.name], quoted=True) for lf in self.lfs if (vote := self.vote(lf, source)) is not None]
            part = exp.select(*columns).from_(exp.alias_(self.table(f"source_{n}"), ROW, table=True))
            for i, lf in enumerate(self.lfs, start=1):
                if lf.kind == "relation":
                    part = part.join(exp.alias_(self.table(f"lf_{i}"), f"l_{i}", table=True), on=_same_entity(f"l_{i}"), join_type="left")
            parts.append(part)
        return _union(parts)

    def vote(self, lf: LabelingFunction, source: SourceLayout) -> exp.Expression | None:
        """The LF's vote on rows of one modality; None where it cannot be said."""
        if lf.kind == "relation":
            return exp.column("vote", table=f"l_{self.lfs.index(lf) + 1}", quoted=True)
        if lf.modality not in (None, source.modality.name):
            return exp.cast(exp.null(), "text")
        try:
            return self.translator.vote(lf)
        except Refused as error:
            if all(p.lf != lf.name for p in self.problems):
                self.problems.append(refusal(lf, error, self.project))
            return None

    def result(self) -> exp.Select:
        """The columns a reader sees."""
        pairs = [*((m, m) for m in self.modality()), *zip(self.keys(), self.names.keys), *((self.column[lf], name) for lf, name in self.names.votes.items())]
        pairs += [(f"p_{k}", self.names.p[c]) for k, c in enumerate(self.task.classes)]
        pairs += [("label", "label"), ("covered", "covered")]
        return exp.select(*(exp.alias_(exp.column(own, quoted=True), shown, quoted=True) for own, shown in pairs)).from_(self.table("best"))

    # -- names ----------------------------------------------------------------------------------------------------------

    def own_keys(self) -> bool:
        """Do all modalities have the same key columns, of the same types?"""
        return len({tuple((k.casefold(), s.columns.get(k)) for k in s.modality.key) for s in self.layout.sources}) == 1

    def keys(self) -> list[str]:
        """The key columns in every step."""
        return [f"k_{i}" for i in range(len(self.layout.sources[0].modality.key))] if self.own_keys() else ["entity_id"]

    def modality(self) -> list[str]:
        return ["modality"] if len(self.layout.sources) > 1 else []

    def table(self, name: str) -> exp.Table:
        return exp.Table(this=exp.to_identifier(f"{self.prefix}{name}", quoted=True))

    def output_names(self) -> Names:
        """Names no two columns share, whatever the case, and that the dialect takes."""
        keys = self.layout.sources[0].modality.key if self.own_keys() else ("entity_id",)
        alike = len({c.casefold() for c in self.task.classes}) < len(self.task.classes)
        p = {c: f"p_{k}" if alike else self.fitting(f"p_{c}", f"p_{k}") for k, c in enumerate(self.task.classes, start=1)}
        taken = {n.casefold() for n in (*keys, *self.modality(), *p.values(), "label", "covered")}
        votes = {}
        for lf in self.lfs:
            name = self.fitting(lf.name, f"vote_{self.column[lf.name][2:]}")
            while name.casefold() in taken:
                name = f"vote_{name}"
            votes[lf.name] = name
            taken.add(name.casefold())
        return Names(tuple(keys), votes, p)

    def fitting(self, name: str, otherwise: str) -> str:
        too_long = len(name.encode()) > LONGEST_NAME.get(self.dialect, 200)
        return otherwise if too_long or (self.dialect == "bigquery" and not re.fullmatch(r"[A-Za-z_]\w*", name, re.ASCII)) else name

    def quoted(self, query: exp.Select) -> exp.Select:
        """Every name quoted; Snowflake folds plain names to upper case, so there they stay as a person writes them."""
        for name in query.find_all(exp.Identifier):
            plain = re.fullmatch(r"[A-Za-z_]\w*", name.name, re.ASCII) and name.name.upper() not in RESERVED
            name.set("quoted", self.dialect != "snowflake" or not plain)
        return query


def _same_entity(table: str) -> exp.EQ:
    return exp.EQ(this=exp.column("entity_id", table=table, quoted=True), expression=exp.column("entity_id", table=ROW, quoted=True))


def _leaves(query: exp.Expression) -> list[exp.Select]:
    """The SELECTs of a chain of unions, from left to right."""
    if isinstance(query, exp.SetOperation):
        return [*_leaves(query.this), *_leaves(query.expression)]
    return [query.unnest()]


def _union(parts: Sequence[exp.Expression]) -> exp.Expression:
    found = parts[0]
    for part in parts[1:]:
        found = exp.Union(this=found, expression=part, distinct=False)
    return found
