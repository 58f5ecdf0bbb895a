"""Labeling functions as parts of the view: a vote per row from expressions over the source, or from a query per function."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Mapping, Sequence

import sqlglot
from sqlglot import exp
from sqlglot.errors import SqlglotError
from sqlglot.optimizer.annotate_types import annotate_types
from sqlglot.optimizer.qualify import qualify
from sqlglot.optimizer.scope import Scope as Names
from sqlglot.optimizer.scope import traverse_scope
from sqlglot.schema import MappingSchema
from sqlglot.transforms import eliminate_qualify

from ..errors import Diagnostic
from ..features.entity import resource_query
from ..lfs.guard import Scope, base_tables, place
from ..lfs.header import Statement, read_statements
from ..lfs.parse import parse_statement
from ..types import EntityLayout, LabelingFunction, Project, Resource
from ..votes.ballots import symbols
from ..votes.problems import relation_query
from .kinds import number
from .portable import Refused
from .queries import Queries

ROW = "r"
"""The alias under which votes see a row of the source."""


@dataclass(frozen=True)
class Relations:
    """What queries may read. columns: (schema, name) as the warehouse spells them -> column -> type; ("", "entity") is ours."""

    scope: Scope
    columns: Mapping[tuple[str, str], Mapping[str, str]]
    entity: str
    """The CTE that stands for `entity`."""

    def table(self, found: tuple[str, str]) -> exp.Table:
        """A relation by the name it has in any warehouse; schema main is the default one."""
        schema, name = found
        if not schema:
            return exp.to_table(self.entity, dialect="duckdb")
        return exp.table_(name, db=None if schema == "main" else schema, quoted=True)


def casts(lf: LabelingFunction, classes: Sequence[str]) -> list[str]:
    """The votes an LF can cast, as the store names them."""
    found = symbols(classes, {lf.ballot})
    if lf.ballot == "soft" or lf.labels is None:
        return [s.name for s in found]
    return [s.name for c, s in zip(classes, found, strict=True) if c in lf.labels]


def reads(lf: LabelingFunction, column: str) -> bool:
    """Does the LF read this column of `entity`? A star stands for what the source holds, not for what a run adds."""
    said = {c.casefold() for r, c in lf.columns if r == "entity"}
    return column.casefold() in said or (lf.kind == "relation" and "*" in said and column not in ("split", "event_time"))


class Translator:
    """LFs and columns of the source in one dialect."""

    def __init__(self, dialect: str, layout: EntityLayout, relations: Relations, classes: Sequence[str]):
        self.dialect, self.layout, self.relations, self.classes = dialect, layout, relations, classes
        self.rules = Queries(dialect)

    # -- votes of row-local LFs -----------------------------------------------------------------------------------------

    def vote(self, lf: LabelingFunction) -> exp.Expression:
        """The vote of a row-local LF for a row `r`. Raises Refused."""
        value = self.over_row(lf.expression)
        (said,) = casts(lf, self.classes) if lf.label is not None else (None,)
        if said is not None:
            return exp.case().when(value, exp.Literal.string(said))
        if lf.labels is not None and set(lf.labels) <= set(self.classes):
            return value
        case = exp.Case(this=exp.paren(value), ifs=[])
        for label in self.classes:
            case = case.when(exp.Literal.string(label), exp.Literal.string(label))
        return case

    def over_row(self, node: exp.Expression) -> exp.Expression:
        """An expression over `entity` for a row `r`."""
        if self.dialect == "duckdb":
            return node.transform(lambda n: exp.column(n.this.copy(), table=exp.to_identifier(ROW, quoted=True)) if isinstance(n, exp.Column) and not n.table else n)
        query = exp.select(exp.alias_(node.copy(), "value")).from_(exp.alias_(exp.to_table("entity"), ROW, table=True))
        return self.rules(self.understood(query).selects[0].unalias()).node

    def projection(self, node: exp.Expression, source: tuple[str, str]) -> exp.Expression:
        """An expression over a modality's relation: a column of `entity`."""
        if self.dialect == "duckdb":
            return node.copy()
        query = exp.select(exp.alias_(node.copy(), "value")).from_(exp.table_(source[1], db=source[0], catalog="warehouse", quoted=True))
        found = self.rules(self.understood(query).selects[0].unalias()).node
        for column in found.find_all(exp.Column):
            column.set("table", None)
        return found

    # -- votes of queries -----------------------------------------------------------------------------------------------

    def votes(self, lf: LabelingFunction) -> exp.Expression:
        """(entity_id, vote) of a relation LF, one row per key: what a run would refuse (two labels, no class, no probability) abstains."""
        query = self.query(lf)
        inner = query.subquery("q", copy=False)
        names = exp.column("entity_id", quoted=True), exp.column("label", quoted=True)
        if lf.label is not None:
            return exp.select(names[0], exp.alias_(exp.Literal.string(casts(lf, self.classes)[0]), "vote", quoted=True)).from_(inner)
        known = exp.In(this=names[1].copy(), expressions=[exp.Literal.string(c) for c in self.classes])
        if lf.ballot == "soft":
            return self.soft_votes(inner, known)
        least, most = exp.Min(this=names[1].copy()), exp.Max(this=names[1].copy())
        chosen = exp.select(names[0], exp.alias_(least, "vote", quoted=True)).from_(inner).where(known).group_by(names[0].copy())
        return chosen.having(exp.EQ(this=least.copy(), expression=most))

    def soft_votes(self, inner: exp.Expression, known: exp.Expression) -> exp.Expression:
        """The most probable class of each key and the level of its probability; the first class where two are as probable."""
        key, label, p = (exp.column(c, quoted=True) for c in ("entity_id", "label", "p"))
        valid = exp.and_(known, exp.GTE(this=p, expression=number(0, self.dialect)), exp.LTE(this=p.copy(), expression=number(1, self.dialect)))
        position = exp.Case(this=label, ifs=[exp.If(this=exp.Literal.string(c), true=exp.Literal.number(i)) for i, c in enumerate(self.classes)])
        order = exp.Order(expressions=[exp.Ordered(this=p.copy(), desc=True, nulls_first=False), exp.Ordered(this=position, nulls_first=False)])
        place_ = exp.Window(this=exp.RowNumber(), partition_by=[key.copy()], order=order)
        ranked = exp.select(key, label.copy(), p.copy(), exp.alias_(place_, "place", quoted=True)).from_(inner).where(valid)
        levels = [s for s in symbols(self.classes, {"soft"})]
        per_class = len(levels) // len(self.classes)
        vote = exp.Case(this=label.copy(), ifs=[])
        for i, name in enumerate(self.classes):
            own, level = levels[i * per_class : (i + 1) * per_class], exp.Case(ifs=[])
            for n, symbol in enumerate(own[:-1], start=1):
                below = exp.LT(this=exp.Mul(this=p.copy(), expression=number(per_class, self.dialect)), expression=number(n, self.dialect))
                level = level.when(below, exp.Literal.string(symbol.name))
            vote = vote.when(exp.Literal.string(name), level.else_(exp.Literal.string(own[-1].name)))
        first = exp.EQ(this=exp.column("place", quoted=True), expression=exp.Literal.number(1))
        return exp.select(key.copy(), exp.alias_(vote, "vote", quoted=True)).from_(ranked.subquery("q", copy=False)).where(first)

    def query(self, lf: LabelingFunction) -> exp.Expression:
        """entity_id, label and p of a relation LF, as a run sees them."""
        tree = sqlglot.parse_one(relation_query(lf, self.layout), read="duckdb")
        if self.dialect == "duckdb":
            return self.renamed(tree)
        _narrow(tree, lf)
        entity = {c: kind for c, kind in self.layout.columns.items() if c == "entity_id" or reads(lf, c)}
        return self.rules.query(self.understood(tree, entity))

    def feature(self, resource: Resource) -> exp.Expression:
        """(entity_id, value) of a feature that LFs read as a column of `entity`. Raises Refused."""
        tree = sqlglot.parse_one(resource_query(resource, self.layout.key_type), read="duckdb")
        if resource.services:
            raise Refused(tree, f"it calls the service {resource.services[0]}, which has no form in SQL", "write its answers into a table of the warehouse")
        return self.renamed(tree) if self.dialect == "duckdb" else self.rules.query(self.understood(tree))

    def renamed(self, tree: exp.Expression) -> exp.Expression:
        """The query with relations named as any warehouse does."""
        for table in list(base_tables(tree)):
            if isinstance(table.this, exp.Identifier) and (found := self.relations.scope.resolve(table)):
                _rename(table, self.relations.table(found))
        return tree

    # -- names and types ------------------------------------------------------------------------------------------------

    def understood(self, tree: exp.Expression, entity: Mapping[str, str] | None = None) -> exp.Expression:
        """The query with every column qualified, stars expanded, and types annotated; relations and columns as the warehouse spells them.

        entity  the columns of `entity` it may see (default: all)
        """
        tree, stands_for = tree.copy(), {}
        for table in list(base_tables(tree)):
            found = self.relations.scope.resolve(table) if isinstance(table.this, exp.Identifier) else None
            if found is None:
                raise Refused(table, f"{table.sql('duckdb')} has no exact form in {self.dialect}", "read tables and sub-queries")
            name = stands_for.setdefault(found, f"t{len(stands_for)}")
            _rename(table, exp.to_table(name))
        columns = {name: dict(entity if entity and not found[0] else self.relations.columns[found]) for found, name in stands_for.items()}
        schema = MappingSchema(columns, dialect="duckdb")
        try:
            for select in [s for s in tree.find_all(exp.Select) if s.args.get("qualify")][::-1]:
                select.replace(eliminate_qualify(select.copy()))
            tree = annotate_types(qualify(tree, schema=schema, dialect="duckdb", quote_identifiers=True, identify=True), schema=schema, dialect="duckdb")
        except SqlglotError as error:
            raise Refused(tree, f"cannot be read outside of DuckDB: {str(error).splitlines()[0]}") from error
        return self.spelled(tree, {name: found for found, name in stands_for.items()})

    def spelled(self, tree: exp.Expression, relations: Mapping[str, tuple[str, str]]) -> exp.Expression:
        for scope in traverse_scope(tree):
            for column in scope.columns:
                table = _source(scope, column.table)
                if isinstance(table, exp.Table) and table.name in relations:
                    own = {c.casefold(): c for c in self.relations.columns[relations[table.name]]}
                    column.this.set("this", own[column.name.casefold()])
        for table in list(tree.find_all(exp.Table)):
            if table.name in relations and isinstance(table.this, exp.Identifier):
                _rename(table, self.relations.table(relations[table.name]))
        return tree


