"""Features as tables of the cache: each query is evaluated once, and only when something it depends on has changed."""

from __future__ import annotations

import hashlib
import time
from dataclasses import replace
from typing import Mapping, Sequence

import sqlglot
from sqlglot import exp

from ..errors import ConfigError, Diagnostic, Location
from ..services import Desk, Services, service_calls
from ..store import Store, cache_table, content_of
from ..store.names import quoted
from ..types import BuiltFeature, EntityLayout, Event, Listener, Project, Resource, Task, silent
from .entity import resource_query, with_resources

STATE = "gs_cache.service.feature"
"""What every feature was built from (fingerprint) and what it holds (content); complete: no service is to be asked again."""


class FeatureTables:
    """The features of one task, materialised.

    layout  of the task's modalities, without features
    """

    def __init__(self, store: Store, project: Project, task: Task, layout: EntityLayout, resources: Sequence[Resource], services: Services, listen: Listener = silent):
        self.store, self.project, self.task, self.layout, self.resources, self.listen = store, project, task, layout, resources, listen
        self.desk = Desk(store, project, services, listen)
        self.services = services
        self._contents: dict[tuple[str, frozenset[str]], str] = {}

    def table(self, resource: Resource) -> str:
        """Where the values of a feature lie: entity_id and a column called like the feature."""
        return cache_table(self.task.name, resource.name)

    # -- what is stale --------------------------------------------------------------------------------------------------

    def stale(self, full: bool = False) -> dict[str, str]:
        """Feature -> why it must be built again, in a few words."""
        known = self._known()
        found = {}
        for resource in self.resources:
            fingerprint, _, complete = known.get(resource.name, (None, None, True))
            if fingerprint is None:
                found[resource.name] = "new"
            elif fingerprint != self.fingerprint(resource):
                found[resource.name] = "depends on the clock" if resource.volatile else "changed"
            elif not complete:
                found[resource.name] = "a service failed"
            elif full:
                found[resource.name] = "asked for"
        return found

    def _known(self) -> dict[str, tuple[str, str, bool]]:
        if not self.store.rows("SELECT 1 FROM duckdb_tables() WHERE database_name = 'gs_cache' AND schema_name = 'service' AND table_name = 'feature'"):
            return {}
        rows = self.store.rows(f"SELECT feature, fingerprint, content, complete FROM {STATE} WHERE task = $t", {"t": self.task.name})
        return {feature: rest for feature, *rest in rows}

    def fingerprint(self, resource: Resource) -> str:
        """A hash of all a feature depends on: its meaning, the content of what it reads, the services it calls."""
        relations: dict[str, set[str]] = {}
        for relation, column in resource.reads:
            relations.setdefault(relation, set()).add(column)
        parts = [resource.meaning, repr(resource.key), self.layout.key_type, resource.type, self.project.timezone]
        parts += [self._content(relation, frozenset(columns)) for relation, columns in sorted(relations.items())]
        parts += [self.desk.identity(self.services.get(name)) for name in resource.services]
        parts += [repr(time.time_ns())] if resource.volatile else []
        return hashlib.sha256("\n".join(parts).encode()).hexdigest()[:32]

    def _content(self, relation: str, columns: frozenset[str]) -> str:
        if (relation, columns) not in self._contents:
            self._contents[relation, columns] = f"{relation}:{content_of(self.store, relation, columns)}"
        return self._contents[relation, columns]

    def planned(self) -> tuple[EntityLayout, dict[str, str]]:
        """The layout with features as a run would join them, stale ones by their queries over the answers known so far; and why they are stale."""
        stale = self.stale()
        self.desk.show(self.services.get(name) for name in sorted({s for r in self.resources if r.name in stale for s in r.services}))
        tables = {r.name: self.table(r) for r in self.resources if r.name not in stale}
        known = self._known()
        contents = {r.name: known[r.name][1] if r.name in tables else content_of(self.store, f"({resource_query(r, self.layout.key_type)})") for r in self.resources}
        return replace(with_resources(self.layout, self.resources, tables), built={r.name: self._built(r, contents[r.name]) for r in self.resources}), stale

    def _built(self, resource: Resource, content: str) -> BuiltFeature:
        services = [self.services.get(name) for name in resource.services]
        costs = [self.desk.cost_ms(service) for service in services]
        failures = sum(self.desk.n_without_answer(service) for service in services)
        return BuiltFeature(content, tuple(s.version for s in services), sum(costs) if costs and None not in costs else None, failures)

    # -- building -------------------------------------------------------------------------------------------------------

    def build(self, full: bool = False) -> tuple[EntityLayout, dict[str, str], list[Diagnostic]]:
        """Build what is stale: the layout with features as tables, what was built and why, warnings FT201 to FT205.

        Raises ConfigError FT105, FT110, FT112, FT113, FT114.
        """
        self.store.execute("CREATE SCHEMA IF NOT EXISTS gs_cache.service")
        self.store.execute(f"CREATE SCHEMA IF NOT EXISTS gs_cache.{quoted(self.task.name)}")
        self.store.execute(f"CREATE TABLE IF NOT EXISTS {STATE} (task VARCHAR, feature VARCHAR, fingerprint VARCHAR, content VARCHAR, complete BOOLEAN)")
        stale, diagnostics = self.stale(full), []
        for resource in self.resources:
            tree = sqlglot.parse_one(resource.query, read="duckdb")
            if resource.name not in stale and not self._reads_files(tree):
                continue
            answered = self.desk.answer(tree, [("entity_id",), *(s.modality.key for s in self.layout.sources)])
            diagnostics += [d for d in answered.diagnostics if d not in diagnostics]
            if resource.name in stale or answered.n_asked:
                stale.setdefault(resource.name, "files changed")
                self.listen(Event("features", f"building feature {resource.name}"))
                diagnostics += self._build(replace(resource, query=self.desk.by_key(tree)) if resource.services else resource, complete=not answered.n_failed)
        self._forget_others()
        known = self._known()
        layout = with_resources(self.layout, self.resources, {r.name: self.table(r) for r in self.resources})
        return replace(layout, built={r.name: self._built(r, known[r.name][1]) for r in self.resources}), stale, diagnostics

    def _reads_files(self, tree: exp.Expression) -> bool:
        return any(c.service.reads_files and self.desk.kinds(c)[0] != "BLOB" for c in service_calls(tree, self.services))

    def _build(self, resource: Resource, complete: bool) -> list[Diagnostic]:
        table, name = self.table(resource), quoted(resource.name)
        fingerprint = self.fingerprint(resource)
        with self.store.transaction():
            self.store.execute(f"CREATE OR REPLACE TABLE {table} AS {resource_query(resource, self.layout.key_type, keyless=True)}")
            lost = self.store.value(f"SELECT count(*) FROM {table} WHERE entity_id IS NULL")
            self.store.execute(f"DELETE FROM {table} WHERE entity_id IS NULL")
            not_finite = self._drop_vectors(resource, table, name)
            self._require_one_value(resource, table)
            self.store.execute(f"DELETE FROM {STATE} WHERE task = $t AND feature = $f", {"t": self.task.name, "f": resource.name})
            values = {"t": self.task.name, "f": resource.name, "p": fingerprint, "c": content_of(self.store, table), "ok": complete}
            self.store.execute(f"INSERT INTO {STATE} VALUES ($t, $f, $p, $c, $ok)", values)
        return self._doubts(resource, table, lost, not_finite)

    def _drop_vectors(self, resource: Resource, table: str, name: str) -> int:
        """Vectors with NaN or infinity become NULL; how many."""
        if not (resource.type.startswith(("FLOAT[", "DOUBLE[")) and resource.type.count("[") == 1):
            return 0
        where = f"WHERE {name} IS NOT NULL AND NOT isfinite(list_sum(CAST({name} AS DOUBLE[])))"
        n = self.store.value(f"SELECT count(*) FROM {table} {where}")
        if n:
            self.store.execute(f"UPDATE {table} SET {name} = NULL {where}")
        return n

    def _require_one_value(self, resource: Resource, table: str) -> None:
        twice = self.store.rows(f"SELECT entity_id, count(*) FROM {table} GROUP BY 1 HAVING count(*) > 1 ORDER BY 1 LIMIT 1")
        if twice:
            key, n = twice[0]
            hint = "one row per entity: GROUP BY the key, list(...) for several values"
            raise ConfigError("FT105", f"feature {resource.name}: key {key} has {n} rows", location=_place(resource), hint=hint)

    def _doubts(self, resource: Resource, table: str, lost: int, not_finite: int) -> list[Diagnostic]:
        found, at = [], _place(resource)
        if lost:
            found.append(Diagnostic("FT202", f"feature {resource.name}: {lost:,} rows have no key (NULL) and are left out", at, "look at its joins"))
        if not_finite:
            found.append(Diagnostic("FT205", f"feature {resource.name}: {not_finite:,} vectors hold NaN or infinity and are NULL", at))
        of_entities = f"SELECT entity_id, modality FROM ({self.layout.query.sql('duckdb')})"
        rows = self.store.rows(f"SELECT modality, count(*), count({quoted(resource.name)}) FROM {table} LEFT JOIN ({of_entities}) USING (entity_id) GROUP BY 1")
        strangers = sum(n for m, n, _ in rows if m is None)
        if strangers and set(self.task.modalities) == set(self.project.modalities):
            found.append(Diagnostic("FT203", f"feature {resource.name}: {strangers:,} rows are for keys that are no entity", at, "is it the key of another relation?"))
        filled = [m for m, _, n in rows if n and m is not None]
        bare = sorted(m for m in set(self.task.modalities) - set(filled) if resource.modalities is None or m in resource.modalities)
        if bare:
            hint = "if that is meant, say so in its header: modalities: " + (", ".join(sorted(filled)) or "...")
            found.append(Diagnostic("FT204", f"feature {resource.name} has no value in {' and '.join(bare)}", at, hint))
        return found

    def _forget_others(self) -> None:
        """Drop what belongs to features that are gone."""
        names = {r.name for r in self.resources}
        for name in self._known().keys() - names:
            self.store.execute(f"DROP TABLE IF EXISTS {cache_table(self.task.name, name)}")
            self.store.execute(f"DELETE FROM {STATE} WHERE task = $t AND feature = $f", {"t": self.task.name, "f": name})


def _place(resource: Resource) -> Location:
    return Location(resource.path, resource.line, source="")


def stale_line(stale: Mapping[str, str], n: int) -> str:
    """Which of n features are stale, and why, in a line."""
    shown = [f"{name} ({why})" for name, why in sorted(stale.items())]
    return f"{len(stale)} of {n}: {', '.join(shown[:4])}{', …' if len(shown) > 4 else ''}"
