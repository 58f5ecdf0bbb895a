"""Annotated .sql files -> one `Statement` per header, each with its exact place in the file."""

from __future__ import annotations

import re
from dataclasses import dataclass, field
from pathlib import Path

from sqlglot.dialects.duckdb import DuckDB
from sqlglot.errors import TokenError
from sqlglot.tokens import TokenType

from ..errors import Diagnostic, Location, did_you_mean

HEADER = re.compile(r"[ \t]*--[ \t]*lf[ \t]*:[ \t]*(?P<rest>.*)", re.IGNORECASE)
ARROW = re.compile(r"\s*->\s*")
OPTION = re.compile(r"(?P<key>[A-Za-z_]+)\s*:\s*(?P<value>.*?)\s*(?=(?:,\s*|\s{2,})[A-Za-z_]+\s*:|$)")
OPTIONS = ("owner", "tags", "dialect", "description")
RESERVED_NAMES = {"entity_id", "pattern_id", "modality", "split"}


@dataclass(frozen=True)
class Statement:
    """The text under one header.

    text     from the header line to the next header, as in the file: positions inside count from `first_line`
    label    the class named after "->"; None when the query returns labels itself
    excludes whether the class is ruled out: "-> !class"
    """

    name: str
    label: str | None
    text: str
    path: str
    first_line: int
    options: dict[str, str] = field(default_factory=dict)
    excludes: bool = False

    @property
    def sql(self) -> str:
        """The statement without its header comments and final semicolon."""
        lines = self.text.split("\n")
        body = next((i for i, line in enumerate(lines) if line.strip() and not line.lstrip().startswith("--")), len(lines))
        start = sum(len(line) + 1 for line in lines[:body])
        tokens = DuckDB().tokenize(self.text)
        end = tokens[-1].start if tokens and tokens[-1].token_type == TokenType.SEMICOLON else len(self.text)
        return self.text[start:end].strip()

    @property
    def first_word(self) -> tuple[str, Location]:
        """The word the statement begins with, and its place."""
        token = DuckDB().tokenize(self.text)[0]
        return token.text, self.at(token.start, token.end - token.start + 1)

    def at(self, offset: int, length: int = 1) -> Location:
        """The place of a character offset of `text`."""
        before = self.text[:offset]
        line = before.count("\n")
        source = self.text.split("\n")[line]
        return Location(self.path, self.first_line + line, offset - (before.rfind("\n") + 1) + 1, length, source.rstrip("\r"))

    @property
    def header(self) -> Location:
        """The place of the name in the header."""
        after = found.start("rest") if (found := HEADER.match(self.text)) else 0
        return self.at(max(self.text.find(self.name, after), 0), len(self.name))


def read_statements(path: Path, shown: str, header: re.Pattern[str] = HEADER) -> tuple[list[Statement], list[Diagnostic]]:
    """The statements of one file, and what is wrong with its headers (LF109, LF120, LF122; LF209 for unknown options).

    shown   the path as people know it: relative to the project
    header  what begins a statement
    """
    try:
        text = path.read_bytes().decode("utf-8-sig")
    except UnicodeDecodeError as error:
        line = path.read_bytes()[: error.start].count(b"\n") + 1
        return [], [Diagnostic("LF120", f"{shown} is not UTF-8: byte {error.start}", Location(shown, line, source=""), "save the file as UTF-8")]
    text = text.replace("\r\n", "\n")
    starts = _header_offsets(text, header)
    found: list[Statement] = []
    problems = _before_first_header(text, starts, shown)
    for start, end in zip(starts, [*starts[1:], len(text)]):
        statement, wrong = _statement(text[start:end], shown, text[:start].count("\n") + 1, header)
        problems += wrong
        if statement:
            found.append(statement)
    return found, problems


def _header_offsets(text: str, header: re.Pattern[str]) -> list[int]:
    """Offsets of header lines; a line that looks like one inside a string or block comment is not."""
    lines = [m.start() for m in re.finditer(r"^.*$", text, re.MULTILINE) if header.match(m.group())]
    try:
        tokens = DuckDB().tokenize(text)
    except TokenError:
        return lines
    spans = [(t.start, t.end) for t in tokens]
    inside = spans + _block_comments(text, spans)
    return [at for at in lines if not any(start < at <= end for start, end in inside)]


