"""The label model as SQL: from one column per vote to scores, probabilities and a label.

    row        keys and votes
    scored     s_<k>: class balance + what each vote, abstaining and the joint votes of LFs add for class k
    highest    the largest score
    mass       e_<k>: what the rule makes of the scores: exponentials, 1 for the largest, or the scores themselves
    posterior  p_<k>: e_<k> / sum of e; where no LF votes, what the model says of such rows
    best       the label, where the two largest probabilities differ by more than the tolerance
"""

from __future__ import annotations

import json
import math
from dataclasses import dataclass
from functools import reduce
from typing import Mapping, Sequence

from sqlglot import exp

from ..errors import StoreError
from ..label_models.evidence import TIE_TOLERANCE
from ..store import Store
from ..store.names import table_name
from ..types import Task
from .kinds import number

LEAST_EXPONENT = -700
"""exp(-700) = 1e-304. Below, PostgreSQL refuses to compute what float64 calls 0."""
FLAT = 100


@dataclass(frozen=True)
class Model:
    """A fitted label model, as the store keeps it.

    prior         class -> weight
    weight        LF -> vote (None = abstain) -> class -> weight
    interactions  LFs -> their classes (None = none) -> class -> weight
    hard          vote -> the class it amounts to, for votes that are no class
    rule          how scores become probabilities: softmax, largest, share
    uncovered     class -> its probability where no LF votes
    """

    model_id: int
    method: str
    classes: tuple[str, ...]
    prior: Mapping[str, float]
    weight: Mapping[str, Mapping[str | None, Mapping[str, float]]]
    interactions: Mapping[tuple[str, ...], Mapping[tuple[str | None, ...], Mapping[str, float]]]
    hard: Mapping[str, str | None]
    rule: str
    uncovered: Mapping[str, float]


def read_model(store: Store, task: Task) -> Model:
    """The task's current label model. Raises StoreError ST104 where there is none, or it was fitted before exports existed."""
    missing = StoreError("ST104", f"there is no label model of task {task.name} to export yet", hint="run `groundswell run --full` first")
    if not store.has_table(task.name, "label_interaction"):
        raise missing
    model_id, method, options = store.rows(f"SELECT model_id, method, options FROM {table_name(task.name, 'label_model')} WHERE is_current")[0]
    told = json.loads(options)
    if "rule" not in told:
        raise missing
    prior, weight = {}, {}
    for lf, vote, label, w in store.rows(f"SELECT lf, vote, label, weight FROM {table_name(task.name, 'label_evidence')}"):
        place = prior if lf is None else weight.setdefault(lf, {}).setdefault(vote, {})
        place[label] = w
    joint: dict = {}
    for lfs, votes, label, w in store.rows(f"SELECT lfs, votes, label, weight FROM {table_name(task.name, 'label_interaction')}"):
        joint.setdefault(tuple(lfs), {}).setdefault(tuple(votes), {})[label] = w
    hard = dict(store.rows(f"SELECT symbol, hard FROM {table_name(task.name, 'vote_symbol')}"))
    return Model(model_id, told.get("chosen", method), task.classes, prior, weight, joint, hard, told["rule"], told["uncovered"])


def posterior_ctes(
    model: Model, votes: Mapping[str, str], casts: Mapping[str, Sequence[str]], keep: Sequence[str], source: str, dialect: str, prefix: str = ""
) -> list[tuple[str, exp.Select]]:
    """(name, query) of the steps from `source` to `best`, which has p_0 ... p_K-1, label and covered.

    votes  LF -> its column in `source`
    casts  LF -> the votes it can cast
    keep   columns of `source` that every step hands through
    prefix of the names by which steps read each other
    """
    return _Steps(model, votes, casts, keep, dialect, prefix).all(source)


