"""Mined labeling functions and the automatic curation of a training set."""

from __future__ import annotations

import click
import pyarrow as pa

from ..errors import ConfigError
from .console import Progress, complain, show
from .options import format_option, log_option, project_options, workspace

MINING_OPTIONS = (
    click.option("--order", default=1, show_default=True, type=click.IntRange(1, 5), help="Most items of an itemset, inside one list feature."),
    click.option("--min-precision", type=click.FloatRange(0, 1), help="Of the Wilson lower bound (default: relative to the class's prior)."),
    click.option("--min-recall", type=click.FloatRange(0, 1), help="Share of the class (default: .01; .05 above one half)."),
    click.option("--min-support", type=click.IntRange(1), help="Entities of the class (default: 30)."),
    click.option("--no-relax", is_flag=True, help="Keep the bounds for a class that would get too few LFs."),
    click.option("--max-lfs", default=20, show_default=True, type=click.IntRange(1), help="LFs per class."),
    click.option("--grouping", default="per_feature", show_default=True, type=click.Choice(("per_feature", "per_itemset")), help="One LF per feature and class, or one per itemset."),
    click.option("--feature", "features", multiple=True, metavar="NAME", help="Mine this feature only; may be repeated."),
    click.option("--exclude", multiple=True, metavar="NAME", help="Leave this feature out; may be repeated."),
)


def mining_options(function):
    """The options of mining."""
    for option in reversed(MINING_OPTIONS):
        function = option(function)
    return function


def given(options: dict) -> dict:
    """Options as the engine takes them."""
    options["relax"] = not options.pop("no_relax")
    return options


@click.command()
@click.argument("ids", nargs=-1, metavar="[--accept ID ...]")
@click.option("--accept", "accepted", is_flag=True, help="Write the suggestions with these numbers to lfs/suggested.sql.")
@click.option("--all", "everything", is_flag=True, help="Accept every suggestion that is open.")
@project_options
@format_option
@log_option
@mining_options
def suggest(ids, accepted, everything, project, task, form, log, **options) -> None:
    """Mine labeling functions from gold labels: which values tell a class apart, judged on held-out gold."""
    if ids and not accepted:
        raise ConfigError("CFG106", f"{' '.join(ids)}: what should become of it?", hint=f"groundswell suggest --accept {' '.join(ids)}")
    if accepted and not ids and not everything:
        raise ConfigError("CFG106", "--accept needs the numbers of suggestions", hint="e.g. groundswell suggest --accept 1 3, or --all")
    with workspace(project, task) as ws:
        if accepted or everything:
            _accept(ws, None if everything else _numbers(ids), form)
            return
        with Progress(form, log) as progress:
            found = ws.suggest(listen=progress, **given(options))
        show(_for_people(found.rows) if form == "table" else _table(found.rows), form)
        if form == "table":
            complain(found.diagnostics)
            n_open = sum(row["status"] == "open" for row in found.rows)
            click.echo(f"{len(found.rows)} suggestions, {n_open} open; precision, recall and lift on held-out gold" + ("; next: groundswell suggest --accept ID ..., or --all" if n_open else ""))


def _table(rows: list[dict]) -> pa.Table:
    from ..suggesting import SUGGESTION

    return pa.Table.from_pylist(rows, SUGGESTION)


def _for_people(rows: list[dict]) -> pa.Table:
    """What decides whether to accept a suggestion, in as many columns as fit beside its predicate."""
    shown = {"id": "suggestion_id", "label": "label", "predicate": "predicate", "precision": "precision", "recall": "recall", "coverage": "coverage", "new": "new_coverage", "nearest": "nearest_lf", "status": "status"}  # fmt: skip
    return pa.Table.from_pylist([{name: " ".join(row[of].split()) if of == "predicate" else row[of] for name, of in shown.items()} for row in rows], pa.schema([(name, _table([]).schema.field(of).type) for name, of in shown.items()]))


def _numbers(ids: tuple[str, ...]) -> list[int]:
    numbers = [part for each in ids for part in each.split(",") if part]
    if wrong := next((n for n in numbers if not n.isdigit()), None):
        raise ConfigError("CFG106", f'"{wrong}" is not the number of a suggestion', hint="e.g. groundswell suggest --accept 1 3")
    return [int(n) for n in numbers]


def _accept(ws, ids: list[int] | None, form: str) -> None:
    named = ws.accept(ids)
    columns = ("suggestion_id", "lf", "label", "predicate")
    show(pa.table({name: [row[name] for row in named] for name in columns}), form)
    if form == "table":
        click.echo(f"{len(named)} labeling functions in {ws.suggested_path.relative_to(ws.project.root)}; next: groundswell run" if named else "no suggestion is open")


@click.command()
@project_options
@format_option
@log_option
@mining_options
@click.option("--no-propagation", is_flag=True, help="Mined and hand-written LFs only.")
def curate(project, task, form, log, no_propagation, **options) -> None:
    """Curate a training set: mine LFs, accept them, propagate gold labels, run, and say what each part added."""
    with workspace(project, task) as ws:
        with Progress(form, log) as progress:
            done = ws.curate(listen=progress, propagation=None if no_propagation else {}, **given(options))
        show(_arms(done.arms), form, f"what each part added, on gold of the {done.judged_on}" if done.arms else None)
        if form == "table":
            complain(done.diagnostics)
            _curated(ws, done)


def _arms(rows: list[dict]) -> pa.Table:
    """One row per arm, a column per metric."""
    metrics = list(dict.fromkeys(row["metric"] for row in rows))
    values = {(row["arm"], row["metric"]): row["value"] for row in rows}
    arms = list(dict.fromkeys(row["arm"] for row in rows))
    return pa.table({"arm": pa.array(arms, pa.string())} | {m: pa.array([values[arm, m] for arm in arms], pa.float64()) for m in metrics})


def _curated(ws, done) -> None:
    n = ws.store.value(f'SELECT count(*) FROM "{ws.task.name}".training_set')
    click.echo(f"{len(done.accepted)} LFs newly accepted, {len(done.run.evaluations)} in all; {n:,} rows in {ws.task.name}.training_set")
    if not done.arms:
        click.echo("no gold in dev or test: nothing to judge the parts by")
    click.echo("next: groundswell summary; groundswell train")


VERBS = (suggest, curate)
