"""The feature catalogue: what every common column of `entity` covers, how far its values drift between modalities, what it is worth."""

from __future__ import annotations

import hashlib
import re

import pyarrow as pa

from ..store import Store
from ..store.names import quoted, table_name
from ..types import NUMBER_TYPES, RESERVED_COLUMNS, EntityLayout, Task

CATALOGUE_VERSION = "2"
"""Changes when its columns do, so that an older catalogue is written anew."""
SPACE, VECTOR = "embedding_", re.compile(r"FLOAT\[\d+\]")
SAMPLE = 100_000
"""Entities judged, those with the smallest hash of the key."""

LEAK = 0.99
"""Average precision of a single feature from which it is likely to hold the label itself."""

TOKENS = """
SELECT DISTINCT entity_id, modality, split, unnest({tokens}) AS token FROM feature_sample
"""
QUALITY = """
WITH token AS ({tokens}),
total AS (SELECT modality, count(*) AS n FROM feature_sample GROUP BY modality),
share AS (SELECT t.modality, t.token, count(*) / any_value(m.n) AS p, count(*) AS n FROM token AS t JOIN total AS m USING (modality) GROUP BY t.modality, t.token),
other AS (
    SELECT a.modality, s.token, sum(s.n) / any_value(o.n) AS q
    FROM total AS a JOIN share AS s ON s.modality <> a.modality
    JOIN (SELECT a.modality, sum(b.n) AS n FROM total AS a JOIN total AS b ON b.modality <> a.modality GROUP BY 1) AS o ON o.modality = a.modality
    GROUP BY a.modality, s.token),
met AS (
    SELECT coalesce(s.modality, o.modality) AS modality, coalesce(s.p, 0) AS p, coalesce(o.q, 0) AS q,
           coalesce(s.p, 0) / sum(s.p) OVER m AS own, coalesce(o.q, 0) / sum(o.q) OVER m AS others
    FROM share AS s FULL JOIN other AS o ON o.modality = s.modality AND o.token = s.token WINDOW m AS (PARTITION BY coalesce(s.modality, o.modality))),
apart AS (
    SELECT modality, 0.5 * sum(abs(p - q)) AS drift,
           0.5 * sum(CASE WHEN own > 0 THEN own * log2(2 * own / (own + others)) ELSE 0 END + CASE WHEN others > 0 THEN others * log2(2 * others / (own + others)) ELSE 0 END) AS jensen_shannon
    FROM met GROUP BY 1)
SELECT m.modality, 1 - coalesce(any_value(s.p) FILTER (s.token = '<null>'), 0) AS coverage,
       count(s.token) FILTER (s.token NOT IN ('<null>', '<none>')) AS distinct_values,
       CASE WHEN (SELECT count(*) FROM total) > 1 THEN least(any_value(a.drift), 1) END AS drift,
       CASE WHEN (SELECT count(*) FROM total) > 1 THEN greatest(any_value(a.jensen_shannon), 0) END AS jensen_shannon
FROM total AS m LEFT JOIN share AS s USING (modality) LEFT JOIN apart AS a USING (modality) GROUP BY m.modality ORDER BY 1
"""
ALONE = """
WITH token AS ({tokens}),
judged AS (SELECT s.entity_id, s.modality, g.label = $class AS y, s.split = 'train' AS learns FROM feature_sample AS s JOIN {gold} AS g USING (entity_id) WHERE s.split <> 'test'),
rate AS (SELECT t.token, (sum(y::INT) + (SELECT avg(y::INT) FROM judged WHERE learns)) / (count(*) + 1) AS p
         FROM token AS t JOIN judged AS j USING (entity_id) WHERE j.learns GROUP BY t.token),
scored AS (SELECT j.entity_id, j.modality, any_value(j.y) AS y, coalesce(max(r.p), (SELECT avg(y::INT) FROM judged WHERE learns)) AS score
           FROM judged AS j JOIN token AS t USING (entity_id) LEFT JOIN rate AS r ON r.token = t.token WHERE NOT j.learns GROUP BY 1, 2),
step AS (SELECT modality, score, sum(y::INT) AS tp, count(*) AS n FROM scored GROUP BY 1, 2),
run AS (SELECT modality, tp, sum(tp) OVER w AS ctp, sum(n) OVER w AS cn FROM step WINDOW w AS (PARTITION BY modality ORDER BY score DESC))
SELECT modality, sum(tp * ctp / cn) / nullif(sum(tp), 0) FROM run GROUP BY modality
"""


