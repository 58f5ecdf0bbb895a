"""`entity` in spans of its keys: the features of one span are joined at a time, so memory does not grow with rows."""

from __future__ import annotations

import re
from typing import Iterator

from sqlglot import exp

from ..store import Store
from ..types import EntityLayout
from .columns import cast, column, literal

VALUE_BYTES = 100
"""What a feature's value takes in the hash table of a join, beside the numbers of a vector: an entry with its key, and a short list on the heap."""
VECTOR = re.compile(r"(FLOAT|DOUBLE)\[(\d+)\]")
MEMORY_SHARE = 0.4
"""The part of the memory limit that the hash tables of one span may fill; the rest is for rows on their way."""
SAMPLE_ROWS = 100_000
"""Keys among which the bounds of the spans are chosen."""
ROWS = "entity_rows"


def spanned(store: Store, layout: EntityLayout) -> Iterator[exp.Expression]:
    """The parts that together give the rows of `layout.query`, to be used one after another; a single one where memory suffices."""
    n = n_spans(store, layout)
    if n <= 1:
        yield layout.query
        return
    joined = layout.query.copy()
    own = joined.args["from_"].this
    store.execute(f"CREATE OR REPLACE TEMP TABLE {ROWS} AS {own.this.sql('duckdb')}")
    own.set("this", exp.select("*").from_(exp.table_(ROWS)))
    bounds = _bounds(store, n)
    for low, high in zip([None, *bounds], [*bounds, None]):
        yield _within(joined, low, high, layout.key_type)
    store.execute(f"DROP TABLE {ROWS}")


def n_spans(store: Store, layout: EntityLayout) -> int:
    """How many spans keep the hash tables of all features within their share of the memory limit."""
    joins = layout.query.args.get("joins") or []
    size = sum(value_bytes(r.type) * store.value(f"SELECT count(*) FROM {join.this.sql('duckdb')}") for r, join in zip(layout.resources, joins))
    return -(-size // max(1, int(store.memory_limit() * MEMORY_SHARE)))


def value_bytes(kind: str) -> int:
    """What one value of a feature of this DuckDB type takes while it is joined."""
    vector = VECTOR.fullmatch(kind)
    return VALUE_BYTES + (0 if vector is None else int(vector[2]) * (4 if vector[1] == "FLOAT" else 8))


def _bounds(store: Store, n: int) -> list[str]:
    """At most n - 1 keys, as text and in order, that cut the rows into about n equal parts."""
    shares = ", ".join(str(i / n) for i in range(1, n))
    every = store.value(f"SELECT count(*) FROM {ROWS}") // SAMPLE_ROWS + 1
    query = f"SELECT DISTINCT unnest(quantile_disc(entity_id, [{shares}])) AS bound FROM {ROWS} WHERE hash(entity_id) % {every} = 0"
    return [bound for (bound,) in store.rows(f"SELECT CAST(bound AS VARCHAR) FROM ({query}) ORDER BY bound") if bound is not None]


def _within(joined: exp.Expression, low: str | None, high: str | None, key_type: str) -> exp.Expression:
    """The join with keys from `low` up to, not with, `high`; rows without a key are in the first span."""
    span = joined.copy()
    key = column("entity_id")
    conditions = [exp.GTE(this=key.copy(), expression=cast(literal(low), key_type))] if low is not None else []
    if high is not None:
        below = exp.LT(this=key.copy(), expression=cast(literal(high), key_type))
        conditions.append(below if low is not None else exp.or_(below, key.copy().is_(exp.null())))
    for part in [span.args["from_"].this, *(join.this for join in span.args["joins"])]:
        part.set("this", exp.select("*").from_(part.this.subquery("s")).where(*conditions))
    return span
