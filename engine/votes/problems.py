"""What can be wrong with an LF once it meets data."""

from __future__ import annotations

from typing import Sequence

from sqlglot import exp

from ..errors import Diagnostic, did_you_mean
from ..store import Store, error_detail
from ..store.names import key_expression, table_name
from ..types import EntityLayout, LabelingFunction, Task


def relation_query(lf: LabelingFunction, layout: EntityLayout) -> str:
    """entity_id and label (and p, of a soft vote) of every vote of a relation LF; the query runs as it was written."""
    key = key_expression(lf.key)
    label = f"CAST({exp.Literal.string(lf.label).sql('duckdb')} AS VARCHAR)" if lf.label is not None else "CAST(label AS VARCHAR)"
    given = ([] if lf.label is not None else ["label IS NOT NULL"]) + (["p IS NOT NULL"] if lf.ballot == "soft" else [])
    keep = f" WHERE {' AND '.join(given)}" if given else ""
    p = ", CAST(p AS DOUBLE) AS p" if lf.ballot == "soft" else ""
    return f"SELECT DISTINCT CAST({key} AS {layout.key_type}) AS entity_id, {label} AS label{p} FROM (\n{lf.query}\n) AS lf_result{keep}"


def relation_problems(store: Store, lf: LabelingFunction, table: str, task: Task) -> tuple[Diagnostic | None, list[Diagnostic]]:
    """The error (LF108, LF111, LF119) and warnings (LF205 unknown keys, LF206 NULL keys) of votes in a temporary table.

    Votes without an entity are deleted from it.
    """
    if strange := store.rows(strange_labels(f"SELECT label FROM {table}", task.classes)):
        return class_problem(lf, *strange[0], task.classes), []
    error = _soft_problem(store, lf, table) if lf.ballot == "soft" else _two_labels(store, lf, table)
    if error:
        return error, []
    nulls = store.value(f"SELECT count(*) FROM {table} WHERE entity_id IS NULL")
    unknown = store.value(f"SELECT count(*) FROM {table} ANTI JOIN {table_name(task.name, 'entity')} USING (entity_id) WHERE entity_id IS NOT NULL")
    if nulls or unknown:
        store.execute(f"DELETE FROM {table} WHERE entity_id IS NULL OR entity_id NOT IN (SELECT entity_id FROM {table_name(task.name, 'entity')})")
    return None, [
        *([Diagnostic("LF206", f"votes on {nulls:,} rows without a key (NULL); left out", lf.location, "an inner join leaves them out", lf.name)] if nulls else []),
        *([Diagnostic("LF205", f"votes on {unknown:,} keys that are no entity; left out", lf.location, "does it return the right key?", lf.name)] if unknown else []),
    ]


def _two_labels(store: Store, lf: LabelingFunction, table: str) -> Diagnostic | None:
    """LF111: a key with two labels."""
    twice = store.rows(f"SELECT entity_id, list_sort(list(label)) FROM {table} WHERE entity_id IS NOT NULL GROUP BY 1 HAVING count(*) > 1 ORDER BY 1 LIMIT 1")
    if not twice:
        return None
    key, labels = twice[0]
    return Diagnostic("LF111", f'key {key} gets two labels: {" and ".join(labels)}', lf.location, "one label per key: aggregate, or order and pick one", lf.name)


def _soft_problem(store: Store, lf: LabelingFunction, table: str) -> Diagnostic | None:
    """LF119: p is no probability, or those of a key sum to more than one; LF111: a key with two probabilities for one label."""
    outside = store.rows(f"SELECT entity_id, label, p FROM {table} WHERE NOT (p BETWEEN 0 AND 1) OR isnan(p) ORDER BY 1, 2 LIMIT 1")
    if outside:
        key, label, p = outside[0]
        return Diagnostic("LF119", f"key {key}: p = {p} of {label} is no probability", lf.location, "p lies between 0 and 1; NULL abstains", lf.name)
    twice = store.rows(f"SELECT entity_id, label FROM {table} WHERE entity_id IS NOT NULL GROUP BY 1, 2 HAVING count(*) > 1 ORDER BY 1, 2 LIMIT 1")
    if twice:
        key, label = twice[0]
        return Diagnostic("LF111", f"key {key} gets two probabilities of {label}", lf.location, "one row per key and label: aggregate", lf.name)
    above = store.rows(f"SELECT entity_id, sum(p) FROM {table} WHERE entity_id IS NOT NULL GROUP BY 1 HAVING sum(p) > 1.000001 ORDER BY 1 LIMIT 1")
    if above:
        key, p = above[0]
        return Diagnostic("LF119", f"key {key}: the probabilities sum to {p:.6g}", lf.location, "divide them by their sum", lf.name)
    return None


def strange_labels(values: str, classes: Sequence[str]) -> str:
    """A query for the most frequent value of `label` that is no class, with its count."""
    known = ", ".join(exp.Literal.string(c).sql("duckdb") for c in classes)
    return f"SELECT label, count(*) FROM ({values}) WHERE label NOT IN ({known}) GROUP BY 1 ORDER BY 2 DESC, 1 LIMIT 1"


def class_problem(lf: LabelingFunction, label: str, n: int, classes: Sequence[str]) -> Diagnostic:
    """LF108: votes for something that is no class."""
    hint = did_you_mean(label, classes) or f"classes are: {', '.join(classes)}"
    return Diagnostic("LF108", f'"{label}" ({n:,} rows) is not a class of this task', lf.location, hint, lf.name)


def runtime_problem(lf: LabelingFunction, error: Exception) -> Diagnostic:
    """LF116: the LF bound, but failed on some row."""
    message = error_detail(error)["exception_message"].removeprefix("Python exception occurred while executing the UDF: ").splitlines()[0]
    hint = "return None to abstain; values may be None" if lf.kind == "python" else "TRY_CAST and NULLIF turn bad values into NULL"
    return Diagnostic("LF116", f"fails on some row: {message}", lf.location, hint, lf.name)


def timeout_problem(lf: LabelingFunction, error: Exception) -> Diagnostic:
    """LF117: the LF was interrupted."""
    return Diagnostic("LF117", str(error), lf.location, "is a join condition missing? lf_timeout in [project] sets the limit", lf.name)