def write_catalogue(store: Store, task: Task, layout: EntityLayout) -> None:
    """Replace `gs.feature`, `gs.feature_quality`, `gs.feature_service` and `gs.feature_divergence`: one row per common column, and per
    column and modality.

    coverage        share of entities of the modality that have a value
    distinct_values in the sample; tenths of the distribution for numbers
    drift           total variation between this modality's values and those of the others, missing ones included, in [0, 1]
    jensen_shannon  the Jensen-Shannon divergence of the two distributions over values, in bits, in [0, 1]
    auprc_alone     average precision (step-wise) on dev of the rate each value has among gold of train, mean over classes; two
                    classes: the rarer one. NULL without gold in both; the test split stays unseen
    leak            auprc_alone above LEAK: the feature may hold the label
    services, versions, cost_ms, failures  what a feature calls, what that costs per content, contents without an answer

    Vectors (FLOAT[d]) are views gs.embedding_<feature> too.
    Source: Suri et al. 2020, section 3.1; embeddings have coverage alone.
    """
    schema = quoted(task.name)
    store.execute(f"CREATE OR REPLACE TEMP TABLE feature_sample AS SELECT * FROM {schema}.entity ORDER BY md5(CAST(entity_id AS VARCHAR)) LIMIT {SAMPLE}")
    names = [n for n in layout.columns if n not in RESERVED_COLUMNS]
    classes = _classes(store, task)
    quality = [row for name in names for row in _quality(store, task, name, layout.columns[name], classes)]
    store.create_from_arrow("gs", "feature", _registry(layout, names, quality))
    store.create_from_arrow("gs", "feature_service", _services(layout, names))
    kinds = {"feature": pa.string(), "modality": pa.string(), "coverage": pa.float64(), "distinct_values": pa.int64(), "drift": pa.float64(), "auprc_alone": pa.float64(), "leak": pa.bool_()}
    store.create_from_arrow("gs", "feature_quality", _columns(quality, kinds))
    store.create_from_arrow("gs", "feature_divergence", _columns(quality, {"feature": pa.string(), "modality": pa.string(), "jensen_shannon": pa.float64()}))
    store.execute("DROP TABLE feature_sample")
    write_embeddings(store, task, layout)


def _columns(rows: list[dict], kinds: dict[str, pa.DataType]) -> pa.Table:
    return pa.table({name: pa.array([row[name] for row in rows], kind) for name, kind in kinds.items()})


def write_embeddings(store: Store, task: Task, layout: EntityLayout) -> None:
    """Views gs.embedding_<feature> (entity_id, vector) of the task's features of type FLOAT[d]; those of features that are gone go."""
    spaces = {f"{SPACE}{name}": name for name, kind in layout.columns.items() if VECTOR.fullmatch(kind)}
    for (view,) in store.rows(f"SELECT view_name FROM duckdb_views() WHERE database_name = 'store' AND schema_name = 'gs' AND starts_with(view_name, '{SPACE}')"):
        if view not in spaces:
            store.execute(f"DROP VIEW {table_name('gs', view)}")
    for view, name in spaces.items():
        store.create_view("gs", view, f"SELECT entity_id, {quoted(name)} AS vector FROM {table_name(task.name, 'entity')} WHERE {quoted(name)} IS NOT NULL")


def _classes(store: Store, task: Task) -> list[str]:
    """The classes whose average precision counts: all, of two the rarer one; none without gold in train and dev."""
    gold = store.rows(
        f"SELECT g.label, count(*) FILTER (s.split = 'train'), count(*) FILTER (s.split = 'dev') FROM feature_sample AS s "
        f"JOIN {table_name(task.name, 'gold_label')} AS g USING (entity_id) GROUP BY 1 ORDER BY count(*), 1"
    )
    usable = [label for label, train, other in gold if train and other]
    return usable[:1] if len(task.classes) == 2 and len(usable) == 2 else usable if len(usable) > 2 else []


