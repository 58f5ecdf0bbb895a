"""Names of clusters: by gold labels, or by hand in gold/affinity_map.csv."""

from __future__ import annotations

import csv
import io
import os
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Mapping, Sequence

import numpy as np
import pyarrow as pa

from .affinity.mapping import cluster_map
from .errors import AffinityError, Diagnostic, Location, did_you_mean
from .state import recorded
from .store import Store, publish, writing
from .store.names import quoted
from .types import Project, Task

COLUMNS = ("affinity_function", "cluster", "key", "label", "task")
TYPICAL = 8
"""Typical entities per cluster that are shown, and by which a name finds its cluster again after other clusters were inferred."""


@dataclass(frozen=True)
class Naming:
    """classes int (K,): the class of each cluster; source: gold, hand or propagation."""

    classes: np.ndarray
    source: str
    diagnostics: tuple[Diagnostic, ...] = ()


def named_by_class(task: Task) -> Naming:
    """Cluster k is class k."""
    return Naming(np.arange(len(task.classes)), "propagation")


def name_clusters(project: Project, task: Task, name: str, keys: Sequence[Any], labels: np.ndarray, gold: np.ndarray) -> Naming | None:
    """The names people gave (gold/affinity_map.csv), else those that agree with most gold labels, else None.

    labels  int (N,) clusters of the entities `keys`; gold int (N,), -1 = unknown
    """
    k = len(task.classes)
    place = {str(key): i for i, key in enumerate(keys)}
    by_hand = [(place[row["key"]], task.classes.index(row["label"])) for row in read_map(project, task) if row["affinity_function"] == name and row["key"] in place]
    at, said = (np.array([i for i, _ in by_hand], int), np.array([c for _, c in by_hand], int)) if by_hand else (np.flatnonzero(gold >= 0), gold[gold >= 0])
    if not len(at):
        return None
    counts = np.zeros((k, k), int)
    np.add.at(counts, (said, labels[at]), 1)
    found = cluster_map(counts)
    return Naming(found.classes, "hand" if by_hand else "gold", tuple(found.warnings(task.classes)))


def write_map(store: Store, task: Task, name: str, naming: Naming) -> None:
    """Replace the names of one coding's clusters in `affinity_map`."""
    store.execute(f"DELETE FROM {quoted(task.name)}.affinity_map WHERE affinity_function = $n", {"n": name})
    k = len(naming.classes)
    store.append_arrow(task.name, "affinity_map", pa.table({
        "affinity_function": pa.array([name] * k), "cluster": pa.array(np.arange(k, dtype=np.int32)),
        "label": pa.array([task.classes[c] for c in naming.classes]), "source": pa.array([naming.source] * k),
    }))  # fmt: skip


# -- the file of names --------------------------------------------------------------------------------------------------


def map_path(project: Project) -> Path:
    """The file people write names into."""
    return project.root / "gold" / "affinity_map.csv"


def read_map(project: Project, task: Task) -> list[dict[str, str]]:
    """Lines with a label, of this task; a name given to one entity of a cluster holds for all lines of that cluster.

    Raises AffinityError AF111, with the line, for unknown classes, missing columns and clusters with two names.
    """
    path = map_path(project)
    if not path.is_file():
        return []
    shown = "gold/affinity_map.csv"
    try:
        text = path.read_bytes().decode("utf-8-sig")
    except UnicodeDecodeError as error:
        raise AffinityError("AF111", f"{shown} is not UTF-8: byte {error.start}", location=Location(shown, 1, source="")) from error
    reader = csv.DictReader(io.StringIO(text))
    if missing := [c for c in COLUMNS[:4] if c not in (reader.fieldnames or ())]:
        raise AffinityError("AF111", f"{shown} lacks the column {missing[0]}", location=Location(shown, 1, source=text.split("\n")[0]), hint=f"columns: {', '.join(COLUMNS)}")
    rows = [row for row in reader if row.get("task") in (None, "", task.name)]
    names: dict[tuple[str, str], str] = {}
    for line, row in enumerate(rows, start=2):
        if row["label"]:
            _check(row, line, names, task, Location(shown, line, source=",".join(v or "" for v in row.values())))
    return [row | {"label": names[row["affinity_function"], row["cluster"]]} for row in rows if (row["affinity_function"], row["cluster"]) in names]


