"""How fast a world of posts is written, and what it takes: seconds, megabytes of Parquet, peak memory, per size.

python -m tests.benchmarks.moderation_world --rows 100000 1000000 10000000 [--threads 2] [--folder DIR] [--with-text]

Every size is a process of its own; its files are deleted afterwards. Peak memory is VmHWM of that process.
"""

from __future__ import annotations

import argparse
import json
import subprocess
import sys
import tempfile
import time
from pathlib import Path

from rich.console import Console
from rich.table import Table

from groundswell.examples.moderation.build import Sizes, build

from .lf_select import peak_mb

TABLE_1 = "CT2"
"""The largest task of the paper: 26 M + 7.4 M posts and 203 k to test on."""


def measure(rows: int, threads: int, with_text: bool, folder: Path | None) -> dict:
    """Seconds, megabytes on disk and peak memory of one world; rows 0 = Table 1 in full size."""
    sizes = Sizes.of_rows(rows) if rows else Sizes.of_table_1(TABLE_1, 1)
    with tempfile.TemporaryDirectory(prefix="groundswell-benchmark-", dir=folder) as name:
        start = time.perf_counter()
        build(Path(name), sizes, with_text=with_text, threads=threads)
        seconds = time.perf_counter() - start
        size = sum(p.stat().st_size for p in Path(name).rglob("*.parquet")) / 1e6
    return {"posts": sizes.n_text + sizes.n_image + sizes.n_test, "seconds": seconds, "mb": size, "peak": peak_mb()}


def main(arguments: list[str]) -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--rows", type=int, nargs="+", default=[100_000, 1_000_000], help=f"0 = {TABLE_1} of Table 1 in full size")
    parser.add_argument("--threads", type=int, default=2)
    parser.add_argument("--with-text", action="store_true")
    parser.add_argument("--folder", type=Path, help="where to write (default: the temporary folder)")
    parser.add_argument("--child", type=int)
    options = parser.parse_args(arguments)
    if options.child is not None:
        print(json.dumps(measure(options.child, options.threads, options.with_text, options.folder)))
        return
    table = Table("posts", "seconds", "posts/s", "MB of Parquet", "peak MB", title=f"writing a world on {options.threads} threads, {'with' if options.with_text else 'without'} bodies and pages")
    for rows in options.rows:
        done = subprocess.run([sys.executable, "-m", __spec__.name, *arguments, "--child", str(rows)], capture_output=True, text=True)
        if done.returncode:
            raise RuntimeError(done.stderr)
        found = json.loads(done.stdout.splitlines()[-1])
        table.add_row(f"{found['posts']:,}", f"{found['seconds']:.1f}", f"{found['posts'] / found['seconds']:,.0f}", f"{found['mb']:,.0f}", f"{found['peak']:,.0f}")
    Console(width=120).print(table)


if __name__ == "__main__":
    main(sys.argv[1:])
