"""Build warehouse.duckdb from photos of two birds: 57 Green Jays and 49 Whip-poor-wills.

    python build.py [FOLDER]

Reads images.parquet from a folder; where none is named, from a shared/data/cub_goggles beside or above the checkout. Five photos of
each bird are the dev split, which people have named; of the others nobody says what they show, but for one in three that judge (the
test split). Puts the weights of a small network that knows ImageNet beside it, if they are found there too. Caltech-UCSD Birds 200,
Wah et al. 2011, for research.
"""

from __future__ import annotations

import shutil
import sys
from pathlib import Path

import duckdb

DATA, WEIGHTS = Path("shared/data/cub_goggles"), Path("shared/data/cnn_weights_squeezenet/squeezenet_v1.0_deepcompressed.npz")

PHOTOS = """
CREATE OR REPLACE TABLE labelled AS
WITH numbered AS (
    SELECT image, label, row_number() OVER (ORDER BY md5(image)) AS photo_id, row_number() OVER (PARTITION BY label ORDER BY md5(image)) AS nth
    FROM read_parquet('{folder}/images.parquet')
)
SELECT photo_id, image, label, CASE WHEN nth <= 5 THEN 'dev' WHEN photo_id % 3 = 0 THEN 'test' ELSE 'train' END AS split
FROM numbered
ORDER BY photo_id
"""


def nearby(what: Path) -> Path | None:
    """The path below the first folder above this file that has it."""
    return next((parent / what for parent in Path(__file__).resolve().parents if (parent / what).exists()), None)


def build(source: str | None = None, target: Path = Path("warehouse.duckdb")) -> int:
    """Write `photo` and `photo_gold` (dev and test) into the target; returns the number of photos."""
    folder = Path(source) if source else nearby(DATA)
    if folder is None:
        raise SystemExit(f"{DATA} is not here: name the folder with images.parquet")
    with duckdb.connect(str(target)) as connection:
        connection.execute(PHOTOS.format(folder=folder))
        connection.execute("CREATE OR REPLACE TABLE photo AS SELECT photo_id, image, split FROM labelled")
        connection.execute("CREATE OR REPLACE TABLE photo_gold AS SELECT photo_id, label FROM labelled WHERE split <> 'train'")
        connection.execute("DROP TABLE labelled")
        n_photos = connection.execute("SELECT count(*) FROM photo").fetchone()[0]
    if weights := nearby(WEIGHTS):
        shutil.copyfile(weights, target.parent / "weights.npz")
    return n_photos


if __name__ == "__main__":
    print(f"{build(sys.argv[1] if len(sys.argv) > 1 else None):,} photos in warehouse.duckdb")
