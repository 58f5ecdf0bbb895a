"""A guarded tree -> a LabelingFunction: a row-local expression over `entity` where it is one, else a relation."""

from __future__ import annotations

from dataclasses import replace
from sqlglot import exp

from ..errors import Diagnostic, did_you_mean
from ..types import EntityLayout, LabelingFunction, SourceLayout
from .guard import Scope, base_tables, place
from .header import Statement
from .parse import LFProblem

NOT_ROW_LOCAL = ("group", "having", "distinct", "qualify", "limit", "offset", "joins", "laterals", "with_", "windows", "sample", "pivots")


def shaped(tree: exp.Expression, statement: Statement, layout: EntityLayout, scope: Scope) -> LabelingFunction:
    """The LabelingFunction of one statement.

    Raises LFProblem: LF110 when the result lacks the key or has it twice, LF114 for an aggregate where a row condition is
    meant.
    """
    base = LabelingFunction(
        name=statement.name,
        kind="relation",
        label=statement.label,
        sql=statement.sql,
        path=statement.path,
        line=statement.first_line,
        owner=statement.options.get("owner"),
        tags=tuple(t.strip() for t in statement.options.get("tags", "").replace(",", " ").split()),
        reads=tuple(sorted(_reads(tree, scope))),
        location=statement.header,
        labels=None if statement.label is None else (statement.label,),
        columns=relation_columns(tree, statement.label, layout, scope),
        ballot="exclude" if statement.excludes else "soft" if _has_column(tree, "p", "worker") else "vote",
    )
    _require_no_aggregate(tree, statement)
    source = _row_source(tree, layout, scope)
    if source is None or base.ballot == "soft":
        return base
    expression = _row_expression(tree, statement, layout, source)
    modality = source.modality.name if isinstance(source, SourceLayout) else None
    return replace(
        base, kind="predicate", modality=modality, expression=expression, labels=_labels(statement, expression), columns=_entity_columns(expression)
    )


def _reads(tree: exp.Expression, scope: Scope) -> set[str]:
    names = (scope.resolve(t) for t in base_tables(tree) if isinstance(t.this, exp.Identifier))
    return {name if schema in ("", "main") else f"{schema}.{name}" for schema, name in names}


def _require_no_aggregate(tree: exp.Expression, statement: Statement) -> None:
    where = tree.args.get("where") if isinstance(tree, exp.Select) else None
    for node in where.find_all(exp.AggFunc) if where else ():
        if node.find_ancestor(exp.Select) is tree and not node.find_ancestor(exp.Window):
            hint = "aggregate in a sub-query or with GROUP BY ... HAVING"
            message = f"{node.sql('duckdb')} aggregates many rows where a condition on one row is meant"
            raise LFProblem(Diagnostic("LF114", message, place(node, statement), hint, statement.name))


# -- row-local ----------------------------------------------------------------------------------------------------------


def _row_source(tree: exp.Expression, layout: EntityLayout, scope: Scope) -> SourceLayout | str | None:
    """The one relation a row-local LF stands on: a modality's source, "entity", or None when the LF is not row-local."""
    if not isinstance(tree, exp.Select) or any(tree.args.get(part) for part in NOT_ROW_LOCAL):
        return None
    table = (tree.args.get("from_") or exp.From()).this
    if not isinstance(table, exp.Table) or not isinstance(table.this, exp.Identifier) or any(table.args.get(p) for p in ("sample", "pivots", "joins", "laterals")):
        return None
    if isinstance(table.args.get("alias"), exp.TableAlias) and table.args["alias"].columns:
        return None  # its columns have other names than in `entity`
    inner = [node for part in (*tree.selects, tree.args.get("where")) if part is not None for node in part.walk()]
    if any(isinstance(node, (exp.Query, exp.Window, exp.AggFunc, exp.Unnest, exp.Explode, exp.Lambda)) for node in inner):
        return None
    schema, name = scope.resolve(table)
    if not schema and name != "entity":
        return None  # a resource: rows of its own
    source = next((s for s in layout.sources if (s.schema, s.relation) == (schema, name)), None) if schema else "entity"
    return source if source is not None and _hands_through(tree, source) else None


def _hands_through(tree: exp.Select, source: SourceLayout | str) -> bool:
    """Is every key column in the result the source's own, and no other column called like one of its columns?"""
    keys = {"entity_id"} if isinstance(source, str) else {k.casefold() for k in source.modality.key}
    for each in tree.selects:
        star = each if isinstance(each, exp.Star) else each.this if isinstance(each, exp.Column) else None
        if isinstance(star, exp.Star) and any(star.args.get(part) for part in ("except_", "replace", "rename")):
            return False
        if each.alias_or_name.casefold() in keys and not (isinstance(each.unalias(), exp.Column) and each.unalias().name.casefold() == each.alias_or_name.casefold()):
            return False
    return True


def _row_expression(tree: exp.Select, statement: Statement, layout: EntityLayout, source: SourceLayout | str) -> exp.Expression:
    """The condition (label in the header) or the label expression, over the columns of `entity`."""
    _require_key_once(tree, statement, source)
    where = tree.args.get("where")
    condition = where.this if where else None
    if statement.label is not None:
        picked = condition if condition is not None else exp.true()
    else:
        label = _label_expression(tree, statement, source, layout)
        picked = exp.case().when(condition.copy(), label.copy()) if condition is not None else label
    table = tree.args["from_"].this
    return _over_entity(picked.copy(), table, layout, source)


