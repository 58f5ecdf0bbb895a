"""The rows studies learn from and are judged on, written once and read by every arm without the database."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Iterator, Sequence

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from ..end_models.views import MODALITY
from ..store import Store
from ..store.arrow import as_reader
from ..store.names import quoted, table_name
from ..types import SPLITS, Task
from .arms import Arm, Source

BATCH = 8192


def write_rows(store: Store, task: Task, features: Sequence[str], folder: Path) -> None:
    """train.arrow, dev.arrow and test.arrow: every entity of the split, in the order of a hash of its key.

    Beside the features: entity_id, modality, pattern_id; gold, told: class position, NULL = unknown; optimum, optimum_all: scores to compare with.

    Reads the TEMP table `study_told` (entity_id, label, optimum, optimum_all).
    """
    folder.mkdir(parents=True, exist_ok=True)
    columns = ", ".join(f"e.{quoted(f)}" for f in features)
    of = lambda name: table_name(task.name, name)  # noqa: E731
    for split in SPLITS:
        reader = as_reader(store.execute(
            f"""SELECT e.entity_id, e.modality, v.pattern_id, CAST(g.position AS TINYINT) AS gold, CAST(t.position AS TINYINT) AS told, s.optimum, s.optimum_all, {columns}
            FROM {of('entity')} AS e JOIN {of('entity_vote')} AS v USING (entity_id)
            LEFT JOIN (SELECT entity_id, position FROM {of('gold_label')} JOIN {of('class')} USING (label)) AS g USING (entity_id)
            LEFT JOIN study_told AS s USING (entity_id) LEFT JOIN {of('class')} AS t ON t.label = s.label
            WHERE e.split = $split ORDER BY md5(CAST(e.entity_id AS VARCHAR))""", {"split": split},
        ), BATCH)  # fmt: skip
        with pa.OSFile(str(folder / f"{split}.arrow"), "wb") as sink, pa.ipc.new_file(sink, reader.schema) as writer:
            for batch in reader:
                writer.write_batch(batch)


def write_labels(folder: Path, name: str, p: np.ndarray) -> None:
    """What a label model says of every pattern: float (P, K), NaN where it says nothing."""
    np.save(folder / f"labels-{name.replace('/', '_')}.npy", p.astype(np.float32))


def pattern_labels(store: Store, task: Task) -> np.ndarray:
    """float (P, K) of the current label model, NaN for patterns without votes."""
    n = store.value(f"SELECT count(*) FROM {table_name(task.name, 'vote_pattern')}")
    found = np.full((n, len(task.classes)), np.nan)
    rows = store.arrow(f"SELECT pattern_id, position, p FROM {table_name(task.name, 'pattern_label')} JOIN {table_name(task.name, 'class')} USING (label)")
    found[rows["pattern_id"].to_numpy().astype(np.int64), rows["position"].to_numpy()] = rows["p"].to_numpy()
    return found


@dataclass(frozen=True)
class RowFiles:
    """The files of one study in a folder; n_classes K."""

    folder: Path
    n_classes: int

    def batches(self, split: str) -> Iterator[pa.RecordBatch]:
        """Every row of a split, memory-mapped."""
        with pa.memory_map(str(self.folder / f"{split}.arrow")) as source:
            reader = pa.ipc.open_file(source)
            for i in range(reader.num_record_batches):
                yield reader.get_batch(i)

    def column(self, split: str, name: str) -> pa.ChunkedArray:
        """One column of a split."""
        with pa.memory_map(str(self.folder / f"{split}.arrow")) as source:
            return pa.ipc.open_file(source).read_all()[name].combine_chunks()

    def labelled(self, arm: Arm, split: str, seed: int) -> Iterator[pa.RecordBatch]:
        """The rows an arm learns from: its features, modality, entity_id and p, in file order."""
        labels = np.load(self.folder / f"labels-{arm.labels.replace('/', '_')}.npy") if any(s.labels == "weak" for s in arm.sources) else None
        chosen = {source: self._chosen(source, split, seed) for source in arm.sources}
        at = 0
        for batch in self.batches(split):
            rows = slice(at, at + batch.num_rows)
            at += batch.num_rows
            p = np.full((batch.num_rows, self.n_classes), np.nan)
            for source in arm.sources:
                here = self._here(batch, source.modality) & (True if chosen[source] is None else chosen[source][rows])
                p[here] = self._answers(batch, source, labels)[here]
            known = ~np.isnan(p[:, 0])
            if known.any():
                yield self._shown(batch.filter(pa.array(known)), arm, p[known])

    def _here(self, batch: pa.RecordBatch, modality: str) -> np.ndarray:
        return pc.equal(batch.column(MODALITY), modality).to_numpy(zero_copy_only=False)

    def _answers(self, batch: pa.RecordBatch, source: Source, labels: np.ndarray | None) -> np.ndarray:
        """float (n, K): p of every row by this kind of label, NaN where there is none."""
        if source.labels == "weak":
            return labels[batch.column("pattern_id").to_numpy().astype(np.int64)]
        found = np.full((batch.num_rows, self.n_classes), np.nan)
        position = batch.column(source.labels).fill_null(-1).to_numpy().astype(int)
        found[position >= 0] = np.eye(self.n_classes)[position[position >= 0]]
        return found

    def _chosen(self, source: Source, split: str, seed: int) -> np.ndarray | None:
        """bool (rows of the split,): the rows a source of at most so many takes; None: all."""
        if source.most is None:
            return None
        known = self.column(split, source.labels).is_valid().to_numpy(zero_copy_only=False)
        eligible = np.flatnonzero(known & pc.equal(self.column(split, MODALITY), source.modality).to_numpy(zero_copy_only=False))
        chosen = np.zeros(len(known), bool)
        chosen[np.random.default_rng(seed).permutation(eligible)[: source.most]] = True
        return chosen

    def _shown(self, batch: pa.RecordBatch, arm: Arm, p: np.ndarray) -> pa.RecordBatch:
        columns = shown(batch, arm)
        columns["p"] = pa.ListArray.from_arrays(np.arange(0, p.size + 1, self.n_classes, dtype=np.int32), pa.array(p.ravel()))
        return pa.RecordBatch.from_pydict(columns)

    def pool(self, split: str, modality: str, labels: str) -> int:
        """Rows of a modality with this kind of label."""
        known = self.column(split, labels).is_valid().to_numpy(zero_copy_only=False)
        return int((known & pc.equal(self.column(split, MODALITY), modality).to_numpy(zero_copy_only=False)).sum())


def shown(batch: pa.RecordBatch, arm: Arm) -> dict[str, pa.Array]:
    """entity_id, modality and the arm's features; a feature is NULL on rows of a modality that does not show it."""
    modality = batch.column(MODALITY)
    columns = {"entity_id": batch.column("entity_id"), MODALITY: modality}
    present = modality.unique().to_pylist()
    for name in dict.fromkeys(f for features in arm.features.values() for f in features):
        allowed = [m for m in present if name in arm.shown(m)]
        column = batch.column(name)
        columns[name] = column if len(allowed) == len(present) else masked(column, pc.is_in(modality, pa.array(allowed, pa.string())))
    return columns


def masked(column: pa.Array, kept: pa.Array) -> pa.Array:
    """The column with NULL where not kept, of any type."""
    at = pc.if_else(kept, pa.array(np.arange(len(column))), pa.scalar(None, pa.int64()))
    return column.take(at)
