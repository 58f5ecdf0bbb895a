"""Reading verbs: summary, pairs, coverage, show, explain."""

from __future__ import annotations

import click

from ..explanation import Mark, flip, marks
from .console import console, show, show_rows
from .options import format_option, project_options, workspace


@click.command()
@project_options
@format_option
@click.option("--sort", default="lf", show_default=True, help="Column to sort by, largest first (lf: by name).")
def summary(project: str, task: str | None, form: str, sort: str) -> None:
    """One row per LF: polarity, coverage, overlaps, conflicts, accuracy."""
    with workspace(project, task) as ws:
        known = ws.store.columns(f'FROM "{ws.task.name}".lf_summary')
        if sort not in known:
            raise click.BadParameter(f"no column {sort}; there is {', '.join(known)}", param_hint="--sort")
        order = "lf" if sort == "lf" else f'"{sort}" DESC NULLS LAST, lf'
        show(ws.store.arrow(f'FROM "{ws.task.name}".lf_summary ORDER BY {order}'), form)
        if form == "table":
            label_model_line(ws)
            click.echo("next: groundswell show LF --wrong · groundswell coverage · groundswell pairs")


def label_model_line(ws) -> None:
    """The current label model in a line, with its warnings."""
    found = ws.store.rows(f'SELECT method, options->>\'chosen\', majority_disagreement, expected_accuracy, options->>\'verdict\', warnings FROM "{ws.task.name}".label_model WHERE is_current')
    if found:
        method, chosen, disagreement, accuracy, verdict, warnings = found[0]
        name = method if chosen in (None, method) else f"{method} ({chosen})"
        parts = [f"label model {name}"]
        parts += [f"differs from majority vote on {disagreement:.1%} of covered rows"] if disagreement is not None else []
        parts += [f"expects to be right on {accuracy:.1%}"] if accuracy is not None else []
        click.echo("; ".join(parts) + (f"\n  {verdict}" if verdict else "") + "".join(f"\n  warning {w}" for w in warnings or ()))


@click.command()
@project_options
@format_option
@click.option("-n", type=click.IntRange(min=0), default=20, show_default=True, help="Pairs to show (table only): most conflicts first.")
def pairs(project: str, task: str | None, form: str, n: int) -> None:
    """One row per pair of LFs: how often they meet, agree, conflict."""
    with workspace(project, task) as ws:
        limit = f" ORDER BY n_conflict DESC, n_both DESC, lf_a, lf_b LIMIT {n}" if form == "table" else ""
        show(ws.store.arrow(f'FROM "{ws.task.name}".lf_pair{limit}'), form)
        if form == "table":
            click.echo("next: groundswell show LF_A --conflicts LF_B")


@click.command()
@project_options
@format_option
def coverage(project: str, task: str | None, form: str) -> None:
    """One row per split and modality: how many rows have votes, several votes, votes that conflict."""
    with workspace(project, task) as ws:
        show(ws.store.arrow(f'FROM "{ws.task.name}".coverage'), form)
        if form == "table":
            click.echo("next: groundswell show --uncovered")


@click.command("show")
@click.argument("lf", required=False)
@click.option("--wrong", is_flag=True, help="Only rows where gold says otherwise (train and dev splits).")
@click.option("--right", is_flag=True, help="Only rows where gold agrees.")
@click.option("--conflicts", metavar="LF2", help="Rows where LF2 votes for another class.")
@click.option("--uncovered", is_flag=True, help="Rows no LF votes on.")
@click.option("-n", type=click.IntRange(min=0), default=10, show_default=True, help="How many rows.")
@project_options
@format_option
def show_verb(lf, wrong, right, conflicts, uncovered, n, project, task, form) -> None:
    """Rows an LF votes on; the same sample every time."""
    if not lf and not uncovered:
        raise click.UsageError("name an LF, or say --uncovered")
    if sum((wrong, right, bool(conflicts), uncovered)) > 1:
        raise click.UsageError("choose one of --wrong, --right, --conflicts, --uncovered")
    with workspace(project, task) as ws:
        table = ws.show(lf, wrong=wrong, right=right, conflicts=conflicts, uncovered=uncovered, n=n)
        if form == "table":
            if lf:
                _print_sql(ws, lf)
            table = table.drop_columns([c for c in ("modality", "event_time") if c in table.column_names and c not in ("entity_id",)])
            if not table.num_rows:
                click.echo("no such rows")
                return
        show(table, form)
        if form == "table":
            click.echo(f"next: groundswell explain {table['entity_id'][0].as_py()}")


def _print_sql(ws, lf: str) -> None:
    from rich.syntax import Syntax

    sql, path, line, label = ws.store.rows(f'SELECT sql, path, line, label FROM "{ws.task.name}".lf WHERE lf = $lf', {"lf": lf})[0]
    click.echo(f"{lf}" + (f" -> {label}" if label else "") + (f"   {path}:{line}" if path else ""))
    console().print(Syntax(sql or "", "sql", background_color="default", word_wrap=True))