def _check(row: Mapping[str, str], line: int, names: dict[tuple[str, str], str], task: Task, at: Location) -> None:
    if row["label"] not in task.classes:
        raise AffinityError("AF111", f'"{row["label"]}" is not a class', location=at, hint=did_you_mean(row["label"], task.classes) or f"classes: {', '.join(task.classes)}")
    first = names.setdefault((row["affinity_function"], row["cluster"]), row["label"])
    if first != row["label"]:
        raise AffinityError("AF111", f"cluster {row['cluster']} is called {first} and {row['label']}", location=at, hint="one name a cluster")


def typical(store: Store, task: Task, name: str, n: int = TYPICAL) -> pa.Table:
    """The most typical entities of each cluster: cluster, label, size, rank, entity_id, p. Raises AffinityError AF112."""
    if not store.has_table(task.name, "affinity_cluster"):
        raise AffinityError("AF112", f"task {task.name} has no affinities yet", hint="groundswell affinity")
    found = store.file("affinity_typical", task.name, coding=name, n=n)
    if not found.num_rows:
        raise AffinityError("AF112", f'there is no affinity coding "{name}"', hint=f"there are: {', '.join(codings(store, task)) or 'none'}")
    return found


def cluster_sizes(store: Store, task: Task, name: str) -> pa.Table:
    """One row per cluster: cluster, label, size, typical (keys, the most typical first)."""
    rows: dict[int, dict[str, Any]] = {}
    for row in typical(store, task, name).to_pylist():
        at = rows.setdefault(row["cluster"], {"cluster": row["cluster"], "label": row["label"], "size": row["size"], "typical": []})
        at["typical"].append(row["entity_id"])
    kinds = {"cluster": pa.int32(), "label": pa.string(), "size": pa.int64()}
    return pa.table({c: pa.array([row[c] for row in rows.values()], kinds.get(c)) for c in ("cluster", "label", "size", "typical")})


def judged(store: Store, task: Task, name: str) -> tuple[int, int, str] | None:
    """(entities whose named cluster is their gold label, entities with gold, where): of the test split where it has gold, else of
    all; None without names or gold."""
    rows = [row for row in store.file("affinity_gold", task.name, coding=name).to_pylist() if row["named"] is not None]
    test = [row for row in rows if row["split"] == "test"]
    chosen = test or rows
    return (sum(row["named"] == row["gold"] for row in chosen), len(chosen), "the test split" if test else "all splits") if chosen else None


def codings(store: Store, task: Task) -> list[str]:
    """Names of the affinity codings of a task, the newest first."""
    return [name for (name,) in store.rows(f"SELECT affinity_function FROM {quoted(task.name)}.affinity_model ORDER BY created_at DESC")]


def newest(store: Store, task: Task) -> str:
    """The name of the newest coding. Raises AffinityError AF112."""
    found = codings(store, task) if store.has_table(task.name, "affinity_model") else []
    if not found:
        raise AffinityError("AF112", f"task {task.name} has no affinities yet", hint="groundswell affinity")
    return found[0]


def write_names(project: Project, task: Task, name: str, shown: pa.Table, given: Mapping[int, str]) -> Path:
    """Write gold/affinity_map.csv: typical entities of each cluster of a coding with its name, if it has one; other codings stay."""
    path = map_path(project)
    kept = []
    if path.is_file():
        reader = csv.DictReader(io.StringIO(path.read_text(encoding="utf-8-sig")))
        kept = [row for row in reader if row.get("affinity_function") != name or row.get("task") not in (None, "", task.name)]
    fresh = [
        {"affinity_function": name, "cluster": row["cluster"], "key": row["entity_id"], "label": given.get(row["cluster"], ""), "task": task.name} for row in shown.to_pylist()
    ]  # fmt: skip
    path.parent.mkdir(exist_ok=True)
    coming = path.with_name(f".{path.name}.{os.getpid()}")
    with coming.open("w", newline="", encoding="utf-8") as file:
        writer = csv.DictWriter(file, COLUMNS, lineterminator="\n", extrasaction="ignore")
        writer.writeheader()
        writer.writerows([*kept, *fresh])
    os.replace(coming, path)
    return path


def apply_names(project: Project, task: Task, name: str) -> Naming | None:
    """Bring the names of gold/affinity_map.csv into the store and publish; None where the file names no cluster of this coding."""
    with writing(project, "affinity") as store:
        found = store.file("affinity_typical", task.name, coding=name, n=2**31 - 1)
        naming = name_clusters(project, task, name, found["entity_id"].to_pylist(), found["cluster"].to_numpy().astype(int), np.full(found.num_rows, -1))
        if naming is None:
            return None
        with recorded(store, "affinity map", task.name), store.transaction():
            write_map(store, task, name, naming)
        publish(store, project.published)
        return naming
