"""Warnings that need no data: duplicates, constants, rules that reach every row."""

from __future__ import annotations

from collections import defaultdict

from sqlglot import exp

from ..errors import Diagnostic
from ..types import LabelingFunction


def lint(lfs: list[LabelingFunction]) -> list[Diagnostic]:
    """LF208 the same LF twice, LF211 a condition that is always true, LF212 CASE with an ELSE that votes on every row."""
    return [*_duplicates(lfs), *(d for each in lfs for d in (*_constant(each), *_votes_on_all(each)))]


def _duplicates(lfs: list[LabelingFunction]) -> list[Diagnostic]:
    by_meaning: dict[str, list[LabelingFunction]] = defaultdict(list)
    for each in lfs:
        by_meaning[each.meaning].append(each)
    return [
        Diagnostic("LF208", f'"{each.name}" says the same as "{same[0].name}": it counts as evidence twice', each.location, "delete one of them", each.name)
        for same in by_meaning.values()
        for each in same[1:]
    ]


def _constant(each: LabelingFunction) -> list[Diagnostic]:
    if each.kind != "predicate" or each.expression.find(exp.Column) or each.label is None:
        return []
    return [Diagnostic("LF211", "the condition reads no column: it votes on every row or on none", each.location, "add a condition", each.name)]


def _votes_on_all(each: LabelingFunction) -> list[Diagnostic]:
    node = each.expression.unnest() if each.kind == "predicate" and each.label is None else None
    default = node.args.get("default") if isinstance(node, exp.Case) else None
    if default is None or isinstance(default, exp.Null):
        return []
    return [Diagnostic("LF212", "ELSE makes it vote on every row", each.location, "leave ELSE out: a row that matches nothing abstains", each.name)]
