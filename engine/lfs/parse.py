"""SQL text of one LF -> a syntax tree with positions; other dialects are transpiled first."""

from __future__ import annotations

import re

import sqlglot
from sqlglot import exp
from sqlglot.dialects.dialect import Dialect
from sqlglot.errors import ParseError, TokenError, UnsupportedError

from ..errors import Diagnostic, did_you_mean
from .header import Statement

MEANING_MAY_DIFFER = {
    "regular expressions (RE2 has no look-around or back-references; \\b and flags differ)": (exp.RegexpLike, exp.RegexpILike, exp.RegexpExtract, exp.RegexpReplace),
    "division (integers divide exactly in DuckDB)": (exp.Div,),
    "date arithmetic": (exp.DateDiff, exp.DateAdd, exp.DateSub, exp.TimestampDiff, exp.DateTrunc),
    "string positions and collation": (exp.StrPosition, exp.Substring),
}  # fmt: skip


class LFProblem(Exception):
    """An LF that cannot go on; carries its diagnostic."""

    def __init__(self, diagnostic: Diagnostic):
        super().__init__(diagnostic.message)
        self.diagnostic = diagnostic


def parse_statement(statement: Statement) -> tuple[exp.Expression, list[Diagnostic]]:
    """The tree of the one statement under a header, and warnings (LF203 for other dialects).

    Raises LFProblem: LF101 syntax, LF104 none or several statements, LF125 dialect.
    """
    dialect = statement.options.get("dialect", "duckdb").lower()
    if dialect not in Dialect.classes:
        hint = did_you_mean(dialect, Dialect.classes) or f"known: {', '.join(sorted(c for c in Dialect.classes if c))}"
        raise LFProblem(Diagnostic("LF125", f'unknown dialect "{dialect}"', statement.header, hint, statement.name))
    trees = [t for t in _parse(statement, dialect) if t is not None and not isinstance(t, exp.Semicolon)]
    if len(trees) != 1:
        message = f"{len(trees)} statements under one header" if trees else "no statement under this header"
        hint = "write a header above each: -- lf: name -> class" if trees else "e.g. FROM relation WHERE condition"
        raise LFProblem(Diagnostic("LF104", message, _second(statement) if trees else statement.header, hint, statement.name))
    if dialect == "duckdb":
        return trees[0], []
    return _transpiled(trees[0], dialect, statement)


def _parse(statement: Statement, dialect: str) -> list[exp.Expression | None]:
    try:
        return sqlglot.parse(statement.text, read=dialect)
    except ParseError as error:
        found = error.errors[0]
        highlight = found.get("highlight") or ""
        offset = _offset(statement.text, found["line"], found["col"]) - len(highlight) + 1
        message = re.split(r"[.<]", found["description"])[0].strip()
        hint = f'near "{highlight.strip()}"' if highlight.strip() else None
        raise LFProblem(
            Diagnostic("LF101", f"syntax error: {message}", statement.at(max(offset, 0), max(len(highlight), 1)), hint, statement.name)
        ) from error
    except TokenError as error:
        raise LFProblem(
            Diagnostic("LF101", "syntax error: a quote or comment is never closed", statement.header, "look for a missing '", statement.name)
        ) from error


def parse_predicate(text: str) -> exp.Expression:
    """One condition, parsed alone, so that nothing can leak out of it.

    Raises ValueError with a sentence when the text is not exactly one condition.
    """
    try:
        trees = [t for t in sqlglot.parse(text, read="duckdb") if t is not None]
    except (ParseError, TokenError) as error:
        raise ValueError(f"not one complete condition: {str(error).splitlines()[0]}") from error
    if len(trees) != 1 or not isinstance(trees[0], exp.Condition) or isinstance(trees[0], (exp.Query, exp.Alias)):
        raise ValueError("not one complete condition")
    return trees[0]


def _transpiled(tree: exp.Expression, dialect: str, statement: Statement) -> tuple[exp.Expression, list[Diagnostic]]:
    try:
        text = tree.sql("duckdb", unsupported_level=sqlglot.ErrorLevel.RAISE)
        duckdb_tree = sqlglot.parse_one(text, read="duckdb")
    except (UnsupportedError, ParseError) as error:
        message = f"cannot be written in DuckDB: {str(error).splitlines()[0]}"
        raise LFProblem(Diagnostic("LF125", message, statement.header, "rewrite it in DuckDB's dialect", statement.name)) from error
    doubts = [what for what, kinds in MEANING_MAY_DIFFER.items() if tree.find(*kinds)]
    message = f"transpiled from {dialect}" + (f"; the meaning may differ in {'; '.join(doubts)}" if doubts else "")
    hint = "compare its votes with the original engine on a sample, or add a case to tests/*.yaml"
    warning = Diagnostic("LF203", message, statement.header, hint, statement.name)
    return duckdb_tree, [warning]


def _offset(text: str, line: int, column: int) -> int:
    lines = text.split("\n")
    return sum(len(each) + 1 for each in lines[: line - 1]) + column - 1


def _second(statement: Statement):
    body = re.search(r";\s*(?:--[^\n]*\s*)*(\S)", statement.text)
    return statement.at(body.start(1)) if body else statement.header
