"""A project's services: the built-in ones, and what resources/*.py declares."""

from __future__ import annotations

import ast
import hashlib
import inspect
import json
import re
import sys
import traceback
from dataclasses import dataclass, field
from importlib import import_module
from pathlib import Path
from types import ModuleType
from typing import Any, Mapping

import pyarrow as pa

from ..errors import AffinityError, Diagnostic, Location, did_you_mean
from ..types import Project
from .base import Kind, Service
from .declare import DeclaredService, DeclaredUDF
from .kinds import KINDS

NAME = re.compile(r"[A-Za-z_][A-Za-z0-9_]*")


@dataclass
class Services:
    """Name in lower case -> service; what is wrong with the declarations (FT1xx)."""

    known: dict[str, Service] = field(default_factory=dict)
    diagnostics: list[Diagnostic] = field(default_factory=list)
    root: Path = Path(".")

    def get(self, name: str) -> Service | None:
        """The declared service of this name, or the built-in one with its usual settings. Raises BadDeclaration where that cannot be."""
        folded = name.casefold()
        if folded not in self.known and folded in KINDS:
            self.known[folded] = built_in(folded, DeclaredService(folded, None, 1, {}, 1), None, self.root)
        return self.known.get(folded)

    @property
    def names(self) -> frozenset[str]:
        """Every name that calls a service, in lower case."""
        return frozenset(self.known) | frozenset(KINDS)


class BadDeclaration(Exception):
    """A service that cannot be as it is declared; carries its diagnostic."""

    def __init__(self, diagnostic: Diagnostic):
        super().__init__(diagnostic.message)
        self.diagnostic = diagnostic


def load_services(project: Project) -> Services:
    """The services of a project; reads resources/*.py, no data. Problems: FT107 (import), FT108 (declaration)."""
    services = Services(root=project.root)
    for path in resource_files(project):
        shown = str(path.relative_to(project.root))
        module, wrong = _module(path, shown)
        services.diagnostics += wrong
        for variable, value in vars(module).items() if module else ():
            if isinstance(value, (DeclaredUDF, DeclaredService)):
                _add(services, value, variable, path, shown)
    return services


def resource_files(project: Project) -> list[Path]:
    """resources/*.py, in name order."""
    return sorted(p for p in (project.root / "resources").glob("*.py") if not p.name.startswith(("_", ".")))


def _module(path: Path, shown: str) -> tuple[ModuleType | None, list[Diagnostic]]:
    """The file as a module, and what stopped it (FT107)."""
    module = ModuleType(f"_groundswell_resources_{path.stem}")
    module.__file__ = str(path)
    sys.modules[module.__name__] = module  # dataclasses and pickling inside user code look their module up
    try:
        exec(compile(path.read_bytes(), str(path), "exec"), vars(module))  # never from __pycache__: an edit counts at once
    except (Exception, SystemExit) as error:
        sys.modules.pop(module.__name__, None)
        lines = [error.lineno or 1] if isinstance(error, SyntaxError) else [f.lineno for f in traceback.extract_tb(error.__traceback__) if f.filename == str(path)]
        message = f"{type(error).__name__}: {(str(error).splitlines() or [''])[0]}"
        return None, [Diagnostic("FT107", message, Location(shown, (lines or [1])[-1] or 1), "files in resources/ must import cleanly")]
    return module, []


def _add(services: Services, value: DeclaredUDF | DeclaredService, variable: str, path: Path, shown: str) -> None:
    name = value.name if isinstance(value, DeclaredUDF) else variable
    at = Location(shown, value.function.__code__.co_firstlineno if isinstance(value, DeclaredUDF) else value.line)
    try:
        if not NAME.fullmatch(name):
            raise _wrong(f'"{name}" cannot name a service', at, "letters, digits and _: queries call it")
        if name.casefold() in services.known:
            raise _wrong(f'there is a service "{name}" already, at {services.known[name.casefold()].location.path}', at, "rename one of them")
        made = from_udf(value, path, at) if isinstance(value, DeclaredUDF) else built_in(name, value, at, services.root)
        services.known[name.casefold()] = made
    except BadDeclaration as problem:
        services.diagnostics.append(problem.diagnostic)


def _wrong(message: str, at: Location | None, hint: str | None) -> BadDeclaration:
    return BadDeclaration(Diagnostic("FT108", message, at, hint))


# -- functions of the project -------------------------------------------------------------------------------------------


def from_udf(declared: DeclaredUDF, path: Path, at: Location) -> Service:
    """The service of a function of the project. Raises BadDeclaration FT108."""
    try:
        inspect.signature(declared.function).bind(*declared.inputs)
    except TypeError as error:
        raise _wrong(f"{declared.name} declares {len(declared.inputs)} inputs: {error}", at, "one parameter per input") from error
    if not declared.inputs or not all(isinstance(kind, str) and kind for kind in (*declared.inputs, declared.returns)):
        raise _wrong(f"{declared.name}: inputs and returns are DuckDB types", at, '@gs.udf(inputs=["VARCHAR"], returns="VARCHAR[]")')
    if type(declared.version) is not int or type(declared.batch) is not int or declared.batch < 1:
        raise _wrong(f"{declared.name}: version and batch are whole numbers", at, "version=1, batch=2048")
    identity = _digest(declared.name, declared.inputs, declared.returns, declared.version, code_of(path, declared.function.__name__))
    return Service(
        declared.name, tuple((kind,) for kind in declared.inputs), declared.returns, declared.version, identity, lambda _: declared.function,
        declared.cost_ms, declared.batch, is_udf=True, location=at,
    )  # fmt: skip


