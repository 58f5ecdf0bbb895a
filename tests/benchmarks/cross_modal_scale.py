"""The whole pipeline on a task of Table 1 (Suri et al. 2020): seconds and peak memory per step, and what came of it.

    python -m tests.benchmarks.cross_modal_scale --task CT1 --scale 0.1 --folder /somewhere/with/space
    python -m tests.benchmarks.cross_modal_scale --task CT1 --scale 1 --folder /somewhere/with/space --keep

Every step is a verb in a process of its own; a step that a killed run finished is not repeated while the folder stays (--keep). No rule is
written by hand: rules are mined from people's labels of the text, the end model fuses text (people's labels) and images (label model's).
"""

from __future__ import annotations

import argparse
import json
import os
import shutil
import subprocess
import sys
import tempfile
import time
from pathlib import Path

import duckdb
from rich.console import Console
from rich.table import Table

EXAMPLE = Path(__file__).parents[2] / "examples" / "moderation"
CONFIG = """
[project]
name = "scale"
memory_limit = "{memory}"
lf_timeout = 7200
[warehouse]
from = "warehouse.duckdb"
[modality.text]
from = "text_item"
key = "post_id"
[modality.image]
from = "image_item"
key = "post_id"
[task.{task}]
classes = ["ok", "violates"]
gold = {{ from = "human_label", key = "post_id", label = "{task}" }}
split = {{ column = "split" }}
"""
END_MODEL = 'end_model = { method = "logistic", seed = 0, gold = true, max_epochs = 10 }\n'


def measured(name: str, command: list[str], folder: Path) -> dict:
    """Seconds and peak memory (GB) of a command; its output goes to a log beside the project."""
    log = folder / f"{name.replace(' ', '-')}.log"
    started = time.perf_counter()
    with log.open("w") as out:
        process = subprocess.Popen(command, stdout=out, stderr=subprocess.STDOUT, cwd=Path(__file__).parents[2])
        _, status, usage = os.wait4(process.pid, 0)
    seconds = time.perf_counter() - started
    if os.waitstatus_to_exitcode(status):
        raise SystemExit(f"{name} failed, see {log}:\n{log.read_text()[-2000:]}")
    return {"step": name, "seconds": seconds, "gb": usage.ru_maxrss / 1e6}


def prepare(folder: Path, task: str, memory: str, of_task: str = END_MODEL) -> None:
    """The project: features of the example but the one computed from pixels, which only 20,000 pictures have; more lines of the task."""
    (folder / "groundswell.toml").write_text(CONFIG.format(task=task, memory=memory) + of_task)
    shutil.copytree(EXAMPLE / "features", folder / "features", dirs_exist_ok=True)
    text = (folder / "features" / "i_pictures.sql").read_text()
    (folder / "features" / "i_pictures.sql").write_text(text[: text.index("-- feature: picture_colours")] if "-- feature: picture_colours" in text else text)


def task_name(number: str) -> str:
    """CT1 -> the task's name in the world."""
    from groundswell.examples.moderation.parameters import rows

    return next(row["name"] for row in rows("task") if row["task"] == number)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--task", default="CT1")
    parser.add_argument("--scale", type=float, default=0.01)
    parser.add_argument("--folder", type=Path)
    parser.add_argument("--memory", default="8GB")
    parser.add_argument("--keep", action="store_true")
    given = parser.parse_args()
    folder = given.folder or Path(tempfile.mkdtemp(prefix="groundswell-scale-"))
    folder.mkdir(parents=True, exist_ok=True)
    done = folder / "steps.json"
    steps = json.loads(done.read_text()) if done.is_file() else []
    task = task_name(given.task)
    prepare(folder, task, given.memory)
    verb = lambda *words: [sys.executable, "-m", "groundswell", *words, "--project", str(folder)]  # noqa: E731
    world = [sys.executable, "-m", "groundswell.examples.moderation.build", str(folder / "world"), "--table-1", given.task, "--scale", str(given.scale), "--lean", "--duckdb", str(folder / "warehouse.duckdb")]
    plan = {"generate the world": world, "mine and suggest": verb("suggest"), "accept": verb("suggest", "--all"), "vote and label": verb("run"), "train and judge": verb("train")}
    for name, command in plan.items():
        if name not in {s["step"] for s in steps}:
            steps.append(measured(name, command, folder))
            done.write_text(json.dumps(steps))
    show(folder, task, steps, given)
    if not given.keep:
        shutil.rmtree(folder)


def show(folder: Path, task: str, steps: list[dict], given: argparse.Namespace) -> None:
    with duckdb.connect(str(folder / "groundswell.duckdb"), read_only=True) as store:
        rows = dict(store.execute(f"SELECT modality, count(*) FROM {task}.entity GROUP BY 1").fetchall())
        metrics = store.execute(f"SELECT metrics FROM {task}.end_model ORDER BY model_id DESC LIMIT 1").fetchone()[0]
        lfs = store.execute(f"SELECT count(*) FROM {task}.lf WHERE status = 'ok'").fetchone()[0]
    table = Table(title=f"{given.task} ({task}) at {given.scale:g} of its size: {rows.get('text', 0):,} texts, {rows.get('image', 0):,} images; {lfs} mined rules")
    for column in ("step", "seconds", "peak GB"):
        table.add_column(column, justify="left" if column == "step" else "right")
    for step in [*steps, {"step": "together", "seconds": sum(s["seconds"] for s in steps), "gb": max(s["gb"] for s in steps)}]:
        table.add_row(step["step"], f"{step['seconds']:,.1f}", f"{step['gb']:.2f}")
    Console(width=120).print(table)
    for row in json.loads(metrics):
        if row["metric"] == "average_precision" and row["split"] == "test" and row["modality"] == "image":
            print(f"average precision on {row['n']:,} test images: {row['arm']} {row['value']:.3f} ({row['low']:.3f} to {row['high']:.3f})")


if __name__ == "__main__":
    main()
