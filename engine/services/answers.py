"""The answers of a service: which are missing, asked for in bounded batches, kept chunk by chunk, looked up inside queries."""

from __future__ import annotations

import time
from collections import Counter
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Callable, Sequence

import numpy as np
import pyarrow as pa

from ..errors import ConfigError, Diagnostic
from ..store import Store, cache_table, is_cached
from ..store.names import literal
from ..types import Event, Listener
from .base import Answering, Answers, Service
from .calls import KEY, Call, kept_as, key_of
from .load import answer_type

SCHEMA = "service"
READ_AT_ONCE = 2048
KEPT_EVERY = 5.0
"""Seconds after which answers are written at the latest: what a killed run loses."""
PER_PASS = 1_000_000
"""Contents remembered at once to ask for each only once; where more are missing, the query is read several times."""
HOPELESS = 100
"""A service that fails on as many contents without a single answer is broken: the run stops."""


@dataclass
class Failures:
    """Contents without an answer, by reason, and the first of them."""

    reasons: Counter = field(default_factory=Counter)
    first: str | None = None

    def note(self, reason: str, who: str) -> None:
        """One content more."""
        self.reasons[reason] += 1
        self.first = self.first or who


class AnswerTable:
    """The kept answers of one service: gs_key, gs_value, why there is none, whether to ask again, the state of the file asked about."""

    def __init__(self, store: Store, service: Service, identity: str):
        self.store, self.service = store, service
        self.name = f"{service.name.casefold()} {identity}"
        self.table = cache_table(SCHEMA, self.name)
        self.type = answer_type(store, service.returns)

    @property
    def exists(self) -> bool:
        """Has it been asked anything yet?"""
        return is_cached(self.store.connection, SCHEMA, self.name)

    def create(self) -> None:
        """An empty table; answers of the service's earlier versions go."""
        self.store.execute(f"CREATE SCHEMA IF NOT EXISTS gs_cache.{SCHEMA}")
        for (old,) in self.store.rows(f"SELECT table_name FROM duckdb_tables() WHERE database_name = 'gs_cache' AND schema_name = '{SCHEMA}'"):
            if old.split(" ")[0] == self.name.split(" ")[0] and old != self.name:
                self.store.execute(f"DROP TABLE {cache_table(SCHEMA, old)}")
        self.store.execute(
            f"CREATE TABLE IF NOT EXISTS {self.table} ({KEY} UUID, gs_value {kept_as(self.service.returns)}, gs_problem VARCHAR, gs_failed BOOLEAN, gs_stamp VARCHAR)"
        )

    def forget_failures(self) -> None:
        """Contents on which the service raised are asked again."""
        self.store.execute(f"DELETE FROM {self.table} WHERE gs_failed")

    def failures(self) -> Counter:
        """Why contents have no answer -> how many."""
        return Counter(dict(self.store.rows(f"SELECT gs_problem, count(*) FROM {self.table} WHERE gs_problem IS NOT NULL GROUP BY 1")))


