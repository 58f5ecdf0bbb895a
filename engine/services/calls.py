"""Calls of services in a query: where they stand, and the SELECT that collects their arguments."""

from __future__ import annotations

import re
from dataclasses import dataclass
from typing import Collection, Iterator

from sqlglot import exp

from ..store.names import quoted
from .base import Service
from .load import Services

INSIDE_FIRST = ("with_", "from_", "joins", "laterals", "where", "group", "having", "qualify")
"""The parts of a SELECT in the order in which rows pass through them."""
FILTERS = ("where", "having", "qualify")
ARGUMENT = "gs_argument_"
KEY = "gs_key"
BY_KEY = "gs_by_key_"


class BadCall(Exception):
    """A call that cannot be: the node, a code, a sentence, the next step."""

    def __init__(self, node: exp.Expression, code: str, message: str, hint: str):
        super().__init__(message)
        self.node, self.code, self.message, self.hint = node, code, message, hint


class UnboundCall(BadCall):
    """A call whose arguments DuckDB cannot bind on their own."""


@dataclass(frozen=True)
class Call:
    """One call in a query.

    query  SELECT of the rows the call sees: its arguments as gs_argument_0, ..., beside what the SELECT around it returns
    """

    service: Service
    node: exp.Anonymous
    query: str

    @property
    def arguments(self) -> list[str]:
        """The names of the arguments in `query`."""
        return [f"{ARGUMENT}{i}" for i in range(len(self.service.inputs))]


def service_calls(tree: exp.Expression, services: Services) -> Iterator[Call]:
    """The calls of a query, such that whatever one depends on comes before it. Raises BadCall FT109, FT111; BadDeclaration."""
    nodes = [n for n in _inside_first(tree) if isinstance(n, exp.Anonymous) and n.name.casefold() in services.names]
    for i, node in enumerate(nodes):
        service = services.get(node.name)
        if len(node.expressions) != len(service.inputs):
            raise BadCall(node, "FT109", f"{node.name}() takes {len(service.inputs)} argument{'s' * (len(service.inputs) > 1)}, not {len(node.expressions)}", service.signature)
        yield Call(service, node, _argument_query(node, {id(n) for n in nodes[i:]}))


def _inside_first(node: exp.Expression) -> Iterator[exp.Expression]:
    args = node.args
    order = [k for k in INSIDE_FIRST if k in args] + [k for k in args if k not in INSIDE_FIRST]
    for key in order:
        for child in args[key] if isinstance(args[key], list) else [args[key]]:
            if isinstance(child, exp.Expression):
                yield from _inside_first(child)
    yield node


def _argument_query(node: exp.Anonymous, unanswered: Collection[int]) -> str:
    """The SELECT around a call, with its arguments as columns more.

    Conditions that ask a service not answered yet are dropped: too many arguments are collected rather than too few. Columns that ask
    one are NULL.
    unanswered  ids of the nodes of such calls
    """
    select = _select_around(node)
    whole = select.copy()
    twin = dict(zip(map(id, select.walk()), whole.walk()))
    for part in FILTERS:
        _drop_conditions(select, whole, part, unanswered)
    arguments = [exp.alias_(twin[id(each)].copy(), f"{ARGUMENT}{i}") for i, each in enumerate(node.expressions)]
    if _within_aggregate(node, select):
        for part in ("group", "having", "qualify", "order", "limit", "offset", "distinct", "windows"):
            whole.set(part, None)
        whole.set("expressions", arguments)
    else:
        unknown = [any(id(n) in unanswered for n in each.walk()) for each in select.expressions]
        kept = [exp.alias_(exp.null(), each.alias_or_name, quoted=True) if asks else each for each, asks in zip(whole.expressions, unknown)]
        whole.set("expressions", [*kept, *arguments])
    return _with_outer_ctes(select, whole).sql("duckdb")


def _select_around(node: exp.Anonymous) -> exp.Select:
    """The SELECT whose rows a call sees. Raises BadCall FT111 where that is not the whole truth."""
    below: exp.Expression = node
    above = node.parent
    while above is not None and not isinstance(above, exp.Select):
        if isinstance(above, exp.Lambda):
            raise BadCall(node, "FT111", f"{node.name}() stands in a lambda", "unnest the list in a sub-query, call the service there, and collect with list(...)")
        if isinstance(above, (exp.Join, exp.Lateral, exp.From)):
            raise BadCall(node, "FT111", f"{node.name}() stands in FROM or JOIN", "call it in the SELECT list of a sub-query or CTE")
        below, above = above, above.parent
    if above is None:
        raise BadCall(node, "FT111", f"{node.name}() stands outside of a SELECT", "call it in a SELECT list")
    return above


def _drop_conditions(select: exp.Select, whole: exp.Select, part: str, unanswered: Collection[int]) -> None:
    clause = select.args.get(part)
    if clause is None:
        return
    kept = [c for c in _conjuncts(clause.this) if not any(id(n) in unanswered for n in c.walk())]
    if len(kept) < len(_conjuncts(clause.this)):
        whole.set(part, type(clause)(this=exp.and_(*(c.copy() for c in kept))) if kept else None)


def _conjuncts(condition: exp.Expression) -> list[exp.Expression]:
    return list(condition.flatten()) if isinstance(condition, exp.And) else [condition]


def _within_aggregate(node: exp.Expression, select: exp.Select) -> bool:
    above = node.parent
    while above is not select:
        if isinstance(above, exp.AggFunc) and not isinstance(above.parent, exp.Window):
            return True
        above = above.parent
    return False


