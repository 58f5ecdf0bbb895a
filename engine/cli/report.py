"""The verb report: one offline HTML file."""

from __future__ import annotations

from pathlib import Path

import click

from ..errors import ConfigError
from .options import project_options, workspace


@click.command()
@project_options
@click.option("-o", "--output", default="report.html", show_default=True, metavar="FILE", help="Where to write it.")
@click.option("--redact", is_flag=True, help="Replace texts of rows by their length and a hash.")
def report(project: str, task: str | None, output: str, redact: bool) -> None:
    """One HTML page that needs no network: labels, rules, charts, examples, lineage."""
    from ..report import build_report

    with workspace(project, task) as ws:
        text = build_report(ws.store, ws.task, redact)
    target = Path(output)
    try:
        target.write_text(text, encoding="utf-8")
    except OSError as error:
        raise ConfigError("CFG123", f"cannot write {output}: {error.strerror}", hint="a file in a folder that exists") from error
    click.echo(f"{output}: {len(text.encode()) / 1e6:.1f} MB, open it in any browser")


VERBS = (report,)