@dataclass
class Asking:
    """Everything one round of questions needs.

    files   where relative paths begin
    ready   makes the service ready: only called when something is missing
    """

    store: Store
    files: Path
    answers: AnswerTable
    ready: Callable[[], Answering]
    listen: Listener
    failures: Failures = field(default_factory=Failures)
    n_asked: int = 0
    seconds: float = 0.0

    def ask(self, call: Call, kinds: Sequence[str], key_columns: Sequence[str]) -> None:
        """Ask for every content of a call that has no answer yet.

        kinds        DuckDB types of the arguments
        key_columns  columns of the call's query that name an entity, for messages

        Raises ConfigError FT110, FT112, FT114.
        """
        paths = call.service.reads_files and kinds[0] != "BLOB"
        source = self._source(call, key_columns, paths)
        total = self.store.value(f"SELECT count(DISTINCT {KEY}) FROM ({source})")
        if not total:
            return
        if not paths:
            self.ready()  # before the rows stream: fitting asks queries of its own
        passes = -(-total // PER_PASS)
        for part in range(passes):
            only = "" if passes == 1 else f" WHERE hash({KEY}) % {passes} = {part}"
            self._pass(call.service, f"SELECT * FROM ({source}){only}", total, paths)

    def _source(self, call: Call, key_columns: Sequence[str], paths: bool) -> str:
        """SELECT of key, entity and arguments of the rows without an answer; of all files, with what was known of them."""
        key = key_of(call.service, call.arguments)
        who = f"CAST({key_columns[0]} AS VARCHAR)" if key_columns else "NULL"
        arguments = ", ".join(f"CAST({a} AS {'VARCHAR' if paths else kinds[0]}) AS {a}" for a, kinds in zip(call.arguments, call.service.inputs))
        rows = f"SELECT {key} AS {KEY}, {who} AS gs_who, {arguments} FROM ({call.query}) AS gs_calls"
        if paths:
            return f"SELECT asked.*, known.gs_stamp FROM ({rows}) AS asked LEFT JOIN {self.answers.table} AS known USING ({KEY}) WHERE {KEY} IS NOT NULL"
        return f"SELECT asked.* FROM ({rows}) AS asked ANTI JOIN {self.answers.table} USING ({KEY}) WHERE {KEY} IS NOT NULL"

    def _pass(self, service: Service, source: str, total: int, paths: bool) -> None:
        seen: set[str] = set()
        chunk: list[pa.Table] = []
        written = time.perf_counter()
        reader = self.store.streaming(source, service.batch if paths or "BLOB" in service.inputs[0] else READ_AT_ONCE)
        for batch in reader:
            fresh = _unseen(batch, seen)
            rows = self._with_files(pa.Table.from_batches([fresh])) if paths else pa.Table.from_batches([fresh])
            for start in range(0, rows.num_rows, service.batch):
                chunk.append(self._answered(service, rows.slice(start, service.batch)))
                if time.perf_counter() - written > KEPT_EVERY:
                    self._keep(service, chunk, total)
                    written = time.perf_counter()
        self._keep(service, chunk, total)

    def _keep(self, service: Service, chunk: list[pa.Table], total: int) -> None:
        if chunk:
            rows = pa.concat_tables(chunk)
            self.answers.store.append_beside(self.answers.table, rows)
            chunk.clear()
            self.listen(Event(service.name, f"{service.name}: {self.n_asked:,} of {total:,} contents"))

    def _with_files(self, rows: pa.Table) -> pa.Table:
        """The bytes of the files that are new or were written since they were asked about, in the place of their paths."""
        stamps, known = [_stamp(self.files / path) for path in rows["gs_argument_0"].to_pylist()], rows["gs_stamp"].to_pylist()
        changed = [i for i, (now, then) in enumerate(zip(stamps, known)) if now != then]
        again = [rows[KEY][i].as_py() for i in changed if known[i] is not None]
        if again:
            self.store.connection.cursor().execute(f"DELETE FROM {self.answers.table} WHERE {KEY} IN ({', '.join(literal(k) for k in again)})")
        rows = rows.take(pa.array(changed, pa.int64()))
        data = [_bytes(self.files / path) for path in rows["gs_argument_0"].to_pylist()]
        rows = rows.set_column(rows.column_names.index("gs_argument_0"), "gs_argument_0", pa.array(data, pa.binary()))
        return rows.set_column(rows.column_names.index("gs_stamp"), "gs_stamp", pa.array([stamps[i] for i in changed], pa.string()))

    def _answered(self, service: Service, rows: pa.Table) -> pa.Table:
        """The rows of the cache for these questions."""
        started = time.perf_counter()
        arguments = [rows[c].combine_chunks() for c in rows.column_names if c.startswith("gs_argument_")]
        answering = self.ready()
        if service.is_udf and not self.n_asked:
            _require_same_again(service, answering, arguments, self.answers.type)
        found = self._attempted(service, answering, arguments)
        problems = [_first_line(p) for p in found.problems]
        failed = [p is not None and p.startswith(RAISED) for p in found.problems]
        self.n_asked += rows.num_rows
        self._note(rows, problems)
        if all(failed) and self.n_asked >= HOPELESS and sum(self.failures.reasons.values()) == self.n_asked:
            raise ConfigError("FT114", f"{service.name} fails on everything: {problems[0]}", location=service.location, hint="mend it; answers found so far are kept")
        self.seconds += time.perf_counter() - started
        stamp = rows["gs_stamp"] if "gs_stamp" in rows.column_names else pa.nulls(rows.num_rows, pa.string())
        return pa.table({KEY: rows[KEY], "gs_value": found.values, "gs_problem": pa.array(problems, pa.string()), "gs_failed": pa.array(failed, pa.bool_()), "gs_stamp": stamp})

    def _note(self, rows: pa.Table, problems: Sequence[str | None]) -> None:
        wrong = [i for i, p in enumerate(problems) if p is not None]
        for i in wrong:
            self.failures.note(problems[i], str(rows["gs_who"][i].as_py() or _shown(rows["gs_argument_0"][i].as_py())))

    def _attempted(self, service: Service, answering: Answering, arguments: list[pa.Array]) -> Answers:
        """The answers; where the service raises, those of both halves, down to the rows on which it does."""
        n = len(arguments[0])
        try:
            found = answering(*arguments)
        except Exception as error:  # whatever user code raises
            if n == 1:
                return Answers(pa.nulls(1, self.answers.type), [f"{RAISED}{type(error).__name__}: {error}"])
            half = n // 2
            parts = [self._attempted(service, answering, [a.slice(s, k) for a in arguments]) for s, k in ((0, half), (half, n - half))]
            return Answers(pa.concat_arrays([p.values for p in parts]), [*parts[0].problems, *parts[1].problems])
        values, problems = (found.values, list(found.problems)) if isinstance(found, Answers) else (found, [None] * n)
        return _finite(typed(service, values, n, self.answers.type), problems)


RAISED = "\0"
"""Marks, inside this module, problems that were exceptions: they are asked again by the next run."""


def typed(service: Service, values: Any, n: int, kind: pa.DataType) -> pa.Array:
    """What a service gave back as an Arrow array (n,) of the type it declares. Raises ConfigError FT110."""

    def wrong(message: str) -> ConfigError:
        return ConfigError("FT110", f"{service.name} {message}", location=service.location, hint=f"Arrow in, Arrow out: one value of {service.returns} for each row, in order")

    if isinstance(values, pa.ChunkedArray):
        values = values.combine_chunks()
    if not isinstance(values, pa.Array):
        raise wrong(f"returned {type(values).__name__}, not an Arrow array")
    if len(values) != n:
        raise wrong(f"returned {len(values)} values for {n} rows")
    if values.type == kind:
        return values
    if not _alike(values.type, kind):
        raise wrong(f"returned {values.type}, declared is {service.returns}")
    try:
        return values.cast(kind)
    except (pa.ArrowInvalid, pa.ArrowNotImplementedError) as error:
        raise wrong(f"returned {values.type}, declared is {service.returns}: {error}") from error


def _alike(given: pa.DataType, wanted: pa.DataType) -> bool:
    """May a cast bridge the two: text to text, number to number, list to list?"""
    kinds = (pa.types.is_null, lambda t: pa.types.is_string(t) or pa.types.is_large_string(t) or pa.types.is_dictionary(t), lambda t: pa.types.is_integer(t) or pa.types.is_floating(t), pa.types.is_boolean)
    lists = (pa.types.is_list, pa.types.is_large_list, pa.types.is_fixed_size_list)
    if any(f(given) for f in lists) and any(f(wanted) for f in lists):
        return _alike(given.value_type, wanted.value_type)
    return pa.types.is_null(given) or any(f(given) and f(wanted) for f in kinds) or (given.id == wanted.id)


def _finite(values: pa.Array, problems: list[str | None]) -> Answers:
    """Vectors with NaN or infinity, and numbers that are not finite, become NULL, with a problem."""
    vectors = pa.types.is_fixed_size_list(values.type)
    if not (vectors or pa.types.is_floating(values.type)):
        return Answers(values, problems)
    known = np.flatnonzero(values.is_valid().to_numpy(zero_copy_only=False))
    numbers = (values.flatten() if vectors else values.drop_null()).to_numpy(zero_copy_only=False).reshape(len(known), -1)
    bad = known[~np.isfinite(numbers.astype(float)).all(axis=1)]
    for i in bad:
        problems[i] = "NaN or infinity"
    dropped = np.isin(np.arange(len(values)), bad)
    return Answers(values.take(pa.array(np.arange(len(values)), mask=dropped)) if len(bad) else values, problems)


def _require_same_again(service: Service, answering: Answering, arguments: list[pa.Array], kind: pa.DataType) -> None:
    """Raise ConfigError FT112 when two calls on the same rows differ; rows on which it raises are looked at later."""
    sample = [a.slice(0, 64) for a in arguments]
    try:
        once, again = (typed(service, answering(*sample), len(sample[0]), kind) for _ in range(2))
    except ConfigError:
        raise
    except Exception:
        return
    if not _same(once, again):
        raise ConfigError("FT112", f"{service.name} gives other answers for the same rows", location=service.location, hint="seed what is random inside the function")


def _same(one: pa.Array, other: pa.Array) -> bool:
    """Equal, or of floating-point numbers that are as good as equal."""
    if one.equals(other):
        return True
    floats = _floats(one), _floats(other)
    return floats[0] is not None and floats[0].shape == floats[1].shape and np.allclose(*floats, rtol=1e-3, atol=1e-5, equal_nan=True)


def _floats(values: pa.Array) -> np.ndarray | None:
    while isinstance(values, (pa.ListArray, pa.FixedSizeListArray, pa.LargeListArray)):
        values = values.flatten()
    return values.to_numpy(zero_copy_only=False) if pa.types.is_floating(values.type) else None


def _unseen(batch: pa.RecordBatch, seen: set[str]) -> pa.RecordBatch:
    """The rows of contents that this pass meets for the first time."""
    keep = []
    for i, key in enumerate(batch.column(0).to_pylist()):
        if key not in seen:
            seen.add(key)
            keep.append(i)
    return batch if len(keep) == batch.num_rows else batch.take(pa.array(keep, pa.int64()))


def _stamp(path: Path) -> str:
    """Size and time of writing of a file; "absent" where there is none."""
    try:
        found = path.stat()
    except (OSError, ValueError):
        return "absent"
    return f"{found.st_size}:{found.st_mtime_ns}" if path.is_file() else "absent"


def _bytes(path: Path) -> bytes:
    """The bytes of a file; none for what is no file (a device would never end) or cannot be read."""
    try:
        return path.read_bytes() if path.is_file() else b""
    except (OSError, ValueError):
        return b""


def _first_line(problem: str | None) -> str | None:
    return None if problem is None else (problem.removeprefix(RAISED).splitlines() or [""])[0][:200]


def _shown(value: Any) -> str:
    text = f"{len(value):,} bytes" if isinstance(value, bytes) else repr(value)
    return text if len(text) <= 60 else text[:59] + "…"


def failure_warning(service: Service, n_rows: int | None, failures: Failures) -> Diagnostic | None:
    """FT201: how many contents a service has no answer for, why, and the first of them."""
    if not failures.reasons:
        return None
    n = sum(failures.reasons.values())
    why = "; ".join(f"{count:,} {reason}" for reason, count in failures.reasons.most_common(3))
    of = f" of {n_rows:,}" if n_rows else ""
    first = f"; first: {failures.first}" if failures.first else ""
    return Diagnostic("FT201", f"{service.name} has no answer for {n:,}{of} contents ({why}){first}", service.location, "they are NULL; those on which it raised are asked again by the next run")
