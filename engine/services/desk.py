"""Where feature queries get their answers: macros for the services they call, and the answers behind them."""

from __future__ import annotations

import hashlib
from dataclasses import dataclass, field
from typing import Iterable, Iterator, Sequence

import duckdb
import pyarrow as pa
import sqlglot
from sqlglot import exp

from ..errors import ConfigError, Diagnostic
from ..store import Store, content_of, is_cached
from ..types import NUMBER_TYPES, Event, Listener, Project, silent
from .answers import AnswerTable, Asking, failure_warning
from .base import Answering, Preparation, Service
from .calls import BadCall, Call, UnboundCall, by_key, macro, macro_by_key, service_calls
from .load import Services

COSTS = "gs_cache.service.cost"


@dataclass
class Answered:
    """What answering the calls of a query came to: contents asked for, contents that failed now, what is to be said."""

    n_asked: int = 0
    n_failed: int = 0
    diagnostics: list[Diagnostic] = field(default_factory=list)


class Desk:
    """The services of a project on one connection."""

    def __init__(self, store: Store, project: Project, services: Services, listen: Listener = silent):
        self.store, self.project, self.services, self.listen = store, project, services, listen
        self._identities: dict[str, str] = {}
        self._ready: dict[str, tuple[Answering, Preparation]] = {}
        self._asked_again: set[str] = set()

    # -- binding --------------------------------------------------------------------------------------------------------

    def declare(self, tree: exp.Expression) -> list[Service]:
        """The services a query calls, shown as temporary macros without answers; checks types, reads no data.

        Raises BadCall FT109, FT111; BadDeclaration.
        """
        found: dict[str, Service] = {}
        calls = list(service_calls(tree, self.services))
        for service in {c.service.name: c.service for c in calls}.values():
            for inner in self.declare(sqlglot.parse_one(service.fit, read="duckdb")) if service.fit else ():
                found.setdefault(inner.name, inner)
            found[service.name] = service
            self.store.execute(macro(service, None))
        for call in calls:
            self.kinds(call)
        return list(found.values())

    def show(self, services: Iterable[Service]) -> None:
        """Macros that look up what is known by now."""
        for service in services:
            answers = self.table(service)
            self.store.execute(macro(service, answers.table if answers.exists else None))

    def kinds(self, call: Call) -> list[str]:
        """The DuckDB types of a call's arguments. Raises BadCall FT109 where they are not what the service takes, UnboundCall FT111."""
        try:
            columns = self.store.columns(call.query)
        except duckdb.Error as error:
            raise UnboundCall(call.node, "FT111", f"{call.service.name}() cannot be asked here: its arguments are not columns of the SELECT around it", "call it in a sub-query or CTE of its own") from error
        kinds = [columns[a] for a in call.arguments]
        for kind, wanted in zip(kinds, call.service.inputs):
            if not any(_fits(kind, each) for each in wanted):
                raise BadCall(call.node, "FT109", f"{call.service.name}() takes {' or '.join(wanted)}, here it gets {kind}", call.service.signature)
        return kinds

    def by_key(self, tree: exp.Expression) -> str:
        """The query to run once its calls are answered: what `calls.by_key` makes of it."""
        for service in {c.service.name: c.service for c in service_calls(tree, self.services)}.values():
            self.store.execute(macro_by_key(service, self.table(service).table))
        return by_key(tree, self.services).sql("duckdb")

    # -- identity -------------------------------------------------------------------------------------------------------

    def identity(self, service: Service) -> str:
        """What the answers of a service depend on, beside their arguments."""
        if service.name not in self._identities:
            parts, inner = [service.identity], self._fit_services(service)
            if service.follows_fit and service.fit:
                self.show(inner)
                parts.append(content_of(self.store, f"({service.fit})"))
            parts += [self.identity(each) for each in inner]
            self._identities[service.name] = hashlib.sha256("|".join(parts).encode()).hexdigest()[:16]
        return self._identities[service.name]

    def _fit_services(self, service: Service) -> list[Service]:
        if service.fit is None:
            return []
        return list({c.service.name: c.service for c in service_calls(sqlglot.parse_one(service.fit, read="duckdb"), self.services)}.values())

    def table(self, service: Service) -> AnswerTable:
        """Where the answers of a service are kept."""
        return AnswerTable(self.store, service, self.identity(service))

    # -- answering ------------------------------------------------------------------------------------------------------

    def answer(self, tree: exp.Expression, keys: Sequence[Sequence[str]] = ()) -> Answered:
        """Ask for everything a query calls and nobody knows yet, innermost calls first.

        keys  column names that identify an entity: the first whose columns the query has names rows in messages

        Raises ConfigError FT110, FT112, FT113, FT114.
        """
        calls = list(service_calls(tree, self.services))
        done = Answered()
        for i, call in enumerate(calls):
            if call.service.fit and not any(c.service is call.service for c in calls[:i]):
                self._add(done, self.answer(sqlglot.parse_one(call.service.fit, read="duckdb")))
                self._identities.pop(call.service.name, None)  # what it looks up may have changed just now
            self._add(done, self._answer(call, [c for c in calls if c.service is call.service], keys))
        return done

    def _add(self, done: Answered, more: Answered) -> None:
        done.n_asked += more.n_asked
        done.n_failed += more.n_failed
        done.diagnostics += [d for d in more.diagnostics if d not in done.diagnostics]

    def _answer(self, call: Call, siblings: Sequence[Call], keys: Sequence[Sequence[str]]) -> Answered:
        service = call.service
        answers = self.table(service)
        answers.create()
        if service.name not in self._asked_again:
            answers.forget_failures()
            self._asked_again.add(service.name)
        if service.fits and not service.follows_fit and not self._state(service).exists():
            self.store.execute(f"DELETE FROM {answers.table}")  # fitted anew: earlier answers are another model's
        self.show([service])
        columns = {c.casefold() for c in self.store.columns(call.query)}
        key = next((k for k in keys if {c.casefold() for c in k} <= columns), ())
        asking = Asking(self.store, self.project.root, answers, lambda: self._made_ready(service, siblings), self.listen)
        asking.ask(call, self.kinds(call), key)
        self._note_cost(service, asking)
        notes = self._ready[service.name][1].notes if asking.n_asked else []
        warning = failure_warning(service, asking.n_asked, asking.failures)
        raised = self.store.value(f"SELECT count(*) FROM {answers.table} WHERE gs_failed")
        return Answered(asking.n_asked, raised, [*notes, *([warning] if warning else [])])

    def _state(self, service: Service):
        return self.project.state_dir / "services" / f"{service.name.casefold()}-{self.identity(service)}.npz"

    def _made_ready(self, service: Service, calls: Sequence[Call]) -> Answering:
        if service.name not in self._ready:
            state = self._state(service)
            state.parent.mkdir(parents=True, exist_ok=True)
            preparation = Preparation(self.project.root, state, lambda most: self._fit_rows(service, calls, most))
            self.listen(Event(service.name, f"{service.name}: fitting" if service.fits and not state.exists() else f"{service.name}: starting"))
            self._ready[service.name] = service.prepare(preparation), preparation
        return self._ready[service.name][0]

    def _fit_rows(self, service: Service, calls: Sequence[Call], most: int) -> Iterator[pa.RecordBatch]:
        """What a service is fitted on: at most `most` rows of its query, or of the arguments of the feature that asks first."""
        rows = service.fit or " UNION ALL ".join(f"SELECT {', '.join(c.arguments)} FROM ({c.query})" for c in calls)
        first = next(iter(self.store.columns(f"FROM ({rows})")))
        name = exp.to_identifier(first, quoted=True).sql("duckdb")
        try:
            yield from self.store.streaming(f"FROM ({rows}) WHERE {name} IS NOT NULL ORDER BY md5(CAST({name} AS VARCHAR)) LIMIT {most}", 2048)
        except pa.ArrowInvalid as error:
            raise ConfigError("FT113", f"{service.name} cannot be fitted: {error}", location=service.location, hint="look at its fit query") from error

    def cost_ms(self, service: Service) -> float | None:
        """Milliseconds a content takes: measured, or else as declared."""
        if not is_cached(self.store.connection, "service", "cost"):
            return service.cost_ms
        found = {"s": service.name, "i": self.identity(service)}
        measured = self.store.value(f"SELECT 1000 * sum(seconds) / sum(n) FROM {COSTS} WHERE service = $s AND identity = $i", found)
        return service.cost_ms if measured is None else measured

    def n_without_answer(self, service: Service) -> int:
        """Contents it was asked for in vain."""
        answers = self.table(service)
        return sum(answers.failures().values()) if answers.exists else 0

    def _note_cost(self, service: Service, asking: Asking) -> None:
        self.store.execute(f"CREATE TABLE IF NOT EXISTS {COSTS} (service VARCHAR, identity VARCHAR, n BIGINT, seconds DOUBLE)")
        if asking.n_asked:
            found = {"s": service.name, "i": self.identity(service), "n": asking.n_asked, "t": asking.seconds}
            self.store.execute(f"INSERT INTO {COSTS} VALUES ($s, $i, $n, $t)", found)


def _fits(kind: str, wanted: str) -> bool:
    """Can a value of one DuckDB type be given where another is wanted, losing nothing that matters?"""
    if kind == wanted or kind == '"NULL"':
        return True
    if wanted.endswith("]") and kind.endswith("]"):
        return _fits(kind[: kind.rindex("[")], wanted[: wanted.rindex("[")]) and (wanted.endswith("[]") or kind[kind.rindex("["):] == wanted[wanted.rindex("["):])
    return (wanted == "VARCHAR" and kind.startswith("ENUM")) or (kind.startswith(NUMBER_TYPES) and wanted in ("DOUBLE", "FLOAT") and not kind.endswith("]"))
