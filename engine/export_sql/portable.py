"""Conditions and queries of DuckDB in the words of another engine, with the same meaning or not at all.

A white list: each node has a rule that writes it so that the engine gives DuckDB's answer; what has no rule is refused. sqlglot
alone would drop the flags of regular expressions, fold case by the locale, concatenate NULL away, divide integers, find a pattern
in the whole text only, or keep functions the engine does not have.
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from typing import Callable, Sequence

from sqlglot import exp

from .kinds import (
    BOOL, DATE, DECIMAL, DOUBLE, INSTANTS, INT, NULL, NUMBERS, TARGET, TEXT, TIMESTAMP, kind_of, literal_kind, timestamp_type,
)  # fmt: skip

ISO = re.compile(r"\d{4}-\d\d-\d\d(?P<time>[ T]\d\d:\d\d(:\d\d(\.\d{1,6})?)?)?")
UNITS = {"SECOND": 1, "MINUTE": 1, "HOUR": 1, "DAY": 1, "WEEK": 7, "MONTH": 1, "YEAR": 1}
PARTS = ("year", "month", "day", "hour", "minute")
STRUCTS = ("spark", "bigquery")
IS_NAN: dict[str, Callable[[exp.Expression], exp.Expression]] = {
    **dict.fromkeys(("postgres", "snowflake"), lambda x: exp.EQ(this=x.copy(), expression=exp.cast(exp.Literal.string("NaN"), "double"))),
    "spark": lambda x: exp.Anonymous(this="ISNAN", expressions=[x.copy()]), "bigquery": lambda x: exp.Anonymous(this="IS_NAN", expressions=[x.copy()]),
}  # fmt: skip


class Refused(Exception):
    """A node without a translation: what it is, where, and what to write instead."""

    def __init__(self, node: exp.Expression, what: str, hint: str | None = None):
        super().__init__(what)
        self.node, self.what, self.hint = node, what, hint


@dataclass(frozen=True)
class Typed:
    """A translated expression and the kind of its value."""

    node: exp.Expression
    kind: str


class Conditions:
    """Row expressions, types annotated -> the dialect's."""

    def __init__(self, dialect: str):
        self.dialect = dialect
        self.rules: dict[type[exp.Expression], Callable[..., Typed]] = {
            exp.Column: self.column, exp.Dot: self.field, exp.Literal: lambda n: Typed(n.copy(), literal_kind(n)), exp.Null: lambda n: Typed(n.copy(), NULL),
            exp.Boolean: lambda n: Typed(n.copy(), BOOL), exp.Paren: self.paren, exp.And: self.logic, exp.Or: self.logic, exp.Not: self.negation,
            exp.Is: self.is_, exp.In: self.in_, exp.Between: self.between, exp.Case: self.case, exp.If: self.if_, exp.Coalesce: self.coalesce,
            exp.Nullif: self.nullif, exp.IsNan: self.is_nan, exp.Cast: self.cast, exp.Neg: self.neg, exp.Abs: self.rounded,
            exp.Floor: self.rounded, exp.Ceil: self.rounded, exp.Add: self.arithmetic, exp.Sub: self.arithmetic, exp.Mul: self.arithmetic,
            exp.Div: self.division, exp.Mod: self.modulo, exp.Greatest: self.extreme, exp.Least: self.extreme, exp.Extract: self.part,
            exp.Year: self.part, exp.Month: self.part, exp.Day: self.part, exp.Hour: self.part, exp.Minute: self.part,
            **dict.fromkeys((exp.EQ, exp.NEQ, exp.LT, exp.LTE, exp.GT, exp.GTE, exp.NullSafeEQ, exp.NullSafeNEQ), self.comparison),
        }  # fmt: skip

    def __call__(self, node: exp.Expression) -> Typed:
        """The translation of one expression. Raises Refused."""
        rule = self.rules.get(type(node))
        if rule is None:
            raise Refused(node, f"{shown(node)} has no exact form in {self.dialect}")
        found = rule(node)
        return Typed(exp.Not(this=exp.paren(found.node)), BOOL) if node.args.get("negate") else found

    def of(self, node: exp.Expression, *kinds: str) -> exp.Expression:
        """The translation of an operand of one of some kinds, in parentheses where it is composed."""
        found = self(node)
        if found.kind not in (*kinds, NULL):
            raise Refused(node, f"{shown(node)} is {found.kind} where {' or '.join(kinds)} is expected", "CAST it where the labeling function says so")
        return operand(found.node)

    # -- leaves ---------------------------------------------------------------------------------------------------------

    def column(self, node: exp.Column) -> Typed:
        return Typed(node.copy(), kind_of(node.type))

    def field(self, node: exp.Dot) -> Typed:
        if self.dialect not in STRUCTS:
            raise Refused(node, f"{self.dialect} has no STRUCT columns")
        return Typed(exp.Dot(this=self(node.this).node, expression=node.expression.copy()), kind_of(node.type))

    def paren(self, node: exp.Paren) -> Typed:
        found = self(node.this)
        return Typed(exp.paren(found.node), found.kind)

    # -- logic ----------------------------------------------------------------------------------------------------------

    def logic(self, node: exp.Connector) -> Typed:
        return Typed(type(node)(this=self.of(node.this, BOOL), expression=self.of(node.expression, BOOL)), BOOL)

    def negation(self, node: exp.Not) -> Typed:
        return Typed(exp.Not(this=exp.paren(self.of(node.this, BOOL))), BOOL)

    def is_(self, node: exp.Is) -> Typed:
        if isinstance(node.expression, exp.Null):
            return Typed(exp.Is(this=operand(self(node.this).node), expression=exp.null()), BOOL)
        if not isinstance(node.expression, exp.Boolean):
            raise Refused(node, f"{shown(node)} has no exact form in {self.dialect}")
        condition = self.of(node.this, BOOL)
        condition = condition if node.expression.this else exp.Not(this=exp.paren(condition))
        return Typed(exp.func("coalesce", condition, exp.false()), BOOL)

    def comparison(self, node: exp.Binary) -> Typed:
        ordered = isinstance(node, (exp.LT, exp.LTE, exp.GT, exp.GTE))
        a, b, kind = self.pair(node, ordered)
        if self.dialect == "bigquery" and kind == DOUBLE:
            return Typed(self.with_nan(node, a, b), BOOL)
        return Typed(type(node)(this=a, expression=b), BOOL)

    def pair(self, node: exp.Binary, ordered: bool = False) -> tuple[exp.Expression, exp.Expression, str]:
        """Both sides as values of one kind that the engine compares like DuckDB."""
        a, b, kind = self.alike(node, [node.this, node.expression])
        if ordered and kind == TEXT:
            a, b = self.by_code_point(a), self.by_code_point(b)
        return a, b, kind

    def alike(self, node: exp.Expression, parts: Sequence[exp.Expression]) -> list:
        """The parts, brought to one kind, and that kind."""
        found = [self(part) for part in parts]
        kinds = {f.kind for f in found} - {NULL}
        if kinds <= set(NUMBERS):
            kind = DOUBLE if DOUBLE in kinds else DECIMAL if DECIMAL in kinds else INT
            return [*(self.as_double(f) if kind == DOUBLE else operand(f.node) for f in found), kind]
        if kinds & set(INSTANTS) and kinds <= {*INSTANTS, TEXT}:
            kind = TIMESTAMP if TIMESTAMP in kinds else DATE
            return [*(self.as_instant(part, f, kind) for part, f in zip(parts, found)), kind]
        if len(kinds) > 1 or not kinds <= {TEXT, BOOL, "timestamptz"}:
            raise Refused(node, f"{shown(node)} compares {' with '.join(sorted(kinds))}: engines differ", "CAST both sides to one type")
        return [*(operand(f.node) for f in found), kinds.pop() if kinds else NULL]

    def as_double(self, found: Typed) -> exp.Expression:
        return operand(found.node) if found.kind in (DOUBLE, NULL) else exp.cast(found.node, "double")

    def as_instant(self, part: exp.Expression, found: Typed, kind: str) -> exp.Expression:
        if found.kind in (kind, NULL):
            return operand(found.node)
        if found.kind == TEXT:
            written = ISO.fullmatch(part.name) if isinstance(part, exp.Literal) else None
            if not written or (kind == DATE and written["time"]):
                raise Refused(part, f"{shown(part)} is compared with a {kind}", f"write it as '2026-01-31'{' or 2026-01-31 12:00:00' if kind != DATE else ''}")
        return exp.cast(found.node, "date") if kind == DATE else exp.cast(found.node, timestamp_type(self.dialect))

    def by_code_point(self, node: exp.Expression) -> exp.Expression:
        """Text in an order that no locale decides."""
        return self.collated(node, "C") if self.dialect == "postgres" else node

    def collated(self, node: exp.Expression, name: str) -> exp.Expression:
        return exp.Collate(this=operand(node), expression=exp.to_identifier(name, quoted=True))

    def with_nan(self, node: exp.Binary, a: exp.Expression, b: exp.Expression) -> exp.Expression:
        """DuckDB's order, in which NaN equals itself and is above all numbers, for an engine that follows IEEE 754."""
        nan = lambda x: exp.func("IS_NAN", x.copy())  # noqa: E731
        plain = type(node)(this=a, expression=b)
        constant = [any(isinstance(n, exp.Literal) for n in x.walk()) and not x.find(exp.Column) for x in (a, b)]
        if not any(constant):
            raise Refused(node, f"{shown(node)} may meet NaN, which BigQuery compares otherwise")
        x = b if constant[0] else a
        above = isinstance(node, (exp.LT, exp.LTE)) if constant[0] else isinstance(node, (exp.GT, exp.GTE))
        return exp.paren(exp.Or(this=plain, expression=nan(x))) if above else plain

    def is_nan(self, node: exp.IsNan) -> Typed:
        x = self.of(node.this, DOUBLE)
        test = IS_NAN[self.dialect](x)
        return Typed(exp.case().when(exp.Not(this=exp.Is(this=x.copy(), expression=exp.null())), test), BOOL)

    def in_(self, node: exp.In) -> Typed:
        if node.args.get("unnest") or node.args.get("field") or node.args.get("query"):
            raise Refused(node, f"{shown(node)} has no exact form in {self.dialect}")
        equal = [self.comparison(exp.EQ(this=node.this.copy(), expression=each.copy())).node for each in node.expressions]
        if all(isinstance(e, exp.EQ) and e.this == equal[0].this for e in equal):
            return Typed(exp.In(this=equal[0].this, expressions=[e.expression for e in equal]), BOOL)
        return Typed(exp.paren(exp.or_(*equal)), BOOL)

    def between(self, node: exp.Between) -> Typed:
        low = self.comparison(exp.GTE(this=node.this.copy(), expression=node.args["low"].copy())).node
        high = self.comparison(exp.LTE(this=node.this.copy(), expression=node.args["high"].copy())).node
        return Typed(exp.paren(exp.and_(low, high)), BOOL)

    def case(self, node: exp.Case) -> Typed:
        subject, default = node.this, node.args.get("default")
        conditions = [exp.EQ(this=subject.copy(), expression=i.this.copy()) if subject is not None else i.this for i in node.args["ifs"]]
        values = [i.args["true"] for i in node.args["ifs"]] + ([default] if default is not None else [])
        *found, kind = self.alike(node, values)
        result = exp.Case(ifs=[exp.If(this=self.of(c, BOOL), true=v) for c, v in zip(conditions, found)])
        return Typed(result.else_(found[-1]) if default is not None else result, kind)

    def if_(self, node: exp.If) -> Typed:
        otherwise = node.args.get("false")
        return self.case(exp.Case(ifs=[exp.If(this=node.this.copy(), true=node.args["true"].copy())], default=otherwise and otherwise.copy()))

    def coalesce(self, node: exp.Coalesce) -> Typed:
        *found, kind = self.alike(node, [node.this, *node.expressions])
        return Typed(exp.func("coalesce", *found), kind)

    def nullif(self, node: exp.Nullif) -> Typed:
        a, b, kind = self.alike(node, [node.this, node.expression])
        return Typed(exp.Nullif(this=a, expression=b), kind)

    # -- numbers and time -----------------------------------------------------------------------------------------------

    def cast(self, node: exp.Cast) -> Typed:
        found, target, to = self(node.this), kind_of(node.to), node.to
        if found.kind == target and (target not in (DECIMAL, INT) or to == node.this.type):
            return found
        if (found.kind, target) in ((INT, INT), (INT, DOUBLE), (DECIMAL, DOUBLE), ("REAL", DOUBLE), (INT, TEXT), (NULL, TEXT)):
            return Typed(exp.cast(found.node, TARGET[target]), target)
        literal = node.this if isinstance(node.this, exp.Literal) and node.this.is_string else None
        if target in INSTANTS and (found.kind in INSTANTS or literal):
            if found.kind == TIMESTAMP:
                return Typed(exp.cast(found.node, "date"), DATE)
            return Typed(self.as_instant(node.this, found, target), target)
        raise Refused(node, f"CAST from {found.kind} to {to.sql('duckdb')} differs between engines: bad values, rounding, time zones")

    def neg(self, node: exp.Neg) -> Typed:
        found = self(node.this)
        return Typed(exp.Neg(this=self.of(node.this, *NUMBERS)), found.kind)

    def rounded(self, node: exp.Func) -> Typed:
        if node.args.get("decimals"):
            raise Refused(node, f"{shown(node)} has no exact form in {self.dialect}")
        found = self(node.this)
        kinds = (INT, DOUBLE) if isinstance(node, exp.Abs) else (DOUBLE,)
        inner = self.of(node.this, *kinds)
        return Typed(inner if isinstance(node, exp.Abs) and found.kind == NULL else exp.cast(type(node)(this=inner), TARGET[found.kind]), found.kind)

    def arithmetic(self, node: exp.Binary) -> Typed:
        interval = next((side for side in (node.expression, node.this) if isinstance(side, exp.Interval)), None)
        if interval is not None:
            return self.shifted(node, interval)
        a, b, kind = self.alike(node, [node.this, node.expression])
        if kind not in (INT, DOUBLE):
            raise Refused(node, f"arithmetic on {kind} differs between engines", "CAST a side to DOUBLE" if kind == DECIMAL else None)
        return Typed(type(node)(this=a, expression=b), kind)

    def shifted(self, node: exp.Binary, interval: exp.Interval) -> Typed:
        """A time stamp and an interval; a date becomes a time stamp first."""
        other = node.this if interval is node.expression else node.expression
        n, unit = interval.this, (interval.args.get("unit") or exp.var("")).name.upper().rstrip("S")
        found = self(other)
        plain = isinstance(n, exp.Literal) and re.fullmatch(r"\d{1,9}", n.name) and unit in UNITS
        if found.kind not in INSTANTS or not plain or (isinstance(node, exp.Sub) and other is not node.this):
            raise Refused(node, f"{shown(node)} has no exact form in {self.dialect}", "compare a TIMESTAMP with a TIMESTAMP + INTERVAL 1 HOUR, say")
        step = exp.Interval(this=exp.Literal.string(str(int(n.name) * UNITS[unit])), unit=exp.var("DAY" if unit == "WEEK" else unit))
        return Typed(type(node)(this=self.as_instant(other, found, TIMESTAMP), expression=step), TIMESTAMP)

    def division(self, node: exp.Div) -> Typed:
        """Division of doubles by something that is not 0: engines give infinity, NULL or an error there."""
        by = node.expression.unnest()
        safe = (isinstance(by, exp.Literal) and float(by.this) != 0) or (isinstance(by, exp.Nullif) and isinstance(by.expression, exp.Literal) and float(by.expression.name) == 0)
        if not safe:
            raise Refused(node, "division by what may be 0 gives infinity, NULL or an error", "divide by NULLIF(x, 0)")
        a, b = (self.double(side) for side in (node.this, node.expression))
        return Typed(exp.Div(this=a, expression=b, typed=True, safe=False), DOUBLE)

    def double(self, node: exp.Expression) -> exp.Expression:
        self.of(node, *NUMBERS)
        return self.as_double(self(node))

    def modulo(self, node: exp.Mod) -> Typed:
        by = node.expression
        if not isinstance(by, exp.Literal) or literal_kind(by) != INT or int(by.this) == 0:
            raise Refused(node, f"{shown(node)} has no exact form in {self.dialect}", "take the remainder by a constant")
        return Typed(exp.Mod(this=self.of(node.this, INT), expression=by.copy()), INT)

    def extreme(self, node: exp.Greatest | exp.Least) -> Typed:
        if self.dialect in ("snowflake", "bigquery"):
            raise Refused(node, f"{node.key}() of {self.dialect} does not skip NULL")
        *found, kind = self.alike(node, [node.this, *node.expressions])
        return Typed(exp.Anonymous(this=node.key.upper(), expressions=[self.by_code_point(f) for f in found] if kind == TEXT else found), kind)

    def part(self, node: exp.Expression) -> Typed:
        if isinstance(node, exp.Extract):
            return self.extract(node, node.name, node.expression)
        return self.extract(node, node.key, node.this)

    def extract(self, node: exp.Expression, part: str, instant: exp.Expression) -> Typed:
        found = self(instant)
        if part.lower() not in PARTS[: 3 if found.kind == DATE else None] or found.kind not in INSTANTS:
            raise Refused(node, f"{part} of {found.kind} has no exact form in {self.dialect}", f"parts of a DATE or TIMESTAMP: {', '.join(PARTS)}")
        return Typed(exp.cast(exp.Extract(this=exp.var(part.upper()), expression=found.node), "bigint"), INT)


def operand(node: exp.Expression) -> exp.Expression:
    """In parentheses where it is composed."""
    return exp.paren(node) if isinstance(node, (exp.Binary, exp.Connector, exp.Not, exp.Neg, exp.Is, exp.In)) and not isinstance(node, exp.Dot) else node


def shown(node: exp.Expression) -> str:
    """A node in a message."""
    text = node.sql("duckdb").replace('"', "")
    return text if len(text) <= 60 else f"{text[:57]}..."
