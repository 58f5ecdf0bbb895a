"""End models: trained on the labels in the store, scored back into it as tables."""

from __future__ import annotations

import json
import shutil
from dataclasses import dataclass, field
from datetime import datetime, timezone
from functools import partial
from itertools import chain
from pathlib import Path
from typing import Any, Callable, Iterable, Iterator

import numpy as np
import pyarrow as pa
from sqlglot import select

from .end_models import EndModel, FeatureSpec, infer_features, load_end_model
from .end_models.contributions import Attribution, contributions
from .end_models.modality_shares import modality_shares
from .end_models.settings import label_settings
from .errors import Diagnostic, EndModelError, GroundswellError
from .evaluation import evaluate, write_study
from .fusing import fused_model, modality_views
from .searching import Searched, search
from .state import recorded
from .store import Store, publish, writing
from .store.names import quoted
from .store.queries import qualified
from .types import RESERVED_COLUMNS, Event, Listener, Project, Task, silent

SAMPLE_ROWS = 5_000
SHARED_ROWS = 2_000
"""Rows of each modality on which the shares of its features are measured."""

MODEL_TABLES = """
CREATE TABLE IF NOT EXISTS {schema}.end_model (
    model_id BIGINT, method VARCHAR, features VARCHAR[], metrics JSON, artefact VARCHAR, sha256 VARCHAR, label_model_id BIGINT,
    created_at TIMESTAMPTZ);
"""


@dataclass(frozen=True)
class Training:
    """A trained end model: its id, where the artefact lies, metrics per split and arm (see `evaluate`), warnings, and what each
    modality's features contribute (see `modality_shares`), what a search found."""

    model_id: int
    method: str
    artefact: Path
    metrics: list[dict[str, Any]]
    features: FeatureSpec
    diagnostics: tuple[Diagnostic, ...]
    shares: list[dict[str, Any]] = field(default_factory=list)
    searched: Searched | None = None


def train(
    project: Project, task: Task, method: str | None = None, seed: int | None = None, listen: Listener = silent, fusion: str | None = None,
    search: int | None = None,
) -> Training:
    """Train on the covered entities of the train split, stop early on those of dev, predict all entities, publish.

    search  draws of a search for options before that (see `searching`); 0: none, whatever groundswell.toml says

    Raises EndModelError EM118 before the first run, and what the end model raises.
    """
    asked = {"method": method, "seed": seed, "fusion": fusion, "search": search}
    settings = dict(task.end_model) | {name: value for name, value in asked.items() if value is not None}
    with writing(project, "train") as store:
        if not store.has_table(task.name, "training_set"):
            raise EndModelError("EM118", "there are no labels to train on yet", hint="run `groundswell run` first")
        with recorded(store, "train", task.name) as record:
            training = _Trainer(store, project, task, settings, listen).run()
            record.lineage(f"{task.name}.end_model", {f"{task.name}.training_set": str(training.model_id)})
        listen(Event("publish", f"publishing {project.published.name}"))
        publish(store, project.published)
        return training


