"""Why an entity has its label: which votes would have to go for another one, and which words made rules fire."""

from __future__ import annotations

import re
from dataclasses import dataclass
from typing import Any, Iterator, Mapping

import sqlglot
from sqlglot import exp
from sqlglot.errors import SqlglotError

from .store import Store
from .types import Task

TIE = 1e-5
LIKES, REGEXES = (exp.Like, exp.ILike), (exp.RegexpLike, exp.RegexpFullMatch)
MATCHES = (*LIKES, *REGEXES, exp.Contains, exp.StartsWith, exp.EndsWith)


@dataclass(frozen=True)
class Flip:
    """Without the votes of `lfs` (they abstain instead) the label would be `label`; None = a tie."""

    lfs: tuple[str, ...]
    label: str | None


@dataclass(frozen=True)
class Mark:
    """Characters start to end of a column's text made an LF fire."""

    column: str
    start: int
    end: int
    lf: str


def flip(store: Store, task: Task, entity_id: Any) -> Flip | None:
    """The fewest votes found that carry the label: taken away one by one, each time the one that helps the label most.

    None where no votes are there to take, or the label would stay even without them.
    """
    query = f'SELECT v.lf, v.symbol FROM "{task.name}".entity_pattern AS e JOIN "{task.name}".pattern_vote AS v USING (pattern_id) WHERE e.entity_id = $id ORDER BY v.lf'
    votes, scores = dict(store.rows(query, {"id": entity_id})), _Scores(store, task)
    if not votes or not scores.weights:
        return None
    label, taken = _label(scores(votes)), []
    while label is not None and votes:
        _, lf = min((_margin(scores({k: v for k, v in votes.items() if k != lf}), label), lf) for lf in sorted(votes))
        taken.append(lf)
        votes.pop(lf)
        other = _label(scores(votes)) if votes else label
        if other != label:
            return Flip(tuple(taken), other)
    return None


class _Scores:
    """The scores of the classes for any votes (LF -> symbol), from the evidence in the store.

    weights  (lf, vote, class) -> what it adds; lf None is the class balance, vote None is abstain
    joint    (LFs, their classes or None, class) -> what they add together
    hard     symbol -> the class it amounts to, or None
    """

    def __init__(self, store: Store, task: Task):
        schema = f'"{task.name}"'
        self.classes = task.classes
        self.weights = {(lf, vote, label): w for lf, vote, label, w in store.rows(f"SELECT lf, vote, label, weight FROM {schema}.label_evidence")}
        self.joint = {(tuple(lfs), tuple(votes), label): w for lfs, votes, label, w in store.rows(f"SELECT lfs, votes, label, weight FROM {schema}.label_interaction")}
        self.hard = dict(store.rows(f"SELECT symbol, hard FROM {schema}.vote_symbol"))
        self.lfs = sorted({lf for lf, _, _ in self.weights if lf is not None})
        self.together = sorted({lfs for lfs, _, _ in self.joint})

    def __call__(self, votes: Mapping[str, str]) -> dict[str, float]:
        joint = {lfs: tuple(self.hard.get(votes.get(lf)) for lf in lfs) for lfs in self.together}
        return {
            c: self.weights[None, None, c] + sum(self.weights[lf, votes.get(lf), c] for lf in self.lfs)
            + sum(self.joint.get((lfs, said, c), 0.0) for lfs, said in joint.items())
            for c in self.classes
        }  # fmt: skip


def _margin(scores: Mapping[str, float], label: str) -> float:
    return scores[label] - max(s for c, s in scores.items() if c != label)


def _label(scores: Mapping[str, float]) -> str | None:
    best = max(scores, key=scores.__getitem__)
    return best if _margin(scores, best) > TIE else None


# -- words --------------------------------------------------------------------------------------------------------------


def marks(store: Store, task: Task, entity: Mapping[str, Any]) -> list[Mark]:
    """Where LIKE, ILIKE, contains and regular expressions of the LFs that vote on an entity match its text, in order."""
    query = f'SELECT f.lf, f.sql FROM "{task.name}".entity_pattern AS e JOIN "{task.name}".pattern_vote AS v USING (pattern_id) JOIN "{task.name}".lf AS f USING (lf) WHERE e.entity_id = $id AND f.kind = \'predicate\' ORDER BY 1'
    found = [mark for lf, sql in store.rows(query, {"id": entity["entity_id"]}) for mark in _marks_of(lf, sql, entity)]
    return sorted(found, key=lambda m: (m.column, m.start, -m.end, m.lf))


def _marks_of(lf: str, sql: str, entity: Mapping[str, Any]) -> Iterator[Mark]:
    by_fold = {name.casefold(): name for name in entity}
    for column, pattern in _patterns(sql):
        name = by_fold.get(column.casefold())
        if name and isinstance(entity[name], str):
            yield from (Mark(name, m.start(), m.end(), lf) for m in pattern.finditer(entity[name]) if m.end() > m.start())


def _patterns(sql: str) -> Iterator[tuple[str, re.Pattern[str]]]:
    """(column, pattern) of every text match in a statement that is not negated."""
    try:
        tree = sqlglot.parse_one(sql, read="duckdb")
    except SqlglotError:
        return
    for node in tree.find_all(*MATCHES):
        text, column = node.expression, node.this.find(exp.Column)
        if column is None or not isinstance(text, exp.Literal) or not text.is_string or node.find_ancestor(exp.Not):
            continue
        try:
            yield column.name, _compiled(node, text.name)
        except re.error:
            continue


def _compiled(node: exp.Expression, text: str) -> re.Pattern[str]:
    """A Python pattern for what the node matches; LIKE without its outer %."""
    given = node.args.get("flag")
    folded = isinstance(node, exp.ILike) or isinstance(node.this, exp.Lower) or (given is not None and "i" in given.name)
    flags = (re.IGNORECASE if folded else 0) | (re.DOTALL if isinstance(node, LIKES) else 0)
    if isinstance(node, LIKES):
        text = ".*?".join(re.escape(part).replace("_", ".") for part in text.strip("%").split("%"))
    elif not isinstance(node, REGEXES):
        text = re.escape(text)
    return re.compile(text, flags)
