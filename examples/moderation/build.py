"""Write a world: posts of two modalities, users, reports, pages, labels, as Parquet and, if wanted, as a DuckDB file.

    python -m groundswell.examples.moderation.build FOLDER --rows 100000 --seed 0
    python -m groundswell.examples.moderation.build FOLDER --table-1 CT1 --scale 0.01

FOLDER/warehouse is what an organization has, FOLDER/truth what it does not know. A row depends on its id and the seed alone.
"""

from __future__ import annotations

import argparse
from dataclasses import dataclass
from pathlib import Path
from typing import Iterator

import duckdb

from .parameters import WORLD, parameters, rows
from .tables import tables

CHUNK = 1_000_000
"""Posts per Parquet file."""
LEAST_ROWS = 1_000
LEAST_TEST = 10_000
"""The test set of a task of Table 1 is not scaled below this."""
USERS_PER_COMMUNITY = 100
MODALITIES = ("text", "image")
MOST_PICTURES = 20_000


@dataclass(frozen=True)
class Sizes:
    """How many text posts (all labelled), image posts to train on (unlabelled) and image posts to test on (labelled)."""

    n_text: int
    n_image: int
    n_test: int

    @classmethod
    def of_rows(cls, n: int) -> Sizes:
        """60 % text, the rest images; 15 % of all, at most 20,000, are the test set."""
        n_text, n_test = n * 60 // 100, min(n * 15 // 100, 20_000)
        return cls(n_text, n - n_text - n_test, n_test)

    @classmethod
    def of_table_1(cls, task: str, scale: float) -> Sizes:
        """The sizes of a task in Table 1 of the paper, scaled; the test set is not scaled below LEAST_TEST."""
        (found,) = [t for t in rows("task") if t["task"] == task]
        n_test = int(found["n_test"])
        return cls(round(int(found["n_text"]) * scale), round(int(found["n_image"]) * scale), max(round(n_test * scale), min(n_test, LEAST_TEST)))

    @property
    def n_users(self) -> int:
        return USERS_PER_COMMUNITY * max(-(-self.of(m["modality"]) // int(m["posts_per_community"])) for m in rows("modality"))

    def of(self, modality: str) -> int:
        """Posts of a modality."""
        return self.n_text if modality == "text" else self.n_image + self.n_test


class Generator:
    """A DuckDB connection that knows the world."""

    def __init__(self, sizes: Sizes, seed: int = 0, with_text: bool = True, threads: int | None = None, memory_limit: str = "2GB"):
        self.sizes, self.seed, self.world = sizes, seed, parameters()
        self.connection = duckdb.connect(config={"memory_limit": memory_limit} | ({"threads": threads} if threads else {}))
        self.connection.execute("SET TimeZone = 'UTC'")
        for name, table in tables(self.world).items():
            self.connection.register("__given", table)
            self.connection.execute(f'CREATE TEMP TABLE "{name}" AS FROM __given')
        self._set(with_text=with_text, n_test=sizes.n_test, n_users=sizes.n_users)
        for slot in self.world.slots:
            self.connection.execute(f"""SET VARIABLE "{slot.name}" = (SELECT list(token ORDER BY state, bin) FROM slot_bin WHERE slot = '{slot.name}')""")
        for task in self.world.risk:
            self.connection.execute(f"""SET VARIABLE "risk {task}" = (SELECT list(p ORDER BY scene, level) FROM risk WHERE task = '{task}')""")
        self.choose("text")
        for part in ("macros", "posts", "relations"):
            self.connection.execute((WORLD / f"{part}.sql").read_text(encoding="utf-8"))

    def _set(self, **values: int | bool) -> None:
        for name, value in values.items():
            self.connection.execute(f"SET VARIABLE {name} = {value}")

    def choose(self, modality: str, start: int = 0, stop: int | None = None) -> None:
        """Posts start .. stop - 1 of a modality are what the views show from now on."""
        text = (WORLD / "parameters.sql").read_text(encoding="utf-8")
        for statement in self.connection.extract_statements(text):
            wanted = {"modality": modality, "seed": self.seed}
            self.connection.execute(statement, {k: v for k, v in wanted.items() if k in statement.named_parameters})
        self.connection.execute("CREATE OR REPLACE TEMP TABLE numbered AS SELECT n FROM range($1, $2) AS t(n)", [start, self.sizes.of(modality) if stop is None else stop])

    def chunks(self, modality: str) -> Iterator[tuple[int, int]]:
        """(first, last + 1) of every chunk."""
        n = self.sizes.of(modality)
        return ((start, min(start + CHUNK, n)) for start in range(0, n, CHUNK))

    def copy(self, relation: str, path: Path) -> None:
        """Write a view as one Parquet file."""
        path.parent.mkdir(parents=True, exist_ok=True)
        self.connection.execute(f"COPY (FROM {relation}) TO '{str(path).replace(chr(39), chr(39) * 2)}' (FORMAT parquet, COMPRESSION zstd)")


def build(folder: Path, sizes: Sizes, seed: int = 0, *, with_text: bool = True, n_pictures: int = 0, threads: int | None = None) -> None:
    """Write the Parquet files of a world below `folder`.

    with_text   bodies of text posts and the page table; without them a large world is half as large
    n_pictures  pixels for that many images (at most MOST_PICTURES), the test set first

    Raises FileExistsError where a world lies already.
    """
    warehouse, truth = folder / "warehouse", folder / "truth"
    if warehouse.exists() or truth.exists():
        raise FileExistsError(f"{folder} holds a world already: name another folder")
    world = Generator(sizes, seed, with_text, threads)
    for modality in MODALITIES:
        for k, (start, stop) in enumerate(world.chunks(modality)):
            world.choose(modality, start, stop)
            part = f"{modality}-{k:05d}.parquet"
            world.copy(f"{modality}_post", warehouse / f"{modality}_post" / part)
            world.copy("judged", truth / part)
            if modality == "text" or start < sizes.n_test:
                world.copy("human_label", warehouse / "human_label" / part)
            if with_text:
                world.copy("page", warehouse / "page" / part)
    for relation in ("member", "report", "organizational_resource", "task"):
        world.copy(relation, warehouse / f"{relation}.parquet")
    if n_pictures:
        from .pictures import write_pictures

        world.choose("image", 0, min(n_pictures, sizes.of("image"), MOST_PICTURES))
        write_pictures(world.connection, warehouse / "image_file.parquet")


def as_duckdb(folder: Path, target: Path) -> None:
    """Load folder/warehouse into a new DuckDB file, with views of both modalities over common columns. Raises FileExistsError."""
    if target.exists():
        raise FileExistsError(f"{target} exists already: name another file")
    with duckdb.connect(str(target)) as connection:
        for path in sorted((folder / "warehouse").iterdir()):
            source = f"{path}/*.parquet" if path.is_dir() else str(path)
            connection.execute(f'CREATE TABLE "{path.stem}" AS FROM read_parquet($1)', [source])
        connection.execute((WORLD / "views.sql").read_text(encoding="utf-8"))


def main(arguments: list[str] | None = None) -> None:
    """The command line."""
    parser = argparse.ArgumentParser(prog="python -m groundswell.examples.moderation.build", description=__doc__.splitlines()[0])
    parser.add_argument("folder", type=Path)
    parser.add_argument("--rows", type=int, default=100_000, help="posts of both modalities")
    parser.add_argument("--table-1", choices=[t["task"] for t in rows("task")], help="the sizes of this task in the paper, times --scale")
    parser.add_argument("--scale", type=float, default=0.01)
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--lean", action="store_true", help="without bodies and pages")
    parser.add_argument("--pictures", type=int, default=0, help=f"render that many images, at most {MOST_PICTURES:,}")
    parser.add_argument("--duckdb", type=Path, help="also load everything into this DuckDB file")
    given = parser.parse_args(arguments)
    if given.rows < LEAST_ROWS or not 0 < given.scale <= 1:
        parser.error(f"--rows must be {LEAST_ROWS:,} or more and --scale above 0, at most 1")
    sizes = Sizes.of_table_1(given.table_1, given.scale) if given.table_1 else Sizes.of_rows(given.rows)
    try:
        build(given.folder, sizes, given.seed, with_text=not given.lean, n_pictures=given.pictures)
        if given.duckdb:
            as_duckdb(given.folder, given.duckdb)
    except FileExistsError as error:
        parser.error(str(error))
    print(f"{sizes.n_text:,} text posts, {sizes.n_image:,} images to train on, {sizes.n_test:,} to test on, {sizes.n_users:,} users in {given.folder}")


if __name__ == "__main__":
    main()