def _with_outer_ctes(select: exp.Select, whole: exp.Select) -> exp.Select:
    """The rows of `whole`, a changed copy of `select`, under the CTEs that `select` can name."""
    found = exp.select("*").from_(whole.subquery("gs_rows", copy=False))
    ctes: list[exp.CTE] = []
    inside: exp.CTE | None = None
    above = select.parent
    while above is not None:
        clause = above.args.get("with_")
        if clause is not None:
            visible = clause.expressions[: clause.expressions.index(inside)] if inside is not None and inside.parent is clause else clause.expressions
            ctes = [*visible, *ctes]
        inside = above if isinstance(above, exp.CTE) else inside
        above = above.parent
    if ctes:
        found.set("with_", exp.With(expressions=[cte.copy() for cte in ctes]))
    return found


# -- keys ---------------------------------------------------------------------------------------------------------------


def key_of(service: Service, arguments: list[str]) -> str:
    """What an answer is kept by: the MD5 of the arguments as a UUID, as SQL; NULL where any of them is NULL."""
    hashed = [f"md5({_told(kinds, argument)})" for kinds, argument in zip(service.inputs, arguments)]
    joined = hashed[0] if len(hashed) == 1 else f"md5({' || '.join(hashed)})"
    return f"CAST({joined} AS UUID)"


def _told(kinds: tuple[str, ...], argument: str) -> str:
    if "BLOB" in kinds:
        return argument
    return argument if kinds == ("VARCHAR",) else f"CAST(CAST({argument} AS {kinds[0]}) AS VARCHAR)"


def by_key(tree: exp.Expression, services: Services) -> exp.Expression:
    """The query with two kinds of calls looked up by a key that the relation below brings along: those on bytes, and those on answers.

    A look-up is a correlated sub-query. It holds every distinct value of what it is correlated with in memory, all pictures or all
    their hashes; and one inside another makes DuckDB compare everything with everything.
    """
    whole = tree.copy()
    nodes = [n for n in _inside_first(whole) if isinstance(n, exp.Anonymous) and n.name.casefold() in services.names]
    outer = [n for n in nodes if any(inner in nodes for each in n.expressions for inner in each.find_all(exp.Anonymous))]
    for i, node in enumerate(nodes):
        service = services.get(node.name)
        source = _source_of(node) if node in outer or service.reads_bytes else None
        if source is None:
            continue
        alias = exp.to_identifier(source.alias_or_name, quoted=True)
        key = exp.maybe_parse(key_of(service, [each.sql("duckdb") for each in node.expressions]), dialect="duckdb")
        rows = exp.select("*", exp.alias_(key, f"gs_key_{i}")).from_(source.copy())
        source.replace(rows.subquery(alias))
        node.replace(exp.Anonymous(this=BY_KEY + node.name.casefold(), expressions=[exp.column(f"gs_key_{i}", table=alias)]))
    return whole


def _source_of(node: exp.Anonymous) -> exp.Expression | None:
    """The one table or sub-query of FROM whose columns the arguments of a call are made of; None where that is not plain to see."""
    select = node.find_ancestor(exp.Select)
    columns = [c for each in node.expressions for c in each.find_all(exp.Column)]
    if not select.args.get("from_") or not columns or any(each.find(exp.AggFunc, exp.Window, exp.Query) for each in node.expressions):
        return None
    sources = [select.args["from_"].this, *(join.this for join in select.args.get("joins") or ())]
    named = {s.alias_or_name.casefold(): s for s in sources if _is_plain(s)}
    tables = {c.table.casefold() for c in columns}
    if len(named) < len(sources) or any(c.args.get("db") for c in columns) or select.args.get("laterals"):
        return None
    if tables == {""}:
        return sources[0] if len(sources) == 1 and not _own_aliases(select) & {c.name.casefold() for c in columns} else None
    return named.get(tables.pop()) if len(tables) == 1 else None


def _is_plain(source: exp.Expression) -> bool:
    """Is it a table, or a sub-query with a name, whose columns keep their names?"""
    alias = source.args.get("alias")
    if not source.alias_or_name or (isinstance(alias, exp.TableAlias) and alias.columns) or any(source.args.get(p) for p in ("sample", "pivots", "joins", "laterals")):
        return False
    return isinstance(source, exp.Subquery) or (isinstance(source, exp.Table) and isinstance(source.this, exp.Identifier))


def _own_aliases(select: exp.Select) -> set[str]:
    """Names that the SELECT list itself makes: DuckDB lets later columns use them."""
    return {each.alias.casefold() for each in select.expressions if isinstance(each, exp.Alias)}


def kept_as(returns: str) -> str:
    """The type answers are kept in: vectors as lists, because DuckDB 1.5 mixes up arrays that come out of a correlated sub-query."""
    return re.sub(r"\[\d+\]", "[]", returns)


def macro(service: Service, table: str | None) -> str:
    """CREATE of the temporary macro that looks answers up in a table of the cache; without one, every answer is NULL."""
    parameters = [f"gs_{i}" for i in range(len(service.inputs))]
    if table is None:
        body = f"CASE WHEN {' AND '.join(f'{p} IS NULL' for p in parameters)} THEN CAST(NULL AS {service.returns}) END"
    else:
        body = f"CAST((SELECT gs_value FROM {table} AS gs_known WHERE gs_known.{KEY} = {key_of(service, parameters)}) AS {service.returns})"
    return f"CREATE OR REPLACE TEMP MACRO {quoted(service.name)}({', '.join(parameters)}) AS {body}"


def macro_by_key(service: Service, table: str) -> str:
    """CREATE of the temporary macro that `by_key` calls: the answer kept by a key."""
    name = quoted(BY_KEY + service.name.casefold())
    return f"CREATE OR REPLACE TEMP MACRO {name}(gs_0) AS CAST((SELECT gs_value FROM {table} AS gs_known WHERE gs_known.{KEY} = gs_0) AS {service.returns})"
