"""Label propagation: a graph of a million rows and ten rounds on it, beside scikit-learn's LabelPropagation, on real titles and photos.

python -m tests.benchmarks.propagation                       scikit-learn at 20,000 rows, then titles and photos
python -m tests.benchmarks.propagation --rows 100000 1000000 each in a child process; peak memory is its VmHWM

Simulated rows: two modalities around latent topics of 500 rows; two lists, a category, two numbers, an embedding of 48 dimensions,
some values missing. Targets: 1 million rows x 20 neighbours in 10 minutes and 8 GB on 2 cores; recall .95; cost linear in edges; labels
of scikit-learn on the same graph, at least as fast.
"""

from __future__ import annotations

import argparse
import json
import subprocess
import sys
import tempfile
import time
import warnings
from pathlib import Path
from statistics import median

import duckdb
import numpy as np
import pyarrow as pa
from rich.console import Console
from rich.table import Table

from groundswell.propagation import Search, Similarity, Vectors, find_neighbours, harmonic, symmetric_graph
from groundswell.propagation.features import Column, Numbers
from groundswell.workspace import open_workspace
from tests.fashion import LABELS, fashion, judged
from tests.propagation.mixed_rows import topical_rows

from .lf_select import peak_mb

TOPIC = 500
CONFIG = """
[project]
name = "posts"
[warehouse]
from = "warehouse.duckdb"
[modality.text]
from = "text_post"
key = "id"
[modality.image]
from = "image_post"
key = "id"
[task.spam]
classes = ["spam", "ham"]
gold = { from = "gold", key = "id", label = "label" }
"""


def arrow_column(column: Column) -> pa.Array:
    """A simulated feature as the warehouse would hold it."""
    if isinstance(column, Numbers):
        return pa.array(column.values, mask=~column.present)
    if isinstance(column, Vectors):
        return pa.FixedSizeListArray.from_arrays(pa.array(column.unit.ravel()), column.unit.shape[1])
    words = pa.array([f"{column.name}{i}" for i in range(column.n_tokens)]).take(pa.array(column.tokens))
    if column.name == "category":
        return words.take(pa.array(column.start[:-1], mask=~column.present))
    return pa.ListArray.from_arrays(pa.array(column.start.astype(np.int32), mask=np.r_[~column.present, False]), words)


