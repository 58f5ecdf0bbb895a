"""Build warehouse.duckdb from the UCI YouTube Spam Collection: 1,956 comments under five videos.

    python build.py [FOLDER OR FILE]

Reads the five CSV files from a folder (or the Parquet file given), or downloads them from the UCI archive where none is named.
Comments under Shakira's video are the test split; of the others, one in seven is dev. Three comments occur twice: the second one
gets "#2" behind its id. Alberto, Lochter & Almeida 2015; CC BY 4.0.
"""

from __future__ import annotations

import io
import sys
import tempfile
import urllib.request
import zipfile
from pathlib import Path

import duckdb

UCI = "https://archive.ics.uci.edu/static/public/380/youtube+spam+collection.zip"
NEARBY = Path("shared/data/youtube_spam/csv")

COMMENTS = """
CREATE OR REPLACE TABLE {target} AS
WITH raw AS (
    SELECT
        regexp_extract(filename, 'Youtube\\d+-(\\w+)', 1) AS artist,
        COMMENT_ID AS comment_id, AUTHOR AS author, TRY_CAST(DATE AS TIMESTAMP) AS commented_at, CONTENT AS content, CLASS AS class
    FROM read_csv('{folder}/Youtube*.csv', filename = true, header = true, quote = '"', escape = '"', all_varchar = true)
),
numbered AS (
    SELECT *, row_number() OVER (PARTITION BY comment_id ORDER BY artist, content) AS copy FROM raw
)
SELECT
    CASE WHEN copy > 1 THEN comment_id || '#' || copy ELSE comment_id END AS comment_id,
    artist, author, commented_at, content,
    CASE
        WHEN artist = 'Shakira' THEN 'test'
        WHEN md5_number_lower(comment_id) % 7 = 0 THEN 'dev'
        ELSE 'train'
    END AS split,
    CASE class WHEN '1' THEN 'spam' WHEN '0' THEN 'ham' END AS label
FROM numbered
ORDER BY artist, comment_id, copy
"""


def csv_folder(source: str | None) -> Path:
    """The folder that holds the five CSV files: the one named, a shared/data beside or above the checkout, or a download."""
    if source:
        return Path(source)
    for parent in Path(__file__).resolve().parents:
        if (parent / NEARBY).is_dir():
            return parent / NEARBY
    folder = Path(tempfile.mkdtemp(prefix="youtube_spam_"))
    print(f"downloading {UCI}")
    with urllib.request.urlopen(UCI, timeout=60) as response:
        zipfile.ZipFile(io.BytesIO(response.read())).extractall(folder)
    return folder


def build(source: str | None = None, target: Path = Path("warehouse.duckdb")) -> int:
    """Write `comment` and `comment_gold` into the target; returns the number of comments."""
    with duckdb.connect(str(target)) as connection:
        connection.execute(COMMENTS.format(target="labelled", folder=csv_folder(source)))
        connection.execute("CREATE OR REPLACE TABLE comment AS SELECT * EXCLUDE (label) FROM labelled")
        connection.execute("CREATE OR REPLACE TABLE comment_gold AS SELECT comment_id, label FROM labelled")
        connection.execute("DROP TABLE labelled")
        return connection.execute("SELECT count(*) FROM comment").fetchone()[0]


if __name__ == "__main__":
    print(f"{build(sys.argv[1] if len(sys.argv) > 1 else None):,} comments in warehouse.duckdb")
