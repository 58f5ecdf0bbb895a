"""Build warehouse.duckdb from fashion products: 12,000 titles that people labelled, 2,000 photos that nobody did.

    python build.py [FOLDER] [--titles N] [--photos N]

Reads text.parquet and images.parquet from a folder; where none is named, from a shared/data/xmodal_fashion beside or above the
checkout. Three of ten photos are the test split. What people say of photos goes into `photo_label`, which only studies read: the
pipeline never sees it. Puts the weights of a small network that knows ImageNet beside it, if they are found there too. Fashion
Product Images (Small), Kaggle, MIT.
"""

from __future__ import annotations

import argparse
import shutil
from pathlib import Path

import duckdb

DATA, WEIGHTS = Path("shared/data/xmodal_fashion"), Path("shared/data/cnn_weights_squeezenet/squeezenet_v1.0_deepcompressed.npz")

PRODUCT = """
CREATE OR REPLACE TABLE {table} AS
SELECT
    '{letter}' || id AS product_id, {own}, articleType AS article, subCategory AS category, baseColour AS colour, lower(season) AS season,
    CAST(year AS INTEGER) AS year, CASE WHEN gender IN ('Men', 'Women') THEN gender END AS gender,
    CASE WHEN usage = 'Casual' THEN 'casual' WHEN usage IS NOT NULL THEN 'other' END AS usage,
    CASE {split} END AS split
FROM '{file}' ORDER BY md5(CAST(id AS VARCHAR)) LIMIT {most}
"""
SPLIT = {
    "title": "WHEN md5_number_lower(CAST(id AS VARCHAR)) % 10 = 0 THEN 'dev' ELSE 'train'",
    "photo": "WHEN md5_number_lower(CAST(id AS VARCHAR)) % 10 < 3 THEN 'test' WHEN md5_number_lower(CAST(id AS VARCHAR)) % 10 = 3 THEN 'dev' ELSE 'train'",
}


def nearby(what: Path) -> Path | None:
    """The path below the first folder above this file that has it."""
    return next((parent / what for parent in Path(__file__).resolve().parents if (parent / what).exists()), None)


def build(source: str | None = None, target: Path = Path("warehouse.duckdb"), titles: int = 10**6, photos: int = 10**6) -> tuple[int, int]:
    """Write title, photo, catalogue, title_label and photo_label; the numbers of titles and photos."""
    folder = Path(source) if source else nearby(DATA)
    if folder is None:
        raise SystemExit(f"{DATA} is not here: name the folder with text.parquet and images.parquet")
    with duckdb.connect(str(target)) as connection:
        connection.execute(PRODUCT.format(table="title_", letter="t", own="productDisplayName AS title", split=SPLIT["title"], file=folder / "text.parquet", most=titles))
        connection.execute(PRODUCT.format(table="photo_", letter="p", own="image", split=SPLIT["photo"], file=folder / "images.parquet", most=photos))
        for table, column in (("title", "title"), ("photo", "image")):
            connection.execute(f"CREATE OR REPLACE TABLE {table} AS SELECT product_id, {column}, split FROM {table}_")
            connection.execute(f"CREATE OR REPLACE TABLE {table}_label AS SELECT product_id, gender, usage FROM {table}_")
        shared = "product_id, article, category, colour, season, year"
        connection.execute(f"CREATE OR REPLACE TABLE catalogue AS SELECT {shared} FROM title_ UNION ALL SELECT {shared} FROM photo_")
        counts = tuple(connection.execute(f"DROP TABLE {t}_; SELECT count(*) FROM {t}").fetchone()[0] for t in ("title", "photo"))
    if weights := nearby(WEIGHTS):
        shutil.copyfile(weights, target.parent / "weights.npz")
    return counts


if __name__ == "__main__":
    parser = argparse.ArgumentParser()
    parser.add_argument("folder", nargs="?")
    parser.add_argument("--titles", type=int, default=10**6)
    parser.add_argument("--photos", type=int, default=10**6)
    given = parser.parse_args()
    print("{:,} titles and {:,} photos in warehouse.duckdb".format(*build(given.folder, titles=given.titles, photos=given.photos)))