def _source(scope: Names, name: str):
    while scope is not None and name not in scope.sources:
        scope = scope.parent
    return scope.sources[name] if scope is not None else None


def _rename(table: exp.Table, to: exp.Table) -> None:
    """Give a table another name, known as before to the rest of the query."""
    if not table.alias:
        table.set("alias", exp.TableAlias(this=exp.to_identifier(table.name, quoted=True)))
    for part in ("this", "db", "catalog"):
        table.set(part, to.args.get(part) and to.args[part].copy())


def _narrow(tree: exp.Expression, lf: LabelingFunction) -> None:
    """Let the LF's own SELECT * return what a vote needs: other columns may be of types that other engines lack."""
    inner = tree.args["from_"].this.this
    if isinstance(inner, exp.Select) and not inner.args.get("distinct") and [type(s) for s in inner.expressions] == [exp.Star] and not any(inner.expressions[0].args.values()):
        wanted = [*lf.key, *(("label",) if lf.label is None else ()), *(("p",) if lf.ballot == "soft" else ())]
        inner.set("expressions", [exp.column(name) for name in wanted])


# -- where an LF cannot be translated -----------------------------------------------------------------------------------


def written(lf: LabelingFunction, project: Project) -> Statement | None:
    """The statement of an LF in a .sql file; None for one from Python."""
    path = project.root / (lf.path or "")
    if path.suffix != ".sql" or not path.is_file():
        return None
    return next((s for s in read_statements(path, lf.path)[0] if s.name == lf.name), None)


def refusal(lf: LabelingFunction, error: Refused, project: Project) -> Diagnostic:
    """LF127 at the place in the user's file, or at the header where DuckDB's text is not the user's own."""
    statement = written(lf, project)
    if statement is None or statement.options.get("dialect", "duckdb").lower() != "duckdb":
        at = lf.location
    else:
        at = place(_as_written(error.node, statement), statement)
    return Diagnostic("LF127", error.what, at, error.hint or "export for duckdb, or say it in another way", lf.name)


def _as_written(node: exp.Expression, statement: Statement) -> exp.Expression | None:
    """The part of the statement a refused node comes from: row-local expressions lost their places on the way to `entity`."""
    tree, said = parse_statement(statement)[0], _without_tables(node)
    return next((n for n in tree.walk() if type(n) is type(node) and _without_tables(n) == said), None)


def _without_tables(node: exp.Expression) -> str:
    return node.transform(lambda n: exp.column(n.name.casefold()) if isinstance(n, exp.Column) else n).sql("duckdb")
