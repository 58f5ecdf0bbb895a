"""What a service is to those who call it: a name, a signature, what its answers depend on, and how it is made ready."""

from __future__ import annotations

from dataclasses import dataclass, field
from pathlib import Path
from typing import Callable, Iterator, Mapping, Sequence

import pyarrow as pa

from ..errors import Diagnostic, Location


@dataclass(frozen=True)
class Answers:
    """Arrow array (n,) of values, and per row why there is none: "unreadable" and the like, None where nothing is wrong."""

    values: pa.Array
    problems: Sequence[str | None]


Answering = Callable[..., "Answers | pa.Array"]
"""Arrow arrays (n,), one per argument, without NULLs -> n answers."""


@dataclass
class Preparation:
    """What a service gets to make itself ready.

    root       the project's folder: paths are relative to it
    state      a file of the project's state folder that is this service's own, to keep what it fits
    rows       the batches it is fitted on; at most `most` rows, those with the smallest hash
    notes      what is to be said about it, e.g. random weights
    """

    root: Path
    state: Path
    rows: Callable[[int], Iterator[pa.RecordBatch]]
    notes: list[Diagnostic] = field(default_factory=list)


@dataclass(frozen=True)
class Service:
    """A vectorised function that feature queries call by name.

    inputs       DuckDB types each argument may have, the first of which it is given
    returns      DuckDB type of its answers
    identity     a hash of everything its answers depend on, beside what it is fitted on
    prepare      makes it ready: loads weights, fits; only called when there is something to compute
    fit          the SELECT it is fitted on; None: the arguments of the feature that asks first
    fits         must it be fitted?
    follows_fit  are answers computed again when what it is fitted on changes? else it is fitted once
    reads_files  is a VARCHAR argument the path of a file whose bytes are meant?
    """

    name: str
    inputs: tuple[tuple[str, ...], ...]
    returns: str
    version: int
    identity: str
    prepare: Callable[[Preparation], Answering]
    cost_ms: float | None = None
    batch: int = 2048
    fit: str | None = None
    fits: bool = False
    follows_fit: bool = False
    reads_files: bool = False
    is_udf: bool = False
    location: Location | None = None

    @property
    def reads_bytes(self) -> bool:
        """Is its one argument bytes, each of which may be a picture or more?"""
        return len(self.inputs) == 1 and "BLOB" in self.inputs[0]

    @property
    def signature(self) -> str:
        """name(types) -> type, as people read it."""
        return f"{self.name}({', '.join(' or '.join(kinds) for kinds in self.inputs)}) -> {self.returns}"


@dataclass(frozen=True)
class Kind:
    """A built-in service before it has settings.

    settings  name -> default
    returns   settings -> DuckDB type
    prepare   "module:function" of groundswell.services: (settings) -> the service's `prepare`
    files     settings that name files whose content answers depend on
    """

    inputs: tuple[tuple[str, ...], ...]
    returns: Callable[[Mapping[str, object]], str]
    prepare: str
    settings: Mapping[str, object]
    batch: int = 2048
    fits: bool = False
    follows_fit: bool = False
    needs_fit: bool = False
    reads_files: bool = False
    files: tuple[str, ...] = ()
    version: int = 1
