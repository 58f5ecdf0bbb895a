"""Affinity functions of a project: declared in resources/*.py, called by name in codings and queries."""

from __future__ import annotations

import hashlib
import re
import runpy
import traceback
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any, Callable

import numpy as np

from ..errors import AffinityError, Location
from ..services.load import resource_files
from ..store import Store
from ..types import Project
from .scores import AffinityFunction, affinity_function, built_in_functions

if TYPE_CHECKING:
    import torch

NAME = re.compile(r"[A-Za-z_][A-Za-z0-9_]*")


@dataclass(frozen=True)
class DeclaredAffinity:
    """A function marked with `@gs.affinity_function`."""

    compare: Callable[[torch.Tensor, torch.Tensor], torch.Tensor]
    name: str
    prepare: Callable[[torch.Tensor], torch.Tensor] | None

    def __call__(self, vectors: torch.Tensor, prototypes: torch.Tensor) -> torch.Tensor:
        return self.compare(vectors, prototypes)


def declare(name: str | None = None, *, prepare: Callable[[torch.Tensor], torch.Tensor] | None = None) -> Callable[[Callable], DeclaredAffinity]:
    """Mark a function in resources/*.py as an affinity function: float32 tensors (n, D), (D, M) -> (n, M), larger is more alike.

    name     default: that of the function; codings call it `--function NAME`, queries affinity_NAME(vector, vectors)
    prepare  (n, C) -> (n, D), done once for vectors and prototypes, say to give them length 1 (default: nothing)

    Each column j of the result may depend on prototype j alone, and each row on its vector alone: both come in blocks.
    Trusted code: it runs with your rights.
    """

    def mark(function: Callable[[torch.Tensor, torch.Tensor], torch.Tensor]) -> DeclaredAffinity:
        return DeclaredAffinity(function, name or function.__name__, prepare)

    return mark


def project_functions(project: Project) -> dict[str, AffinityFunction]:
    """Name -> affinity function declared in resources/*.py. Raises AffinityError AF114."""
    found: dict[str, AffinityFunction] = {}
    for path in resource_files(project):
        shown, identity = str(path.relative_to(project.root)), hashlib.sha256(path.read_bytes()).hexdigest()[:16]
        for value in _names_of(path, shown).values():
            if isinstance(value, DeclaredAffinity):
                _require_new_name(value, found, Location(shown, value.compare.__code__.co_firstlineno))
                found[value.name] = AffinityFunction(value.name, value.prepare or _as_it_is, _checked(value, shown), identity)
    return found


def named_function(project: Project, name: str) -> AffinityFunction:
    """The affinity function called `name`, built-in or the project's. Raises AffinityError AF109, AF114."""
    return affinity_function(name, {} if name in built_in_functions() else project_functions(project))


def _names_of(path: Path, shown: str) -> dict[str, Any]:
    try:
        return runpy.run_path(str(path), run_name=f"_groundswell_resources_{path.stem}")
    except (Exception, SystemExit) as error:
        lines = [error.lineno or 1] if isinstance(error, SyntaxError) else [f.lineno or 1 for f in traceback.extract_tb(error.__traceback__) if f.filename == str(path)]
        message = f"{type(error).__name__}: {(str(error).splitlines() or [''])[0]}"
        raise AffinityError("AF114", message, location=Location(shown, (lines or [1])[-1]), hint="files in resources/ must import cleanly") from error


def _require_new_name(declared: DeclaredAffinity, found: dict[str, AffinityFunction], at: Location) -> None:
    if not NAME.fullmatch(declared.name):
        raise AffinityError("AF114", f'"{declared.name}" cannot name an affinity function', location=at, hint="letters, digits and _: queries call it")
    if declared.name in found or declared.name in built_in_functions():
        raise AffinityError("AF114", f'there is an affinity function "{declared.name}" already', location=at, hint="rename one of them")


def _as_it_is(vectors: torch.Tensor) -> torch.Tensor:
    return vectors


def _checked(declared: DeclaredAffinity, shown: str) -> Callable[[torch.Tensor, torch.Tensor], torch.Tensor]:
    """The function, with an error where it raises or its answer is no (n, M) tensor."""

    def compare(vectors: torch.Tensor, prototypes: torch.Tensor) -> torch.Tensor:
        at, wanted = Location(shown, declared.compare.__code__.co_firstlineno), (len(vectors), prototypes.shape[1])
        try:
            found = declared.compare(vectors, prototypes)
        except Exception as error:
            raise AffinityError("AF114", f"{declared.name}: {type(error).__name__}: {(str(error).splitlines() or [''])[0]}", location=at, hint=f"it got tensors {tuple(vectors.shape)} and {tuple(prototypes.shape)}") from error
        if tuple(getattr(found, "shape", ())) != wanted:
            raise AffinityError("AF114", f"{declared.name} gives {tuple(getattr(found, 'shape', ())) or type(found).__name__}, not {wanted}", location=at, hint="one number per vector and prototype")
        return found

    return compare


def register_affinities(store: Store, project: Project) -> None:
    """Make every affinity function callable from queries on this connection, the project's too, unless it is already.

    affinity_<name>(vector FLOAT[], vectors FLOAT[][]) -> FLOAT: how near the nearest of a row's vectors comes to one vector, a
    prototype say. Raises AffinityError AF114.
    """
    from groundswell.udfs.affinity import register_affinity_udf

    known = {name for (name,) in store.rows("SELECT DISTINCT function_name FROM duckdb_functions() WHERE starts_with(function_name, 'affinity_')")}
    own = project_functions(project)
    for name in (*built_in_functions(), *own):
        if f"affinity_{name}".casefold() not in known:
            register_affinity_udf(store.connection, f"affinity_{name}", pair_scorer(affinity_function(name, own)))


def pair_scorer(function: AffinityFunction) -> Callable[[np.ndarray, np.ndarray], np.ndarray]:
    """(float32 (n, C), float32 (C,)) -> float32 (n,): the affinity of each vector to one prototype."""

    def score(vectors: np.ndarray, prototype: np.ndarray) -> np.ndarray:
        import torch

        with torch.inference_mode():
            prepared = function.prepare(torch.from_numpy(np.concatenate([vectors, prototype[None]])))
            return function.compare(prepared[:-1], prepared[-1:].T)[:, 0].numpy()

    return score
