"""The demo: a generated world, the whole pipeline, then what to look at."""

from __future__ import annotations

import shutil
from importlib.resources import as_file, files
from pathlib import Path

import click

from ..errors import ConfigError
from .console import Progress, complain
from .options import log_option

WORLD = "tickets"
LOOK_AT = """
Now look around (cd {folder} first):

  groundswell summary                        which rule is how good
  groundswell show queue_prior --wrong       where a rule is wrong, against the few labels people gave
  groundswell pairs                          which rules contradict each other
  groundswell explain {key}                  why this ticket has its label
  groundswell report                         all of it as one HTML page that needs no network
  groundswell plan                           what a run would do now: nothing; edit lfs/text.sql and ask again
  duckdb groundswell.duckdb "FROM intent.coverage"
                                             everything is a table; README.md there tells the story of this shop
"""


@click.command()
@click.argument("folder", default="groundswell-demo", metavar="[FOLDER]")
@log_option
def demo(folder: str, log: str) -> None:
    """A support shop with 50,000 tickets: build it, label it, train on it, and see what to look at."""
    home = Path(folder)
    _copy_world(home)
    click.echo(f"{home}/: a support shop, its labeling functions and their tests")
    _build_warehouse(home)
    click.echo("warehouse.duckdb: 50,000 tickets, 40,000 orders, 12,000 customers; people read 1,500 of the tickets")
    _run(home, log)


def _copy_world(home: Path) -> None:
    if home.exists() and any(home.iterdir()):
        raise ConfigError("CFG121", f"{home} is not empty", hint="name another folder: groundswell demo FOLDER")
    with as_file(files("groundswell.examples").joinpath(WORLD)) as world:
        wanted = shutil.ignore_patterns("*.duckdb", "*.duckdb.wal", ".groundswell", "__pycache__", "predictions.parquet")
        shutil.copytree(world, home, dirs_exist_ok=True, ignore=wanted)


def _build_warehouse(home: Path) -> None:
    import duckdb

    with duckdb.connect(str(home / "warehouse.duckdb")) as connection:
        connection.execute((home / "warehouse.sql").read_text(encoding="utf-8"))


def _run(home: Path, log: str) -> None:
    from ..workspace import open_workspace
    from .console import show
    from .develop import labelling_lines
    from .models import metrics_table

    with open_workspace(home) as ws:
        with Progress(log=log) as progress:
            complain(ws.check().diagnostics)
            result = ws.run(listen=progress)
            complain(result.diagnostics)
        show(ws.store.arrow(f'SELECT * FROM "{ws.task.name}".lf_summary'), "table", "labeling functions")
        labelling_lines(ws)
        with Progress(log=log) as progress:
            training = ws.train(listen=progress)
        show(metrics_table([r for r in training.metrics if r["split"] == "test"]), "table", "the end model and what it is compared with, on tickets that people labelled")
        key = ws.store.value(f'SELECT entity_id FROM "{ws.task.name}".training_set WHERE n_votes >= 3 ORDER BY confidence, entity_id LIMIT 1')
    click.echo(LOOK_AT.format(folder=home, key=key))


VERBS = (demo,)
