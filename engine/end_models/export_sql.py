"""Logistic regression, alone or fused, as one SELECT that any warehouse runs: features in, class probabilities out, no Python.

    entity    the features, cast to DOUBLE and text: the one place that names the rows to score
    encoded   numbers as z-score and missing flag
    logit     the linear model, divided by the temperature; weights of categories come from small tables of literals; parts of a
              fusion are summed, each where the row has one of its features
    softmax   exponentials of what is left after subtracting the largest logit
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from functools import reduce
from typing import Any, Callable, Sequence

import numpy as np
from sqlglot import exp, parse_one

from ..errors import EndModelError
from .columns import CategoricalColumn, NumericColumn
from .linear_parts import LinearPart, linear_parts

DIALECTS = ("duckdb", "postgres", "snowflake", "bigquery", "spark")
INSTANTS = ("timestamp", "date")
EXACT_TEXT = re.compile(r"string|large_string|string_view|bool|u?int\d+|dictionary<.*")
"""Arrow types whose values CAST(... AS text) writes the same in every warehouse."""

LARGEST = float(np.finfo(np.float64).max)
LEAST_EXPONENT = -700
"""exp(-700) = 1e-304. Below, PostgreSQL refuses to compute what float64 calls 0."""
FLAT = 100

RESERVED = frozenset("""
    ALL ALTER AND ANY AS BETWEEN BY CASE CAST CHECK COLUMN CONNECT CONSTRAINT CREATE CROSS CURRENT DELETE DISTINCT DROP ELSE EXISTS FALSE
    FOLLOWING FOR FROM FULL GRANT GROUP HAVING ILIKE IN INCREMENT INNER INSERT INTERSECT INTO IS JOIN LATERAL LEFT LIKE MINUS NATURAL NOT
    NULL OF ON OR ORDER QUALIFY REGEXP REVOKE RIGHT RLIKE ROW ROWS SAMPLE SELECT SET SOME START TABLE TABLESAMPLE THEN TO TRIGGER TRUE
    UNION UNIQUE UPDATE USING VALUES WHEN WHENEVER WHERE WITH
""".split())  # fmt: skip
"""Words Snowflake takes as a column's name only in quotes."""

IS_NAN = {"postgres": "{x} = CAST('NaN' AS DOUBLE PRECISION)", "snowflake": "{x} = CAST('NaN' AS DOUBLE)", "bigquery": "IS_NAN({x})"}
SECONDS = {
    "duckdb": "EPOCH_US({x}) / 1e6",
    "postgres": "CAST(EXTRACT(EPOCH FROM {x}) AS DOUBLE PRECISION)",
    "snowflake": "DATE_PART(EPOCH_MICROSECOND, {x}) / 1e6",
    "bigquery": "UNIX_MICROS(CAST({x} AS TIMESTAMP)) / 1e6",
    "spark": "UNIX_MICROS(CAST({x} AS TIMESTAMP)) / 1e6",
}
"""Seconds since 1970, UTC, as a dialect says it."""


def model_sql(model: Any, table: Sequence[str], dialect: str = "duckdb") -> str:
    """A SELECT with one row per row of `table`: entity_id, predicted_label, confidence, and p_<class> for each class.

    model  a fitted end model; only "logistic" over numeric and categorical features has a portable form, alone or as the base of
           early, intermediate or late fusion
    table  (schema, name) of a relation with entity_id and the features
    Equal to `predict` but for float32 rounding there (1e-6). A row with an infinite number, which `predict` refuses, gives NULL.

    Raises EndModelError EM120 naming what cannot be said in SQL, EM107 for an unknown dialect.
    """
    if dialect not in DIALECTS:
        raise EndModelError("EM107", f'there is no SQL dialect "{dialect}" for end models', hint=f"the dialects are {', '.join(DIALECTS)}")
    parts = linear_parts(model)
    _require_portable(parts)
    return _Writer(model, parts, dialect).query(table).sql(dialect, pretty=True) + "\n"


