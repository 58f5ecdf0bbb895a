"""Regular expressions of RE2, DuckDB's, in the words of another engine: the same texts match, or there is no translation.

What engines read differently is spelled out: . is [^\\n], \\d \\w \\s are ASCII classes, \\b is a pair of look-arounds, ^ and $ are the
ends of the text. Case-folding of letters beyond ASCII is spelled out too, as PostgreSQL's depends on the locale. Only whether a
text matches is kept: lazy quantifiers become greedy, groups capture nothing.
"""

from __future__ import annotations

import re
from dataclasses import dataclass

CLASSES = {"d": "0-9", "w": "0-9A-Za-z_", "s": "\\t\\n\\f\\r "}
POSIX = {"alnum": "0-9A-Za-z", "alpha": "A-Za-z", "digit": "0-9", "lower": "a-z", "upper": "A-Z", "xdigit": "0-9A-Fa-f", "word": "0-9A-Za-z_"}
CONTROLS = {"t": "\t", "n": "\n", "r": "\r", "f": "\f"}
QUANTIFIER = re.compile(r"([*+?]|\{(\d+)(,(\d*))?\})(\??)")
MOST_REPEATS = 255
"""PostgreSQL's limit of {n,m}."""

WORD = f"[{CLASSES['w']}]"
BOUNDARY = {
    "spark": f"(?:(?<={WORD})(?!{WORD})|(?<!{WORD})(?={WORD}))",
    "postgres": f"(?:(?<={WORD})(?!{WORD})|(?<!{WORD})(?={WORD}))",
    "snowflake": "\\b",
    "bigquery": "\\b",
}
"""\\b of ASCII words; where \\b means it, \\b."""

END = {"spark": "\\z", "postgres": "$", "snowflake": "$", "bigquery": "$"}
"""The end of the text; $ of Java also stands before a last line break."""

SPECIAL_FOLDS = frozenset("ıİſKΣσςẞß")
"""Letters that engines fold to different letters."""


class Untranslatable(ValueError):
    """A pattern, or a part of one, without the same meaning elsewhere; the text says what, position where in the pattern."""

    def __init__(self, what: str, position: int = 0):
        super().__init__(what)
        self.position = position


def translated(pattern: str, flags: str, dialect: str, whole: bool = False) -> str:
    """The pattern for `dialect`, to be searched for in a text.

    flags  DuckDB's: c, i, s, g (which says nothing of a match)
    whole  the text as a whole must match

    Raises Untranslatable.
    """
    if unknown := set(flags) - set("cisg"):
        raise Untranslatable(f'the flag "{min(unknown)}"')
    leading = re.match(r"\(\?([is]+)\)", pattern)
    start = leading.end() if leading else 0
    said = flags + (leading[1] if leading else "")
    reader = _Reader(pattern, start, dialect, "i" in said, "s" in said)
    body = reader.alternatives()
    if reader.at < len(pattern):
        raise Untranslatable("a ) that closes nothing", reader.at)
    body = f"^(?:{body}){END[dialect]}" if whole else body
    return f"(?i){body}" if reader.ignore_case else body


