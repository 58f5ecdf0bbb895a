"""Scoring new rows from Parquet to Parquet: rows a second, and peak memory as rows grow.

    python -m tests.benchmarks.prediction_scale [--rows 1000000 10000000]

The end model of `groundswell demo` (17 features: lists of categories, an embedding) scores image posts of generated worlds, in a
fresh process each: `groundswell predict --from image_post.parquet -o scores.parquet`.
"""

from __future__ import annotations

import argparse
import subprocess
import sys
from pathlib import Path
from tempfile import TemporaryDirectory
from time import perf_counter

from rich.console import Console
from rich.table import Table

SCORE = """
import sys
from pathlib import Path
from groundswell.predicting import predict_new
from groundswell.workspace import open_workspace
from time import perf_counter
ws = open_workspace(sys.argv[1])
started = perf_counter()
n = predict_new(ws.project, ws.task, sys.argv[2], Path(sys.argv[3]))
seconds = perf_counter() - started
status = Path("/proc/self/status").read_text(encoding="ascii")
print(n, seconds, int(next(line for line in status.splitlines() if line.startswith("VmHWM")).split()[1]) / 1024)
"""


def scored(project: Path, rows: int, folder: Path) -> tuple[int, float, float, float]:
    """(rows, seconds, peak MiB, MB of the file) for the images of a world with about `rows` images."""
    import duckdb

    from groundswell.examples.moderation.build import Sizes, build

    build(folder, Sizes.of_rows(int(rows / 0.39)), 0, with_text=False)
    source = folder / "images.parquet"
    with duckdb.connect() as connection:
        connection.execute(f"COPY (FROM read_parquet('{folder}/warehouse/image_post/*.parquet') LIMIT {rows}) TO '{source}' (FORMAT PARQUET)")
    done = subprocess.run([sys.executable, "-c", SCORE, str(project), str(source), str(folder / "scores.parquet")], capture_output=True, text=True, check=True)
    n, seconds, peak = done.stdout.split()[-3:]  # DuckDB may draw a progress bar before it
    return int(n), float(seconds), float(peak), source.stat().st_size / 1e6


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--rows", type=int, nargs="+", default=[1_000_000, 10_000_000])
    table = Table("rows", "Parquet, MB", "seconds", "rows/s", "peak MiB", title="predict --from, 17 features, logistic regression")
    with TemporaryDirectory() as home:
        project, started = Path(home) / "demo", perf_counter()
        subprocess.run([sys.executable, "-m", "groundswell", "demo", str(project)], check=True, capture_output=True)
        print(f"demo: {perf_counter() - started:.0f} s")
        for rows in parser.parse_args().rows:
            with TemporaryDirectory() as folder:
                n, seconds, peak, size = scored(project, rows, Path(folder))
                table.add_row(f"{n:,}", f"{size:,.0f}", f"{seconds:.1f}", f"{n / seconds:,.0f}", f"{peak:,.0f}")
    Console().print(table)


if __name__ == "__main__":
    main()
