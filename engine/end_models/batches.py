"""Training batches: Arrow in, fixed-size Arrow out, and the checked probabilistic labels and row weights inside."""

from __future__ import annotations

from typing import Callable, Iterator, Sequence

import numpy as np
import pyarrow as pa

from ..errors import EndModelError

Batches = Callable[[], Iterator[pa.RecordBatch]]
"""A re-iterable source: every call yields the same rows in the same order. Columns: the features, p, and optionally weight, entity_id."""

BLOCK_ROWS = 8192
"""Rows are regrouped into blocks of this size, so no result depends on the batch size of the source."""

P_TOLERANCE = 1e-6


def blocks(batches: Batches, rows: int = BLOCK_ROWS) -> Iterator[pa.RecordBatch]:
    """The same rows in batches of exactly `rows` rows (the last may be smaller)."""
    held: list[pa.RecordBatch] = []
    n = 0
    for batch in batches():
        while n + batch.num_rows >= rows:
            cut = rows - n
            yield joined([*held, batch.slice(0, cut)])
            batch, held, n = batch.slice(cut), [], 0
        if batch.num_rows:
            held.append(batch)
            n += batch.num_rows
    if n:
        yield joined(held)


def joined(parts: Sequence[pa.RecordBatch]) -> pa.RecordBatch:
    """One record batch with the rows of all parts, in order."""
    return parts[0] if len(parts) == 1 else pa.concat_batches(parts)


def soft_labels(batch: pa.RecordBatch, n_classes: int) -> np.ndarray:
    """float64 (n, K) probabilistic labels of a batch; rows sum to 1 within 1e-6.

    Raises EndModelError EM103, naming the entity, if p is NULL, NaN, negative, of another length, or does not sum to one;
    EM105 if there is no column p.
    """
    column = needed(batch, "p")
    lengths = np.array([n_classes]) if not batch.num_rows else _lengths(column)
    bad = np.flatnonzero(lengths != n_classes)
    if bad.size:
        raise _bad_p(batch, bad[0], f"p needs {n_classes} probabilities, one per class")
    p = column.flatten().cast(pa.float64()).to_numpy(zero_copy_only=False).reshape(-1, n_classes)
    with np.errstate(invalid="ignore"):
        ok = (p >= 0).all(axis=1) & (np.abs(p.sum(axis=1) - 1) <= _tolerance(column.type))
    if not ok.all():
        i = int(np.argmin(ok))
        raise _bad_p(batch, i, f"p = {[float(x) for x in p[i]]} is not a distribution (sum 1, none negative, no NaN)")
    return p


def _tolerance(t: pa.DataType) -> float:
    return P_TOLERANCE if pa.types.is_float64(t.value_type) else 10 * P_TOLERANCE


def _lengths(column: pa.Array) -> np.ndarray:
    import pyarrow.compute as pc

    return pc.fill_null(pc.list_value_length(column), -1).to_numpy(zero_copy_only=False)


def _bad_p(batch: pa.RecordBatch, row: int, what: str) -> EndModelError:
    return EndModelError("EM103", f"{entity(batch, row)}: {what}", hint="read p from probabilistic_labels, one value per class in class order")


def entity(batch: pa.RecordBatch, row: int) -> str:
    """How a message names a row: 'entity 42' if the batch has entity_id, else its position in the batch."""
    if "entity_id" in batch.schema.names:
        return f"entity {batch.column('entity_id')[int(row)].as_py()!r}"
    return f"row {int(row)} of a batch"


def row_weights(batch: pa.RecordBatch) -> np.ndarray:
    """float64 (n,) row weights, 1 without a column weight. Raises EndModelError EM115 for NULL, NaN, inf or a negative weight."""
    if "weight" not in batch.schema.names:
        return np.ones(batch.num_rows)
    w = batch.column("weight").cast(pa.float64()).to_numpy(zero_copy_only=False)
    bad = np.flatnonzero(~(np.isfinite(w) & (w >= 0)))
    if bad.size:
        raise EndModelError("EM115", f"{entity(batch, bad[0])}: weight = {w[bad[0]]}", hint="weights are finite and >= 0")
    return w


def needed(batch: pa.RecordBatch, *names: str) -> pa.Array:
    """The first named column. Raises EndModelError EM105 with all names that the batch lacks."""
    missing = [n for n in names if n not in batch.schema.names]
    if missing:
        listed = ", ".join(f'"{n}"' for n in missing)
        raise EndModelError("EM105", f"the data lack the column {listed}", hint=f"the columns are {', '.join(batch.schema.names)}")
    return batch.column(names[0])
