"""Rows that come from outside to be scored: what they must have, and what they may lack."""

from __future__ import annotations

from typing import Mapping, Sequence

import pyarrow as pa

from ..errors import EndModelError

ARROW_TYPES = {
    "DOUBLE": pa.float64(), "VARCHAR": pa.string(), "BOOLEAN": pa.bool_(), "DATE": pa.date32(), "TIMESTAMP": pa.timestamp("us"),
    "TIMESTAMPTZ": pa.timestamp("us", "UTC"), "VARCHAR[]": pa.list_(pa.string()), "FLOAT[]": pa.list_(pa.float32()),
}  # fmt: skip
"""DuckDB type of an input -> the type of its column where nothing is known of it."""


def completed(batch: pa.RecordBatch, inputs: Sequence[tuple[str, str]], views: Mapping[str, Sequence[str]]) -> pa.RecordBatch:
    """The batch with a NULL column for every input that its rows, being of another modality, do not have.

    inputs  (feature, DuckDB type) of the model
    views   modality -> the features it has

    Rows must have all features of at least one modality. Raises EndModelError EM105 naming what the nearest modality has besides.
    """
    types = dict(inputs)
    lacking = [name for name in types if name not in batch.schema.names]
    _require_a_modality(batch.schema.names, lacking, views)
    for name, column in zip(batch.schema.names, batch.columns):
        if name in types and pa.types.is_null(column.type):  # a file in which no row has a value of it
            batch = batch.set_column(batch.schema.get_field_index(name), name, pa.nulls(batch.num_rows, ARROW_TYPES[types[name]]))
    for name in lacking:
        batch = batch.append_column(name, pa.nulls(batch.num_rows, ARROW_TYPES[types[name]]))
    return batch


def _require_a_modality(columns: Sequence[str], lacking: Sequence[str], views: Mapping[str, Sequence[str]]) -> None:
    needed = {modality: [f for f in features if f in lacking] for modality, features in views.items() if features}
    if not lacking or not all(needed.values()):
        return
    modality = min(needed, key=lambda m: len(needed[m]), default=None)
    missing = lacking if modality is None else needed[modality]
    listed = ", ".join(f'"{name}"' for name in missing)
    whose = f", which rows of {modality} have" if len(needed) > 1 else ""
    raise EndModelError("EM105", f"the data lack the column {listed}{whose}", hint=f"the columns are {', '.join(columns)}")