def _require_portable(parts: Sequence[LinearPart]) -> None:
    features = list({c.feature.name: c.feature for part in parts for c in part.columns}.values())
    texts = [f.name for f in features if f.kind == "text"]
    lists = [f.name for f in features if f.kind in ("multivalued", "embedding")]
    if texts or lists:
        message = f"hashed n-grams have no exact form in SQL: the end model reads text ({', '.join(texts)})" if texts else f"warehouses have no common SQL for lists and vectors: {', '.join(lists)}"
        others = ", ".join(f'"{f.name}"' for f in features if f.name not in (*texts, *lists))
        without = f"train with end_model = {{ features = [{others}] }}, or " if others else ""
        raise EndModelError("EM120", message, hint=f"{without}--format torchscript")
    unsure = [f"{f.name} ({f.type})" for f in features if f.kind == "categorical" and not EXACT_TEXT.fullmatch(f.type)]
    if unsure:
        message = f"warehouses write the values of these categories in different ways: {', '.join(unsure)}"
        raise EndModelError("EM120", message, hint="cast them to text in the modality's relation and train again")


@dataclass(frozen=True)
class _Term:
    """What one feature adds to the logits: its columns in `entity` and `encoded`, a summand per class, and a table to join.

    known  whether a row has a value of it, from `encoded`
    """

    feature: str
    entity: exp.Expression
    known: exp.Expression
    encoded: tuple[exp.Expression, ...]
    summands: tuple[tuple[exp.Expression, ...], ...]
    weights: exp.CTE | None = None
    value: exp.Expression | None = None


