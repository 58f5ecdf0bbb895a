"""Options all verbs share."""

from __future__ import annotations

from typing import Callable

import click

from .console import FORMATS


def project_options(function: Callable) -> Callable:
    """--project, --task and -v."""
    function = click.option(
        "-v", "--verbose", is_flag=True, expose_value=False, is_eager=True, callback=_print_sql, help="Print the exact SQL that is run, to stderr."
    )(function)
    function = click.option("--task", metavar="NAME", help="The task (default: the only one).")(function)
    return click.option("--project", metavar="DIR", default=".", show_default="here", help="The project's folder.")(function)


def format_option(function: Callable) -> Callable:
    """--format table/json/csv."""
    return click.option("--format", "form", type=click.Choice(FORMATS), default="table", show_default=True, help="How to print.")(function)


def log_option(function: Callable) -> Callable:
    """--log auto/json."""
    return click.option("--log", type=click.Choice(("auto", "json")), default="auto", help="Progress for people, or as JSON lines.")(function)


def _print_sql(context: click.Context, option: click.Parameter, verbose: bool) -> None:
    if verbose:
        import logging

        logger = logging.getLogger("groundswell.sql")
        logger.setLevel(logging.DEBUG)
        logger.handlers = [logging.StreamHandler()]


def workspace(project: str, task: str | None):
    """The workspace a verb works on."""
    from ..workspace import open_workspace

    return open_workspace(project, task=task)
