"""The `entity` table: one row per entity of a task, all modalities over common columns."""

from __future__ import annotations

from dataclasses import replace
from typing import Mapping, Sequence

from sqlglot import exp

from ..errors import ConfigError, did_you_mean
from ..store import Store
from ..store.names import key_expression, quoted
from ..types import RESERVED_COLUMNS, SPLITS, EntityLayout, Modality, Project, Resource, SourceLayout, SplitRule, Task
from .columns import cast, column, composite_key, literal, type_name
from .spans import spanned

CHANGED_SHARE = 0.3
"""Above this share of new or changed rows all rows are evaluated again: cheaper than picking them out."""


def relations(store: Store) -> dict[tuple[str, str], tuple[str, str]]:
    """(schema, name) in lower case -> (schema, name) of every table and view in the warehouse."""
    found = store.rows("SELECT table_schema, table_name FROM information_schema.tables WHERE table_catalog = 'warehouse'")
    return {(schema.casefold(), name.casefold()): (schema, name) for schema, name in found}


def warehouse_columns(store: Store, relation: str, asked_by: str) -> tuple[str, str, dict[str, str]]:
    """(schema, name, columns) of a warehouse relation; raises ConfigError CFG108 when it is not there."""
    known = relations(store)
    schema, _, name = relation.rpartition(".")
    found = known.get(((schema or "main").casefold(), name.casefold()))
    if not found:
        names = [n for _, n in known.values()]
        hint = did_you_mean(name, names) or f"the warehouse has: {', '.join(sorted(names)[:12]) or 'nothing'}"
        raise ConfigError("CFG108", f'{asked_by}: there is no relation "{relation}" in the warehouse', hint=hint)
    return *found, store.columns(_table(*found))


def entity_layout(store: Store, project: Project, task: Task) -> EntityLayout:
    """The columns of the task's `entity` and the query that builds it.

    Raises ConfigError CFG108 for relations, CFG109 for columns the configuration names and the warehouse lacks.
    """
    sources = [_source(store, project.modalities[name], task) for name in task.modalities]
    key_type = _common_type([_key_type(s.modality, s.columns) for s in sources])
    types = _union_types(sources, task)
    sources = [_with_casts(source, types, key_type, task) for source in sources]
    by_fold = {name.casefold(): kind for name, kind in types.items()}
    selects = [_select(s, task, key_type, {c.casefold(): by_fold.get(_carried_name(c).casefold(), kind) for c, kind in s.columns.items()}) for s in sources]
    query = selects[0] if len(selects) == 1 else exp.maybe_parse(
        " UNION ALL BY NAME ".join(s.sql("duckdb") for s in selects), dialect="duckdb"
    )
    reserved = {"entity_id": key_type, "modality": "VARCHAR", "split": "VARCHAR", "event_time": "TIMESTAMP WITH TIME ZONE"}
    return EntityLayout(key_type, reserved | types, tuple(sources), query)


def with_resources(layout: EntityLayout, resources: Sequence[Resource], tables: Mapping[str, str] = {}) -> EntityLayout:
    """The layout with one more column per feature: NULL where the feature has no row for an entity.

    tables  feature -> the table that holds its values (entity_id, value); other features stand there with their queries
    """
    if not resources:
        return layout
    query = exp.select("e.*", *(exp.column(r.name, table=f"f{i}", quoted=True) for i, r in enumerate(resources))).from_(layout.query.subquery("e"))
    for i, resource in enumerate(resources):
        source = f"SELECT * FROM {tables[resource.name]}" if resource.name in tables else resource_query(resource, layout.key_type)
        values = exp.maybe_parse(source, dialect="duckdb")
        query = query.join(values.subquery(f"f{i}"), on=f'"f{i}".entity_id = e.entity_id', join_type="left", dialect="duckdb")
    columns = {**layout.columns, **{r.name: r.type for r in resources}}
    return replace(layout, columns=columns, query=query, resources=tuple(resources))


def resource_query(resource: Resource, key_type: str, keyless: bool = False) -> str:
    """entity_id and the value of a feature; NaN counts as missing.

    keyless  keep rows without a key
    """
    name = quoted(resource.name)
    value = f"CASE WHEN NOT isnan({name}) THEN {name} END" if resource.type in ("DOUBLE", "FLOAT") else name
    key = f"CAST({key_expression(resource.key)} AS {key_type})"
    return f"SELECT {key} AS entity_id, {value} AS {name} FROM ({resource.query}) AS f" + ("" if keyless else f" WHERE {key} IS NOT NULL")


def _source(store: Store, modality: Modality, task: Task) -> SourceLayout:
    asked_by = f"[modality.{modality.name}]"
    schema, relation, columns = warehouse_columns(store, modality.relation, asked_by)
    wanted = {*modality.key, *([modality.event_time] if modality.event_time else []), *([task.split.column] if task.split.column else [])}
    if task.split.before and not modality.event_time:
        raise ConfigError("CFG109", f"{asked_by}: a split by time needs event_time", hint='add event_time = "COLUMN"')
    for name in sorted(wanted):
        if name.casefold() not in {c.casefold() for c in columns}:
            raise ConfigError("CFG109", f'{asked_by}: {relation} has no column "{name}"', hint=did_you_mean(name, columns) or f"it has: {', '.join(columns)}")
    return SourceLayout(modality, schema, relation, columns, {})


