"""Answers of many people as one LF: each worker is weighed first, the result is a soft vote."""

from __future__ import annotations

from typing import Callable, Sequence

import pyarrow as pa

from ..errors import Diagnostic
from ..store import Store
from ..store.names import key_expression, quoted, table_name
from ..types import EntityLayout, LabelingFunction, Task
from .problems import class_problem, strange_labels

Weigh = Callable[[pa.Table, Sequence[str]], pa.Table]
"""(entity_id, lf = the worker, label; classes) -> (entity_id, label, p): what the workers say together."""

WORKER = """
CREATE TABLE IF NOT EXISTS {s}.worker (lf VARCHAR, worker VARCHAR, n_votes BIGINT, learned_accuracy DOUBLE)
"""


def answers_query(lf: LabelingFunction, layout: EntityLayout) -> str:
    """entity_id, worker and label of every answer; a worker's same answer twice counts once."""
    key = f"CAST({key_expression(lf.key)} AS {layout.key_type})"
    return (
        f"SELECT DISTINCT {key} AS entity_id, CAST(worker AS VARCHAR) AS worker, CAST(label AS VARCHAR) AS label "
        f"FROM (\n{lf.query}\n) AS lf_result WHERE label IS NOT NULL AND worker IS NOT NULL AND {key} IS NOT NULL"
    )


def crowd_problem(store: Store, lf: LabelingFunction, answers: str, task: Task) -> Diagnostic | None:
    """LF108: an answer that is no class; LF111: a worker with two answers for one key."""
    if strange := store.rows(strange_labels(f"SELECT label FROM {answers}", task.classes)):
        return class_problem(lf, *strange[0], task.classes)
    twice = store.rows(f"SELECT entity_id, worker FROM {answers} GROUP BY ALL HAVING count(*) > 1 ORDER BY ALL LIMIT 1")
    if twice:
        key, worker = twice[0]
        return Diagnostic("LF111", f'worker "{worker}" gives key {key} two labels', lf.location, "one answer per worker and key: take the newest", lf.name)
    return None


def write_crowd_votes(store: Store, task: Task, lf: LabelingFunction, answers: str, target: str, weigh: Weigh) -> None:
    """TEMP table `target` (entity_id, label, p) from the answers, and the workers in `worker`: how many answers, and the probability
    that these are right, on average."""
    given = store.arrow(f"SELECT entity_id, worker AS lf, label FROM {answers} SEMI JOIN {table_name(task.name, 'entity')} USING (entity_id) ORDER BY ALL")
    store.connection.register("__weighed", weigh(given, task.classes))
    try:
        store.execute(f"CREATE OR REPLACE TEMP TABLE {target} AS SELECT entity_id, label, p FROM __weighed WHERE p > 0")
    finally:
        store.connection.unregister("__weighed")
    store.execute(WORKER.format(s=quoted(task.name)))
    store.execute(f"DELETE FROM {table_name(task.name, 'worker')} WHERE lf = $lf", {"lf": lf.name})
    store.execute(
        f"INSERT INTO {table_name(task.name, 'worker')} SELECT $lf, worker, count(*), avg(coalesce(v.p, 0)) FROM {answers} LEFT JOIN {target} AS v USING (entity_id, label) "
        f"SEMI JOIN {table_name(task.name, 'entity')} AS e ON e.entity_id = {answers}.entity_id GROUP BY worker ORDER BY worker", {"lf": lf.name},
    )  # fmt: skip
