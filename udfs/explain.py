"""Explaining: what each feature adds to a prediction, as a function inside any query."""

from __future__ import annotations

from typing import Callable, Protocol, Sequence

import pyarrow as pa

from .score import all_null, record_batch, with_arity


class Contribution(Protocol):
    """What one piece of a feature adds to the log-odds of the best class against the second."""

    feature: str
    piece: str | None
    evidence: float


class Attribution(Protocol):
    """The contributions to one row's prediction, largest first."""

    best: str
    second: str
    contributions: Sequence[Contribution]


EXPLANATION = pa.struct([
    ("best", pa.string()), ("second", pa.string()),
    ("contributions", pa.list_(pa.struct([("feature", pa.string()), ("piece", pa.string()), ("evidence", pa.float64())]))),
])  # fmt: skip
SQL_TYPE = "STRUCT(best VARCHAR, second VARCHAR, contributions STRUCT(feature VARCHAR, piece VARCHAR, evidence DOUBLE)[])"


def register_explaining_udf(
    connection, name: str, inputs: Sequence[tuple[str, str]], attribute: Callable[[pa.RecordBatch], Sequence[Attribution]]
) -> None:
    """None; `SELECT name(<features...>) FROM ...` then returns best, second and the contributions, which sum to their log-odds.

    inputs     (feature, DuckDB type) in the order of the arguments
    attribute  a batch of n rows -> n attributions

    A row whose every feature is NULL gives NULL. Meant for the rows somebody looks at: each is named piece by piece.
    """
    names = [feature for feature, _ in inputs]

    def explain(*columns) -> pa.Array:
        batch = record_batch(columns, names)
        found = zip(attribute(batch), all_null(batch))
        return pa.array([None if null else _plain(attribution) for attribution, null in found], EXPLANATION)

    types = [sql_type for _, sql_type in inputs]
    connection.create_function(name, with_arity(explain, len(types)), types, SQL_TYPE, type="arrow", null_handling="special")


def _plain(attribution: Attribution) -> dict:
    parts = [{"feature": c.feature, "piece": c.piece, "evidence": c.evidence} for c in attribution.contributions]
    return {"best": attribution.best, "second": attribution.second, "contributions": parts}