class _Trainer:
    def __init__(self, store: Store, project: Project, task: Task, settings: dict[str, Any], listen: Listener):
        self.store, self.project, self.task, self.settings, self.listen = store, project, task, settings, listen
        self.schema = '"' + task.name + '"'
        self.labels = {"classes": list(task.classes), **label_settings(task.modalities, settings)}

    def run(self) -> Training:
        spec, skipped = self._features()
        searched = self._searched(spec)
        model = fused_model(self.store, self.task, self.settings, spec)
        self.store.connection.execute(MODEL_TABLES.format(schema=self.schema))
        model_id = self.store.value(f"SELECT coalesce(max(model_id), 0) + 1 FROM {self.schema}.end_model")
        checkpoint = self.project.state_dir / "training" / self.task.name
        model.fit(
            lambda: self._batches("train"), spec, self.task.classes, dev=self._dev(), seed=self.settings["seed"],
            on_event=self._report, checkpoint=checkpoint,
        )  # fmt: skip
        artefact = self.project.state_dir / "models" / f"{self.task.name}-{model_id}"
        self.listen(Event("predict", "predicting every entity"))
        with self.store.transaction():
            write_predictions(self.store, self.task, model, model_id)
            self.listen(Event("evaluate", "judging against gold"))
            metrics, shares = evaluate(self.store, self.task, self.settings, spec), self._shares(model, spec)
            model.about_ = {"metrics": metrics, "modality_shares": shares}
            self._write(model_id, spec, metrics, artefact, model.save(artefact))
        shutil.rmtree(checkpoint, ignore_errors=True)
        if searched:
            searched.notebook.forget()
        return Training(model_id, self.settings["method"], artefact, metrics, spec, (*skipped, *model.warnings_), shares, searched)

    def _shares(self, model: EndModel, spec: FeatureSpec) -> list[dict[str, Any]]:
        """What each modality's features contribute, on a sample of its rows; nothing with one modality. Also study 'modality shares'."""
        views = modality_views(self.store, self.task, spec.names)
        if len(views) < 2:
            return []
        query = f"SELECT * FROM {self.schema}.entity WHERE modality = $m ORDER BY md5(CAST(entity_id AS VARCHAR)) LIMIT {SHARED_ROWS}"
        rows = {m: self.store.arrow(query, {"m": m}).combine_chunks().to_batches()[0] for m in views}
        shares = modality_shares(model, rows, views)
        kept = [{"arm": f"{s['features']} features on {s['rows']} rows", "seed": self.settings["seed"], "metric": "log_odds", **s} for s in shares]
        write_study(self.store, self.task, "modality shares", kept)
        return shares

    def _features(self) -> tuple[FeatureSpec, list[Diagnostic]]:
        sample = self.store.arrow(f"SELECT * FROM {self.schema}.entity ORDER BY md5(CAST(entity_id AS VARCHAR)) LIMIT {SAMPLE_ROWS}")
        wanted = self.settings.get("features")
        closed = {f for (f,) in self.store.rows("SELECT feature FROM gs.feature WHERE NOT servable")} if self.store.has_table("gs", "feature") else set()
        if asked := sorted(closed & set(wanted or ())):
            raise EndModelError("EM123", f"{asked[0]} is not servable: a deployed model cannot read it", hint="leave it out of features, or declare it servable: yes")
        exclude = [c for c in sample.column_names if c in RESERVED_COLUMNS or c in closed or (wanted is not None and c not in wanted)]
        spec, skipped = infer_features(sample.schema, sample, kinds=self.settings.get("kinds"), exclude=exclude)
        return spec, [s.diagnostic for s in skipped]

    def _searched(self, spec: FeatureSpec) -> Searched | None:
        """What a search found, its options taken over; None without a search."""
        wanted = self.settings.get("search", 0)
        if not wanted:
            return None
        found = search(self.store, self.project, self.task, self.settings, spec, wanted, self.listen)
        self.settings |= found.options
        self.labels |= label_settings(self.task.modalities, self.settings)
        return found

    def _batches(self, split: str) -> Iterator[pa.RecordBatch]:
        return iter(self.store.stream(qualified("labelled_entity", self.task.name), {"split": split, **self.labels}))

    def _dev(self):
        count = select("count(*)").from_(qualified("labelled_entity", self.task.name).subquery("labelled"))
        return (lambda: self._batches("dev")) if self.store.value(count, {"split": "dev", **self.labels}) else None

    def _report(self, event: dict[str, Any]) -> None:
        if event.get("event") == "epoch":
            losses = ", ".join(f"{k} {event[k]:.4f}" for k in ("train_loss", "dev_loss") if event.get(k) is not None)
            self.listen(Event("train", f"epoch {event['epoch']}: {losses}"))

    def _write(self, model_id: int, spec: FeatureSpec, metrics: list[dict], artefact: Path, sha256: str) -> None:
        self.store.execute(
            f"INSERT INTO {self.schema}.end_model SELECT $id, $method, $features, $metrics, $artefact, $sha256, "
            f"(SELECT max(model_id) FROM {self.schema}.label_model WHERE is_current), $at",
            {
                "id": model_id, "method": self.settings["method"], "features": list(spec.names), "metrics": json.dumps(metrics),
                "artefact": str(artefact.relative_to(self.project.root)), "sha256": sha256, "at": datetime.now(timezone.utc).isoformat(),
            },
        )  # fmt: skip


class Scoring:
    """Batches scored one after another: how many rows so far, and the error that ended it, which DuckDB wraps in one of its own."""

    def __init__(self, tell: Callable[[int], None] = lambda n: None):
        self.tell, self.n = tell, 0
        self.failure: GroundswellError | None = None

    def batches(self, rows: Iterable[pa.RecordBatch], score: Callable[[pa.RecordBatch], pa.RecordBatch]) -> Iterator[pa.RecordBatch]:
        """The scored batches; `tell` hears of the rows before each."""
        for batch in rows:
            self.n += batch.num_rows
            self.tell(self.n)
            try:
                yield score(batch)
            except GroundswellError as error:
                self.failure = error
                raise


