"""The command line: verbs in, tables out, exit codes that a scheduler can act on."""

from __future__ import annotations

import sys
import traceback

import click

from .. import __version__
from ..errors import GroundswellError
from . import affinity, analysis, curate, demo, develop, handover, models, propagation, report, review, study
from .console import complain

VERBS = (*demo.VERBS, *develop.VERBS, *analysis.VERBS, *curate.VERBS, *review.VERBS, *models.VERBS, *affinity.VERBS, *propagation.VERBS, *study.VERBS, *report.VERBS, *handover.VERBS)
OUR_BUG = 4


class Groups(click.Group):
    """Help in the order a new user needs the verbs."""

    def list_commands(self, context: click.Context) -> list[str]:
        return [verb.name for verb in VERBS]


@click.group(cls=Groups, context_settings={"help_option_names": ["-h", "--help"], "max_content_width": 110})
@click.version_option(__version__, prog_name="groundswell")
def cli() -> None:
    """Turn the signals you already have into labelled training data and trained models, inside the database.

    \b
    New here?      groundswell demo
    Your data      groundswell init warehouse.duckdb TABLE --key COLUMN --classes a,b
    Then           edit lfs/*.sql; groundswell check; groundswell run; groundswell summary

    \b
    Exit codes: 0 ok; 1 errors in labeling functions or features; 2 configuration or usage; 3 store or warehouse
    locked, missing or of another version; 4 our own bug.
    """


for verb in VERBS:
    cli.add_command(verb)


def main(arguments: list[str] | None = None) -> None:
    """Run the command line and exit with its code."""
    try:
        code = cli.main(arguments, prog_name="groundswell", standalone_mode=False)
        sys.exit(code if isinstance(code, int) else 0)
    except click.exceptions.Abort:
        click.echo("interrupted; the next run continues where this one was", err=True)
        sys.exit(130)
    except click.ClickException as error:
        error.show()
        sys.exit(error.exit_code)
    except GroundswellError as error:
        complain(error.diagnostics)
        sys.exit(error.exit_code)
    except BrokenPipeError:
        sys.stderr.close()
        sys.exit(0)
    except Exception:
        click.echo(traceback.format_exc(), err=True)
        click.echo("This is a bug in groundswell. Please report it with the text above and the output of `groundswell doctor`.", err=True)
        sys.exit(OUR_BUG)
