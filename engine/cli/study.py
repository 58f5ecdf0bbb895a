"""The verb that repeats the papers' studies on the user's own task."""

from __future__ import annotations

import click
import pyarrow as pa

from .affinity import coding_options, given_options
from .console import Progress, complain, show
from .options import format_option, log_option, project_options, workspace


@click.group()
def study() -> None:
    """The papers' studies on your own task; results are also in the table `study`."""


@study.command("affinity")
@project_options
@format_option
@log_option
@coding_options
@click.option("--seeds", default=3, show_default=True, type=click.IntRange(1), help="Starts that are compared.")
def affinity_study(project, task, form, log, seeds, **given) -> None:
    """Labels from rules against labels from affinities, each with either kind of model (Das et al. 2019); needs gold to judge by."""
    with workspace(project, task) as ws:
        with Progress(form, log) as progress:
            rows = ws.affinity_study(range(seeds), listen=progress, **given_options(given))
        show(rows, form, "accuracy, clusters named as fits gold best")


ABOUT = {
    "end-to-end": "Text, image (weak), both, and hand labels, relative to a supervised model on the embedding alone (Table 2).",
    "crossover": "How many hand labels a supervised model needs to match the pipeline (Figure 5).",
    "factors": "Feature sets added one at a time, to the old modality and then to the new one (Figure 6).",
    "lesion": "The old modality alone, the new one alone, both, as feature sets grow (Figure 7).",
    "fusion": "Early, intermediate, projected and late fusion on the same rows (section 6.6).",
    "curation": "The end model on labels with and without mined, hand-written and propagated votes (Table 3).",
}


def _study_verb(name: str) -> click.Command:
    @study.command(name, help=ABOUT[name])
    @project_options
    @format_option
    @log_option
    @click.option("--seeds", default=5, show_default=True, type=click.IntRange(1), help="Seeds of every arm.")
    @click.option("--features", default="servable", show_default=True, type=click.Choice(("servable", "all", "both")), help="What the end model reads.")
    @click.option("--method", metavar="NAME", help="The end model (default: from groundswell.toml).")
    @click.option("--points", default=8, show_default=True, type=click.IntRange(2), help="Of the learning curve.")
    @click.option("--workers", type=click.IntRange(1), help="Processes (default: one per core, at most four).")
    def verb(project, task, form, log, seeds, **options) -> None:
        with workspace(project, task) as ws:
            with Progress(form, log) as progress:
                found = ws.study(name, seeds=tuple(range(seeds)), listen=progress, **options)
            show(_arms(found) if form == "table" else _rows(found), form, ABOUT[name])
            if form == "table":
                complain(found.diagnostics)
                _concluded(ws, found)

    return verb


def _rows(found) -> pa.Table:
    """The rows of `study`, as they are published."""
    return pa.Table.from_pylist([{"study": found.name, **row} for row in found.rows])


def _arms(found) -> pa.Table:
    """One row per arm: means over seeds."""
    rows = found.summary()
    shown = {"arm": "arm", "average precision": "average_precision", "low": "low", "high": "high", "relative": "relative_average_precision", "f1": "f1", "accuracy": "accuracy", "crossover": "crossover"}  # fmt: skip
    return pa.table({title: pa.array([row.get(name) for row in rows]) for title, name in shown.items() if any(row.get(name) is not None for row in rows)})


def _concluded(ws, found) -> None:
    crossed = [row for row in found.rows if row["metric"] == "crossover"]
    reached = sorted(row["value"] for row in crossed if row["value"] is not None)
    if crossed:
        words = f"{reached[0]:,.0f} to {reached[-1]:,.0f} hand labels" if reached else "not reached"
        click.echo(f"cross-over: {words} in {len(reached)} of {len(crossed)} seeds; {crossed[0]['n_rows']:,} labels were tried at most")
    kept = f", {found.kept} fits kept from an earlier run" if found.kept else ""
    seeds = len({row["seed"] for row in found.rows})
    click.echo(f"{seeds} seeds, 95 % intervals over seeds{kept}; {ws.task.name}.study in {ws.project.published.name}")


for _name in ABOUT:
    _study_verb(_name)

VERBS = (study,)
