"""End models: trained on the labels in the store, scored back into it as tables."""

from __future__ import annotations

import json
import shutil
from dataclasses import dataclass
from datetime import datetime, timezone
from functools import partial
from pathlib import Path
from typing import Any, Iterator, Mapping

import numpy as np
import pyarrow as pa
from sqlglot import select

from .end_models import EndModel, FeatureSpec, end_model, infer_features, load_end_model
from .end_models.contributions import Attribution, contributions
from .end_models.settings import label_settings, model_options
from .errors import Diagnostic, EndModelError
from .evaluation import evaluate
from .state import recorded
from .features import warehouse_columns
from .store import Store, looking, publish, writing
from .store.names import KEY_SEPARATOR, quoted, table_name
from .store.queries import qualified
from .types import RESERVED_COLUMNS, Event, Listener, Project, Task, silent

SAMPLE_ROWS = 5_000

MODEL_TABLES = """
CREATE TABLE IF NOT EXISTS {schema}.end_model (
    model_id BIGINT, method VARCHAR, features VARCHAR[], metrics JSON, artefact VARCHAR, sha256 VARCHAR, label_model_id BIGINT,
    created_at TIMESTAMPTZ);
"""


@dataclass(frozen=True)
class Training:
    """A trained end model: its id, where the artefact lies, metrics per split and arm (see `evaluate`), warnings."""

    model_id: int
    method: str
    artefact: Path
    metrics: list[dict[str, Any]]
    features: FeatureSpec
    diagnostics: tuple[Diagnostic, ...]


def train(
    project: Project, task: Task, method: str | None = None, seed: int | None = None, listen: Listener = silent, fusion: str | None = None
) -> Training:
    """Train on the covered entities of the train split, stop early on those of dev, predict all entities, publish.

    Raises EndModelError EM118 before the first run, and what the end model raises.
    """
    settings = dict(task.end_model) | ({"method": method} if method else {}) | ({} if seed is None else {"seed": seed}) | ({"fusion": fusion} if fusion else {})
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
        model = self._model(spec)
        self.store.connection.execute(MODEL_TABLES.format(schema=self.schema))
        model_id = self.store.value(f"SELECT coalesce(max(model_id), 0) + 1 FROM {self.schema}.end_model")
        checkpoint = self.project.state_dir / "training" / self.task.name
        model.fit(
            lambda: self._batches("train"), spec, self.task.classes, dev=self._dev(), seed=self.settings["seed"],
            on_event=self._report, checkpoint=checkpoint,
        )  # fmt: skip
        artefact = self.project.state_dir / "models" / f"{self.task.name}-{model_id}"
        sha256 = model.save(artefact)
        shutil.rmtree(checkpoint, ignore_errors=True)
        self.listen(Event("predict", "predicting every entity"))
        with self.store.transaction():
            write_predictions(self.store, self.task, model, model_id)
            self.listen(Event("evaluate", "judging against gold"))
            metrics = evaluate(self.store, self.task, self.settings, spec)
            self._write(model_id, spec, metrics, artefact, sha256)
        return Training(model_id, self.settings["method"], artefact, metrics, spec, (*skipped, *model.warnings_))

    def _features(self) -> tuple[FeatureSpec, list[Diagnostic]]:
        sample = self.store.arrow(f"SELECT * FROM {self.schema}.entity ORDER BY md5(CAST(entity_id AS VARCHAR)) LIMIT {SAMPLE_ROWS}")
        wanted = self.settings.get("features")
        closed = {f for (f,) in self.store.rows("SELECT feature FROM gs.feature WHERE NOT servable")} if self.store.has_table("gs", "feature") else set()
        if asked := sorted(closed & set(wanted or ())):
            raise EndModelError("EM123", f"{asked[0]} is not servable: a deployed model cannot read it", hint="leave it out of features, or declare it servable: yes")
        exclude = [c for c in sample.column_names if c in RESERVED_COLUMNS or c in closed or (wanted is not None and c not in wanted)]
        spec, skipped = infer_features(sample.schema, sample, kinds=self.settings.get("kinds"), exclude=exclude)
        return spec, [s.diagnostic for s in skipped]

    def _model(self, spec: FeatureSpec) -> EndModel:
        """The unfitted model; with a fusion other than early, one over the features each modality has."""
        return fused_model(self.store, self.task, self.settings, spec)

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


