"""The verb that repeats the papers' studies on the user's own task."""

from __future__ import annotations

import click

from .affinity import coding_options, given_options
from .console import Progress, show
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


VERBS = (study,)
