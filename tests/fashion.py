"""Product titles that people labelled and product photos that nobody did, over five common columns: a project of ../shared/data/xmodal_fashion."""

from __future__ import annotations

from pathlib import Path

import duckdb

from groundswell.workspace import Workspace, open_workspace

from .shared_data import shared

COMMON = '"articleType", "subCategory", "baseColour", season, year'
LABELS = {"gender": ("Men", "Women"), "usage": ("Casual", "other")}
CONFIG = """
[project]
name = "fashion"
[warehouse]
from = "warehouse.duckdb"
[modality.title]
from = "title"
key = "id"
[modality.photo]
from = "photo"
key = "id"
[task.{task}]
classes = [{classes}]
gold = {{ from = "gold", key = "id", label = "label" }}
split = {{ hash = [80, 20, 0] }}
"""


def label_sql(task: str) -> str:
    """The class of a row as SQL; NULL for products of neither class."""
    return """CASE WHEN gender IN ('Men', 'Women') THEN gender END""" if task == "gender" else "CASE WHEN usage = 'Casual' THEN 'Casual' WHEN usage IS NOT NULL THEN 'other' END"


def fashion(folder: Path, task: str, titles: int | None = None, photos: int | None = None) -> Workspace:
    """A project of the first titles and photos by hash (default: all); gold is the titles' alone. `truth` in the file truth.duckdb."""
    folder.mkdir(parents=True, exist_ok=True)
    data = shared("xmodal_fashion")
    with duckdb.connect(str(folder / "warehouse.duckdb")) as connection:
        for table, name, extra, most in (("title", "text", '"productDisplayName" AS name', titles), ("photo", "images", "image", photos)):
            limit = f"LIMIT {most}" if most else ""
            connection.execute(f"CREATE TEMP TABLE {table}_all AS SELECT *, {label_sql(task)} AS label FROM read_parquet('{data / name}.parquet') WHERE label IS NOT NULL ORDER BY hash(id) {limit}")
            connection.execute(f"CREATE TABLE {table} AS SELECT id, {COMMON}, {extra} FROM {table}_all")
        connection.execute("CREATE TABLE gold AS SELECT id, label FROM title_all")
        truth = connection.execute("SELECT id, label FROM photo_all").fetchall()
    with duckdb.connect(str(folder / "truth.duckdb")) as connection:
        connection.execute("CREATE TABLE truth (id BIGINT, label VARCHAR)")
        connection.executemany("INSERT INTO truth VALUES (?, ?)", truth)
    (folder / "groundswell.toml").write_text(CONFIG.format(task=task, classes=", ".join(f'"{c}"' for c in LABELS[task])))
    return open_workspace(folder)


def judged(folder: Path, task: str, view: str = "propagation_label") -> dict[str, float]:
    """Of the photos: rows, coverage, accuracy of labelled ones, precision and recall of each class."""
    with duckdb.connect(str(folder / "truth.duckdb"), read_only=True) as connection:
        connection.execute(f"ATTACH '{folder / 'groundswell.duckdb'}' AS store (READ_ONLY)")
        rows = connection.execute(f'SELECT t.label, l.label FROM truth AS t LEFT JOIN store."{task}".{view} AS l ON l.entity_id = t.id').fetchall()
    said = [(truth, label) for truth, label in rows if label is not None]
    found = {"rows": len(rows), "coverage": len(said) / len(rows), "accuracy": sum(t == s for t, s in said) / max(len(said), 1)}
    for label in LABELS[task]:
        right = sum(t == s == label for t, s in said)
        found[f"precision {label}"] = right / max(sum(s == label for _, s in said), 1)
        found[f"recall {label}"] = right / max(sum(t == label for t, _ in rows), 1)
    return found
