"""Arrow out of DuckDB, under the names of 1.5 and of 1.4."""

from __future__ import annotations

import pyarrow as pa


def as_table(result) -> pa.Table:
    """A connection's or relation's result as an Arrow table."""
    return result.to_arrow_table() if hasattr(result, "to_arrow_table") else result.fetch_arrow_table()


def as_reader(result, batch_size: int) -> pa.RecordBatchReader:
    """A connection's or relation's result as Arrow batches."""
    return result.to_arrow_reader(batch_size) if hasattr(result, "to_arrow_reader") else result.fetch_record_batch(batch_size)
