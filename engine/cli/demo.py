"""The demo: a generated world, the whole pipeline, then what to look at."""

from __future__ import annotations

import shutil
from importlib.resources import as_file, files
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import TYPE_CHECKING, Any

import click

from ..errors import ConfigError
from .console import Progress, complain
from .options import log_option

if TYPE_CHECKING:
    from groundswell.examples.moderation.build import Sizes

WORLD = "moderation"
PARTS = ("README.md", "groundswell.toml", "features", "lfs", "tests")
"""What a user of the world gets; the generator stays in the package."""
ROWS, PICTURES = 40_000, 2_000
ARMS = {
    "end_model": "end model: people's labels of text, rules' of images",
    "supervised": "same model, people's labels of text alone",
    "label_model": "label model",
    "majority": "majority vote",
}
LOOK_AT = """
The optimum is known because the world is generated: it is what somebody would reach who knows every probability behind it.
End models read servable features; rules read all of them. Nobody saw a label of these images.

Now look around (cd {folder} first):

  groundswell summary                        which rule is how good
  groundswell show scam_phrase --wrong       where a rule is wrong, against the labels people gave to text posts
  groundswell features                       what all modalities share, how far it drifts, what it is worth alone
  groundswell pairs                          which rules contradict each other
  groundswell explain {key}             why this image post has its label
  groundswell report                         all of it as one HTML page that needs no network
  groundswell plan                           what a run would do now: nothing; edit lfs/violates.sql and ask again
  duckdb groundswell.duckdb "FROM scam.coverage"
                                             everything is a table; README.md there tells the story of this world
"""


@click.command()
@click.argument("folder", default="groundswell-demo", metavar="[FOLDER]")
@click.option("--seed", default=0, show_default=True, help="Another seed makes another world of the same kind.")
@log_option
def demo(folder: str, seed: int, log: str) -> None:
    """Moderation of 40,000 posts: people labelled the text, images are new. Build, label, train, judge, and see what to look at."""
    home = Path(folder)
    _copy_world(home)
    click.echo(f"{home}/: a moderation team, its labeling functions and their tests")
    sizes = _build_warehouse(home, seed)
    click.echo(
        f"warehouse.duckdb: {sizes.n_text:,} text posts that people labelled, {sizes.n_image:,} image posts that nobody did, "
        f"{sizes.n_test:,} labelled images to judge by; {PICTURES:,} have pixels"
    )
    _run(home, log)


def _copy_world(home: Path) -> None:
    if home.exists() and any(home.iterdir()):
        raise ConfigError("CFG121", f"{home} is not empty", hint="name another folder: groundswell demo FOLDER")
    home.mkdir(parents=True, exist_ok=True)
    with as_file(files("groundswell.examples").joinpath(WORLD)) as world:
        for part in PARTS:
            copy = shutil.copytree if (world / part).is_dir() else shutil.copy
            copy(world / part, home / part)


def _build_warehouse(home: Path, seed: int) -> Sizes:
    from groundswell.examples.moderation.build import Sizes, as_duckdb, build
    from groundswell.examples.moderation.told import tell

    sizes = Sizes.of_rows(ROWS)
    with TemporaryDirectory(prefix="groundswell-") as folder:
        build(Path(folder), sizes, seed, n_pictures=PICTURES)
        as_duckdb(Path(folder), home / "warehouse.duckdb")
        tell(Path(folder) / "truth", home / "warehouse.duckdb")
    return sizes


def _run(home: Path, log: str) -> None:
    from ..workspace import open_workspace
    from .console import show
    from .develop import labelling_lines

    with open_workspace(home) as ws:
        with Progress(log=log) as progress:
            complain(ws.check().diagnostics)
            result = ws.run(listen=progress)
            complain(result.diagnostics)
        show(ws.store.arrow(f'SELECT * FROM "{ws.task.name}".lf_summary'), "table", "labeling functions, judged by the text posts")
        labelling_lines(ws)
        with Progress(log=log) as progress:
            training = ws.train(listen=progress)
        _show_ranking(home / "warehouse.duckdb", ws.task.name, training.metrics)
        key = ws.store.value(f"SELECT entity_id FROM \"{ws.task.name}\".training_set WHERE modality = 'image' AND n_votes >= 3 ORDER BY confidence, entity_id LIMIT 1")
    click.echo(LOOK_AT.format(folder=home, key=key))


def _show_ranking(warehouse: Path, task: str, metrics: list[dict[str, Any]]) -> None:
    """Average precision of every arm on the labelled images, beside the Bayes-optimal one."""
    import duckdb

    from groundswell.examples.moderation.bayes import ceiling

    from .console import show_rows

    with duckdb.connect(str(warehouse), read_only=True) as connection:
        best = {servable: ceiling(connection, task, servable=servable) for servable in (False, True)}
    found = {r["arm"]: r for r in metrics if (r["split"], r["modality"], r["metric"]) == ("test", "image", "average_precision")}
    lines = [("Bayes-optimal, all features", best[False]), ("Bayes-optimal, servable features", best[True])]
    lines += [(name, found[arm]) for arm, name in ARMS.items() if arm in found]
    rows = [(name, value, f"{low:.3f} to {high:.3f}", f"{value / best[True].value:.0%}") for name, value, low, high in ((n, *_interval(m)) for n, m in lines)]
    show_rows(["who ranks", "average_precision", "average_precision_95", "of_the_servable_optimum"], rows, f"how well the {best[True].n:,} labelled images are ranked")


def _interval(metric: Any) -> tuple[float, float, float]:
    """(value, low, high) of a Metric or a row of metrics."""
    return (metric["value"], metric["low"], metric["high"]) if isinstance(metric, dict) else (metric.value, metric.low, metric.high)


VERBS = (demo,)
