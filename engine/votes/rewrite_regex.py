"""Which literals a regular expression cannot match without: read from RE2 syntax, giving up on anything unusual."""

from __future__ import annotations

import re
from dataclasses import dataclass

MOST_STRINGS = 64
"""A part that can match more strings than this is not spelled out."""

EMPTY_ESCAPES, CLASS_ESCAPES = frozenset("bBAz"), frozenset("dDwWsSntrfv")
GROUP_START = re.compile(r"\?(?:[imsU-]+[:)]|:|P?<\w+>)")
REPEAT = re.compile(r"\{(\d+)(?:,\d*)?\}")

Strings = frozenset[str]


class _Unusual(Exception):
    """Syntax this reader does not know; nothing can be said about the expression."""


@dataclass(frozen=True)
class _Part:
    """What is known of a part. exact: all it can match, in lower case; needed: one of these stands in all it matches."""

    exact: Strings | None = None
    needed: Strings | None = None

    @property
    def literals(self) -> Strings | None:
        """The best set of which one must occur; None when the part can match without any."""
        sets = [s for s in (self.exact, self.needed) if s and "" not in s]
        return max(sets, key=selectivity) if sets else None


ANYTHING, NOTHING = _Part(), _Part(exact=frozenset([""]))


def selectivity(literals: Strings) -> tuple[int, int]:
    """Larger for sets that occur in fewer texts: long literals first, then few of them."""
    return min(map(len, literals)), -len(literals)


def required_literals(pattern: str) -> Strings | None:
    """Lower-case ASCII strings of which one stands, in some case, in every text `pattern` matches; None when unknown.

    Flags need not be known: (?i), (?s) and (?m) change neither the letters nor what may be left out.
    """
    try:
        return _Reader(pattern).whole().literals
    except _Unusual:
        return None


class _Reader:
    """Recursive descent over alternation, concatenation, repetition, atom."""

    def __init__(self, pattern: str):
        self.pattern, self.at = pattern, 0

    def whole(self) -> _Part:
        part = self._alternation()
        if self.at != len(self.pattern):
            raise _Unusual
        return part

    @property
    def _next(self) -> str:
        return self.pattern[self.at : self.at + 1]

    def _take(self) -> str:
        self.at += 1
        if self.at > len(self.pattern):
            raise _Unusual
        return self.pattern[self.at - 1]

    def _alternation(self) -> _Part:
        branches = [self._concatenation()]
        while self._next == "|":
            self.at += 1
            branches.append(self._concatenation())
        return _either(branches)

    def _concatenation(self) -> _Part:
        parts = []
        while self._next not in ("", "|", ")"):
            parts.append(self._repetition())
        return _joined(parts)

    def _repetition(self) -> _Part:
        part = self._atom()
        while True:
            repeat = REPEAT.match(self.pattern, self.at)
            if self._next and self._next in "?*+":
                part = _repeated(part, self._take())
            elif repeat:
                self.at = repeat.end()
                part = _repeated(part, "*" if int(repeat.group(1)) == 0 else "+")
            else:
                return part
            if self._next == "?":
                self.at += 1

    def _atom(self) -> _Part:
        char = self._take()
        if char == "(":
            return self._group()
        if char == "[":
            return self._class()
        if char == "\\":
            return self._escape()
        if char in "^$":
            return NOTHING
        return ANYTHING if char == "." else _letter(char)

    def _group(self) -> _Part:
        if self._next == "?":
            start = GROUP_START.match(self.pattern, self.at)
            if not start:
                raise _Unusual
            self.at = start.end()
            if start.group().endswith(")"):
                return NOTHING
        part = self._alternation()
        if self._take() != ")":
            raise _Unusual
        return part

    def _escape(self) -> _Part:
        char = self._take()
        if char in EMPTY_ESCAPES:
            return NOTHING
        if char in CLASS_ESCAPES:
            return ANYTHING
        if char.isalnum() or not char.isascii():
            raise _Unusual
        return _letter(char)

    def _class(self) -> _Part:
        """A class: its letters when it only lists some, anything otherwise."""
        negated = self._next == "^"
        self.at += negated
        members: list[str] = []
        plain = not negated
        while self._next != "]" or not members:
            char = self._take()
            if char == "[" and self._next == ":":
                self.at = self.pattern.find(":]", self.at) + 2
                if self.at == 1:
                    raise _Unusual
            elif char == "\\":
                char = self._take()
                if char.isalnum() and char not in CLASS_ESCAPES:
                    raise _Unusual
                plain = plain and not char.isalnum()
            plain = plain and char != "["
            plain = plain and char != "-"
            members.append(char)
        self.at += 1
        return _either([_letter(m) for m in members]) if plain else ANYTHING


def _letter(char: str) -> _Part:
    return _Part(exact=frozenset([char.lower()])) if char.isascii() else ANYTHING


def _either(branches: list[_Part]) -> _Part:
    exact = _union([b.exact for b in branches])
    return _Part(exact, _union([b.literals for b in branches]))


def _union(sets: list[Strings | None]) -> Strings | None:
    if any(s is None for s in sets):
        return None
    union = frozenset().union(*sets)
    return union if len(union) <= MOST_STRINGS else None


def _joined(parts: list[_Part]) -> _Part:
    """A concatenation: exact while all parts are; needed is the best run of exact parts, or of one part."""
    candidates: list[Strings | None] = [p.literals for p in parts]
    run: Strings = frozenset([""])
    whole = True
    for part in parts:
        if part.exact is None or len(run) * len(part.exact) > MOST_STRINGS:
            candidates.append(run)
            run, whole = part.exact or frozenset([""]), False
        else:
            run = frozenset(a + b for a in run for b in part.exact)
    useful = [c for c in (*candidates, run) if c and "" not in c]
    return _Part(run if whole else None, max(useful, key=selectivity) if useful else None)


def _repeated(part: _Part, sign: str) -> _Part:
    if sign == "?":
        return _Part(exact=part.exact | {""} if part.exact is not None else None)
    return ANYTHING if sign == "*" else _Part(needed=part.literals)
