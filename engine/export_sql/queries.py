"""Whole queries of labeling functions in the words of another engine: joins, groups, windows, sub-queries."""

from __future__ import annotations

from typing import Callable

from sqlglot import exp

from .kinds import BOOL, DOUBLE, INT, NUMBERS, TEXT
from .portable import Refused, Typed, operand, shown
from .texts import Texts

PARTS = {"expressions", "from_", "joins", "where", "group", "having", "distinct", "order", "limit", "with_", "kind", "hint"}
"""Clauses of a SELECT that are translated."""

RANKS = (exp.RowNumber, exp.Rank, exp.DenseRank)


class Queries(Texts):
    """Queries with columns qualified and types annotated -> the dialect's."""

    def __init__(self, dialect: str):
        super().__init__(dialect)
        self.rules |= {
            exp.Count: self.aggregate, exp.CountIf: self.aggregate, exp.Sum: self.aggregate, exp.Min: self.aggregate, exp.Max: self.aggregate,
            exp.Avg: self.aggregate, exp.Filter: self.filtered, exp.Window: self.window, exp.Exists: self.exists, exp.Subquery: self.scalar,
        }  # fmt: skip

    def query(self, node: exp.Expression) -> exp.Expression:
        """The translation of a SELECT, a set operation or a sub-query in parentheses. Raises Refused."""
        if isinstance(node, exp.Subquery):
            return self.with_alias(exp.Subquery(this=self.query(node.this)), node)
        if isinstance(node, exp.SetOperation):
            return self.combined(node)
        if not isinstance(node, exp.Select):
            raise Refused(node, f"{shown(node)} has no exact form in {self.dialect}")
        return self.select(node)

    def combined(self, node: exp.SetOperation) -> exp.Expression:
        if any(node.args.get(part) for part in ("order", "limit", "offset", "on", "side", "kind")):
            raise Refused(node, "set operations with an order have no exact form", "order inside of a sub-query")
        second = self.in_order_of(node.this, node.expression) if node.args.get("by_name") else node.expression
        found = type(node)(this=self.query(node.this), expression=self.query(second), distinct=node.args.get("distinct"))
        return self.with_ctes(found, node)

    def in_order_of(self, first: exp.Query, second: exp.Query) -> exp.Query:
        """UNION BY NAME: the second query with its columns in the order of the first."""
        names = first.named_selects
        if not isinstance(second, exp.Select) or sorted(names) != sorted(second.named_selects) or second.args.get("distinct"):
            raise Refused(second, "BY NAME over other columns has no exact form", "name the same columns on both sides")
        by_name, ordered = {each.alias_or_name: each for each in second.expressions}, second.copy()
        ordered.set("expressions", [by_name[name].copy() for name in names])
        return ordered

    def select(self, node: exp.Select) -> exp.Select:
        for part, value in node.args.items():
            if value and part not in PARTS:
                raise Refused(value if isinstance(value, exp.Expression) else node, f"{part.upper()} has no exact form in {self.dialect}")
        if node.args.get("kind") or node.args.get("hint") or (node.args.get("distinct") and node.args["distinct"].args.get("on")):
            raise Refused(node, f"DISTINCT ON has no exact form in {self.dialect}", "use row_number() in a sub-query")
        found = exp.Select(expressions=[self.projection(each) for each in node.expressions], distinct=node.args.get("distinct") and exp.Distinct())
        joins = list(node.args.get("joins") or ())
        if node.args.get("from_"):
            first = node.args["from_"].this.copy()
            joins = [*(first.args.pop("joins", None) or ()), *joins]  # where a query begins with FROM, they hang on its table
            found.set("from_", exp.From(this=self.relation(first)))
        found.set("joins", [self.join(each) for each in joins])
        for name, kind in (("where", exp.Where), ("having", exp.Having)):
            if node.args.get(name):
                found.set(name, kind(this=self.of(node.args[name].this, BOOL)))
        if node.args.get("group"):
            found.set("group", self.group(node.args["group"]))
        self.ordered(node, found)
        return self.with_ctes(found, node)

    def projection(self, node: exp.Expression) -> exp.Expression:
        return exp.Alias(this=self(node.unalias()).node, alias=exp.to_identifier(node.alias_or_name, quoted=True))

    def ordered(self, node: exp.Select, found: exp.Select) -> None:
        """ORDER BY with NULLs where DuckDB puts them, and LIMIT."""
        if node.args.get("order"):
            found.set("order", self.order(node.args["order"]))
        if node.args.get("limit"):
            n = node.args["limit"].expression
            if not isinstance(n, exp.Literal):
                raise Refused(node.args["limit"], "a LIMIT that is not a number")
            found.set("limit", node.args["limit"].copy())

    def order(self, node: exp.Order) -> exp.Order:
        terms = []
        for each in node.expressions:
            key = self(each.this)
            if key.kind not in (*NUMBERS, TEXT, BOOL, "date", "timestamp", "timestamptz"):
                raise Refused(each, f"an order by {key.kind} differs between engines")
            this = self.by_code_point(key.node) if key.kind == TEXT else key.node
            terms.append(exp.Ordered(this=this, desc=bool(each.args.get("desc")), nulls_first=bool(each.args.get("nulls_first"))))
        return exp.Order(expressions=terms)

    def group(self, node: exp.Group) -> exp.Group:
        if any(node.args.get(part) for part in ("all", "cube", "rollup", "grouping_sets", "totals")):
            raise Refused(node, f"GROUP BY ALL, CUBE and ROLLUP have no exact form in {self.dialect}", "name the columns")
        return exp.Group(expressions=[self(each).node for each in node.expressions])

    def relation(self, node: exp.Expression) -> exp.Expression:
        """A table, or a query in parentheses."""
        if isinstance(node, exp.Table) and isinstance(node.this, exp.Identifier) and not any(node.args.get(p) for p in ("joins", "pivots", "laterals", "sample", "ordinality")):
            return node.copy()
        if isinstance(node, exp.Subquery) and not any(node.args.get(p) for p in ("joins", "pivots", "laterals", "sample")):
            return self.with_alias(exp.Subquery(this=self.query(node.this)), node)
        raise Refused(node, f"{shown(node)} has no exact form in {self.dialect}", "read tables and sub-queries")

    def with_alias(self, found: exp.Subquery, node: exp.Subquery) -> exp.Subquery:
        alias = node.args.get("alias")
        if alias and alias.columns:
            raise Refused(node, "columns renamed after a sub-query have no exact form", "name them inside")
        found.set("alias", alias and alias.copy())
        return found

    def join(self, node: exp.Join) -> exp.Join:
        kind, side = (node.args.get(part) or "" for part in ("kind", "side"))
        if node.args.get("method") or kind not in ("", "INNER", "CROSS", "OUTER") or node.args.get("using"):
            raise Refused(node, f"{' '.join(filter(None, [node.args.get('method'), kind]))} JOIN has no exact form in {self.dialect}", "use JOIN ... ON, or WHERE EXISTS (...)")
        on = node.args.get("on")
        return exp.Join(this=self.relation(node.this), kind=kind or None if on is not None else "CROSS", side=side or None, on=on and self.of(on, BOOL))

    def with_ctes(self, found: exp.Expression, node: exp.Expression) -> exp.Expression:
        clause = node.args.get("with_")
        if clause is None:
            return found
        if clause.args.get("recursive"):
            raise Refused(node, "WITH RECURSIVE has no exact form", "write it without")
        ctes = []
        for cte in clause.expressions:
            if cte.args["alias"].columns:
                raise Refused(cte, "columns renamed after a CTE have no exact form", "name them inside")
            ctes.append(exp.CTE(this=self.query(cte.this), alias=cte.args["alias"].copy()))
        found.set("with_", exp.With(expressions=ctes))
        return found

    # -- inside of expressions ------------------------------------------------------------------------------------------

    def exists(self, node: exp.Exists) -> Typed:
        return Typed(exp.Exists(this=self.query(node.this.unnest() if isinstance(node.this, exp.Subquery) else node.this)), BOOL)

    def scalar(self, node: exp.Subquery) -> Typed:
        inner = node.this
        if not isinstance(inner, exp.Select) or len(inner.selects) != 1:
            raise Refused(node, f"{shown(node)} has no exact form in {self.dialect}")
        return Typed(exp.Subquery(this=self.query(inner)), self(inner.selects[0].unalias()).kind)

    def in_(self, node: exp.In) -> Typed:
        inner = node.args.get("query")
        if inner is None:
            return super().in_(node)
        select = inner.this if isinstance(inner, exp.Subquery) else inner
        left, right = self(node.this), self(select.selects[0].unalias())
        if left.kind != right.kind and not {left.kind, right.kind} <= set(NUMBERS):
            raise Refused(node, f"IN compares {left.kind} with {right.kind}: engines differ", "CAST both sides to one type")
        return Typed(exp.In(this=operand(left.node), query=exp.Subquery(this=self.query(select))), BOOL)

    def filtered(self, node: exp.Filter) -> Typed:
        """aggregate(x) FILTER (WHERE c) = aggregate(CASE WHEN c THEN x END)."""
        return self.aggregate(node.this, self.of(node.expression.this, BOOL))

    def aggregate(self, node: exp.AggFunc, condition: exp.Expression | None = None) -> Typed:
        where: Callable = (lambda x: exp.case().when(condition.copy(), x)) if condition is not None else (lambda x: x)
        if isinstance(node, exp.CountIf):
            return Typed(exp.Count(this=where(exp.case().when(self.of(node.this, BOOL), exp.Literal.number(1)))), INT)
        if isinstance(node, exp.Count):
            return Typed(exp.Count(this=self.counted(node, where, condition is not None)), INT)
        if isinstance(node.this, exp.Distinct):
            raise Refused(node, f"{shown(node)} has no exact form in {self.dialect}")
        found = self(node.this)
        if isinstance(node, exp.Avg):
            return Typed(exp.Avg(this=where(self.double(node.this))), DOUBLE)
        kinds = (INT, DOUBLE) if isinstance(node, exp.Sum) else (*NUMBERS, TEXT, "date", "timestamp", "timestamptz")
        value = self.of(node.this, *kinds)
        return Typed(type(node)(this=where(self.by_code_point(value) if found.kind == TEXT else value)), found.kind)

    def counted(self, node: exp.Count, where: Callable, filtered: bool) -> exp.Expression:
        """What count() counts."""
        if isinstance(node.this, exp.Distinct):
            if len(node.this.expressions) != 1:
                raise Refused(node, "count(DISTINCT) of several columns has no exact form")
            return exp.Distinct(expressions=[where(self(node.this.expressions[0]).node)])
        if node.this is None or isinstance(node.this, exp.Star):
            return where(exp.Literal.number(1)) if filtered else exp.Star()
        if node.expressions:
            raise Refused(node, "count() of several columns has no exact form")
        return where(self(node.this).node)

    def window(self, node: exp.Window) -> Typed:
        rank, order = isinstance(node.this, RANKS), node.args.get("order")
        if node.args.get("spec") or node.args.get("alias") or (order and not rank) or not (rank or isinstance(node.this, (exp.AggFunc, exp.Filter))):
            raise Refused(node, f"{shown(node)} has no exact form in {self.dialect}", "ranks OVER (PARTITION BY ... ORDER BY ...), aggregates OVER (PARTITION BY ...)")
        this = Typed(type(node.this)(), INT) if rank else self(node.this)
        partition = [self(each).node for each in node.args.get("partition_by") or ()]
        return Typed(exp.Window(this=this.node, partition_by=partition, order=order and self.order(order)), this.kind)
