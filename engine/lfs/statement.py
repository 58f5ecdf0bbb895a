"""LFs declared in Python as text: conditions and queries."""

from __future__ import annotations

from sqlglot import exp

from ..errors import Diagnostic, LFError, Location
from .header import Statement, name_problem, named_class
from .parse import parse_predicate


def predicate_statement(name: str, label: str, predicate: str, relation: str) -> Statement:
    """FROM relation WHERE predicate, as an LF. Raises LFError LF124 unless the text is one whole condition, LF122 for the name."""
    _require_name(name)
    at = Location("<python>", 1, 1, max(len(predicate), 1), predicate.splitlines()[0] if predicate.strip() else "")
    try:
        condition = parse_predicate(predicate)
    except ValueError as error:
        raise LFError([Diagnostic("LF124", str(error), at, "write it as you would after WHERE", name)]) from error
    if condition.find(exp.AggFunc) and not condition.find(exp.Query):
        raise LFError([Diagnostic("LF114", "an aggregate stands where a condition on one row is meant", at, "use lf_relation with GROUP BY", name)])
    table = ".".join(exp.to_identifier(part, quoted=True).sql("duckdb") for part in relation.split("."))
    return _declared(name, label, f"FROM {table}\nWHERE {predicate}\n")


def relation_statement(name: str, label: str | None, query: str) -> Statement:
    """A SELECT as an LF. Raises LFError LF122 for the name."""
    _require_name(name)
    return _declared(name, label, query)


def _declared(name: str, label: str | None, text: str) -> Statement:
    cls, excludes = named_class(label)
    return Statement(name, cls, text, "<python>", 1, excludes=excludes)


def _require_name(name: str) -> None:
    if wrong := name_problem(name):
        raise LFError([Diagnostic(wrong[0], wrong[1], None, wrong[2], name)])