class _Writer:
    """Builds the syntax tree of one model in one dialect."""

    def __init__(self, model: Any, parts: Sequence[LinearPart], dialect: str):
        self.model, self.parts, self.dialect = model, parts, dialect
        self.classes = tuple(model.classes)
        self.suffixes = _suffixes(self.classes)

    # -- the query ------------------------------------------------------------------------------------------------------

    def query(self, table: Sequence[str]) -> exp.Select:
        by_part = [self.terms(i) for i in range(len(self.parts))]
        terms = [t for each in by_part for t in each]
        key, total = self.column("entity_id"), _sum([self.column("e", s) for s in self.suffixes])
        schema, name = table
        entity = exp.select(key, *{t.feature: t.entity for t in terms}.values()).from_(exp.Table(this=self.name(name), db=self.name(schema)))
        encoded = exp.select(key, *(e for t in terms for e in t.encoded)).from_("entity")
        query = exp.select(
            key, self.column("predicted_label"), self.alias(_ratio(_number(1), total), "confidence"),
            *(self.alias(_ratio(self.column("e", s), total), "p", s) for s in self.suffixes),
        ).from_("softmax")  # fmt: skip
        tables = [t.weights for t in terms if t.weights]
        ctes = [("entity", entity), ("encoded", encoded), ("logit", self.logits(by_part)), ("highest", self.highest()), ("softmax", self.softmax())]
        for cte in [*tables, *(exp.CTE(this=q, alias=exp.TableAlias(this=exp.to_identifier(n))) for n, q in ctes)]:
            query = query.with_(cte.args["alias"], as_=cte.this, copy=False)
        return query

    def logits(self, terms: Sequence[Sequence[_Term]]) -> exp.Select:
        """logit_<class> = sum of the parts / temperature."""
        sums = [_sum([self.part(part, own, k) for part, own in zip(self.parts, terms)]) for k in range(len(self.classes))]
        scaled = [self.alias(_ratio(s, _number(self.model.temperature_)), "logit", c) for s, c in zip(sums, self.suffixes)]
        query = exp.select(self.column("entity_id"), *scaled).from_("encoded")
        for term in (t for own in terms for t in own if t.weights):
            joined = exp.Table(this=term.weights.args["alias"].this.copy())
            query = query.join(joined, on=exp.EQ(this=exp.column("value", table=joined.this.copy()), expression=term.value), join_type="left")
        return query

    def part(self, part: LinearPart, terms: Sequence[_Term], k: int) -> exp.Expression:
        """bias + summands of one class, where the row has a feature of the part."""
        total = _sum([_number(part.bias[k]), *(s for t in terms for s in t.summands[k])])
        if part.otherwise is None:
            return total
        known = reduce(lambda a, b: exp.Or(this=a, expression=b), (t.known.copy() for t in terms))
        return exp.case().when(known, total).else_(_number(part.otherwise[k]))

    def highest(self) -> exp.Select:
        """The logits and the largest of them."""
        logits = [self.column("logit", s) for s in self.suffixes]
        largest = exp.Greatest(this=logits[0].copy(), expressions=[e.copy() for e in logits[1:]], ignore_nulls=self.dialect == "duckdb")
        return exp.select(self.column("entity_id"), *logits, self.alias(largest, "highest")).from_("logit")

    def softmax(self) -> exp.Select:
        """e_<class> = exp(logit - highest), 1 for the most probable class; predicted_label is the first class that has it."""
        highest, label, columns = self.column("highest"), exp.case(), []
        for name, suffix in zip(self.classes, self.suffixes):
            logit = self.column("logit", suffix)
            label = label.when(exp.EQ(this=logit, expression=highest.copy()), exp.Literal.string(name))
            below = exp.Sub(this=logit.copy(), expression=highest.copy())
            vanishes = exp.LT(this=below, expression=_number(LEAST_EXPONENT))
            columns.append(self.alias(exp.case().when(vanishes, _number(0)).else_(exp.Exp(this=below.copy())), "e", suffix))
        return exp.select(self.column("entity_id"), self.alias(label, "predicted_label"), *columns).from_("highest")

    # -- features -------------------------------------------------------------------------------------------------------

    def terms(self, i: int) -> list[_Term]:
        """One term per feature of a part, in the order in which its weights stand. Names say the part where there are several."""
        part, prefix = self.parts[i], (str(i),) if len(self.parts) > 1 else ()
        found, d, s = [], 0, 0
        for column in part.columns:
            make: Callable[..., _Term] = self.number if isinstance(column, NumericColumn) else self.category
            weights = np.concatenate([part.dense[d : d + column.dense_width], part.sparse[s : s + column.sparse_width]])
            found.append(make(column, weights, prefix))
            d, s = d + column.dense_width, s + column.sparse_width
        return found

    def number(self, column: NumericColumn, weights: np.ndarray, prefix: tuple[str, ...]) -> _Term:
        """z and missing flag of a number; weights (2, K)."""
        feature = column.feature
        z_name, missing_name = ("z", *prefix, feature.name), ("missing", *prefix, feature.name)
        x, source = self.column(feature.name), self.column(feature.name)
        is_instant = feature.type.startswith(INSTANTS)
        value = self.fragment(SECONDS[self.dialect], source) if is_instant else exp.cast(source, "double")
        floating = not is_instant and not re.match(r"u?int\d|decimal", feature.type)
        missing = exp.Or(this=_is_null(x), expression=self.fragment(IS_NAN.get(self.dialect, "ISNAN({x})"), x)) if floating else _is_null(x)
        z = exp.case().when(missing.copy(), _number(0))
        if floating:
            z = z.when(exp.GT(this=exp.Abs(this=x.copy()), expression=_number(LARGEST)), exp.null())
        z = z.else_(_ratio(exp.Sub(this=x.copy(), expression=_number(column.mean)), _number(column.sd)) if column.sd else _number(0))
        flag = exp.case().when(missing, _number(1)).else_(_number(0))
        encoded = (self.alias(z, *z_name), self.alias(flag, *missing_name))
        summands = [[_times(w[0], self.column(*z_name)), _times(w[1], self.column(*missing_name))] for w in weights.T]
        known = exp.EQ(this=self.column(*missing_name), expression=_number(0))
        return _Term(feature.name, self.alias(value, feature.name), known, encoded, tuple(tuple(s if w[1] else s[:1]) for s, w in zip(summands, weights.T)))

    def category(self, column: CategoricalColumn, weights: np.ndarray, prefix: tuple[str, ...]) -> _Term:
        """The weight of a category by its table; weights (2 + V, K): out of vocabulary, missing, then the vocabulary."""
        name = column.feature.name
        value = self.column("value", *prefix, name)
        table = self.name("weight", *prefix, name)
        names = [f"w_{s}" for s in self.suffixes]
        found = exp.column("value", table=table.copy())
        summands = []
        for k in range(len(self.classes)):
            chosen = exp.case().when(_is_null(value), _number(weights[1, k]))
            known = exp.Column(this=self.name(names[k]), table=table.copy())
            otherwise = _number(weights[0, k])
            if len(column.vocabulary):
                chosen, otherwise = chosen.when(_is_null(found), otherwise), known
            summands.append((chosen.else_(otherwise),))
        cte = self.weight_table(table, names, column.vocabulary.to_pylist(), weights[2:]) if len(column.vocabulary) else None
        entity = self.alias(exp.cast(self.column(name), "text"), name)
        return _Term(name, entity, exp.Not(this=_is_null(value)), (self.alias(self.column(name), "value", *prefix, name),), tuple(summands), cte, value)

    def weight_table(self, name: exp.Identifier, columns: Sequence[str], values: Sequence[str], weights: np.ndarray) -> exp.CTE:
        """A CTE of literals: value, and its weight for each class."""
        rows = [(exp.Literal.string(v), *(_number(x) for x in w)) for v, w in zip(values, weights)]
        literals = exp.values(rows, alias="t", columns=[exp.to_identifier("value"), *(self.name(c) for c in columns)])
        return exp.CTE(this=exp.select("*").from_(literals), alias=exp.TableAlias(this=name))

    # -- words ----------------------------------------------------------------------------------------------------------

    def name(self, *parts: str) -> exp.Identifier:
        """An identifier, quoted; Snowflake folds plain names to upper case, so there they stay as a person writes them."""
        name = "_".join(parts)
        plain = re.fullmatch(r"[A-Za-z_]\w*", name, re.ASCII) and name.upper() not in RESERVED
        return exp.to_identifier(name, quoted=self.dialect != "snowflake" or not plain)

    def column(self, *parts: str) -> exp.Column:
        return exp.Column(this=self.name(*parts))

    def alias(self, node: exp.Expression, *parts: str) -> exp.Alias:
        return exp.Alias(this=node, alias=self.name(*parts))

    def fragment(self, text: str, x: exp.Column) -> exp.Expression:
        """A piece of the dialect's own SQL about one column."""
        return parse_one(text.format(x=x.sql(self.dialect)), dialect=self.dialect)