def _block_comments(text: str, tokens: list[tuple[int, int]]) -> list[tuple[int, int]]:
    """Where block comments stand between the tokens; they nest, and mean nothing after --."""
    found: list[tuple[int, int]] = []
    gaps = zip([0, *(end + 1 for _, end in tokens)], [*(start for start, _ in tokens), len(text)])
    for begin, end in gaps:
        depth = opened = 0
        for mark in re.finditer(r"--[^\n]*|/\*|\*/", text[begin:end]) if end > begin else ():
            opened = mark.start() if mark.group() == "/*" and depth == 0 else opened
            depth += {"/*": 1, "*/": -1}.get(mark.group(), 0)
            if mark.group() == "*/" and depth == 0:
                found.append((begin + opened, begin + mark.end()))
    return found


def _before_first_header(text: str, starts: list[int], shown: str) -> list[Diagnostic]:
    preamble = text[: starts[0]] if starts else text
    body = re.sub(r"/\*.*?\*/|--[^\n]*", lambda m: " " * len(m.group()), preamble, flags=re.DOTALL)
    if not body.strip():
        return []
    offset = len(body) - len(body.lstrip())
    at = Statement("", None, text, shown, 1).at(offset, 1)
    return [Diagnostic("LF109", "a statement without a header", at, 'write above it: -- lf: my_name -> class')]


def _statement(text: str, shown: str, first_line: int, header: re.Pattern[str]) -> tuple[Statement | None, list[Diagnostic]]:
    text = text.rstrip() + "\n"
    if header is not HEADER:
        return Statement("", None, text, shown, first_line), []
    rest = HEADER.match(text)["rest"].strip()
    parts = ARROW.split(rest, maxsplit=1)
    name, label = parts[0].strip(), (parts[1].strip() if len(parts) == 2 else None)
    options, problems = _options(text, shown, first_line)
    label, excludes = named_class(label)
    statement = Statement(name, label, text, shown, first_line, options, excludes)
    wrong = name_problem(name) or ("LF109", 'no class after "->"', "e.g. -- lf: says_refund -> refund") if label == "" else name_problem(name)
    if wrong:
        code, message, hint = wrong
        return None, [*problems, Diagnostic(code, message, statement.header, hint, name or None)]
    return statement, problems


def named_class(text: str | None) -> tuple[str | None, bool]:
    """(class, whether it is ruled out) of what stands after "->": "!refund" rules refund out."""
    excludes = text is not None and text.startswith("!")
    return (text[1:].strip() if excludes else text), excludes


def name_problem(name: str) -> tuple[str, str, str] | None:
    """(code, message, hint) when a text cannot name an LF."""
    if not name:
        return "LF109", "the header names no LF", "e.g. -- lf: says_refund -> refund"
    if name.casefold() in RESERVED_NAMES or len(name) > 200 or not name.isprintable():
        return "LF122", f'"{name}" cannot name an LF', f"not one of {', '.join(sorted(RESERVED_NAMES))}; at most 200 printable characters"
    return None


def _options(text: str, shown: str, first_line: int) -> tuple[dict[str, str], list[Diagnostic]]:
    options: dict[str, str] = {}
    problems: list[Diagnostic] = []
    for number, line in enumerate(text.split("\n")[1:], start=1):
        if not line.lstrip().startswith("--"):
            if line.strip():
                break
            continue
        comment = line.lstrip()[2:].strip()
        for found in OPTION.finditer(comment) if re.match(r"[A-Za-z_]+\s*:", comment) else ():
            key = found["key"].lower()
            near = did_you_mean(key, OPTIONS)
            if key in OPTIONS:
                options[key] = found["value"]
            elif near:
                column = line.index(found["key"]) + 1
                at = Location(shown, first_line + number, column, len(key), line)
                problems.append(Diagnostic("LF209", f'unknown header option "{key}" is ignored', at, near))
    return options, problems
