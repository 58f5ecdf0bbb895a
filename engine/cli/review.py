"""The verbs that ask people, and that tell what the answers say of the end model."""

from __future__ import annotations

import getpass

import click

from .analysis import marked
from .console import Progress, cell, complain, show
from .options import format_option, log_option, project_options, workspace


@click.command()
@click.option("--strategy", default="maxkl", show_default=True, metavar="NAME", help="maxkl, conflicts, uncovered, entropy or random; or monitor: test rows drawn to judge the end model by.")
@click.option("-n", "n", type=click.IntRange(1), default=20, show_default=True, help="Ask at most this many questions; with monitor, about so many.")
@click.option("--annotator", metavar="NAME", help="Who answers (default: your user name).")
@click.option("--against", default="label", show_default=True, metavar="NAME", help="With monitor: whom the end model must not agree with for a row to be drawn more often, label (model) or previous (end model).")
@project_options
def review(strategy: str, n: int, annotator: str | None, against: str, project: str, task: str | None) -> None:
    """Answer questions where an answer helps most; answers go to gold/review.csv."""
    from itertools import islice

    with workspace(project, task) as ws:
        session = ws.review(strategy, annotator or getpass.getuser(), n=n, against=against)
        if strategy == "monitor":
            n = session.n_questions
            click.echo(f"{session.n_drawn} rows drawn, {n} to be answered; what models say of them is not shown")
        for number, question in enumerate(islice(session.questions(), n), start=1):
            answer = _asked(ws, question, number, n)
            if answer == QUIT:
                break
            session.answer(question, None if answer == SKIP else answer)
        _goodbye(session)


QUIT, SKIP = object(), object()


def _asked(ws, question, number: int, n: int):
    """A class, SKIP or QUIT."""
    from ..explanation import marks

    found = marks(ws.store, ws.task, question.entity)
    click.echo(f"\n{click.style(f'{number} of at most {n}', bold=True)}   key {question.entity_id}")
    for name, value in question.entity.items():
        if value is not None and name not in ("entity_id", "split"):
            shown = marked(value, [m for m in found if m.column == name]) if isinstance(value, str) else cell(name, value)
            click.echo(f"  {name}: {shown}")
    votes = ", ".join(f"{lf} says {symbol}" for lf, symbol in question.votes.items())
    if question.p:
        best = max(question.p, key=question.p.__getitem__)
        click.echo(click.style(f"  {votes or 'no labeling function votes'}; the label model thinks {best} ({question.p[best]:.2f})", dim=True))
    keys = {str(i): label for i, label in enumerate(ws.task.classes, start=1)}
    offered = "   ".join(f"[{key}] {label}" for key, label in keys.items())
    while True:
        try:
            said = click.prompt(f"  {offered}   [s] cannot tell   [q] quit", prompt_suffix=" > ", default="q", show_default=False).strip()
        except click.Abort:  # the end of the input, or Ctrl-C: answers given so far are on disk
            return QUIT
        if said in ("q", "s"):
            return QUIT if said == "q" else SKIP
        if said in keys or said in ws.task.classes:
            return keys.get(said, said)
        click.echo(f"  not one of {', '.join((*keys, 's', 'q'))}")


def _goodbye(session) -> None:
    if not session.n_answers:
        click.echo("no answers were given")
        return
    click.echo(f"\n{session.n_answers} answers are in {session.path.relative_to(session.project.root)}")
    click.echo(f"next: {session.next_step}")


@click.command()
@project_options
@format_option
@log_option
def monitor(project: str, task: str | None, form: str, log: str) -> None:
    """Live precision, recall, F1, accuracy and positive rate of the end model, from the rows that review --strategy monitor drew."""
    with workspace(project, task) as ws:
        with Progress(form, log) as progress:
            found = ws.monitor(listen=progress)
        show(live_table(found.rows), form)
        if form == "table":
            complain(found.diagnostics)
            click.echo(f"end model {found.model_id} on {found.n_rows:,} rows, 95 % intervals; {ws.task.name}.live_metric in {ws.project.published.name}")


def live_table(rows: list[dict]):
    """`live_metric` as a table; a review that is none is all of them together."""
    import pyarrow as pa

    names = ("reviewed_at", "metric", "value", "low", "high", "n_reviewed")
    kinds = (pa.timestamp("s", "UTC"), pa.string(), pa.float64(), pa.float64(), pa.float64(), pa.int64())
    return pa.table({n: pa.array([r[n] and r[n].replace(microsecond=0) if n == "reviewed_at" else r[n] for r in rows], k) for n, k in zip(names, kinds)})


VERBS = (review, monitor)