def write_predictions(store: Store, task: Task, model: EndModel, model_id: int) -> None:
    """Replace `predictions`: one row per entity, streamed through the model batch by batch."""
    schema = prediction_schema(store.arrow(f'SELECT entity_id FROM "{task.name}".entity LIMIT 0').schema.field("entity_id").type)
    scoring = Scoring()
    read = {"entity_id", *(name for name, _ in model.inputs)}
    columns = ", ".join(quoted(name) for name in store.columns(f'"{task.name}".entity') if name in read)
    batches = scoring.batches(store.stream(f'SELECT {columns} FROM "{task.name}".entity'), lambda batch: predicted(model, batch, model_id).cast(schema))
    first = next(batches, None)
    all_batches = batches if first is None else chain([first], batches)
    try:
        store.create_from_arrow(task.name, "predictions", pa.RecordBatchReader.from_batches(schema, all_batches))
    except Exception as error:
        raise scoring.failure or error


def prediction_schema(key: pa.DataType) -> pa.Schema:
    """Columns of `predictions`."""
    return pa.schema([
        ("model_id", pa.int64()), ("entity_id", key), ("predicted_label", pa.string()), ("confidence", pa.float64()),
        ("p", pa.map_(pa.string(), pa.float64())),
    ])  # fmt: skip


def predicted(model: EndModel, batch: pa.RecordBatch, model_id: int) -> pa.RecordBatch:
    """The predictions for one batch that has an entity_id."""
    from groundswell.udfs.score import probability_maps

    p = model.predict(batch)
    classes = np.array(model.classes, dtype=object)
    columns = {
        "model_id": pa.array(np.full(batch.num_rows, model_id), pa.int64()), "entity_id": batch.column("entity_id"),
        "predicted_label": pa.array(classes[p.argmax(axis=1)], pa.string()), "confidence": pa.array(p.max(axis=1)),
        "p": probability_maps(p, list(model.classes), np.zeros(batch.num_rows, bool)),
    }  # fmt: skip
    return pa.RecordBatch.from_pydict(columns)


def current_model(store: Store, project: Project, task: Task) -> tuple[int, EndModel]:
    """The newest end model of a task, its hash verified. Raises EndModelError EM119 when there is none."""
    found = store.rows(f'SELECT model_id, artefact, sha256 FROM "{task.name}".end_model ORDER BY model_id DESC LIMIT 1') if store.has_table(task.name, "end_model") else []
    if not found:
        raise EndModelError("EM119", f"task {task.name} has no trained end model", hint="run `groundswell train` first")
    model_id, artefact, sha256 = found[0]
    return model_id, load_end_model(project.root / artefact, sha256)


def register_prediction(store: Store, project: Project, task: Task) -> str | None:
    """Make the newest end model callable from queries on this connection; returns the call, None without a model.

    predict_<task>(features...) -> MAP(VARCHAR, DOUBLE), class -> probability; explain_<task>(features...) -> what each feature adds.
    """
    from groundswell.udfs.explain import register_explaining_udf
    from groundswell.udfs.score import register_scoring_udf

    if not store.has_table(task.name, "end_model"):
        return None
    _, model = current_model(store, project, task)
    register_scoring_udf(store.connection, f"predict_{task.name}", model)
    register_explaining_udf(store.connection, f"explain_{task.name}", model.inputs, partial(contributions, model))
    return f"predict_{task.name}({', '.join(name for name, _ in model.inputs)})"


def explain_prediction(store: Store, project: Project, task: Task, entity_id: Any) -> tuple[Attribution, float] | None:
    """What the newest end model says of one entity and why, and P(best); None without a model."""
    if not store.has_table(task.name, "end_model"):
        return None
    _, model = current_model(store, project, task)
    row = store.arrow(f'SELECT * FROM "{task.name}".entity WHERE entity_id = $id', {"id": entity_id}).combine_chunks().to_batches()[0]
    return contributions(model, row)[0], float(model.predict(row).max())


def predict_all(project: Project, task: Task, listen: Listener = silent) -> int:
    """Predict every entity with the newest end model and publish; returns the model's id."""
    with writing(project, "predict") as store:
        model_id, model = current_model(store, project, task)
        with recorded(store, "predict", task.name), store.transaction():
            listen(Event("predict", "predicting every entity"))
            write_predictions(store, task, model, model_id)
        publish(store, project.published)
        return model_id
