"""How a project declares services in resources/*.py: `@gs.udf` over a function of its own, `gs.service` over a built-in one."""

from __future__ import annotations

import inspect
from dataclasses import dataclass
from typing import Any, Callable, Mapping, Sequence


@dataclass(frozen=True)
class DeclaredUDF:
    """A function marked with `@gs.udf`."""

    function: Callable[..., Any]
    name: str
    inputs: tuple[str, ...]
    returns: str
    version: int
    cost_ms: float | None
    batch: int

    def __call__(self, *columns: Any) -> Any:
        return self.function(*columns)


@dataclass(frozen=True)
class DeclaredService:
    """A built-in service with settings; the variable it is assigned to is its name."""

    kind: str
    fit: str | None
    version: int
    settings: Mapping[str, Any]
    line: int


def udf(
    name: str | None = None, *, inputs: Sequence[str], returns: str, version: int = 1, cost_ms: float | None = None, batch: int = 2048
) -> Callable[[Callable[..., Any]], DeclaredUDF]:
    """Mark a function in resources/*.py as a service that feature queries call by name.

    name     default: that of the function
    inputs   DuckDB types of the arguments; the function gets an Arrow array (n,) for each, without NULLs
    returns  DuckDB type of the Arrow array (n,) it gives back
    version  part of what answers are kept by: change it when the answers change for a reason outside of this file
    cost_ms  milliseconds a row takes, for the catalogue
    batch    most rows per call

    Deterministic: the same rows, in whatever batches, must give the same answers. Trusted code: it runs with your rights.
    """

    def mark(function: Callable[..., Any]) -> DeclaredUDF:
        return DeclaredUDF(function, name or function.__name__, tuple(inputs), returns, version, cost_ms, batch)

    return mark


def service(kind: str, *, fit: str | None = None, version: int = 1, **settings: Any) -> DeclaredService:
    """A built-in service with settings: `topics_of_text = gs.service("text_topics", fit="SELECT body FROM text_post", n_topics=30)`.

    fit  a SELECT over the warehouse whose rows it is fitted on, once; fit again by raising `version`
    """
    frame = inspect.currentframe()
    return DeclaredService(kind, fit, version, settings, frame.f_back.f_lineno if frame and frame.f_back else 1)
