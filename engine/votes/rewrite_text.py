"""Text predicates: the same condition in a cheaper form, and the words without which a condition cannot hold."""

from __future__ import annotations

import re
from dataclasses import dataclass
from typing import Collection, Iterable

from sqlglot import exp

from .rewrite_regex import required_literals, selectivity

MOST_LITERALS = 200
"""A condition that may need any of more literals than this is left outside prefilters."""

SHORTEST = 3
"""A condition that may need a shorter literal is left outside prefilters: it would let every row pass."""

REGEX_FLAGS = frozenset("ics")
AFFIXES = {"prefix", "suffix"}


@dataclass(frozen=True)
class Need:
    """A condition holds only where one of `literals` (lower-case ASCII) stands in `column`, in some case.

    Two letters escape a case-insensitive search: lower() makes i of İ (U+0130), upper() makes I of ı (U+0131). `gate()` lets
    texts with these pass. All others that lower() or upper() fold to ASCII, the Kelvin sign and the long s, RE2 folds too.
    """

    column: str
    literals: frozenset[str]


def gate(column: str, literals: Iterable[str]) -> exp.Expression:
    """regexp_matches(column, '(?i)word|word|...'): true wherever one of the literals stands, in any case."""
    pattern = "(?i)" + "|".join(map(quoted_regex, _shortest(literals))) + "|[\u0130\u0131]"
    return exp.RegexpLike(this=exp.column(column, quoted=True), expression=exp.Literal.string(pattern))


def _shortest(literals: Iterable[str]) -> list[str]:
    """The literals in order, without those that hold another one."""
    kept: list[str] = []
    for literal in sorted(set(literals), key=lambda t: (len(t), t)):
        if not any(k in literal for k in kept):
            kept.append(literal)
    return sorted(kept)


def quoted_regex(text: str) -> str:
    """`text` as an RE2 expression that matches nothing else."""
    return re.sub(r"[\\.+*?()|\[\]{}^$]", r"\\\g<0>", text)


# -- the same condition, cheaper ----------------------------------------------------------------------------------------


def simplified(node: exp.Expression, texts: Collection[str]) -> exp.Expression:
    """`node` with case-insensitive LIKEs over lower(column), which can be shared; equal in every value, NULL included.

    texts  folded names of the text columns
    """
    return exp.Paren(this=node.copy()).transform(lambda part: _cheaper(part, texts)).this


def _cheaper(node: exp.Expression, texts: Collection[str]) -> exp.Expression:
    if not isinstance(node, (exp.ILike, exp.Like)) or isinstance(node.parent, exp.Escape):
        return node
    column, pattern = text_column(node.this, texts), string(node.expression)
    if column is None or pattern is None or (isinstance(node, exp.ILike) and isinstance(_bare(node.this), exp.Upper)):
        return node
    if isinstance(node, exp.Like):
        found = _like(_bare(node.this).copy(), pattern)
    elif pattern.isascii():
        found = _like(exp.Lower(this=column.copy()), pattern.lower())
    else:
        found = exp.Like(this=exp.Lower(this=column.copy()), expression=exp.Lower(this=exp.Literal.string(pattern)))
    return exp.Not(this=exp.Paren(this=found)) if node.args.get("negate") else found


def _like(subject: exp.Expression, pattern: str) -> exp.Expression:
    """subject LIKE pattern without wildcards in the middle as contains, starts_with, ends_with or equality."""
    inner = pattern.strip("%")
    if "_" in pattern or "%" in inner or not inner:
        return exp.Like(this=subject, expression=exp.Literal.string(pattern))
    starts, ends = not pattern.startswith("%"), not pattern.endswith("%")
    kind = exp.EQ if starts and ends else exp.StartsWith if starts else exp.EndsWith if ends else exp.Contains
    return kind(this=subject, expression=exp.Literal.string(inner))


# -- what a condition needs ---------------------------------------------------------------------------------------------


def needed(node: exp.Expression | None, texts: Collection[str]) -> Need | None:
    """What must stand in a text column where `node` is true (or, for a label expression, not NULL); None when unknown."""
    node = _bare(node)
    if isinstance(node, exp.Or):
        return _any_of([needed(side, texts) for side in (node.left, node.right)])
    if isinstance(node, exp.And):
        return _best([needed(side, texts) for side in (node.left, node.right)])
    if isinstance(node, exp.Case):
        return _needed_by_case(node, texts)
    return _needed_by_atom(node, texts)


def _needed_by_case(node: exp.Case, texts: Collection[str]) -> Need | None:
    default = node.args.get("default")
    if node.this is not None or not (default is None or isinstance(_bare(default), exp.Null)):
        return None
    return _any_of([needed(branch.this, texts) for branch in node.args["ifs"]])


def _any_of(needs: list[Need | None]) -> Need | None:
    if any(n is None for n in needs) or len({n.column for n in needs}) != 1:
        return None
    literals = frozenset().union(*(n.literals for n in needs))
    return Need(needs[0].column, literals) if len(literals) <= MOST_LITERALS else None


def _best(needs: list[Need | None]) -> Need | None:
    return max((n for n in needs if n), key=lambda n: selectivity(n.literals), default=None)


def _needed_by_atom(node: exp.Expression, texts: Collection[str]) -> Need | None:
    if node is None or node.args.get("negate"):
        return None
    subject, pattern = _operands(node)
    column = text_column(subject, texts)
    if column is None or pattern is None:
        return None
    literals = _literals_of(node, pattern)
    return Need(column.name, literals) if literals and min(map(len, literals)) >= SHORTEST else None


def _operands(node: exp.Expression) -> tuple[exp.Expression | None, str | None]:
    if isinstance(node, exp.Anonymous) and node.name.casefold() in AFFIXES and len(node.expressions) == 2:
        return node.expressions[0], string(node.expressions[1])
    if isinstance(node, (exp.Like, exp.ILike, exp.Contains, exp.StartsWith, exp.EndsWith, exp.EQ, exp.RegexpLike, exp.RegexpFullMatch)):
        return node.this, string(node.expression)
    return None, None


def _literals_of(node: exp.Expression, pattern: str) -> frozenset[str] | None:
    if isinstance(node, (exp.RegexpLike, exp.RegexpFullMatch)):
        return required_literals(pattern) if _known_flags(node) else None
    pieces = re.split("[%_]", pattern) if isinstance(node, (exp.Like, exp.ILike)) else [pattern]
    runs = [run for piece in pieces for run in re.findall(r"[\x01-\x7f]+", piece)]
    return frozenset([max(runs, key=len).lower()]) if runs else None


def _known_flags(node: exp.Expression) -> bool:
    flags = node.args.get("flag") or node.args.get("options")
    return flags is None or (string(flags) is not None and REGEX_FLAGS.issuperset(string(flags)))


# -- reading nodes ------------------------------------------------------------------------------------------------------


def text_column(node: exp.Expression | None, texts: Collection[str]) -> exp.Column | None:
    """The text column of column, lower(column) or upper(column); None for anything else."""
    node = _bare(node)
    if isinstance(node, (exp.Lower, exp.Upper)):
        node = _bare(node.this)
    return node if isinstance(node, exp.Column) and len(node.parts) == 1 and node.name.casefold() in texts else None


def string(node: exp.Expression | None) -> str | None:
    """The value of a string literal; None for anything else."""
    return node.this if isinstance(node, exp.Literal) and node.is_string else None


def _bare(node: exp.Expression | None) -> exp.Expression | None:
    while isinstance(node, exp.Paren):
        node = node.this
    return node
