"""The modalities of a task as an end model sees them: which people labelled, which features each has, and the model that fuses them."""

from __future__ import annotations

from typing import Any, Mapping, Sequence

from .end_models import EndModel, FeatureSpec, end_model
from .end_models.settings import model_options
from .store import Store
from .store.names import quoted, table_name
from .types import Task


def fused_model(store: Store, task: Task, settings: Mapping[str, Any], spec: FeatureSpec) -> EndModel:
    """The unfitted end model of some settings. fusion: early (default; one model on the union), intermediate, devise, late or auto.

    Raises EndModelError EM124 where the task has no modality with gold in train beside one without.
    """
    fusion = settings.get("fusion", "early")
    if fusion == "early":
        return end_model(settings["method"], **model_options(settings))
    views = modality_views(store, task, spec.names, "train")
    return end_model("fusion", scheme=fusion, base=settings["method"], views=views, old=labelled_modalities(store, task), **model_options(settings))


LABELLED = 0.1
"""A modality counts as labelled from this part of the share of labelled rows that the best labelled one has: a few answers given in
a review do not make it one."""


def labelled_modalities(store: Store, task: Task) -> list[str]:
    """The modalities that people labelled, by the gold labels of the train split."""
    query = f"SELECT modality, count(g.label) / count(*) FROM {table_name(task.name, 'entity')} LEFT JOIN {table_name(task.name, 'gold_label')} AS g USING (entity_id) WHERE split = 'train' GROUP BY 1 ORDER BY 1"
    shares = dict(store.rows(query))
    return [m for m, share in shares.items() if share and share >= LABELLED * max(shares.values())]


def modality_views(store: Store, task: Task, features: Sequence[str], split: str | None = None) -> dict[str, list[str]]:
    """Modality -> those features that some entity of it (of one split) has a value of."""
    filled = ", ".join(f"bool_or({quoted(f)} IS NOT NULL)" for f in features)
    rows = store.rows(f"SELECT modality, {filled} FROM {table_name(task.name, 'entity')} WHERE $split IS NULL OR split = $split GROUP BY 1 ORDER BY 1", {"split": split})
    return {modality: [f for f, has in zip(features, known) if has] for modality, *known in rows}
