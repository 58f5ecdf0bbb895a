"""What only `groundswell study` is told of the images: whether they violate, and how the best possible model would score the test images.

    python -m groundswell.examples.moderation.told FOLDER WAREHOUSE.duckdb

Writes the table `image_told` (post_id, and for every task TASK, TASK_optimum, TASK_optimum_all) from FOLDER/truth, where the world was built.
"""

from __future__ import annotations

import argparse
from pathlib import Path

import duckdb
import numpy as np
import pyarrow as pa

from .bayes import Observer, feature_names, read_posts
from .parameters import parameters

BLOCK = 50_000
"""Test images whose hidden states are held at a time."""


def tell(truth: Path, warehouse: Path) -> int:
    """Write `image_told`; its number of rows.

    Labels of images to train on are the truth, those of test images what people say (they agree). Optima are NULL but for test images.
    """
    tasks = tuple(parameters().risk)
    with duckdb.connect(str(warehouse)) as connection:
        connection.register("__optimum", optima(connection, tasks))
        labels = ", ".join(f"CASE WHEN \"{t}\" THEN 'violates' ELSE 'ok' END AS \"{t}\"" for t in tasks)
        connection.execute(
            f"""CREATE OR REPLACE TABLE image_told AS SELECT t.*, o.* EXCLUDE (post_id)
            FROM (SELECT i AS post_id, {labels} FROM read_parquet($1)) AS t LEFT JOIN __optimum AS o USING (post_id) ORDER BY post_id""",
            [f"{truth}/image-*.parquet"],
        )
        return connection.execute("SELECT count(*) FROM image_told").fetchone()[0]


def optima(connection: duckdb.DuckDBPyConnection, tasks: tuple[str, ...]) -> pa.Table:
    """post_id of test images and P(violates | features) for each task, by servable features (TASK_optimum) and by all (TASK_optimum_all)."""
    keys = connection.execute("SELECT post_id FROM image_post_features JOIN human_label USING (post_id) WHERE split = 'test' ORDER BY post_id").fetchnumpy()["post_id"]
    found = {"post_id": pa.array(keys)}
    for suffix, servable in (("optimum", True), ("optimum_all", False)):
        observer = Observer.of(feature_names(servable=servable))
        posts = read_posts(connection, observer.features, tasks[0])
        states = np.concatenate([observer.posterior(posts.slice(start, BLOCK)) for start in range(0, len(posts), BLOCK)])
        found |= {f"{task}_{suffix}": pa.array(states @ observer.world.risk[task].reshape(-1)) for task in tasks}
    return pa.table(found)


def main(arguments: list[str] | None = None) -> None:
    """The command line."""
    parser = argparse.ArgumentParser(prog="python -m groundswell.examples.moderation.told", description=__doc__.splitlines()[0])
    parser.add_argument("folder", type=Path, help="where the world was built")
    parser.add_argument("warehouse", type=Path, help="the DuckDB file it was loaded into")
    given = parser.parse_args(arguments)
    print(f"{tell(given.folder / 'truth', given.warehouse):,} images told to studies")


if __name__ == "__main__":
    main()