def code_of(path: Path, function: str) -> str:
    """The code a function of a file depends on: itself and the rest of the file but for the other services, without comments and white space."""
    kept = [node for node in ast.parse(path.read_text(encoding="utf-8")).body if not _declares(node) or getattr(node, "name", None) == function]
    return "\n".join(ast.dump(node) for node in kept)


def _declares(node: ast.stmt) -> bool:
    """Is it the declaration of a service?"""
    calls = node.decorator_list if isinstance(node, ast.FunctionDef) else [node.value] if isinstance(node, (ast.Assign, ast.AnnAssign)) else []
    functions = [call.func for call in calls if isinstance(call, ast.Call)]
    return any((f.attr if isinstance(f, ast.Attribute) else getattr(f, "id", "")) in ("udf", "service") for f in functions)


# -- built-in ones ------------------------------------------------------------------------------------------------------


def built_in(name: str, declared: DeclaredService, at: Location | None, root: Path) -> Service:
    """A built-in service with its settings. Raises BadDeclaration FT108."""
    kind = KINDS.get(declared.kind)
    if kind is None:
        raise _wrong(f'there is no built-in service "{declared.kind}"', at, did_you_mean(declared.kind, KINDS) or f"there is: {', '.join(KINDS)}")
    settings = _settings(declared, kind, at)
    if kind.needs_fit and declared.fit is None:
        raise _wrong(f"{declared.kind} needs what it looks up", at, f'{name} = gs.service("{declared.kind}", fit="SELECT vector, label FROM ...")')
    if declared.fit is not None and not kind.fits:
        raise _wrong(f"{declared.kind} is not fitted on anything", at, "leave fit out")
    files = {setting: _file_identity(root, settings[setting]) for setting in kind.files}
    identity = _digest(declared.kind, kind.version, declared.version, declared.fit, json.dumps(settings, sort_keys=True, default=repr), files)
    module, _, function = kind.prepare.partition(":")

    def prepare(preparation):
        return getattr(import_module(f".{module}", __package__), function)(settings, preparation)

    try:
        returns = kind.returns(settings)
    except AffinityError as error:
        raise BadDeclaration(Diagnostic(error.code, error.diagnostics[0].message, at, error.diagnostics[0].hint)) from error
    return Service(
        name, kind.inputs, returns, declared.version, identity, prepare, None, kind.batch, declared.fit, kind.fits, kind.follows_fit, kind.reads_files, location=at,
    )  # fmt: skip


def _settings(declared: DeclaredService, kind: Kind, at: Location | None) -> Mapping[str, Any]:
    for key, value in declared.settings.items():
        if key not in kind.settings:
            raise _wrong(f'{declared.kind} has no setting "{key}"', at, did_you_mean(key, kind.settings) or f"settings: {', '.join(kind.settings) or 'none'}")
        usual = kind.settings[key]
        if isinstance(usual, (int, float)) and not (isinstance(value, (int, float)) and not isinstance(value, bool) and (isinstance(usual, float) or isinstance(value, int))):
            raise _wrong(f"{declared.kind}: {key} is {value!r}", at, f"a {'number' if isinstance(usual, float) else 'whole number'}, e.g. {key}={usual}")
    settings = {**kind.settings, **declared.settings}
    for key in ("dimensions", "n_topics", "buckets", "most_rows", "most_words", "most", "k"):
        if key in settings and settings[key] < 1:
            raise _wrong(f"{declared.kind}: {key} is {settings[key]}", at, f"at least 1, e.g. {key}={kind.settings[key]}")
    return settings


def _file_identity(root: Path, value: Any) -> str:
    """What a setting that may name a file or folder stands for: the hash of its content where it is one."""
    if not isinstance(value, (str, Path)):
        return repr(value)
    path = root / value
    files = sorted(p for p in path.rglob("*") if p.is_file()) if path.is_dir() else [path] if path.is_file() else []
    parts = hashlib.sha256(str(value).encode())
    for each in files:
        with each.open("rb") as opened:
            parts.update(hashlib.file_digest(opened, "sha256").digest())
    return parts.hexdigest()


def _digest(*parts: Any) -> str:
    return hashlib.sha256("\n".join(map(repr, parts)).encode()).hexdigest()[:16]


def answer_type(store, returns: str) -> pa.DataType:
    """The Arrow type of a DuckDB type."""
    return store.arrow(f"SELECT CAST(NULL AS {returns}) AS v LIMIT 0").schema.field(0).type
