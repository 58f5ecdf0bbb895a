"""Model verbs: train, predict, label."""

from __future__ import annotations

from pathlib import Path

import click

from .console import Progress, complain, show
from .options import format_option, log_option, project_options, workspace

ARM_NAMES = {"end_model": "end model", "label_model": "label model", "majority": "majority vote", "supervised": "same model, trained on gold"}
DRAWS = 12
SPLIT_ORDER = ("test", "dev", "train")


@click.command()
@project_options
@format_option
@log_option
@click.option("--method", metavar="NAME", help="The end model (default: from groundswell.toml).")
@click.option("--fusion", metavar="NAME", help="How modalities are fused: early, intermediate, devise, late or auto.")
@click.option("--search", type=click.IntRange(0), is_flag=False, flag_value=DRAWS, metavar="[N]", help=f"Search for options first: N draws ({DRAWS}), judged on weakly labelled dev rows.")
@click.option("--seed", type=int, help="Seed (default: from groundswell.toml).")
def train(project, task, form, log, method, fusion, search, seed) -> None:
    """Train an end model on the labels, predict every entity, judge it where gold exists."""
    from ..end_models.modality_shares import in_words

    with workspace(project, task) as ws:
        with Progress(form, log) as progress:
            training = ws.train(method, fusion=fusion, seed=seed, search=search, listen=progress)
        judged = [r for r in training.metrics if form != "table" or r["split"] != "train" or {m["split"] for m in training.metrics} == {"train"}]
        show(metrics_table(judged), form)
        if form == "table":
            complain(training.diagnostics)
            click.echo(f"model {training.model_id} ({training.method}) reads {_features(training.features)}")
            if training.searched:
                click.echo(_found(training.searched))
            for modality in dict.fromkeys(s["rows"] for s in training.shares):
                click.echo(in_words(training.shares, modality))
            click.echo(f"artefact {training.artefact.relative_to(ws.project.root)}; next: groundswell predict --from NEW_ROWS.parquet")


def _found(searched) -> str:
    """What a search chose, in one line."""
    from ..searching import in_words

    known = f", {searched.kept} of them finished before" if searched.kept else ""
    return f"search: {len(searched.trials)} trials{known}; chosen: {in_words(searched.options) or 'the defaults'}"


def _features(spec) -> str:
    """The features of each kind, in words."""
    kinds = dict.fromkeys(f.kind for f in spec.features)
    return "; ".join(f"{kind}: {', '.join(f.name for f in spec.features if f.kind == kind)}" for kind in kinds)


def metrics_table(rows: list[dict]):
    """Metrics with one row per split, modality (where there are several) and arm, one column per metric, intervals as text."""
    import pyarrow as pa

    table: dict[tuple, dict] = {}
    for r in rows:
        key = (r["split"], r["modality"] or "", r["arm"])
        at = table.setdefault(key, {"split": r["split"], "modality": r["modality"] or "all", "arm": ARM_NAMES[r["arm"]], "rows": r["n"]})
        at[r["metric"]] = r["value"]
        if r["metric"] == "average_precision" and r["low"] is not None:
            at["average_precision_95"] = f"{r['low']:.3f} to {r['high']:.3f}"
    text = ("split", "modality", "arm", "average_precision_95")
    names = ["split", "modality", "arm", "rows", "average_precision", "average_precision_95", "f1", "accuracy", "log_loss"]
    found = [table[key] for key in sorted(table, key=lambda k: (SPLIT_ORDER.index(k[0]), k[1], list(ARM_NAMES).index(k[2])))]
    kinds = {n: pa.string() if n in text else pa.int64() if n == "rows" else pa.float64() for n in names}
    columns = {n: pa.array([r.get(n) for r in found], kinds[n]) for n in names}
    return pa.table({n: c for n, c in columns.items() if n != "modality" or len({r["modality"] for r in found}) > 1})


@click.command()
@project_options
@log_option
@click.option("--from", "source", metavar="FILE_OR_RELATION", help="New rows: a Parquet or CSV file, or a warehouse relation (default: all entities of the task).")
@click.option("-o", "--output", metavar="FILE", help="Where to write predictions for new rows (.parquet, .csv).")
def predict(project, task, log, source, output) -> None:
    """Score rows with the newest end model: all entities into `predictions`, or new rows into a file."""
    from ..predicting import predict_new
    from ..training import predict_all

    with workspace(project, task) as ws, Progress(log=log) as progress:
        if source is None:
            model_id = predict_all(ws.project, ws.task, progress)
            progress.__exit__()
            click.echo(f"model {model_id} scored every entity: {ws.task.name}.predictions in {ws.project.published.name}")
            return
        target = Path(output or "predictions.parquet")
        n = predict_new(ws.project, ws.task, source, target, progress)
    click.echo(f"{n:,} rows scored into {target}")


@click.command()
@click.argument("votes", metavar="VOTES")
@click.option("--key", required=True, metavar="COLUMN", help="The key column of VOTES.")
@click.option("-o", "--output", required=True, metavar="OUT", help="Where to write labels (.parquet, .csv, .json).")
@click.option("--classes", default=None, metavar="A,B", help="The classes in order (default: those voted for, sorted).")
@click.option("--method", default="auto", show_default=True, help="The label model.")
@click.option("--abstain", default=None, metavar="VALUE", help="The value that means abstain, beside NULL (e.g. -1).")
@click.option("--gold", metavar="FILE", default=None, help="Gold labels: a file with the key and a column label.")
@click.option("--seed", default=0, show_default=True)
def label(votes, key, output, classes, method, abstain, gold, seed) -> None:
    """Label a ready-made vote file: long (key, lf, label) or wide (one column per LF, NULL abstains)."""
    from ..label_models import label_votes
    from ..store.files import read_table, write_table

    table = read_table(votes)
    typed = None if abstain is None else _typed(abstain)
    wanted = None if classes is None else _classes(table, key, [c.strip() for c in classes.split(",")])
    labels = label_votes(table, key=key, classes=wanted, method=method, abstain=typed, gold=read_table(gold) if gold else None, seed=seed)
    write_table(labels, output)
    covered = sum(labels["covered"].to_pylist())
    click.echo(f"{covered:,} of {labels.num_rows:,} rows labelled into {output}")


def _typed(text: str):
    try:
        return int(text)
    except ValueError:
        return text


def _classes(table, key: str, classes: list[str]) -> list:
    """Class names in the type of the votes: numbers stay numbers."""
    import pyarrow as pa

    names = [c for c in table.column_names if c != key]
    column = table["label"] if set(names) == {"lf", "label"} else table[names[0]]
    return [int(c) for c in classes] if pa.types.is_integer(column.type) else classes


VERBS = (train, predict, label)
