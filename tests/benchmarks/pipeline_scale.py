"""A whole project at scale through the public Python path: seconds of every step, first run, one LF replaced, nothing changed.

python -m tests.benchmarks.pipeline_scale --rows 10000000        a child process; peak memory is its VmHWM

The comments and LFs are those of `lf_select`. Targets: patterns + label model + statistics under 2 s together at 10 million
rows, replacing an LF costs that LF plus 2 s, peak memory of the whole under 3 GB.
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

from groundswell.workspace import open_workspace

from .lf_select import CLASSES, LFS, peak_mb, write_comments

STEPS = ("entity", "gold_label", "votes", "vote_pattern", "label_model", "lf_summary")
CONFIG = """[project]
name = "comments"
memory_limit = "2GB"

[warehouse]
from = "warehouse.duckdb"

[modality.text]
from = "comment"
key = "entity_id"

[task.spam]
classes = [{classes}]
"""
REPLACEMENT = {"song": ("ham", "content ILIKE '%song%' OR content ILIKE '%music%'")}


def write_project(folder: Path, rows: int) -> None:
    """A project folder with its warehouse and twenty LFs."""
    (folder / "lfs").mkdir()
    (folder / "groundswell.toml").write_text(CONFIG.format(classes=", ".join(f'"{c}"' for c in CLASSES)))
    write_comments(folder / "warehouse.duckdb", rows, "comment")
    write_lfs(folder, LFS)


def write_lfs(folder: Path, lfs: dict[str, tuple[str, str]]) -> None:
    texts = (f"-- lf: {name} -> {label}\nFROM comment WHERE {text};\n" for name, (label, text) in lfs.items())
    (folder / "lfs" / "rules.sql").write_text("\n".join(texts))


def timed_run(folder: Path) -> dict[str, float]:
    """Seconds per step of one run; "total" is the wall clock, "rest" loading, planning and publishing."""
    with open_workspace(folder) as workspace:
        start = time.perf_counter()
        result = workspace.run()
        total = time.perf_counter() - start
    steps = {step.output: step.seconds for step in result.steps}
    return steps | {"rest": total - sum(steps.values()), "total": total}


def measure(rows: int) -> dict:
    """The three runs, in this process, and its peak memory."""
    with tempfile.TemporaryDirectory(prefix="groundswell-benchmark-") as name:
        folder = Path(name)
        subprocess.run([sys.executable, "-m", __spec__.name, "--rows", str(rows), "--prepare", name], check=True)
        runs = {"first run": timed_run(folder)}
        write_lfs(folder, LFS | REPLACEMENT)
        runs["one LF replaced"] = timed_run(folder)
        runs["unchanged"] = timed_run(folder)
    return {"runs": runs, "peak": peak_mb()}


def report(rows: int, found: dict, console: Console) -> None:
    table = Table(title=f"project of {len(LFS)} LFs over {rows:,} comments, seconds per step; peak memory {found['peak']:,.0f} MB")
    columns = (*STEPS, "rest", "total")
    for column in ("run", *columns):
        table.add_column(column)
    for name, steps in found["runs"].items():
        table.add_row(name, *[f"{steps.get(c, 0.0):.2f}" for c in columns])
    console.print(table)
    first = found["runs"]["first run"]
    console.print(f"patterns + label model + statistics: {sum(first[c] for c in STEPS[3:]):.2f} s (target 2 s at 10,000,000 rows)")


def main(arguments: list[str]) -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--rows", type=int, default=1_000_000)
    parser.add_argument("--prepare", type=Path, help="only write the project into this folder")
    parser.add_argument("--child", action="store_true")
    options = parser.parse_args(arguments)
    if options.prepare:
        write_project(options.prepare, options.rows)
    elif options.child:
        print(json.dumps(measure(options.rows)))
    else:
        command = [sys.executable, "-m", __spec__.name, "--rows", str(options.rows), "--child"]
        done = subprocess.run(command, capture_output=True, text=True)
        if done.returncode:
            raise RuntimeError(done.stderr)
        report(options.rows, json.loads(done.stdout.splitlines()[-1]), Console(width=160))


if __name__ == "__main__":
    main(sys.argv[1:])