def _suffixes(classes: Sequence[str]) -> tuple[str, ...]:
    """How columns of classes end: the class, or its position where names differ by case only."""
    folded = {c.casefold() for c in classes}
    return tuple(classes) if len(folded) == len(classes) else tuple(str(i) for i in range(1, len(classes) + 1))


def _number(x: float) -> exp.Expression:
    """A float64 literal that every dialect reads as the same double: shortest digits, with an exponent."""
    literal = exp.Literal.number(np.format_float_scientific(abs(float(x)), trim="-"))
    return exp.Neg(this=literal) if x < 0 else literal


def _is_null(x: exp.Expression) -> exp.Is:
    return exp.Is(this=x.copy(), expression=exp.null())


def _times(weight: float, x: exp.Expression) -> exp.Mul:
    return exp.Mul(this=_number(weight), expression=x)


def _ratio(a: exp.Expression, b: exp.Expression) -> exp.Div:
    return exp.Div(this=exp.paren(a) if isinstance(a, exp.Binary) else a, expression=exp.paren(b) if isinstance(b, exp.Binary) else b, typed=False, safe=False)


def _sum(terms: Sequence[exp.Expression]) -> exp.Expression:
    """t1 + t2 + ...; groups of 100 in parentheses, as parsers bound the depth of an expression."""
    terms = [t.copy() for t in terms]
    while len(terms) > FLAT:
        terms = [exp.paren(_sum(terms[i : i + FLAT])) for i in range(0, len(terms), FLAT)]
    return reduce(lambda left, right: exp.Add(this=left, expression=right), terms)
