"""Handing over: export, doctor."""

from __future__ import annotations

from pathlib import Path

import click

from .console import show_rows
from .options import project_options, workspace


@click.group()
def export() -> None:
    """Hand results over: the label matrix, the labels."""


@export.command()
@project_options
@click.option("-o", "--output", default="label_matrix.parquet", show_default=True, metavar="FILE", help=".parquet (class names, NULL abstains) or .npz (integers, -1 abstains).")
def matrix(project: str, task: str | None, output: str) -> None:
    """The label matrix: one row per entity, one column per LF."""
    from ..export import export_matrix

    with workspace(project, task) as ws:
        rows, columns = export_matrix(ws.store, ws.task, Path(output))
    click.echo(f"{rows:,} entities x {columns} labeling functions into {output}")


@export.command()
@project_options
@click.option("-o", "--output", default="labels.parquet", show_default=True, metavar="FILE", help=".parquet, .csv or .json")
@click.option("--threshold", type=float, default=0.0, show_default=True, help="Least confidence.")
def labels(project: str, task: str | None, output: str, threshold: float) -> None:
    """The training set: one row per covered entity with label and confidence."""
    from ..store.files import write_table

    with workspace(project, task) as ws:
        found = ws.store.stream(f'FROM "{ws.task.name}".training_set WHERE confidence >= $t', {"t": threshold})
        write_table(found, output)
    click.echo(f"labels into {output}")


@click.command()
@click.option("--codes", is_flag=True, help="List every error and warning code.")
@click.option("--project", metavar="DIR", default=".", show_default="here", help="The project's folder.")
def doctor(codes: bool, project: str) -> int:
    """Versions, locks, sandbox, sanity of the label models; --codes lists all codes."""
    if codes:
        from ..errors import CODES

        show_rows(["code", "meaning"], sorted(CODES.items()))
        return 0
    from ..doctor import examine

    findings = examine(Path(project))
    show_rows(["check", "result", ""], [[f.what, f.found, "ok" if f.ok else "PROBLEM" if f.ok is False else ""] for f in findings])
    return 0 if all(f.ok is not False for f in findings) else 3


VERBS = (export, doctor)
