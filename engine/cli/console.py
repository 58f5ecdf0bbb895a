"""What a person sees: tables, diagnostics, progress."""

from __future__ import annotations

import csv
import json
import sys
from datetime import date, datetime, timedelta
from decimal import Decimal
from typing import Any, Iterable, Sequence

import click
import pyarrow as pa

from ..errors import Diagnostic
from ..types import Event

FORMATS = ("table", "json", "csv")
FRACTIONS = {"coverage", "overlaps", "conflicts", "empirical_accuracy", "learned_accuracy", "agreement", "correlation", "confidence", "p", "evidence", "mean_votes", "entropy", "value"}  # fmt: skip

LEAST_WIDTH, LONG_LIST = 9, 8
"""Characters a column needs to be readable; numbers in a list from which only the first are shown."""


def show(table: pa.Table, form: str, title: str | None = None) -> None:
    """Print an Arrow table as a table for people, a JSON array of objects, or CSV."""
    if form == "json":
        click.echo(json.dumps([{k: plain(v) for k, v in row.items()} for row in table.to_pylist()], ensure_ascii=False, indent=2))
    elif form == "csv":
        writer = csv.writer(sys.stdout, lineterminator="\n")
        writer.writerow(table.column_names)
        writer.writerows([_csv(v) for v in row.values()] for row in table.to_pylist())
    else:
        show_rows(table.column_names, [list(row.values()) for row in table.to_pylist()], title)


def show_rows(columns: Sequence[str], rows: Iterable[Sequence[Any]], title: str | None = None) -> None:
    """Print rows as a table that fits the terminal; one below the other where they have too many columns for that."""
    from rich import box
    from rich.table import Table
    from rich.text import Text

    rows = list(rows)
    if len(columns) * LEAST_WIDTH > console().width:
        _show_records(columns, rows, title)
        return
    table = Table(title=title, title_justify="left", box=box.SIMPLE_HEAD, pad_edge=False, title_style="bold")
    numeric = [all(isinstance(r[i], (int, float, Decimal)) or r[i] is None for r in rows) and any(r[i] is not None for r in rows) for i in range(len(columns))]
    for name, right in zip(columns, numeric):
        table.add_column(name.replace("_", " "), justify="right" if right else "left", overflow="fold", max_width=60)
    for row in rows:
        table.add_row(*(Text(cell(name, value)) for name, value in zip(columns, row)))
    console().print(table)


def _show_records(columns: Sequence[str], rows: Sequence[Sequence[Any]], title: str | None) -> None:
    """One line per column that holds something, a blank line between rows."""
    width = max(len(name) for name in columns)
    click.echo(click.style(title, bold=True) if title else "")
    for row in rows:
        for name, value in zip(columns, row):
            if value is not None:
                click.echo(f"{name.replace('_', ' '):>{width}}   {cell(name, value)}")
        click.echo()


def console(stderr: bool = False):
    """A rich console; 110 columns where there is no terminal."""
    from rich.console import Console

    stream = sys.stderr if stderr else sys.stdout
    return Console(stderr=stderr, highlight=False, soft_wrap=False, width=None if stream.isatty() else 140)


def cell(name: str, value: Any) -> str:
    """One value as people read it: fractions to three digits, thousands separated, NULL as a dash."""
    if value is None:
        return "–"
    if isinstance(value, bool):
        return "yes" if value else "no"
    if isinstance(value, float):
        return f"{value:.3f}" if name in FRACTIONS or abs(value) < 1000 else f"{value:,.1f}"
    if isinstance(value, int) and not name.endswith(("_id", "id")):
        return f"{value:,}"
    if isinstance(value, (list, tuple)) and len(value) > LONG_LIST and all(isinstance(v, float) for v in value):
        return ", ".join(f"{v:.2f}" for v in value[:3]) + f", … ({len(value)} numbers)"
    if isinstance(value, (list, tuple)):
        return ", ".join(str(v[0]) + "=" + str(v[1]) if isinstance(v, tuple) else str(v) for v in value)
    text = str(value)
    return text if len(text) <= 240 else text[:239] + "…"


def plain(value: Any) -> Any:
    """A value JSON knows."""
    if isinstance(value, float):
        return value if value == value and abs(value) != float("inf") else None
    if isinstance(value, (datetime, date)):
        return value.isoformat()
    if isinstance(value, (Decimal, timedelta)):
        return str(value)
    if isinstance(value, bytes):
        return value.hex()
    if isinstance(value, list) and value and all(isinstance(v, tuple) and len(v) == 2 for v in value):
        return {str(k): plain(v) for k, v in value}
    if isinstance(value, list):
        return [plain(v) for v in value]
    if isinstance(value, dict):
        return {k: plain(v) for k, v in value.items()}
    return value


def _csv(value: Any) -> Any:
    value = plain(value)
    return json.dumps(value, ensure_ascii=False) if isinstance(value, (list, dict)) else value


def complain(diagnostics: Iterable[Diagnostic]) -> None:
    """Print diagnostics to stderr, errors first, and count them."""
    found = sorted(diagnostics, key=lambda d: (d.severity, d.location.path if d.location else "", d.location.line if d.location else 0))
    if not found:
        return
    colours = {"error": "red", "warning": "yellow"}
    for each in found:
        head, _, rest = str(each).partition("\n")
        click.echo(click.style(head, fg=colours[each.severity], bold=True) + (f"\n{rest}" if rest else "") + "\n", err=True)
    n_errors = sum(d.severity == "error" for d in found)
    counts = [f"{n} {word}{'s' if n > 1 else ''}" for n, word in ((n_errors, "error"), (len(found) - n_errors, "warning")) if n]
    if len(found) > 1:
        click.echo(", ".join(counts), err=True)


class Progress:
    """Shows events: one live line in a terminal, plain lines elsewhere, nothing with JSON or CSV output."""

    def __init__(self, form: str = "table", log: str = "auto"):
        self.quiet = form != "table"
        self.json = log == "json"
        self.status = None

    def __enter__(self) -> Progress:
        if not self.quiet and not self.json and sys.stderr.isatty():
            self.status = console(stderr=True).status("starting")
            self.status.start()
        return self

    def __exit__(self, *_: Any) -> None:
        if self.status:
            self.status.stop()

    def __call__(self, event: Event) -> None:
        if self.quiet:
            return
        part = f" ({event.done + 1} of {event.total})" if event.done is not None and event.total else ""
        if self.json:
            click.echo(json.dumps({"step": event.step, "message": event.message, "done": event.done, "total": event.total}), err=True)
        elif self.status:
            self.status.update(f"{event.message}{part}")
        else:
            click.echo(f"  {event.message}{part}", err=True)