def fused_model(store: Store, task: Task, settings: Mapping[str, Any], spec: FeatureSpec) -> EndModel:
    """The unfitted end model of some settings. fusion: early (default; one model on the union), intermediate, devise, late or auto.

    Raises EndModelError EM124 where the task has no modality with gold in train beside one without.
    """
    fusion = settings.get("fusion", "early")
    if fusion == "early":
        return end_model(settings["method"], **model_options(settings))
    filled = ", ".join(f"bool_or({quoted(f.name)} IS NOT NULL)" for f in spec.features)
    rows = store.rows(f"SELECT modality, {filled} FROM {table_name(task.name, 'entity')} WHERE split = 'train' GROUP BY 1 ORDER BY 1")
    views = {modality: [f.name for f, has in zip(spec.features, known) if has] for modality, *known in rows}
    old = [m for (m,) in store.rows(f"SELECT DISTINCT modality FROM {table_name(task.name, 'entity')} JOIN {table_name(task.name, 'gold_label')} USING (entity_id) WHERE split = 'train' ORDER BY 1")]
    return end_model("fusion", scheme=fusion, base=settings["method"], views=views, old=old, **model_options(settings))


def write_predictions(store: Store, task: Task, model: EndModel, model_id: int) -> None:
    """Replace `predictions`: one row per entity, streamed through the model batch by batch."""
    batches = (
        predicted(model, batch, model_id) for batch in store.stream(f'SELECT * FROM "{task.name}".entity')
    )  # fmt: skip
    first = next(batches, None)
    schema = prediction_schema(store.arrow(f'SELECT entity_id FROM "{task.name}".entity LIMIT 0').schema.field("entity_id").type)

    def all_batches() -> Iterator[pa.RecordBatch]:
        if first is not None:
            yield first.cast(schema)
        for batch in batches:
            yield batch.cast(schema)

    store.create_from_arrow(task.name, "predictions", pa.RecordBatchReader.from_batches(schema, all_batches()))


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


def predict_new(project: Project, task: Task, source: str, target: Path, listen: Listener = silent) -> int:
    """Score the rows of a file or warehouse relation into a file, batch by batch; returns how many.

    The result has the key (under its own name), model_id, predicted_label, confidence and p. Raises EndModelError EM119
    without a model, EM105 for missing columns, ConfigError CFG108 for an unknown relation.
    """
    from .store.files import READERS, read_batches, write_table

    with looking(project) as store:
        model_id, model = current_model(store, project, task)
        modality = project.modalities[task.modalities[0]]
        if Path(source).suffix.lower() in READERS:
            rows = read_batches(source)
        else:
            schema, relation, _ = warehouse_columns(store, source, "--from")
            rows = store.stream(f'FROM warehouse."{schema}"."{relation}"')
        counted = {"n": 0}

        def scored() -> Iterator[pa.RecordBatch]:
            for batch in rows:
                counted["n"] += batch.num_rows
                listen(Event("predict", f"{counted['n']:,} rows"))
                yield predicted(model, _keyed(batch, modality.key), model_id).cast(result)

        key = _keyed(pa.RecordBatch.from_pylist([], schema=rows.schema), modality.key).schema.field("entity_id").type
        result = prediction_schema(key)
        name = modality.key[0] if len(modality.key) == 1 and "entity_id" not in rows.schema.names else "entity_id"
        shown = pa.schema([f.with_name(name) if f.name == "entity_id" else f for f in result])
        named = (pa.RecordBatch.from_arrays(batch.columns, schema=shown) for batch in scored())
        write_table(pa.RecordBatchReader.from_batches(shown, named), str(target))
        return counted["n"]


def _escaped(part: pa.Array) -> pa.Array:
    """One part of a composite key, as `key_expression` writes it."""
    import pyarrow.compute as pc

    return pc.replace_substring(pc.replace_substring(part, "\\", "\\\\"), KEY_SEPARATOR, f"\\{KEY_SEPARATOR}")


def _keyed(batch: pa.RecordBatch, key: tuple[str, ...]) -> pa.RecordBatch:
    """The batch with a column entity_id made from the modality's key; EM105 where the key is missing."""
    import pyarrow.compute as pc

    if "entity_id" in batch.schema.names:
        return batch
    missing = [k for k in key if k not in batch.schema.names]
    if missing:
        raise EndModelError("EM105", f"the rows have no key column {', '.join(missing)}", hint=f"they have: {', '.join(batch.schema.names)}")
    parts = [batch.column(k) for k in key]
    joined = parts[0] if len(parts) == 1 else pc.binary_join_element_wise(*(_escaped(p.cast(pa.string())) for p in parts), KEY_SEPARATOR)
    return batch.append_column("entity_id", joined)