@click.command()
@click.argument("key")
@project_options
@format_option
def explain(key: str, project: str, task: str | None, form: str) -> None:
    """Why an entity has its label: every vote's evidence, as log-odds of the best class against the second."""
    with workspace(project, task) as ws:
        evidence = ws.explain(key)
        if form != "table":
            show(evidence, form)
            return
        entity = ws.entity(key)
        _print_entity(entity, marks(ws.store, ws.task, entity))
        if not evidence.num_rows:
            click.echo("no labeling function votes on this row: it has no label")
            _print_prediction(ws, entity)
            return
        _print_waterfall(evidence.to_pylist())
        if found := flip(ws.store, ws.task, entity["entity_id"]):
            click.echo(f"without {' and '.join(found.lfs)} " + (f"the label would be {found.label}" if found.label else "it would be a tie"))
        click.echo(f"{entity['n_same_votes']:,} entities have exactly these votes (pattern {entity['pattern_id']})")
        _print_prediction(ws, entity)


def _print_entity(entity: dict, found: list[Mark]) -> None:
    """What is known about an entity; the words that made rules fire are underlined and explained below."""
    hidden = {"label", "confidence", "n_votes", "pattern_id", "n_same_votes", "gold", "event_time"}
    for name, value in entity.items():
        if name not in hidden and value is not None:
            click.echo(f"{name:>16}  {marked(str(value), [m for m in found if m.column == name])}")
    words = {(m.lf, str(entity[m.column])[m.start : m.end]) for m in found}
    for lf in dict.fromkeys(m.lf for m in found):
        click.echo(f"{'':>16}  {lf}: " + ", ".join(f'"{word}"' for name, word in sorted(words) if name == lf))
    label = entity["label"] or ("a tie" if entity["confidence"] is not None else "none")
    confidence = f" (p = {entity['confidence']:.3f}, {entity['n_votes']} votes)" if entity["confidence"] is not None else ""
    gold = f"; gold says {entity['gold']}" if entity["gold"] else ""
    click.echo(f"{'label':>16}  " + click.style(label, bold=True) + confidence + gold)


def marked(text: str, found: list[Mark]) -> str:
    """The text with its marks in bold and underlined (in a terminal that knows how); overlapping marks count once."""
    shown, at = [], 0
    for mark in found:
        start = max(mark.start, at)
        if start < mark.end:
            shown += [text[at:start], click.style(text[start : mark.end], bold=True, underline=True)]
            at = mark.end
    return "".join([*shown, text[at:]])


def _print_prediction(ws, entity: dict, most: int = 8) -> None:
    """What the end model says of the entity, and the pieces that speak loudest."""
    from ..training import explain_prediction

    found = explain_prediction(ws.store, ws.project, ws.task, entity["entity_id"])
    if found is None:
        return
    attribution, p = found
    best, second, pieces = attribution.best, attribution.second, attribution.contributions
    click.echo("\nend model: " + click.style(best, bold=True) + f" (p = {p:.3f}); evidence for {best} against {second}")
    loud, rest = pieces[:most], sum(c.evidence for c in pieces[most:])
    rows = [(c.feature, c.piece, c.evidence) for c in loud] + ([(f"{len(pieces) - most} more", None, rest)] if len(pieces) > most else [])
    widest = max((abs(e) for *_, e in rows), default=1.0) or 1.0
    show_rows(["feature", "piece", "evidence", ""], [(f, piece or "", e, ("▇" if e >= 0 else "░") * round(24 * abs(e) / widest)) for f, piece, e in rows])


def _print_waterfall(rows: list[dict]) -> None:
    widest = max(abs(r["evidence"]) for r in rows) or 1.0
    bars = []
    for row in rows:
        length = round(24 * abs(row["evidence"]) / widest)
        bars.append((row["source"], row["vote"] or ("" if row["source"] == "(class balance)" else "abstains"), row["evidence"], ("▇" if row["evidence"] >= 0 else "░") * length))
    show_rows(["source", "vote", "evidence", "for (▇) or against (░) the label"], bars)


@click.command()
@project_options
@format_option
def features(project: str, task: str | None, form: str) -> None:
    """The catalogue of common features: where they exist, how they drift between modalities, what each is worth alone."""
    with workspace(project, task) as ws:
        rows = ws.features()
    if form != "table":
        show(rows, form)
        return
    found = rows.to_pylist()
    columns = [c for c in rows.column_names if c not in ("services", "cost_ms", "failures")]
    show_rows(columns, [[r[c].partition("(")[0] if c == "type" else r[c] for c in columns] for r in found], "common features")
    served = {r["feature"]: (r["feature"], r["services"], r["cost_ms"], r["failures"]) for r in found if r["services"]}
    if served:
        show_rows(["feature", "services", "ms per content", "without an answer"], served.values(), "features that call services")
    leaks = sorted({r["feature"] for r in found if r["leak"]})
    if leaks:
        click.echo(f"may hold the label itself: {', '.join(leaks)}; look at how they are made")


VERBS = (features, summary, pairs, coverage, show_verb, explain)
