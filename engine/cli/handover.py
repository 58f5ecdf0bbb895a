"""Handing over: export, doctor."""

from __future__ import annotations

from pathlib import Path

import click

from .console import show_rows
from .options import project_options, workspace

MODEL_FORMATS = {"torchscript": ".pt", "onnx": ".onnx", "sql": ".sql"}
SQL_DIALECTS = ("duckdb", "postgres", "snowflake", "bigquery", "spark")


@click.group()
def export() -> None:
    """Hand results over: the label matrix, the labels, the end model, a dbt package."""


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


@export.command()
@project_options
@click.option("--format", "form", type=click.Choice(MODEL_FORMATS), required=True, help="How the model is written.")
@click.option("-o", "--output", metavar="FILE", help="Where to (default: end_model with the suffix of the format).")
@click.option("--dialect", type=click.Choice(SQL_DIALECTS), default="duckdb", show_default=True, help="Of --format sql.")
def model(project: str, task: str | None, form: str, output: str | None, dialect: str) -> None:
    """The newest end model, for use without groundswell.

    \b
    torchscript  one file for torch alone; whole rows where no feature is text, encoded rows otherwise
    onnx         the same for ONNX Runtime; needs the package onnx
    sql          a logistic model over numbers and categories as one SELECT
    """
    from ..end_models.export_model import write_model
    from ..training import current_model

    path = Path(output or f"end_model{MODEL_FORMATS[form]}")
    with workspace(project, task) as ws:
        model_id, end_model = current_model(ws.store, ws.project, ws.task)
        write_model(end_model, path, form, title=f"{ws.task.name}: end model {model_id}", table=(ws.task.name, "entity"), dialect=dialect)
    click.echo(f"end model {model_id} ({end_model.method}) into {path}")


@export.command()
@project_options
@click.option("-o", "--output", default="dbt", show_default=True, metavar="DIR", help="The package's folder.")
def dbt(project: str, task: str | None, output: str) -> None:
    """A dbt package for the published store: sources, descriptions, tests, one example model.

    Written again at any time: models/sources.yml is replaced, files you may have edited are kept.
    """
    from ..export_dbt import export_dbt

    with workspace(project, task) as ws:
        written = export_dbt(ws.store, ws.project, ws.task, Path(output))
    click.echo(f"{', '.join(written)} into {output}")
    click.echo(f"next: cd {output} && dbt build")


@export.command()
@project_options
@click.option("--dialect", type=click.Choice(SQL_DIALECTS), default="duckdb", show_default=True, help="Of the warehouse that runs it.")
@click.option("-o", "--output", metavar="FILE", help="Where to (default: labels_<dialect>.sql).")
def sql(project: str, task: str | None, dialect: str, output: str | None) -> None:
    """The label model as one SELECT, the body of a view: new rows are labelled from the labeling functions alone, with no Python.

    What the dialect would read in another way than DuckDB is refused, with its place.
    """
    from ..export_sql import write_label_sql

    path = Path(output or f"labels_{dialect}.sql")
    with workspace(project, task) as ws:
        write_label_sql(path, ws.label_sql(dialect))
    click.echo(f"label model of {ws.task.name} into {path}")
    click.echo(f"next, in the warehouse: CREATE VIEW {ws.task.name}_labels AS, then the text of {path}")


@click.command()
@click.option("--codes", is_flag=True, help="List every error and warning code.")
@click.option("--project", metavar="DIR", default=".", show_default="here", help="The project's folder.")
def doctor(codes: bool, project: str) -> int:
    """Versions, locks, sandbox, sanity of the label models; --codes lists all codes."""
    if codes:
        from ..codes import CODES

        show_rows(["code", "meaning"], sorted(CODES.items()))
        return 0
    from ..doctor import examine

    findings = examine(Path(project))
    show_rows(["check", "result", ""], [[f.what, f.found, "ok" if f.ok else "PROBLEM" if f.ok is False else ""] for f in findings])
    return 0 if all(f.ok is not False for f in findings) else 3


VERBS = (export, doctor)
