"""Working verbs: init, check, plan, run."""

from __future__ import annotations

import os
from pathlib import Path

import click

from .console import Progress, complain, show_rows
from .options import format_option, log_option, project_options, workspace


@click.command()
@click.argument("db", metavar="DB")
@click.argument("table", metavar="TABLE")
@click.option("--key", required=True, metavar="COLUMN", help="The column(s) that identify a row, comma-separated.")
@click.option("--classes", default="", metavar="A,B", help="The classes, comma-separated (default: the values of --gold).")
@click.option("--gold", metavar="COLUMN", help="The column that holds human labels, where there is one.")
@click.option("--project", metavar="DIR", default=".", show_default="here", help="Where to make the project.")
def init(db: str, table: str, key: str, classes: str, gold: str | None, project: str) -> None:
    """Make a project here from a table. DB is a DuckDB file, or a folder of Parquet or CSV files."""
    from ..project.scaffold import scaffold

    folder = Path(project)
    folder.mkdir(parents=True, exist_ok=True)
    warehouse = os.path.relpath(db, folder) if Path(db).exists() else db
    made = scaffold(folder, warehouse, table, key, tuple(c.strip() for c in classes.split(",") if c.strip()), gold)
    click.echo(f"{table}: {made.n_rows:,} rows, classes {', '.join(made.classes)}")
    click.echo(f"wrote {', '.join(made.files)}")
    click.echo("next: edit lfs/rules.sql (one SQL condition per rule, a header above each), then groundswell check")


@click.command()
@project_options
@format_option
def check(project: str, task: str | None, form: str) -> int:
    """Parse, bind and lint every LF, run tests/*.yaml; reads no data."""
    import json

    with workspace(project, task) as ws:
        loaded = ws.check()
    if form == "json":
        click.echo(json.dumps([d.as_row() for d in loaded.diagnostics], ensure_ascii=False, indent=2))
    elif form == "csv":
        _csv_diagnostics(loaded.diagnostics)
    else:
        complain(loaded.diagnostics)
        tests = f", {loaded.n_tests_passed} row tests passed" if loaded.n_tests_passed else ""
        click.echo(f"{len(loaded.lfs)} labeling functions are healthy{tests}")
        click.echo("next: mend the errors above" if loaded.errors else "next: groundswell run" if loaded.lfs else "next: write an LF in lfs/*.sql")
    return 1 if loaded.errors else 0


def _csv_diagnostics(diagnostics) -> None:
    import csv
    import sys

    columns = ("code", "severity", "file", "line", "column", "lf", "message", "hint")
    writer = csv.DictWriter(sys.stdout, columns, lineterminator="\n")
    writer.writeheader()
    writer.writerows(d.as_row() for d in diagnostics)


@click.command()
@project_options
@format_option
@click.option("--explain", is_flag=True, help="List every LF with its reason, unchanged ones too.")
@click.option("--select", multiple=True, metavar="NAME+", help="Only these LFs (and what depends on them).")
@click.option("--full", is_flag=True, help="As if nothing had been computed yet.")
def plan(project: str, task: str | None, form: str, explain: bool, select: tuple[str, ...], full: bool) -> int:
    """What run would do and why; changes nothing."""
    import pyarrow as pa

    from .console import show

    with workspace(project, task) as ws:
        result = ws.plan(select=select, full=full)
    rows = [{"what": s.output, "action": "build" if s.done else "keep", "reason": s.reason} for s in result.steps]
    lfs = [{"what": f"lf {e.lf.name}", "action": "keep" if e.reason == "unchanged" else "evaluate", "reason": e.reason} for e in result.evaluations]
    show(pa.Table.from_pylist(rows + [r for r in lfs if explain or form != "table" or r["action"] == "evaluate"]), form)
    if form == "table":
        complain(d for d in result.diagnostics if d.severity == "error")
        click.echo("next: groundswell run" if any(s.done for s in result.steps) else "everything is up to date")
    return 1 if result.errors else 0


@click.command()
@project_options
@log_option
@click.option("--select", multiple=True, metavar="NAME+", help="Evaluate only these LFs (and what depends on them).")
@click.option("--full", is_flag=True, help="Evaluate everything again.")
@click.option("--keep-going", is_flag=True, help="Go on with healthy LFs when others have errors (the exit code is still 1).")
@click.option("--seed", type=int, help="Seed of the label model (default: from groundswell.toml).")
def run(project, task, log, select, full, keep_going, seed) -> int:
    """Evaluate what changed, fit the label model, publish groundswell.duckdb."""
    with workspace(project, task) as ws, Progress(log=log) as progress:
        result = ws.run(select=select, full=full, keep_going=keep_going, seed=seed, listen=progress)
        progress.__exit__()
        complain(result.diagnostics)
        _report(ws, result)
    return 1 if result.errors else 0


def _report(ws, result) -> None:
    show_rows(["step", "action", "reason", "seconds"], [[s.output, "built" if s.done else "kept", s.reason, round(s.seconds, 2)] for s in result.steps])
    changed = [e for e in result.evaluations if e.reason != "unchanged"]
    if changed and len(changed) < len(result.evaluations):
        click.echo("evaluated: " + ", ".join(f"{e.lf.name} ({e.reason})" for e in changed))
    labelling_lines(ws)
    click.echo(f"published {ws.project.published.name}: any DuckDB client can read it")
    click.echo("next: groundswell summary")


def labelling_lines(ws) -> None:
    """How many rows got a label, how far the label model is from majority vote, and whether to trust it."""
    n, covered = ws.store.rows(f'SELECT coalesce(sum(n_entities), 0), coalesce(sum(n_covered), 0) FROM "{ws.task.name}".coverage')[0]
    share = f" ({covered / n:.1%})" if n else ""
    click.echo(f"{covered:,} of {n:,} rows{share} have a label")
    from .analysis import label_model_line

    label_model_line(ws)


VERBS = (init, check, plan, run)
