"""Affinity coding: labels without labeling functions."""

from __future__ import annotations

from contextlib import closing
from pathlib import Path
from typing import Callable

import click

from ..errors import AffinityError, ConfigError, did_you_mean
from .console import Progress, complain, show
from .options import format_option, log_option, project_options, workspace


CODING_OPTIONS = (
    click.option("--images", metavar="COLUMN_OR_FOLDER", help="A column of image bytes or paths, or a folder of files named like the keys (default: the only BLOB column)."),
    click.option("--vectors", metavar="COLUMN", help="An embedding column instead of images: FLOAT[], or FLOAT[][] for several vectors a row."),
    click.option("--text", metavar="COLUMN", help="A text column instead of images: a vector per sentence."),
    click.option("--rows", is_flag=True, help="Numbers and categories of the rows instead of images."),
    click.option("--network", default="vgg16", show_default=True, metavar="NAME", help="A torchvision network."),
    click.option("--layer", "layers", multiple=True, metavar="NAME", help="A layer whose filter maps are read; may be repeated (default: the last with a spatial map)."),
    click.option("--weights", default="DEFAULT", show_default=True, metavar="FILE", help="DEFAULT downloads them; a .npz, .pt or .pth file; none: random."),
    click.option("--input", "convention", type=click.Choice(("torchvision", "caffe")), default="torchvision", show_default=True, help="How the network was trained to read pixels."),
    click.option("--size", type=click.IntRange(8), help="Side in pixels to which images are squeezed (default: 224, or 227 with caffe)."),
    click.option("--function", default="cosine", show_default=True, metavar="NAME", help="The affinity function: cosine or gaussian."),
    click.option("--most-prototypes", type=click.IntRange(1), default=5000, show_default=True, help="A sample of prototypes where there are more."),
)


def coding_options(function: Callable) -> Callable:
    """What is encoded, and how: the options of every verb that codes."""
    for option in reversed(CODING_OPTIONS):
        function = option(function)
    return function


@click.group(invoke_without_command=True)
@project_options
@format_option
@log_option
@coding_options
@click.option("--method", default="spectral", show_default=True, metavar="NAME", help="Class inference: spectral, em, hierarchical, kmeans, coclustering; propagation needs gold labels.")
@click.option("--restarts", type=click.IntRange(1), default=3, show_default=True, help="Seeds that are compared, by methods that start at random.")
@click.option("--seed", default=0, show_default=True)
@click.option("--keep", type=click.Choice(("all", "clusters")), default="all", show_default=True, help="Write prototypes and affinities as tables, or clusters only.")
@click.option("--name", metavar="NAME", help="The name of this coding in all tables (default: what is encoded).")
@click.pass_context
def affinity(context, project, task, form, log, **given) -> None:
    """Label rows by what they have in common: no labeling functions, and gold only to name the clusters."""
    context.obj = (project, task)
    if context.invoked_subcommand:
        return
    with workspace(project, task) as ws:
        with Progress(form, log) as progress:
            coding = ws.affinity(**given_options(given), listen=progress)
        show(ws.clusters(coding.name), form)
        if form == "table":
            complain(coding.diagnostics)
            _summary(ws, coding)


def given_options(given: dict) -> dict:
    """The options as the engine takes them: no weights where "none" is said."""
    given["weights"] = None if given["weights"] == "none" else given["weights"]
    return given


def _summary(ws, coding) -> None:
    from ..intervals import wilson
    from ..coding_map import judged
    from ..store import reading

    click.echo(f"{coding.n_entities:,} rows, {coding.n_prototypes:,} prototypes; expected accuracy {coding.expected_accuracy:.3f}; another seed or scale agrees on {coding.clusters.stability:.0%}")
    if coding.gold_needed:
        click.echo(f"{coding.gold_needed} gold labels a class would name clusters of that accuracy rightly with 99 %")
    with closing(reading(ws.project)) as store:
        found = judged(store, ws.task, coding.name)
    if found:
        right, n, where = found
        low, high = wilson(right, n)
        click.echo(f"right on {right:,} of {n:,} entities of {where} that have gold: {right / n:.3f} ({low:.3f} to {high:.3f})")
    named = f"{ws.task.name}.affinity_label in {ws.project.published.name}; " if coding.naming else ""
    click.echo(f"{named}next: groundswell affinity map")


@affinity.command("map")
@click.argument("names", nargs=-1, metavar="[CLUSTER=CLASS ...]")
@format_option
@click.option("--name", metavar="NAME", help="The coding (default: the newest).")
@click.option("-o", "--output", default="affinity.html", show_default=True, metavar="FILE", help="Where to write the page.")
@click.option("--project", metavar="DIR", help="The project's folder.")
@click.option("--task", metavar="NAME", help="The task.")
@click.pass_context
def map_clusters(context, names, form, name, output, project, task) -> None:
    """Show each cluster's most typical rows, here and on a page; name clusters, here or in gold/affinity_map.csv."""
    from .. import coding_map
    from ..coding_page import build_page
    from ..store import reading

    outer_project, outer_task = context.obj
    with workspace(project or outer_project, task or outer_task) as ws:
        with closing(reading(ws.project)) as store:
            name = name or coding_map.newest(store, ws.task)
            shown = coding_map.typical(store, ws.task, name)
        given = _names(names, ws.task, sorted(set(shown["cluster"].to_pylist())))
        written = {row["cluster"]: row["label"] for row in coding_map.read_map(ws.project, ws.task) if row["affinity_function"] == name} if not given else {}
        path = coding_map.map_path(ws.project) if written else coding_map.write_names(ws.project, ws.task, name, shown, given)
        if (given or written) and (naming := coding_map.apply_names(ws.project, ws.task, name)):
            complain(naming.diagnostics)
            with closing(reading(ws.project)) as store:
                shown = coding_map.typical(store, ws.task, name)
        show(shown, form)
        if form == "table":
            _write_page(output, build_page(ws.project, ws.task, name))
            click.echo(f"{output}: the clusters and what carried them, in pictures")
            click.echo(f"{path.relative_to(ws.project.root)}: " + ("names are in the store" if given or written else "fill in the column label, then run `groundswell affinity map` again"))


def _names(given: tuple[str, ...], task, clusters: list[int]) -> dict[int, str]:
    found = {}
    for each in given:
        cluster, _, label = each.partition("=")
        if not cluster.isdigit() or int(cluster) not in clusters:
            raise AffinityError("AF111", f'"{each}": there is no cluster {cluster}', hint=f"clusters: {', '.join(map(str, clusters))}; e.g. {clusters[0]}={task.classes[0]}")
        if label not in task.classes:
            raise AffinityError("AF111", f'"{label}" is not a class', hint=did_you_mean(label, task.classes) or f"classes: {', '.join(task.classes)}")
        found[int(cluster)] = label
    return found


def _write_page(output: str, text: str) -> None:
    try:
        Path(output).write_text(text, encoding="utf-8")
    except OSError as error:
        raise ConfigError("CFG123", f"cannot write {output}: {error.strerror}", hint="a file in a folder that exists") from error


VERBS = (affinity,)
