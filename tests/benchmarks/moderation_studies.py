"""The paper's studies on tasks shaped like its Table 1 (Suri et al. 2020, sections 6.3 to 6.6), with the Bayes optimum beside every arm.

    python -m tests.benchmarks.moderation_studies                                            # end-to-end, five tasks, 1/1000 of their size
    python -m tests.benchmarks.moderation_studies --scale 0.01 --tasks CT1 --studies crossover factors lesion fusion

No rule is written by hand: `curate` mines rules from people's labels of the text and propagates these (--mined-only: it does not), the end
models fuse text (people's labels) and images (the label model's labels). Arms that a killed run finished are kept while the folder stays (--folder, --keep).
"""

from __future__ import annotations

import argparse
import shutil
import tempfile
import time
import tomllib
from pathlib import Path

from rich.console import Console
from rich.table import Table

from groundswell.examples.moderation.build import Sizes, as_duckdb, build
from groundswell.examples.moderation.parameters import rows
from groundswell.examples.moderation.told import tell
from groundswell.workspace import open_workspace

from .cross_modal_scale import EXAMPLE, prepare, task_name

STUDIES = ("end-to-end", "crossover", "factors", "lesion", "fusion", "curation")
STUDY = 'study = {{ from = "image_told", key = "post_id", label = "{task}", optimum = "{task}_optimum", optimum_all = "{task}_optimum_all" }}\n'


def made(folder: Path, number: str, scale: float, epochs: int, mined_only: bool) -> Path:
    """A project with its labels; one that is there already is taken as it is."""
    home, task = folder / number, task_name(number)
    if (home / "groundswell.duckdb").exists():
        return home
    shutil.rmtree(home, ignore_errors=True)
    build(home / "world", Sizes.of_table_1(number, scale), with_text=False)
    as_duckdb(home / "world", home / "warehouse.duckdb")
    tell(home / "world" / "truth", home / "warehouse.duckdb")
    servable = tomllib.loads((EXAMPLE / "groundswell.toml").read_text())["task"]["scam"]["end_model"]["features"]
    model = f'end_model = {{ method = "logistic", seed = 0, gold = true, max_epochs = {epochs}, features = {servable} }}\n'
    prepare(home, task, "4GB", model + STUDY.format(task=task))
    with open_workspace(home) as ws:
        ws.curate(propagation=None if mined_only else {})
    return home


def shown(number: str, study: str, summary: list[dict], seconds: float, kept: int) -> Table:
    """One row per arm: average precision over seeds, its part of the optimum and of the supervised model on the embedding."""
    best = {suffix: next((r["average_precision"] for r in summary if r["arm"] == "optimum" + suffix), None) for suffix in ("", " (all features)")}
    table = Table(title=f"{number} ({task_name(number)}): {study}, {seconds:,.0f} s" + (f", {kept} arms kept" if kept else ""))
    for column in ("arm", "average precision", "95 % over seeds", "of the optimum", "of the supervised embedding", "hand labels to match"):
        table.add_column(column, justify="left" if column == "arm" else "right")
    for row in summary:
        value, top = row.get("average_precision"), best[" (all features)" if row["arm"].endswith("(all features)") else ""]
        interval = f"{row['low']:.3f} to {row['high']:.3f}" if row.get("low") is not None else ""
        cells = [_three(value), interval, _three(value / top if value and top else None), _three(row.get("relative_average_precision"))]
        table.add_row(row["arm"], *cells, f"{row['crossover']:,.0f}" if row.get("crossover") else "")
    return table


def _three(value: float | None) -> str:
    return "" if value is None else f"{value:.3f}"


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--tasks", nargs="+", default=[row["task"] for row in rows("task")])
    parser.add_argument("--studies", nargs="+", default=["end-to-end"], choices=STUDIES)
    parser.add_argument("--scale", type=float, default=0.001)
    parser.add_argument("--seeds", type=int, default=5)
    parser.add_argument("--epochs", type=int, default=10)
    parser.add_argument("--features", default="both", choices=("servable", "all", "both"))
    parser.add_argument("--mined-only", action="store_true")
    parser.add_argument("--workers", type=int)
    parser.add_argument("--folder", type=Path)
    parser.add_argument("--keep", action="store_true")
    given = parser.parse_args()
    folder = given.folder or Path(tempfile.mkdtemp(prefix="groundswell-studies-"))
    console = Console(width=150)
    for number in given.tasks:
        home = made(folder, number, given.scale, given.epochs, given.mined_only)
        for study in given.studies:
            started = time.perf_counter()
            with open_workspace(home) as ws:
                result = ws.study(study, seeds=tuple(range(given.seeds)), features=given.features, workers=given.workers)
            console.print(shown(number, study, result.summary(), time.perf_counter() - started, result.kept))
            for diagnostic in result.diagnostics:
                console.print(f"{diagnostic.code}: {diagnostic.message}")
        if not given.keep:
            shutil.rmtree(home)


if __name__ == "__main__":
    main()
