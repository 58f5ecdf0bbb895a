"""Mining on real tables: what is measured on held-out rows holds on rows no step has seen."""

from __future__ import annotations

import duckdb
import pytest

import groundswell as gs
from shared_data import shared

TABLES = {
    "adult": ("adult", "SELECT row_number() OVER () AS id, * EXCLUDE (income), income AS label FROM t"),
    "visual_relations": ("visual_relations", "SELECT row_number() OVER () AS id, subject_category, object_category, subject_h * subject_w AS subject_area, object_h * object_w AS object_area, "
                         "subject_y - object_y AS above, subject_x - object_x AS beside, CASE WHEN y = 1 THEN 'yes' ELSE 'no' END AS label FROM t"),
}  # fmt: skip


def table(name: str):
    folder, query = TABLES[name]
    with duckdb.connect() as connection:
        connection.execute(f"CREATE VIEW t AS SELECT * FROM '{shared(folder) / 'data.parquet'}'")
        return connection.execute(query).to_arrow_table()


@pytest.mark.parametrize("name", TABLES)
def test_precision_and_recall_hold_on_the_test_split(name):
    rows = table(name)
    classes = sorted(set(rows["label"].to_pylist()))
    with gs.open(rows, key="id", classes=classes, gold="label", split={"hash": (60, 10, 30)}) as ws:
        found = ws.suggest()
        assert {row["label"] for row in found.rows} == set(classes) and not any("label" in row["predicate"] for row in found.rows)
        prior = dict(ws_rows(ws, "SELECT label, count(*) / sum(count(*)) OVER () FROM task.gold_label GROUP BY 1"))
        for row in found.rows:
            n, right, of_class = ws_rows(ws, f"SELECT count(*) FILTER ({row['predicate']}), count(*) FILTER (({row['predicate']}) AND g.label = '{row['label']}'), count(*) FILTER (g.label = '{row['label']}') "
                                         "FROM task.entity JOIN task.gold_label AS g USING (entity_id) WHERE split = 'test'")[0]  # fmt: skip
            spread = 4 * (0.25 / max(min(n, row["n_dev"]), 1)) ** 0.5
            assert right / n == pytest.approx(row["precision"], abs=spread) and right / of_class == pytest.approx(row["recall"], abs=0.05)
            assert right / n > prior[row["label"]]


def ws_rows(ws, query: str) -> list[tuple]:
    with duckdb.connect(str(ws.project.published), read_only=True) as connection:
        return connection.execute(query).fetchall()