def _quality(store: Store, task: Task, name: str, kind: str, classes: list[str]) -> list[dict]:
    tokens = _tokens(name, kind)
    if tokens is None:
        found = store.rows(f"SELECT modality, count({quoted(name)}) / count(*), NULL, NULL, NULL FROM feature_sample GROUP BY 1 ORDER BY 1")
        return [_row(name, *each, None) for each in found]
    tokens = TOKENS.format(tokens=tokens)
    alone: dict[str, list[float]] = {}
    for label in classes:
        for modality, value in store.rows(ALONE.format(tokens=tokens, gold=table_name(task.name, "gold_label")), {"class": label}):
            if value is not None:
                alone.setdefault(modality, []).append(value)
    means = {modality: sum(values) / len(values) for modality, values in alone.items()}
    return [_row(name, modality, *rest, means.get(modality)) for modality, *rest in store.rows(QUALITY.format(tokens=tokens))]


def _row(name: str, modality: str, coverage: float, distinct: int | None, drift: float | None, divergence: float | None, alone: float | None) -> dict:
    return {
        "feature": name, "modality": modality, "coverage": coverage, "distinct_values": distinct, "drift": drift, "jensen_shannon": divergence, "auprc_alone": alone,
        "leak": alone is not None and alone > LEAK,
    }  # fmt: skip


def _tokens(name: str, kind: str) -> str | None:
    """A list of what a value says, as SQL; None for vectors and structures."""
    column = quoted(name)
    if kind.endswith("]") and not kind.startswith("VARCHAR"):
        return None
    if kind.endswith("[]"):
        return f"CASE WHEN {column} IS NULL THEN ['<null>'] WHEN len({column}) = 0 THEN ['<none>'] ELSE {column} END"
    if kind.startswith(NUMBER_TYPES):
        tenth = f"CAST(floor(10 * percent_rank() OVER (ORDER BY {column})) AS VARCHAR)"
        return f"[CASE WHEN {column} IS NULL THEN '<null>' ELSE {tenth} END]"
    return None if kind.startswith(("STRUCT", "MAP", "UNION", "BLOB")) else f"[coalesce(CAST({column} AS VARCHAR), '<null>')]"


def _registry(layout: EntityLayout, names: list[str], quality: list[dict]) -> pa.Table:
    declared = {r.name: r for r in layout.resources}
    covered: dict[str, list[str]] = {}
    for row in quality:
        if row["coverage"]:
            covered.setdefault(row["feature"], []).append(row["modality"])
    rows = [declared.get(n) for n in names]
    return pa.table({
        "feature": pa.array(names, pa.string()), "kind": pa.array([r.kind if r else "column" for r in rows], pa.string()),
        "feature_set": pa.array([r.feature_set if r else None for r in rows], pa.string()), "type": pa.array([layout.columns[n] for n in names], pa.string()),
        "servable": pa.array([r.servable if r else True for r in rows], pa.bool_()),
        "modalities": pa.array([covered.get(n, []) for n in names], pa.list_(pa.string())),
        "fingerprint": pa.array([hashlib.sha256((r.query if r else n).encode()).hexdigest()[:16] for n, r in zip(names, rows)], pa.string()),
    })  # fmt: skip


def _services(layout: EntityLayout, names: list[str]) -> pa.Table:
    declared = {r.name: r for r in layout.resources}
    rows, built = [declared.get(n) for n in names], [layout.built.get(n) for n in names]
    return pa.table({
        "feature": pa.array(names, pa.string()), "services": pa.array([list(r.services) if r else [] for r in rows], pa.list_(pa.string())),
        "versions": pa.array([list(b.versions) if b else [] for b in built], pa.list_(pa.int64())),
        "cost_ms": pa.array([b.cost_ms if b else None for b in built], pa.float64()), "failures": pa.array([b.failures if b else 0 for b in built], pa.int64()),
    })  # fmt: skip