def _carried_name(name: str) -> str:
    return f"{name}_" if name.casefold() in RESERVED_COLUMNS else name


def _hidden(source: SourceLayout, task: Task) -> set[str]:
    """Source columns that `entity` does not repeat: a single key, the split, gold labels and what only studies are told."""
    hidden = {source.modality.key[0].casefold()} if len(source.modality.key) == 1 else set()
    if task.split.column:
        hidden.add(task.split.column.casefold())
    here = (a for a in task.answers if a.relation.casefold().split(".")[-1] == source.relation.casefold())
    return hidden | {column.casefold() for answers in here for column in answers.sealed}


def _union_types(sources: list[SourceLayout], task: Task) -> dict[str, str]:
    types: dict[str, str] = {}
    for source in sources:
        for name, kind in source.columns.items():
            if name.casefold() not in _hidden(source, task):
                shown = next((k for k in types if k.casefold() == _carried_name(name).casefold()), _carried_name(name))
                types[shown] = kind if types.get(shown, kind) == kind else "VARCHAR"
    return types


def _with_casts(source: SourceLayout, types: Mapping[str, str], key_type: str, task: Task) -> SourceLayout:
    carried: dict[str, exp.Expression] = {}
    by_fold = {name.casefold(): (name, kind) for name, kind in types.items()}
    hidden = _hidden(source, task)
    for name, kind in source.columns.items():
        if name.casefold() not in hidden:
            shown, union_kind = by_fold[_carried_name(name).casefold()]
            carried[name.casefold()] = column(shown) if union_kind == kind else cast(column(shown), kind)
    if len(source.modality.key) == 1:
        kind = _key_type(source.modality, source.columns)
        carried[source.modality.key[0].casefold()] = column("entity_id") if kind == key_type else cast(column("entity_id"), kind)
    if task.split.column:
        carried[task.split.column.casefold()] = column("split")
    return SourceLayout(source.modality, source.schema, source.relation, source.columns, carried)


def _select(source: SourceLayout, task: Task, key_type: str, types: Mapping[str, str]) -> exp.Select:
    """The rows of one source; types: source column, lower case -> its type in `entity`."""
    modality = source.modality
    key = cast(composite_key(modality.key), key_type)
    columns = [
        exp.alias_(key, "entity_id", quoted=True),
        exp.alias_(literal(modality.name), "modality", quoted=True),
        exp.alias_(_split(task.split, modality, key), "split", quoted=True),
        exp.alias_(cast(column(modality.event_time) if modality.event_time else exp.null(), "TIMESTAMPTZ"), "event_time", quoted=True),
    ]
    hidden = _hidden(source, task)
    for name, kind in source.columns.items():
        if name.casefold() not in hidden:
            shown = types[name.casefold()]
            columns.append(exp.alias_(column(name) if kind == shown else cast(column(name), shown), _carried_name(name), quoted=True))
    return exp.select(*columns).from_(_table(source.schema, source.relation))


def _split(rule: SplitRule, modality: Modality, key: exp.Expression) -> exp.Expression:
    """The split of a row as an expression over its source."""
    if rule.column:
        return exp.func("coalesce", cast(column(rule.column), "VARCHAR"), literal("train"))
    bucket = exp.Mod(this=exp.paren(exp.func("md5_number_lower", cast(key.copy(), "VARCHAR"))), expression=literal(100))
    if rule.before:
        late = exp.GTE(this=cast(column(modality.event_time), "TIMESTAMP"), expression=cast(literal(rule.before.isoformat(" ")), "TIMESTAMP"))
        return exp.case().when(late, literal("test")).when(exp.LT(this=bucket, expression=literal(90)), literal("train")).else_(literal("dev"))
    train, dev, _ = rule.hash
    return (
        exp.case()
        .when(exp.LT(this=bucket, expression=literal(train)), literal("train"))
        .when(exp.LT(this=bucket.copy(), expression=literal(train + dev)), literal("dev"))
        .else_(literal("test"))
    )


def _key_type(modality: Modality, columns: Mapping[str, str]) -> str:
    if len(modality.key) > 1:
        return "VARCHAR"
    return next(kind for name, kind in columns.items() if name.casefold() == modality.key[0].casefold())


def _common_type(kinds: list[str]) -> str:
    return kinds[0] if len(set(kinds)) == 1 else "VARCHAR"


def _table(schema: str, relation: str) -> exp.Table:
    return exp.table_(relation, db=schema, catalog="warehouse", quoted=True)


# -- building -----------------------------------------------------------------------------------------------------------


