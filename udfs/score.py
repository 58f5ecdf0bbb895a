"""Scoring: a trained end model as a function inside any query, `predict_<task>(<features...>) -> MAP(VARCHAR, DOUBLE)`."""

from __future__ import annotations

from inspect import Parameter, Signature
from typing import Callable, Protocol, Sequence

import numpy as np
import pyarrow as pa


class Scorer(Protocol):
    """A trained end model, as scoring needs it. inputs: (feature, DuckDB type) in order; classes: K names, in class order."""

    inputs: Sequence[tuple[str, str]]
    classes: Sequence[str]

    def predict(self, batch: pa.RecordBatch) -> np.ndarray: ...


def score_udf(model: Scorer) -> Callable[..., pa.Array]:
    """A function of the model's feature columns (Arrow, same length n) that returns MAP<string, double> of length n.

    The map holds P(Y = class) for every class, in class order, summing to 1. NULL features are missing values; a row whose
    every feature is NULL gives NULL. Deterministic and thread-safe: prediction reads fitted state and writes none.
    """
    names = [name for name, _ in model.inputs]
    classes = list(model.classes)

    def score(*columns) -> pa.Array:
        batch = record_batch(columns, names)
        return probability_maps(model.predict(batch), classes, all_null(batch))

    return score


def probability_maps(p: np.ndarray, classes: Sequence[str], null: np.ndarray) -> pa.Array:
    """MAP<string, double> (n,): class -> p (n, K); NULL where `null`, bool (n,)."""
    n, k = p.shape
    keys = pa.DictionaryArray.from_arrays(np.tile(np.arange(k, dtype=np.int32), n), pa.array(classes, pa.string()))
    starts = pa.array(np.arange(0, (n + 1) * k, k, dtype=np.int32), mask=np.append(null, False))
    return pa.MapArray.from_arrays(starts, keys.dictionary_decode(), pa.array(p.ravel()))


def all_null(batch: pa.RecordBatch) -> np.ndarray:
    """bool (n,): rows of which every column is NULL."""
    null = np.ones(batch.num_rows, bool)
    for column in batch.columns:
        null &= column.is_null().to_numpy(zero_copy_only=False)
    return null


def register_scoring_udf(connection, name: str, model: Scorer) -> None:
    """None; `SELECT name(<features...>) FROM ...` then returns MAP(VARCHAR, DOUBLE), class -> probability.

    The arguments are model.inputs in order: DOUBLE for numbers, VARCHAR for categories and text, dates and timestamps as such.
    """
    types = [sql_type for _, sql_type in model.inputs]
    score = with_arity(score_udf(model), len(types))
    connection.create_function(name, score, types, "MAP(VARCHAR, DOUBLE)", type="arrow", null_handling="special")


def with_arity(function: Callable[..., pa.Array], n: int) -> Callable[..., pa.Array]:
    """`function` with a signature of n positional parameters: DuckDB counts them before it accepts n argument types."""
    parameters = [Parameter(f"column_{i}", Parameter.POSITIONAL_ONLY) for i in range(n)]
    function.__signature__ = Signature(parameters)
    return function


def record_batch(columns: Sequence[pa.Array | pa.ChunkedArray], names: Sequence[str]) -> pa.RecordBatch:
    """One record batch of contiguous columns; (n,) rows, len(names) columns."""
    return pa.RecordBatch.from_arrays([contiguous(c) for c in columns], names=list(names))


def contiguous(column: pa.Array | pa.ChunkedArray) -> pa.Array:
    """The column as a single array."""
    if not isinstance(column, pa.ChunkedArray):
        return column
    return column.chunk(0) if column.num_chunks == 1 else pa.concat_arrays(column.chunks) if column.num_chunks else pa.array([], column.type)
