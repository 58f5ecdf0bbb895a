"""How good is the end model, and against what: label model, majority vote and a model trained on gold, on the same rows."""

from __future__ import annotations

from typing import Any, Callable, Mapping

import numpy as np
import pyarrow as pa

from .end_models import EndModel, FeatureSpec, end_model
from .end_models.metrics import Metric, best_threshold, judged
from .end_models.settings import model_options
from .store import Store
from .store.names import quoted
from .store.queries import qualified
from .types import SPLITS, Task

ARMS = ("end_model", "label_model", "majority", "supervised")
MOST_ROWS = 200_000
"""Entities with gold that are judged per split, a sample by hash where there are more: the error of a mean is then below .0012."""

LEAST_GOLD = 50
"""Fewer labelled rows in the train split than this do not make a supervised model worth comparing with."""

STUDY_TABLE = """
CREATE TABLE IF NOT EXISTS {schema}.study (
    study VARCHAR, arm VARCHAR, seed BIGINT, metric VARCHAR, value DOUBLE, low DOUBLE, high DOUBLE, n_rows BIGINT);
"""


def evaluate(store: Store, task: Task, settings: Mapping[str, Any], spec: FeatureSpec) -> list[dict[str, Any]]:
    """Rows (split, modality, arm, metric, value, low, high, n) for every arm, split and modality with gold; also in `study`.

    Rows on which an arm is silent get the class balance (label model) or 1/K (majority vote), so that all arms answer for the
    same rows (at most MOST_ROWS per split). With two classes F1 uses the threshold that is best on dev, arm by arm.
    """
    rows = store.file("judged_entity", task.name, classes=list(task.classes), most=MOST_ROWS)
    if not rows.num_rows:
        return []
    gold, splits = rows["gold"].to_numpy().astype(int), np.array(rows["split"].to_pylist())
    modalities = np.array(rows["modality"].to_pylist())
    answers = {arm: _answers(rows[arm], _silent(store, task, arm)) for arm in ARMS[:3]}
    supervised = _supervised(store, task, settings, spec, rows["entity_id"])
    answers |= {"supervised": supervised} if supervised is not None else {}
    found = []
    for arm, p in answers.items():
        threshold = best_threshold(gold[splits == "dev"], p[splits == "dev"]) if (splits == "dev").any() else None
        for split in (s for s in SPLITS if (splits == s).any()):
            if split == "train" and (arm == "supervised" or (arm == "end_model" and settings.get("gold"))):
                continue
            cells = {None: splits == split} | ({m: (splits == split) & (modalities == m) for m in task.modalities} if len(task.modalities) > 1 else {})
            for modality, mask in ((m, rows) for m, rows in cells.items() if rows.any()):
                found += [_row(split, modality, arm, m) for m in judged(gold[mask], p[mask], threshold, settings["seed"])]
    _write(store, task, found, settings["seed"])
    return found


def _answers(column: pa.ChunkedArray, silent: np.ndarray) -> np.ndarray:
    """float (n, K); `silent` where the arm says nothing."""
    return np.array([silent if p is None or p[0] is None else p for p in column.to_pylist()], dtype=float)


def _silent(store: Store, task: Task, arm: str) -> np.ndarray:
    """What an arm answers where it has no answer."""
    k = len(task.classes)
    prior = [p for (p,) in store.rows(f'SELECT prior FROM "{task.name}".class ORDER BY position')]
    return np.array(prior, float) if arm == "label_model" and None not in prior else np.full(k, 1 / k)


def _supervised(store: Store, task: Task, settings: Mapping[str, Any], spec: FeatureSpec, keys: pa.ChunkedArray) -> np.ndarray | None:
    """Probabilities (n, K) of the same end model trained on gold of the train split, for the rows with gold; None with too little gold."""
    n, k = store.rows(f'SELECT count(*), count(DISTINCT g.label) FROM "{task.name}".gold_label AS g JOIN "{task.name}".entity USING (entity_id) WHERE split = \'train\'')[0]
    if n < LEAST_GOLD or k < 2:
        return None
    model = end_model(settings["method"], **model_options(settings))
    has_dev = store.value(f'SELECT count(*) FROM "{task.name}".gold_label JOIN "{task.name}".entity USING (entity_id) WHERE split = \'dev\'')
    model.fit(_gold_batches(store, task, "train"), spec, task.classes, dev=_gold_batches(store, task, "dev") if has_dev else None, seed=settings["seed"])
    return _predicted(model, store, task, keys)


def _gold_batches(store: Store, task: Task, split: str) -> Callable[[], Any]:
    return lambda: iter(store.stream(qualified("gold_entity", task.name), {"split": split, "classes": list(task.classes)}))


def _predicted(model: EndModel, store: Store, task: Task, keys: pa.ChunkedArray) -> np.ndarray:
    """float (n, K) in the order of `keys`."""
    found: dict[Any, np.ndarray] = {}
    for split in SPLITS:
        for batch in _gold_batches(store, task, split)():
            if batch.num_rows:
                found.update(zip(batch.column("entity_id").to_pylist(), model.predict(batch)))
    return np.array([found[key] for key in keys.to_pylist()], dtype=float)


def _row(split: str, modality: str | None, arm: str, metric: Metric) -> dict[str, Any]:
    return {"split": split, "modality": modality, "arm": arm, "metric": metric.name, "value": metric.value, "low": metric.low, "high": metric.high, "n": metric.n}


def write_study(store: Store, task: Task, study: str, rows: list[dict[str, Any]]) -> None:
    """Replace the rows of a study in `study`: dicts of arm, seed, metric, value, low, high, n_rows."""
    store.connection.execute(STUDY_TABLE.format(schema=quoted(task.name)))
    store.execute(f"DELETE FROM {quoted(task.name)}.study WHERE study = $s", {"s": study})
    kinds = {"arm": pa.string(), "seed": pa.int64(), "metric": pa.string(), "value": pa.float64(), "low": pa.float64(), "high": pa.float64(), "n_rows": pa.int64()}
    table = pa.table({name: pa.array([row[name] for row in rows], kind) for name, kind in kinds.items()})
    store.append_arrow(task.name, "study", table.add_column(0, "study", pa.array([study] * len(rows), pa.string())))


def _write(store: Store, task: Task, found: list[dict[str, Any]], seed: int) -> None:
    """Replace study 'evaluation'; the arm's name carries split and modality."""
    rows = [r | {"arm": "/".join(part for part in (r["arm"], r["split"], r["modality"]) if part), "seed": seed, "n_rows": r["n"]} for r in found]
    write_study(store, task, "evaluation", rows)