@dataclass
class _Reader:
    """Reads the pattern from left to right and writes its translation."""

    pattern: str
    at: int
    dialect: str
    ignore_case: bool
    dot_all: bool

    def alternatives(self) -> str:
        """Everything to the end of the group."""
        found = [""]
        while self.at < len(self.pattern) and self.pattern[self.at] != ")":
            if self.pattern[self.at] == "|":
                self.at += 1
                found.append("")
                continue
            found[-1] += self.repeated(self.atom())
        if len(found) > 1 and "" in found and self.dialect == "postgres":
            found = [part or "(?:)" for part in found]
        return "|".join(found)

    def repeated(self, atom: str) -> str:
        """The atom with its quantifier, if one follows."""
        match = QUANTIFIER.match(self.pattern, self.at)
        if not match:
            return atom
        if atom in ("^", END[self.dialect], BOUNDARY[self.dialect]):
            raise Untranslatable("a quantifier after an anchor", self.at)
        if any(int(n) > MOST_REPEATS for n in (match[2], match[4]) if n):
            raise Untranslatable(f"more than {MOST_REPEATS} repetitions", self.at)
        self.at = match.end()
        if QUANTIFIER.match(self.pattern, self.at):
            raise Untranslatable("a quantifier after a quantifier", self.at)
        return atom + match[1]

    def atom(self) -> str:
        """One group, class, anchor or character."""
        start, c = self.at, self.pattern[self.at]
        self.at += 1
        if c == "(":
            return self.group(start)
        if c == "[":
            return self.bracket(start)
        if c == ".":
            return "(?:[^\\n]|\\n)" if self.dot_all else "[^\\n]"
        if c in "^$":
            return c if c == "^" else END[self.dialect]
        if c == "\\":
            return self.escape(start)
        if c in "*+?" or QUANTIFIER.match(self.pattern, start):
            raise Untranslatable("a quantifier after nothing", start)
        return self.letter(c, start)

    def group(self, start: int) -> str:
        if self.pattern.startswith("?:", self.at):
            self.at += 2
        elif self.pattern.startswith("?", self.at):
            raise Untranslatable("a group other than ( ) and (?: )", start)
        body = self.alternatives()
        if self.at >= len(self.pattern):
            raise Untranslatable("a ( that is never closed", start)
        self.at += 1
        return f"(?:{body})"

    def escape(self, start: int) -> str:
        c = self.pattern[self.at : self.at + 1]
        self.at += 1
        if c.lower() in CLASSES:
            return f"[{'^' if c.isupper() else ''}{CLASSES[c.lower()]}]"
        if c == "b":
            return BOUNDARY[self.dialect]
        if c in ("A", "z"):
            return "^" if c == "A" else END[self.dialect]
        return self.letter(self.escaped(c, start), start)

    def escaped(self, c: str, start: int) -> str:
        """The character a backslash and c stand for."""
        if c in CONTROLS:
            return CONTROLS[c]
        if not c or c.isalnum() or not c.isascii():
            raise Untranslatable(f"\\{c}", start)
        return c

    def letter(self, c: str, start: int) -> str:
        both = self.folded(c, start)
        return f"[{both}]" if len(both) > 1 else quoted(c)

    def folded(self, c: str, start: int) -> str:
        """The letter, with its other case where the engine's own folding cannot be relied on."""
        if not self.ignore_case or c.isascii():
            return c
        if c in SPECIAL_FOLDS or any(len(form) != 1 for form in (c.lower(), c.upper())):
            raise Untranslatable(f'"{c}" where case is ignored', start)
        return "".join(sorted({c.lower(), c.upper()}))

    # -- [...] ----------------------------------------------------------------------------------------------------------

    def bracket(self, start: int) -> str:
        negated = self.pattern.startswith("^", self.at)
        self.at += negated
        parts: list[str] = []
        while not (parts and self.pattern.startswith("]", self.at)):
            if self.at >= len(self.pattern):
                raise Untranslatable("a [ that is never closed", start)
            parts.append(self.member())
        self.at += 1
        return f"[{'^' if negated else ''}{''.join(parts)}]"

    def member(self) -> str:
        """One character, range or named class inside [...]."""
        start = self.at
        if named := re.compile(r"\[:(\w+):\]").match(self.pattern, start):
            if named[1] not in POSIX:
                raise Untranslatable(named[0], start)
            self.at = named.end()
            return POSIX[named[1]]
        if self.pattern[start] == "\\" and self.pattern[start + 1 : start + 2] in CLASSES:
            self.at += 2
            return CLASSES[self.pattern[start + 1]]
        low = self.one(start)
        if not re.compile(r"-[^\]]").match(self.pattern, self.at):
            return "".join(quoted(c) for c in self.folded(low, start))
        self.at += 1
        high = self.one(self.at)
        if self.ignore_case and not (low + high).isascii():
            raise Untranslatable("a range of letters beyond ASCII where case is ignored", start)
        return f"{quoted(low)}-{quoted(high)}"

    def one(self, start: int) -> str:
        """The next character inside [...], an escape resolved."""
        c = self.pattern[start]
        self.at = start + 1
        if c != "\\":
            return c
        self.at += 1
        return self.escaped(self.pattern[start + 1 : start + 2], start)


def quoted(c: str) -> str:
    """A character as itself, in every engine, inside and outside of [...]."""
    for name, control in CONTROLS.items():
        if c == control:
            return f"\\{name}"
    return f"\\{c}" if c.isascii() and c.isprintable() and not c.isalnum() and c not in " _\"'%,;:<>=!@~`#/" else c
