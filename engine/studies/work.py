"""One arm of a study, one seed: fitted and judged, in this process or one of its own."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Any, Iterator, Mapping

import numpy as np
import pyarrow as pa

from ..end_models import FeatureSpec, end_model
from ..end_models.metrics import judged
from ..end_models.views import has_rows, only, part_of, tenths
from ..errors import Diagnostic, EndModelError
from .arms import Arm
from .rows import RowFiles, shown


@dataclass(frozen=True)
class Work:
    """What a process needs to know of one arm and seed."""

    folder: Path
    arm: Arm
    seed: int
    classes: tuple[str, ...]
    spec: FeatureSpec
    method: str
    options: Mapping[str, Any]
    new: str
    old: str


def done(work: Work) -> list[dict[str, Any]] | Diagnostic:
    """Rows of `study` for one arm and seed: metric, value, low, high, n_rows; or why the arm has none. Needs no database."""
    files = RowFiles(work.folder, len(work.classes))
    try:
        model = _fitted(work, files)
    except EndModelError as error:
        return error.diagnostics[0]
    gold, p = _judged(work, files, model)
    rows = [{"metric": m.name, "value": m.value, "low": m.low, "high": m.high, "n_rows": m.n} for m in judged(gold, p, None, work.seed)]
    return [{"arm": work.arm.name, "seed": work.seed, **row} for row in rows]


def done_alone(work: Work) -> list[dict[str, Any]] | Diagnostic:
    """The same on one thread: for a process beside others."""
    import torch

    torch.set_num_threads(1)
    return done(work)


def _fitted(work: Work, files: RowFiles) -> Any:
    """The arm's model. It stops early on weakly labelled dev rows; on every tenth row where a modality has none, or labels are counted."""
    arm = work.arm
    names = tuple(dict.fromkeys(f for features in arm.features.values() for f in features))
    spec = part_of(work.spec, names)
    rows, dev = (lambda: files.labelled(arm, "train", work.seed)), (lambda: files.labelled(arm, "dev", work.seed))
    if any(source.most is not None or source.labels == "told" or not has_rows(only(dev, (source.modality,))) for source in arm.sources):
        rows, dev = tenths(rows)
    if arm.fusion == "early":
        model = end_model(work.method, **work.options)
    else:
        views = {m: [f for f in names if f in arm.shown(m)] for m in arm.features}
        model = end_model("fusion", scheme=arm.fusion, base=work.method, views=views, old=[work.old], **work.options)
    return model.fit(rows, spec, work.classes, dev=dev if has_rows(dev) else None, seed=work.seed)


def _judged(work: Work, files: RowFiles, model: Any) -> tuple[np.ndarray, np.ndarray]:
    """(gold int (n,), p float (n, K)) of the test rows of the new modality."""
    gold, p = [], []
    for batch in test_rows(files, work.new):
        position = batch.column("told").fill_null(-1).to_numpy().astype(int)
        position = np.where(position < 0, batch.column("gold").fill_null(-1).to_numpy().astype(int), position)
        gold.append(position)
        p.append(model.predict(pa.RecordBatch.from_pydict(shown(batch, work.arm))))
    return np.concatenate(gold), np.concatenate(p)


def test_rows(files: RowFiles, modality: str) -> Iterator[pa.RecordBatch]:
    """Rows of the test split and a modality whose class is known, by studies or by the pipeline."""
    for batch in files.batches("test"):
        here = np.array([m == modality for m in batch.column("modality").to_pylist()], bool)
        known = batch.column("told").is_valid().to_numpy(zero_copy_only=False) | batch.column("gold").is_valid().to_numpy(zero_copy_only=False)
        kept = batch.filter(pa.array(here & known))
        if kept.num_rows:
            yield kept


test_rows.__test__ = False