class _Steps:
    """Builds the steps of one model in one dialect. Class k is called by its position."""

    def __init__(self, model: Model, votes: Mapping[str, str], casts: Mapping[str, Sequence[str]], keep: Sequence[str], dialect: str, prefix: str):
        self.model, self.votes, self.casts, self.keep, self.dialect, self.prefix = model, votes, casts, list(keep), dialect, prefix
        self.k = range(len(model.classes))

    def all(self, source: str) -> list[tuple[str, exp.Select]]:
        s, e, p = ([f"{x}_{k}" for k in self.k] for x in "sep")
        return [
            ("row", self.step(source, *(v for v in self.votes.values() if v not in self.keep))),
            ("scored", self.step(f"{self.prefix}row", covered=self.covered(), **{s[k]: self.score(c) for k, c in enumerate(self.model.classes)})),
            ("highest", self.step(f"{self.prefix}scored", "covered", *s, highest=self.largest(s))),
            ("mass", self.step(f"{self.prefix}highest", "covered", **{e[k]: self.mass(_column(s[k])) for k in self.k})),
            ("posterior", self.step(f"{self.prefix}mass", "covered", **{p[k]: self.share(k, e) for k in self.k})),
            ("highest_p", self.step(f"{self.prefix}posterior", "covered", *p, highest_p=self.largest(p))),
            ("best", self.step(f"{self.prefix}highest_p", "covered", *p, label=self.label(p))),
        ]

    def step(self, source: str, *columns: str, **computed: exp.Expression) -> exp.Select:
        """One step. PostgreSQL would write each expression into the next, which doubles and doubles them; OFFSET 0 keeps it from that."""
        found = [exp.alias_(value, name, quoted=True) for name, value in computed.items()]
        query = exp.select(*(_column(c) for c in (*self.keep, *columns)), *found).from_(exp.to_identifier(source, quoted=True))
        return query.offset(0) if self.dialect == "postgres" else query

    def number(self, x: float) -> exp.Expression:
        return number(x, self.dialect)

    def covered(self) -> exp.Expression:
        columns = [_column(c) for c in self.votes.values()]
        some = exp.func("coalesce", *columns) if len(columns) > 1 else columns[0]
        return exp.Not(this=exp.Is(this=some, expression=exp.null()))

    def score(self, label: str) -> exp.Expression:
        """Class balance, then LFs and groups of LFs in the order of their names."""
        terms = [self.number(self.model.prior[label])]
        terms += [self.vote_weight(lf, label) for lf in sorted(self.votes)]
        terms += [w for lfs in sorted(self.model.interactions) if (w := self.joint_weight(lfs, label)) is not None]
        return _sum(terms)

    def vote_weight(self, lf: str, label: str) -> exp.Expression:
        weight = self.model.weight[lf]
        case = exp.Case(this=_column(self.votes[lf]), ifs=[])
        for vote in self.casts[lf]:
            case = case.when(exp.Literal.string(vote), self.number(weight[vote][label]))
        return case.else_(self.number(weight[None][label]))

    def joint_weight(self, lfs: tuple[str, ...], label: str) -> exp.Expression | None:
        """What these LFs add together: 0 but for the votes listed."""
        cells = {said: weights[label] for said, weights in sorted(self.model.interactions[lfs].items(), key=repr) if weights.get(label)}
        case = exp.Case(ifs=[])
        for said, weight in cells.items():
            case = case.when(exp.and_(*(self.amounts_to(lf, c) for lf, c in zip(lfs, said))), self.number(weight))
        return case.else_(self.number(0.0)) if cells else None

    def amounts_to(self, lf: str, label: str | None) -> exp.Expression:
        """Does the LF's vote count as this class (None: as none) among its group?"""
        column = _column(self.votes[lf])
        meant = [exp.Literal.string(v) for v in self.casts[lf] if self.model.hard.get(v, v) == label]
        same = exp.EQ(this=column, expression=meant[0]) if len(meant) == 1 else exp.In(this=column, expressions=meant) if meant else exp.false()
        if label is not None:
            return same
        none = exp.Is(this=column.copy(), expression=exp.null())
        return exp.paren(exp.Or(this=none, expression=same)) if meant else none

    def largest(self, columns: Sequence[str]) -> exp.Expression:
        first, *others = (_column(c) for c in columns)
        return exp.Greatest(this=first, expressions=others, ignore_nulls=self.dialect == "duckdb")

    def mass(self, score: exp.Expression) -> exp.Expression:
        if self.model.rule == "share":
            return score
        below = exp.Sub(this=score, expression=_column("highest"))
        if self.model.rule == "largest":
            tied = exp.GTE(this=below, expression=self.number(-TIE_TOLERANCE))
            return exp.case().when(tied, self.number(1)).else_(self.number(0))
        vanishes = exp.LT(this=below, expression=self.number(LEAST_EXPONENT))
        return exp.case().when(vanishes, self.number(0)).else_(exp.Exp(this=below.copy()))

    def share(self, k: int, columns: Sequence[str]) -> exp.Expression:
        total = _sum([_column(c) for c in columns])
        ratio = exp.Div(this=_column(columns[k]), expression=exp.paren(total), typed=True, safe=False)
        found = exp.case().when(exp.Not(this=_column("covered")), self.number(self.model.uncovered[self.model.classes[k]]))
        if self.model.rule == "share":
            found = found.when(exp.LTE(this=exp.paren(total.copy()), expression=self.number(0)), self.number(1 / len(self.k)))
        return found.else_(ratio)

    def label(self, columns: Sequence[str]) -> exp.Expression:
        """The class with the largest probability; NULL where another one comes within the tolerance, or no LF votes."""
        near = [exp.LTE(this=exp.Sub(this=_column("highest_p"), expression=_column(c)), expression=self.number(TIE_TOLERANCE)) for c in columns]
        n_near = _sum([exp.case().when(test, exp.Literal.number(1)).else_(exp.Literal.number(0)) for test in near])
        tied = exp.GT(this=exp.paren(n_near), expression=exp.Literal.number(1))
        case = exp.case().when(exp.or_(exp.Not(this=_column("covered")), tied), exp.cast(exp.null(), "text"))
        for name, test in zip(self.model.classes, near):
            case = case.when(test.copy(), exp.Literal.string(name))
        return case


def finite(model: Model) -> bool:
    """Are all weights finite numbers?"""
    rows = [model.prior, *(w for votes in model.weight.values() for w in votes.values()), *(w for cells in model.interactions.values() for w in cells.values())]
    return all(math.isfinite(x) for row in rows for x in row.values())


def _column(name: str) -> exp.Column:
    return exp.column(name, quoted=True)


def _sum(terms: Sequence[exp.Expression]) -> exp.Expression:
    """t1 + t2 + ...; groups of 100 in parentheses, as parsers bound the depth of an expression."""
    terms = [t.copy() for t in terms]
    while len(terms) > FLAT:
        terms = [exp.paren(_sum(terms[i : i + FLAT])) for i in range(0, len(terms), FLAT)]
    return reduce(lambda left, right: exp.Add(this=left, expression=right), terms)
