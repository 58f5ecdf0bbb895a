"""Services called by features: contents a second when asked for the first time, from the cache, and when 1 % of the rows are new.

    python -m tests.benchmarks.services [--only NAME ...]

Each arm is a project with one feature, run from the start; seconds are those of the step `features`, fitting and loading weights
included. Texts are AG News (titles crossed with descriptions), photos are dogs and cats, thumbnails CIFAR-10.
"""

from __future__ import annotations

import argparse
import resource
from pathlib import Path
from tempfile import TemporaryDirectory

import duckdb
from rich.console import Console
from rich.table import Table

from groundswell.workspace import open_workspace
from tests.shared_data import shared

CONFIG = """
[project]
name = "bench"
[warehouse]
from = "warehouse.duckdb"
[modality.rows]
from = "item"
key = "item_id"
[task.bench]
classes = ["no", "yes"]
"""
DECLARED = """
import groundswell as gs
import pyarrow as pa

@gs.udf(inputs=["VARCHAR"], returns="VARCHAR[]")
def words_of(texts):
    return pa.array([sorted(set(t.lower().split())) for t in texts.to_pylist()], pa.list_(pa.string()))

topics = gs.service("text_topics", fit="SELECT content FROM item", n_topics=30)
meaning = gs.service("text_embedding", fit="SELECT content FROM item")
nearest = gs.service("nearest_labels", fit="SELECT meaning(content) AS vector, label FROM shelf", k=5)
look = gs.service("image_embedding", network="squeezenet1_0", weights="{weights}", convention="caffe")
kinds = gs.service("image_categories", network="squeezenet1_0", weights="{weights}", convention="caffe")
things = gs.service("image_objects", weights=None)
"""
TEXTS = """
CREATE TABLE news AS SELECT row_number() OVER (ORDER BY title) AS n, title, description, label_name FROM '{news}/data.parquet';
CREATE TABLE item AS SELECT i AS item_id, a.title || '. ' || b.description AS content
FROM range({n}) AS t(i) JOIN news AS a ON a.n = 1 + i % 7600 JOIN news AS b ON b.n = 1 + (i * 31 + i // 7600) % 7600;
CREATE TABLE shelf AS SELECT title || '. ' || description AS content, label_name AS label FROM news;
"""
PICTURES = "CREATE TABLE shelf AS SELECT '' AS content, '' AS label; CREATE TABLE item AS SELECT row_number() OVER () AS item_id, image AS content FROM '{source}/images.parquet' LIMIT {n};"
ARMS = {
    "a function of the project (words of a text)": ("words_of(content)", "texts", 200_000),
    "text_embedding, 64 dimensions": ("meaning(content)", "texts", 20_000),
    "text_topics, 30 topics": ("topics(content)", "texts", 20_000),
    "nearest_labels of text_embedding, 7,600 rows": ("nearest(meaning(content))", "texts", 20_000),
    "image_colours, thumbnails": ("image_colours(content)", "cifar10_20k", 10_000),
    "image_texture, thumbnails": ("image_texture(content)", "cifar10_20k", 10_000),
    "image_colours, photos": ("image_colours(content)", "dogs_cats", 1_000),
    "image_embedding, SqueezeNet, photos": ("look(content)", "dogs_cats", 300),
    "image_categories, SqueezeNet, photos": ("kinds(content)", "dogs_cats", 300),
    "image_objects, SSDlite, random weights": ("things(content)", "dogs_cats", 50),
}
"""What is measured -> the call, where its contents come from, how many."""


def made(folder: Path, call: str, source: str, n: int) -> None:
    """A project with one feature over n rows."""
    weights = shared("cnn_weights_squeezenet") / "squeezenet_v1.0_deepcompressed.npz"
    files = {
        "groundswell.toml": CONFIG, "resources/services.py": DECLARED.replace("{weights}", str(weights)), "lfs/rules.sql": "-- lf: any -> yes\nFROM item WHERE item_id % 2 = 0;\n",
        "features/all.sql": f"-- feature: answer   kind: service\nSELECT item_id, {call} AS answer FROM item;\n",
    }  # fmt: skip
    for name, text in files.items():
        (folder / name).parent.mkdir(exist_ok=True)
        (folder / name).write_text(text)
    sql = TEXTS.format(news=shared("ag_news_test"), n=n) if source == "texts" else PICTURES.format(source=shared(source), n=n)
    with duckdb.connect(str(folder / "warehouse.duckdb")) as connection:
        connection.execute(sql)


def more(folder: Path, n: int) -> int:
    """One percent new rows with new contents; how many."""
    with duckdb.connect(str(folder / "warehouse.duckdb")) as connection:
        kind = connection.execute("SELECT typeof(content) FROM item LIMIT 1").fetchone()[0]
        new = "content || chr(0)::BLOB" if kind == "BLOB" else "content || ' once more'"  # bytes after the end of a JPEG change nothing but its hash
        connection.execute(f"INSERT INTO item SELECT item_id + 10000000, {new} FROM item ORDER BY item_id LIMIT {max(1, n // 100)}")
    return max(1, n // 100)


def seconds(folder: Path, **options) -> float:
    """Of the step `features` of a run."""
    with open_workspace(folder) as ws:
        return next(step.seconds for step in ws.run(**options).steps if step.output == "features")


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--only", nargs="+", default=[], help="arms whose name contains one of these")
    only = parser.parse_args().only
    table = Table("service", "contents", "first run, s", "contents/s", "from the cache, s", "rows/s", "1 % new, s", "nothing changed, s", title="features that call services")
    for name, (call, source, n) in ARMS.items():
        if only and not any(part in name for part in only):
            continue
        with TemporaryDirectory() as home:
            folder = Path(home)
            made(folder, call, source, n)
            first, cached = seconds(folder), seconds(folder, full=True)
            more(folder, n)
            new, still = seconds(folder), seconds(folder)
        table.add_row(name, f"{n:,}", f"{first:.1f}", f"{n / first:,.0f}", f"{cached:.2f}", f"{n / cached:,.0f}", f"{new:.2f}", f"{still:.2f}")
    Console(width=160).print(table)
    print(f"peak memory {resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024:,.0f} MiB")


if __name__ == "__main__":
    main()
