"""Stores that hold nothing but `entity` and `gold_label`, for the steps of mining on their own."""

from __future__ import annotations

import duckdb
import numpy as np
import pyarrow as pa

from groundswell.mining import Labelled, MinedFeature, minable
from groundswell.store import Store

CLASSES = ("no", "yes")
SHEET = [
    (1, ["spam", "ads"], ["pill"]), (1, ["spam"], ["pill", "car"]), (1, ["ads"], ["pill"]), (1, ["spam", "ads"], ["dog"]), (0, ["news"], ["dog"]),
    (0, ["news"], ["car"]), (0, ["sport"], ["dog", "car"]), (0, ["news", "ads"], ["car"]), (0, ["sport", "ads"], ["pill"]), (0, ["news"], None),
]  # fmt: skip
"""The worked example: ten rows of class, topic, objects."""


def store_of(rows: pa.Table) -> Store:
    """A store with schema t: rows with columns entity_id, y (class name) and features; all mined, all of split train and modality text."""
    connection = duckdb.connect()
    connection.execute("CREATE SCHEMA t")
    connection.register("__given", rows)
    connection.execute("CREATE TABLE t.entity AS SELECT 'text' AS modality, 'train' AS split, * EXCLUDE (y) FROM __given")
    connection.execute("CREATE TABLE t.gold_label AS SELECT entity_id, y AS label FROM __given")
    return Store(connection, None)


def all_mined(store: Store, classes=CLASSES) -> Labelled:
    """Mark every entity with gold as mined."""
    names = ", ".join(f"'{c}'" for c in classes)
    store.execute(
        f"CREATE TEMP TABLE mining_row AS SELECT e.rowid AS row, CAST(list_position([{names}], g.label) - 1 AS UTINYINT) AS y, true AS mined, CAST(0 AS SMALLINT) AS shuffle "
        "FROM t.entity AS e JOIN t.gold_label AS g USING (entity_id)"
    )
    n = np.zeros(len(classes), np.int64)
    for y, count in store.rows("SELECT y, count(*) FROM mining_row GROUP BY 1"):
        n[y] = count
    return Labelled(n, np.zeros_like(n))


def features(store: Store) -> list[MinedFeature]:
    """What can be mined in the store."""
    return minable(store.columns("t.entity"))


def worked_example() -> Store:
    """The ten rows of SHEET."""
    topic, objects = (pa.array([row[i] for row in SHEET], pa.list_(pa.string())) for i in (1, 2))
    return store_of(pa.table({"entity_id": list(range(10)), "y": [CLASSES[row[0]] for row in SHEET], "topic": topic, "objects": objects}))
