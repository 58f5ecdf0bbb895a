"""One tree of errors with stable codes, positions and next steps.

Every problem a person can cause is a `Diagnostic`: a code, one sentence, where it is, and what to do next. Errors that stop
the work carry one or several diagnostics; warnings are the same objects with severity "warning".
"""

from __future__ import annotations

from dataclasses import dataclass
from difflib import get_close_matches
from pathlib import Path
from typing import Iterable


@dataclass(frozen=True)
class Location:
    """A place in a user's file. line and column count from 1; length is the number of characters under the caret."""

    path: str
    line: int
    column: int = 1
    length: int = 1
    source: str | None = None
    """The text of that line, shown above the caret; read from the file when absent."""


@dataclass(frozen=True)
class Diagnostic:
    """One problem: stable code, one sentence, where, and the next step."""

    code: str
    message: str
    location: Location | None = None
    hint: str | None = None
    lf: str | None = None

    @property
    def severity(self) -> str:
        """"warning" for the 2xx range of a code family, "error" otherwise."""
        return "warning" if self.code.lstrip("ABCDEFGHIJKLMNOPQRSTUVWXYZ").startswith("2") else "error"

    def as_row(self) -> dict[str, object]:
        """The object that `check --format json` prints: code, severity, file, line, column, lf, message, hint."""
        at = self.location
        return {
            "code": self.code,
            "severity": self.severity,
            "file": at and at.path,
            "line": at and at.line,
            "column": at and at.column,
            "lf": self.lf,
            "message": self.message,
            "hint": self.hint,
        }

    def __str__(self) -> str:
        lines = [f"{self.severity}[{self.code}]: {self.message}"]
        if self.location:
            lines += _pointed(self.location, self.hint)
        elif self.hint:
            lines.append(f"  = {self.hint}")
        return "\n".join(lines)


def _pointed(at: Location, hint: str | None) -> list[str]:
    source = at.source if at.source is not None else _line_of(at)
    gutter = " " * len(str(at.line))
    lines = [f"{gutter} --> {at.path}:{at.line}:{at.column}"]
    if source is None:
        return lines + ([f"{gutter}  = {hint}"] if hint else [])
    pad = "".join("\t" if c == "\t" else " " for c in source[: at.column - 1])
    carets = "^" * max(1, min(at.length, len(source) - at.column + 1))
    return lines + [
        f"{gutter} |",
        f"{at.line} | {source}",
        f"{gutter} | {pad}{carets}" + (f" {hint}" if hint else ""),
    ]


def _line_of(at: Location) -> str | None:
    try:
        lines = Path(at.path).read_text(encoding="utf-8", errors="replace").splitlines()
    except OSError:
        return None
    return lines[at.line - 1] if 0 < at.line <= len(lines) else None


class GroundswellError(Exception):
    """Base of all errors a user can cause or must act on. `exit_code` is what the command line returns."""

    exit_code = 2

    def __init__(self, code: str, message: str, *, hint: str | None = None, location: Location | None = None):
        self.diagnostics: list[Diagnostic] = [Diagnostic(code, message, location, hint)]
        super().__init__(message)

    @property
    def code(self) -> str:
        return self.diagnostics[0].code

    def __str__(self) -> str:
        return "\n\n".join(str(d) for d in self.diagnostics)


class ConfigError(GroundswellError):
    """groundswell.toml, flags or arguments are wrong (codes CFG...)."""


class StoreError(GroundswellError):
    """The store or the warehouse is locked, missing, full, or of another version (codes ST...)."""

    exit_code = 3


class LFError(GroundswellError):
    """Labeling functions are wrong (codes LF1xx); carries all diagnostics of the run."""

    exit_code = 1

    def __init__(self, diagnostics: Iterable[Diagnostic]):
        found = list(diagnostics)
        Exception.__init__(self, found[0].message)
        self.diagnostics = found


class LabelModelError(GroundswellError):
    """Votes or options a label model cannot use (codes LM...)."""


class EndModelError(GroundswellError):
    """Data, options or artefacts an end model cannot use (codes EM...)."""


class AffinityError(GroundswellError):
    """Images, vectors, networks or options that affinity coding or an image service cannot use (codes AF...)."""


class MiningError(GroundswellError):
    """Gold, features or options that labeling functions cannot be mined from (codes MN...)."""


class PropagationError(GroundswellError):
    """Seeds, features, weights or options that label propagation cannot use (codes PR...)."""


class StudyError(GroundswellError):
    """A study that the task has not the labels, modalities or features for (codes SY...)."""


class GroundswellWarning(UserWarning):
    """A warning with a code, raised through `warnings` where there is no console to print a diagnostic to."""


def did_you_mean(word: str, candidates: Iterable[str]) -> str | None:
    """'did you mean "x"?' for the nearest candidate, None when nothing is near."""
    by_fold = {c.casefold(): c for c in candidates}
    near = get_close_matches(word.casefold(), list(by_fold), n=1, cutoff=0.6)
    return f'did you mean "{by_fold[near[0]]}"?' if near else None