def source_fingerprint(store: Store, layout: EntityLayout, task: Task) -> str:
    """An order-free hash of everything `entity` is made of: the query, the content of the columns it reads, and of its features."""
    rows = layout.query.args["from_"].this.this if layout.resources else layout.query
    parts = [rows.sql("duckdb"), type_name(layout)]
    for source in layout.sources:
        read = [exp.column(c, quoted=True).sql("duckdb") for c in source.columns]
        table = _table(source.schema, source.relation).sql("duckdb")
        n, content = store.rows(f"SELECT count(*), CAST(coalesce(sum(hash({', '.join(read)})), 0) AS VARCHAR) FROM {table}")[0]
        parts.append(f"{table}:{n}:{content}")
    parts += [f"{resource.name}:{layout.built[resource.name].content}" for resource in layout.resources]
    return "|".join(parts)


def build_entities(store: Store, task: Task, layout: EntityLayout) -> int:
    """Build `entity`; returns its number of rows and leaves new, changed and deleted ids in `entity_change`.

    `entity_change` holds one row with a NULL id when all rows must be evaluated again.
    Raises ConfigError CFG110 for NULL keys, CFG111 for keys that are not unique, CFG112 for values that are no split.
    """
    schema = exp.to_identifier(task.name, quoted=True).sql("duckdb")
    with store.transaction():
        store.execute(f"CREATE SCHEMA IF NOT EXISTS {schema}")
        store.create(task.name, "entity_new", layout.query.copy().limit(0))
        for part in spanned(store, layout):
            store.execute(f"INSERT INTO {schema}.entity_new {part.sql('duckdb')}")
        _require_unique_keys(store, task, schema)
        _require_splits(store, task, schema)
        changed = _changed_rows(store, task, f"{schema}.entity_new")
        store.execute(f"CREATE TABLE IF NOT EXISTS {schema}.entity_change (entity_id {layout.key_type})")
        if changed is None:
            store.execute(f"CREATE OR REPLACE TABLE {schema}.entity_change AS SELECT CAST(NULL AS {layout.key_type}) AS entity_id")
        else:
            store.execute(f"INSERT INTO {schema}.entity_change {changed}")
        store.execute(f"DROP TABLE IF EXISTS {schema}.entity")
        store.execute(f"ALTER TABLE {schema}.entity_new RENAME TO entity")
        return store.value(f"SELECT count(*) FROM {schema}.entity")


def entity_changes(store: Store, task: Task, layout: EntityLayout) -> int | None:
    """How many rows of `entity` a build would find new, changed or gone; None when all must be taken."""
    query = _changed_rows(store, task, f"({layout.query.sql('duckdb')})")
    return None if query is None else store.value(f"SELECT count(*) FROM ({query})")


def _changed_rows(store: Store, task: Task, new: str) -> str | None:
    """A query for the ids that are new, changed or gone in the relation `new`; None when all must be taken."""
    schema = exp.to_identifier(task.name, quoted=True).sql("duckdb")
    if not store.has_table(task.name, "entity") or not store.has_table(task.name, "vote_code"):
        return None
    if store.columns(f"FROM {schema}.entity") != store.columns(f"FROM {new}"):
        return None
    query = (
        f'SELECT "new row".entity_id FROM {new} AS "new row" LEFT JOIN {schema}.entity AS "old row" USING (entity_id) '
        f'WHERE hash("new row") IS DISTINCT FROM hash("old row") UNION ALL SELECT entity_id FROM {schema}.entity ANTI JOIN {new} AS "new row" USING (entity_id)'
    )
    share = store.value(f"SELECT (SELECT count(*) FROM ({query})) > {CHANGED_SHARE} * (SELECT count(*) FROM {new})")
    return None if share else query


def _require_unique_keys(store: Store, task: Task, schema: str) -> None:
    n, nulls, distinct = store.rows(f"SELECT count(*), count(*) - count(entity_id), count(DISTINCT entity_id) FROM {schema}.entity_new")[0]
    if nulls:
        raise ConfigError("CFG110", f"task {task.name}: {nulls:,} of {n:,} rows have no key (NULL)", hint="point [modality] from at a view that leaves them out")
    if distinct == n:
        return
    examples = store.rows(f"SELECT entity_id, count(*) FROM {schema}.entity_new GROUP BY 1 HAVING count(*) > 1 ORDER BY 2 DESC, 1 LIMIT 3")
    shown = ", ".join(f"{key} ({count} rows)" for key, count in examples)
    raise ConfigError("CFG111", f"task {task.name}: keys are not unique over its modalities: {shown}", hint="key = [...] may name several columns")


def _require_splits(store: Store, task: Task, schema: str) -> None:
    found = [s for (s,) in store.rows(f"SELECT DISTINCT split FROM {schema}.entity_new ORDER BY 1 LIMIT 20")]
    wrong = [s for s in found if s not in SPLITS]
    if wrong:
        hint = did_you_mean(wrong[0], SPLITS) or "values are train, dev and test"
        raise ConfigError("CFG112", f'task {task.name}: "{wrong[0]}" in column {task.split.column} is not a split', hint=hint)
