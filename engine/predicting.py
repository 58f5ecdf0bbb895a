"""New rows scored with the newest end model: a file or a relation of the warehouse in, a file out."""

from __future__ import annotations

from pathlib import Path
from typing import Sequence

import pyarrow as pa
import pyarrow.compute as pc

from .end_models.given import completed
from .errors import EndModelError
from .features import warehouse_columns
from .fusing import modality_views
from .store import Store, looking
from .store.files import READERS, read_batches, write_table
from .store.names import KEY_SEPARATOR
from .training import Scoring, current_model, predicted, prediction_schema
from .types import Event, Listener, Project, Task, silent


def predict_new(project: Project, task: Task, source: str, target: Path, listen: Listener = silent) -> int:
    """Score the rows of a file or warehouse relation into a file, batch by batch; returns how many.

    The rows may be of any modality and have its features alone: what only other modalities have is missing then. The result has
    the key (under its own name), model_id, predicted_label, confidence and p. Raises EndModelError EM119 without a model, EM105 for
    missing columns, ConfigError CFG108 for an unknown relation.
    """
    with looking(project) as store:
        model_id, model = current_model(store, project, task)
        views = modality_views(store, task, [name for name, _ in model.inputs])
        rows = _rows(store, source)
        key = _key(project, task, rows.schema.names)
        ready = lambda batch: completed(_keyed(batch, key), model.inputs, views)  # noqa: E731
        empty = ready(pa.RecordBatch.from_pylist([], schema=rows.schema))
        name = key[0] if len(key) == 1 and "entity_id" not in rows.schema.names else "entity_id"
        types = prediction_schema(empty.schema.field("entity_id").type)
        shown = pa.schema([f.with_name(name) if f.name == "entity_id" else f for f in types])
        scoring = Scoring(lambda n: listen(Event("predict", f"{n:,} rows")))
        batches = scoring.batches(rows, lambda batch: pa.RecordBatch.from_arrays(predicted(model, ready(batch), model_id).cast(types).columns, schema=shown))
        try:
            write_table(pa.RecordBatchReader.from_batches(shown, batches), str(target))
        except Exception as error:
            raise scoring.failure or error
        return scoring.n


def _rows(store: Store, source: str) -> pa.RecordBatchReader:
    if Path(source).suffix.lower() in READERS:
        return read_batches(source)
    schema, relation, _ = warehouse_columns(store, source, "--from")
    return store.stream(f'FROM warehouse."{schema}"."{relation}"')


def _key(project: Project, task: Task, columns: Sequence[str]) -> tuple[str, ...]:
    """The key of the modality whose rows these are: the first one that has its key columns here."""
    keys = [project.modalities[m].key for m in task.modalities]
    return next((key for key in keys if set(key) <= set(columns)), keys[0])


def _escaped(part: pa.Array) -> pa.Array:
    """One part of a composite key, as `key_expression` writes it."""
    return pc.replace_substring(pc.replace_substring(part, "\\", "\\\\"), KEY_SEPARATOR, f"\\{KEY_SEPARATOR}")


def _keyed(batch: pa.RecordBatch, key: tuple[str, ...]) -> pa.RecordBatch:
    """The batch with a column entity_id made from the modality's key; EM105 where the key is missing."""
    if "entity_id" in batch.schema.names:
        return batch
    missing = [k for k in key if k not in batch.schema.names]
    if missing:
        raise EndModelError("EM105", f"the rows have no key column {', '.join(missing)}", hint=f"they have: {', '.join(batch.schema.names)}")
    parts = [batch.column(k) for k in key]
    joined = parts[0] if len(parts) == 1 else pc.binary_join_element_wise(*(_escaped(p.cast(pa.string())) for p in parts), KEY_SEPARATOR)
    return batch.append_column("entity_id", joined)
