"""Label propagation: from rows with gold labels to rows like them."""

from __future__ import annotations

import click

from ..errors import PropagationError
from .console import Progress, complain, show
from .options import format_option, log_option, project_options, workspace


@click.command()
@project_options
@format_option
@log_option
@click.option("--method", default="harmonic", show_default=True, metavar="NAME", help="harmonic (seeds stay clamped) or expander.")
@click.option("--exclude", multiple=True, metavar="COLUMN", help="A column that says nothing about likeness; may be repeated.")
@click.option("--weight", "weights", multiple=True, metavar="COLUMN=W", help="Weight of a feature in the mean similarity (default 1); may be repeated.")
@click.option("--both-only", is_flag=True, help="Compare rows over the features both have, instead of those that either has.")
@click.option("-k", "k", type=int, default=20, show_default=True, help="Neighbours of a row.")
@click.option("--cross", type=int, help="Neighbours of another modality that a row has at least (default: half of k).")
@click.option("--candidates", type=int, default=500, show_default=True, help="Rows that blocks let a row be compared with.")
@click.option("--refine", type=int, default=16, show_default=True, help="Rounds of neighbours of neighbours while recall is below .95.")
@click.option("--least-weight", type=float, default=0.1, show_default=True, help="Edges below this similarity are left out.")
@click.option("--rounds", type=int, help="Rounds of propagation (default: 50; expander 10).")
@click.option("--top-labels", type=int, help="Labels a row keeps (expander; default: all).")
@click.option("--precision", type=float, default=0.9, show_default=True, help="Target of each class's threshold, on held-out seeds.")
@click.option("--all-seeds", is_flag=True, help="Publish scores for which held-out seeds are clamped too; thresholds stay those of fewer seeds.")
@click.option("--seed", default=0, show_default=True)
def propagate(project, task, form, log, **given) -> None:
    """Propagate gold labels of train to similar rows of every modality; the result is a labeling function."""
    given["weights"] = dict(_weight(each) for each in given["weights"])
    with workspace(project, task) as ws:
        with Progress(form, log) as progress:
            found = ws.propagate(**given, listen=progress)
        show(found.by_class(), form)
        if form == "table":
            show(found.by_modality(), form)
            complain(found.diagnostics)
            _summary(ws, found)


def _weight(text: str) -> tuple[str, float]:
    name, _, value = text.rpartition("=")
    try:
        return name, float(value)
    except ValueError as error:
        raise PropagationError("PR104", f'--weight {text}: "{value}" is no number', hint="--weight topics=2") from error


def _summary(ws, found) -> None:
    kept = "kept from an earlier run" if found.graph_kept else "built"
    others = "" if found.cross_recall != found.cross_recall else f", {found.cross_recall:.3f} of those of another modality"
    click.echo(f"{found.n_edges:,} edges, {kept}; {found.recall:.3f} of the true neighbours found{others} (on a sample)")
    click.echo(f"{found.n_components:,} parts, {found.n_without_seed:,} without a seed; {found.n_clamped:,} seeds clamped, {found.n_held_out:,} held out; {found.n_rounds} rounds")
    click.echo(f"{ws.task.name}.propagation_label in {ws.project.published.name}; next: a labeling function")
    click.echo("  -- lf: propagated\n  SELECT entity_id, label FROM propagation_label;")


VERBS = (propagate,)