def _require_key_once(tree: exp.Select, statement: Statement, source: SourceLayout | str) -> None:
    if any(isinstance(s, exp.Star) or (isinstance(s, exp.Column) and isinstance(s.this, exp.Star)) for s in tree.selects):
        return
    keys = ("entity_id",) if isinstance(source, str) else source.modality.key
    names = [s.alias_or_name.casefold() for s in tree.selects]
    for key in keys:
        found = names.count(key.casefold())
        if found != 1:
            raise key_problem(statement.name, statement.header, key, found)


def key_problem(lf: str, at, key: str, found: int) -> LFProblem:
    """LF110: the key is missing from an LF's result, or stands in it several times."""
    message = f'the result has the key column "{key}" {found} times' if found else f'the result lacks the key column "{key}"'
    return LFProblem(Diagnostic("LF110", message, at, f"SELECT {key} once (or start with FROM ...)", lf))


def _has_column(tree: exp.Expression, *names: str) -> bool:
    """Is a column of one of these names written out in the result: "p" of a soft vote, "worker" of a crowd's answers?"""
    return any(s.alias_or_name.casefold() in names for s in getattr(tree, "selects", ()))


def _label_expression(tree: exp.Select, statement: Statement, source, layout: EntityLayout) -> exp.Expression:
    for projection in tree.selects:
        if projection.alias_or_name.casefold() == "label":
            return projection.unalias()
    columns = layout.columns if isinstance(source, str) else source.columns
    if "label" in {c.casefold() for c in columns} and any(isinstance(s, exp.Star) for s in tree.selects):
        return exp.column("label")
    raise label_problem(statement.name, statement.header)


def label_problem(lf: str, at) -> LFProblem:
    """LF110 for a header without a class over a result without a column "label"."""
    return LFProblem(Diagnostic("LF110", 'the header names no class and the result has no column "label"', at, "-- lf: name -> class, or SELECT key, ... AS label", lf))


def _over_entity(node: exp.Expression, table: exp.Table, layout: EntityLayout, source: SourceLayout | str) -> exp.Expression:
    """`node` with every column of the source replaced by its value in `entity`."""
    own = {table.alias_or_name.casefold(), table.name.casefold()}
    if isinstance(source, str):
        carried = {name.casefold(): exp.column(name, quoted=True) for name in layout.columns}
    else:
        carried = source.carried

    def replaced(part: exp.Expression) -> exp.Expression:
        if not isinstance(part, exp.Column) or isinstance(part.this, exp.Star):
            return part
        fields = [p for p in part.parts]
        if len(fields) > 1 and fields[0].name.casefold() in own and fields[0].name.casefold() not in carried:
            fields = fields[1:]
        elif len(fields) > 1 and fields[1].name.casefold() in carried and fields[0].name.casefold() in own:
            fields = fields[1:]
        value = carried.get(fields[0].name.casefold())
        if value is None:
            return part
        value = value.copy()
        for name in fields[1:]:
            value = exp.Dot(this=value, expression=exp.to_identifier(name.name, quoted=True))
        return value

    return exp.Paren(this=node).transform(replaced).this


def _labels(statement: Statement, expression: exp.Expression) -> tuple[str, ...] | None:
    if statement.label is not None:
        return (statement.label,)
    literals = label_literals(expression)
    return None if literals is None else tuple(dict.fromkeys(each.name for each in literals))


def _entity_columns(expression: exp.Expression) -> tuple[tuple[str, str], ...]:
    return tuple(sorted({("entity", c.name) for c in expression.find_all(exp.Column)}))


def relation_columns(tree: exp.Expression, label: str | None, layout: EntityLayout, scope: Scope) -> tuple[tuple[str, str], ...]:
    """(relation, column) pairs a query may read: every name it mentions, for each of its relations; "*" for all of them.

    A star in the outermost SELECT only hands through the key (and the label), so it does not count as reading everything.
    """
    tables = _reads(tree, scope)
    outer = set(tree.selects) if isinstance(tree, exp.Select) and not tree.args.get("distinct") else set()
    stars = [s for s in tree.find_all(exp.Star) if s not in outer and s.parent not in outer and not isinstance(s.parent, exp.Count)]
    natural = any(j.args.get("method") == "NATURAL" for j in tree.find_all(exp.Join))
    if stars or natural:
        names = {"*"}
    else:
        names = {part.name.casefold() for c in tree.find_all(exp.Column) for part in c.parts}
        names |= {i.name.casefold() for j in tree.find_all(exp.Join) for i in j.args.get("using") or ()}
        names |= {k.casefold() for s in layout.sources for k in s.modality.key} | {"entity_id"} | (set() if label else {"label"})
    return tuple(sorted((table, name) for table in tables for name in names))


def label_literals(expression: exp.Expression) -> list[exp.Expression] | None:
    """The values a label expression can return, when they are all written out; None when it computes them."""
    node = expression.unnest()
    if isinstance(node, exp.Null):
        return []
    if isinstance(node, exp.Literal):
        return [node]
    if isinstance(node, exp.Case):
        values = [i.args["true"] for i in node.args["ifs"]] + ([node.args["default"]] if node.args.get("default") else [])
        parts = [label_literals(v) for v in values]
        return None if any(p is None for p in parts) else [each for p in parts for each in p]
    return None


def unknown_class(lf: str, label: str, classes: tuple[str, ...], at) -> LFProblem:
    """LF108 with the nearest class."""
    hint = did_you_mean(label, classes) or f"classes are: {', '.join(classes)}"
    return LFProblem(Diagnostic("LF108", f'"{label}" is not a class of this task', at, hint, lf))