def write_project(folder: Path, n: int) -> None:
    """A project of n rows; one label in ten is wrong, and a fifth of the texts has one."""
    rows, topic = topical_rows(n, max(n // TOPIC, 20))
    table = pa.table({"id": np.arange(n), "modality": rows.modality, **{c.name: arrow_column(c) for c in rows.columns}})
    rng = np.random.default_rng(1)
    label = np.where((topic % 2 == 0) != (rng.random(n) < 0.1), "spam", "ham")
    labelled = np.flatnonzero((rows.modality == 0) & (rng.random(n) < 0.2))
    gold = pa.table({"id": labelled, "label": label[labelled]})
    with duckdb.connect(str(folder / "warehouse.duckdb")) as connection:
        connection.register("post", table)
        connection.register("gold_rows", gold)
        for m, name in enumerate(("text_post", "image_post")):
            connection.execute(f"CREATE TABLE {name} AS SELECT * EXCLUDE (modality) FROM post WHERE modality = {m}")
        connection.execute("CREATE TABLE gold AS FROM gold_rows")
    (folder / "groundswell.toml").write_text(CONFIG)


def measure(n: int) -> dict:
    """Seconds of each step of one propagation, in this process, and its peak memory."""
    with tempfile.TemporaryDirectory(prefix="groundswell-benchmark-") as name:
        subprocess.run([sys.executable, "-m", __spec__.name, "--prepare", name, "--rows", str(n)], check=True)
        marks: list[tuple[float, str]] = []
        with open_workspace(Path(name)) as ws:
            started = time.perf_counter()
            found = ws.propagate(rounds=10, listen=lambda event: marks.append((time.perf_counter() - started, event.message)))
            total, cpu = time.perf_counter() - started, time.process_time()
            kept = time.perf_counter()
            ws.propagate(rounds=10)
            kept = time.perf_counter() - kept
    marks.append((total, "end"))
    seconds = {"entities, features": next(at for at, m in marks if "pass 1" in m)}
    for step, word in (("neighbours", "neighbours of"), ("judge", "recall"), ("write edges", "writing"), ("rounds, scores", "propagating"), ("publish", "publishing")):
        seconds[step] = sum(after - at for (at, m), (after, _) in zip(marks, marks[1:]) if m.startswith(word))
    return {
        "rows": n, "edges": found.n_edges, **seconds, "total": total, "CPU": cpu, "graph kept": kept, "recall": found.recall, "cross recall": found.cross_recall,
        "passes": sum("pass" in m for _, m in marks), "peak MB": peak_mb(),
    }  # fmt: skip


def beside_scikit_learn(n: int = 20_000, rounds: int = 100, repeats: int = 3) -> list[dict]:
    """The same rounds on the same graph: seconds (median; the dense arm runs once) and share of equal labels."""
    from sklearn.exceptions import ConvergenceWarning
    from sklearn.semi_supervised import LabelPropagation

    rows, topic = topical_rows(n, n // TOPIC)
    found = find_neighbours(Similarity(rows), Search())
    graph = symmetric_graph(found.near, found.cross, 0.1).astype(np.float64)
    seeds = np.where(np.random.default_rng(2).random(n) < 0.05, topic % 2, -1)
    arms = {
        "groundswell": lambda: harmonic(graph, seeds, 2, rounds, 0).score.argmax(axis=1),
        "scikit-learn, sparse kernel": lambda: LabelPropagation(kernel=lambda a, b: graph.copy(), max_iter=rounds, tol=0).fit(rows.modality[:, None], seeds).transduction_,
        "scikit-learn, dense kernel": lambda: LabelPropagation(kernel=lambda a, b: graph.toarray(), max_iter=rounds, tol=0).fit(rows.modality[:, None], seeds).transduction_,
    }  # fmt: skip
    results, labels = [], {}
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", ConvergenceWarning)
        for name, arm in arms.items():
            seconds = []
            for _ in range(1 if "dense" in name else repeats):
                start = time.perf_counter()
                labels[name] = arm()
                seconds.append(time.perf_counter() - start)
            results.append({"arm": name, "seconds": median(seconds), "labels as ours": float((labels[name] == labels["groundswell"]).mean())})
    print(f"{n:,} rows, {graph.nnz // 2:,} edges, {rounds} rounds")
    return results


def titles_and_photos() -> list[dict]:
    """What titles say of photos, with forced neighbours of the other modality and without; gold of the photos only judges."""
    results = []
    for task, labels in LABELS.items():
        for cross in (None, 0):
            with tempfile.TemporaryDirectory() as name, fashion(Path(name), task) as ws:
                found = ws.propagate(cross=cross)
                right = judged(Path(name), task)
            photo = next(m for m in found.modalities if m["modality"] == "photo")
            results.append({"task": task, "forced": "k / 2" if cross is None else "none", "no seed beside": photo["no_seed_beside"], **right})
    return results


def show(rows: list[dict], console: Console, title: str) -> None:
    """Print dictionaries as a table."""
    table = Table(title=title)
    names = list(dict.fromkeys(name for row in rows for name in row))
    for name in names:
        table.add_column(name)
    for row in rows:
        table.add_row(*[f"{v:,.3f}" if isinstance(v, float) and v < 10 else f"{v:,.0f}" if isinstance(v, (int, float)) else str(v) for v in (row.get(n, "") for n in names)])
    console.print(table)


def main(arguments: list[str]) -> None:
    """Run what is asked for."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--rows", type=int, nargs="*", default=[], help="sizes of simulated worlds")
    parser.add_argument("--prepare", type=Path, help="only write the project into this folder")
    parser.add_argument("--child", action="store_true")
    options = parser.parse_args(arguments)
    console = Console(width=200)
    if options.prepare:
        write_project(options.prepare, options.rows[0])
    elif options.child:
        print(json.dumps(measure(options.rows[0])))
    elif options.rows:
        found = []
        for n in options.rows:
            done = subprocess.run([sys.executable, "-m", __spec__.name, "--rows", str(n), "--child"], capture_output=True, text=True)
            if done.returncode:
                raise RuntimeError(done.stderr)
            found.append(json.loads(done.stdout.splitlines()[-1]))
        show(found, console, "simulated worlds, seconds per step")
    else:
        show(beside_scikit_learn(), console, "the same rounds on the same graph")
        show(titles_and_photos(), console, "photos labelled by titles")


if __name__ == "__main__":
    main(sys.argv[1:])
