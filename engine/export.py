"""Exports of published results."""

from __future__ import annotations

from pathlib import Path

import numpy as np

from .errors import ConfigError
from .store import Store
from .store.files import write_table
from .types import Task


def export_matrix(store: Store, task: Task, path: Path) -> tuple[int, int]:
    """Write the label matrix; returns (entities, LFs).

    .parquet  entity_id and one column of class names per LF, NULL = abstain
    .npz      L int8/int16 (n, m) with -1 = abstain; lfs (m,), classes (K,), entity_id (n,)
    Raises ConfigError CFG123 for another suffix.
    """
    relation = f'"{task.name}".label_matrix'
    columns = [c for c in store.columns(relation) if c != "entity_id"]
    n = store.value(f"SELECT count(*) FROM {relation}")
    if path.suffix == ".parquet":
        write_table(store.stream(f"FROM {relation}"), str(path))
    elif path.suffix == ".npz":
        np.savez_compressed(path, **_arrays(store, task, relation, columns))
    else:
        raise ConfigError("CFG123", f"cannot write {path}", hint="a name ending in .parquet or .npz")
    return n, len(columns)


def _arrays(store: Store, task: Task, relation: str, columns: list[str]) -> dict[str, np.ndarray]:
    """The matrix as integers, batch by batch."""
    code = {label: position for position, label in enumerate(task.classes)}
    kind = np.int8 if len(code) < 128 else np.int16
    parts, keys = [], []
    for batch in store.stream(f"FROM {relation} ORDER BY entity_id"):
        votes = np.full((batch.num_rows, len(columns)), -1, dtype=kind)
        for j, name in enumerate(columns):
            encoded = batch.column(name).dictionary_encode()
            table = np.array([*(code[v] for v in encoded.dictionary.to_pylist()), -1], dtype=kind)
            votes[:, j] = table[encoded.indices.fill_null(len(table) - 1).to_numpy(zero_copy_only=False)]
        parts.append(votes)
        keys += batch.column("entity_id").to_pylist()
    matrix = np.concatenate(parts) if parts else np.empty((0, len(columns)), kind)
    return {"L": matrix, "lfs": np.array(columns), "classes": np.array(task.classes), "entity_id": np.array(keys)}
