"""Votes: only what changed is evaluated; the result is one packed row per entity (`vote_code`)."""

from __future__ import annotations

import logging
import time
from typing import Sequence

import duckdb
from sqlglot import exp

from ..errors import Diagnostic, StoreError
from ..store import QueryTimeout, Store
from ..store.names import quoted
from ..types import EntityLayout, Event, LabelingFunction, Listener, Task, silent
from .ballots import LEVELS, write_symbols
from .crowd import Weigh, answers_query, crowd_problem, write_crowd_votes
from .plan import ROWS, UNCHANGED, Evaluation, VotePlan
from .problems import class_problem, relation_problems, relation_query, runtime_problem, strange_labels, timeout_problem
from .select import local_votes, only_this_modality, over_one_modality
from .slots import Slot, assign_slots, recoded, stored_slots, word_names, write_slots

sql_log = logging.getLogger("groundswell.sql")


def build_votes(
    store: Store, task: Task, layout: EntityLayout, plan: VotePlan, timeout: float, weigh: Weigh, listen: Listener = silent
) -> list[Evaluation]:
    """Evaluate what the plan calls stale and rebuild `vote_code` and `vote_slot`, in one transaction.

    An LF that fails at run time (LF116), runs too long (LF117), votes for no class (LF108) or twice (LF111) is left out and
    carries its diagnostic; all others keep their votes. weigh: makes one soft vote of the answers of many workers.
    """
    return _Builder(store, task, layout, plan, timeout, weigh, listen).run()


class _Builder:
    """One build: relation LFs into temporary tables, row-local LFs in one scan, then the packed table."""

    def __init__(self, store: Store, task: Task, layout: EntityLayout, plan: VotePlan, timeout: float, weigh: Weigh, listen: Listener):
        self.store, self.task, self.layout, self.plan, self.timeout, self.listen = store, task, layout, plan, timeout, listen
        self.weigh = weigh
        self.schema = quoted(task.name)
        self.old = [] if plan.everything else stored_slots(store, task.name)
        self.slots: list[Slot] = []

    def run(self) -> list[Evaluation]:
        relations = [e for e in self.plan.stale if e.lf.kind == "relation"]
        for number, evaluation in enumerate(relations):
            self.listen(Event("lfs", f"evaluating {evaluation.lf.name}", number, len(relations)))
            self._evaluate_relation(number, evaluation)
        for evaluation in self._local_to_do():
            if evaluation.lf.labels is None:
                evaluation.error = self._computed_label_problem(evaluation)
        self._rebuild(relations)
        return self.plan.evaluations

    # -- relation LFs ---------------------------------------------------------------------------------------------------

    def _evaluate_relation(self, number: int, evaluation: Evaluation) -> None:
        lf, table = evaluation.lf, f"lf_votes_{number}"
        started = time.perf_counter()
        asked = (f"{table}_answers", answers_query(lf, self.layout)) if lf.crowd else (table, relation_query(lf, self.layout))
        evaluation.error, _ = self._tried(lf, "CREATE OR REPLACE TEMP TABLE {} AS {}".format(*asked))
        if lf.crowd and evaluation.error is None:
            evaluation.error = crowd_problem(self.store, lf, asked[0], self.task)
            if evaluation.error is None:
                write_crowd_votes(self.store, self.task, lf, asked[0], table, self.weigh)
        if evaluation.error is None:
            evaluation.error, evaluation.warnings = relation_problems(self.store, lf, table, self.task)
        evaluation.seconds = time.perf_counter() - started

    # -- row-local LFs --------------------------------------------------------------------------------------------------

    def _local_to_do(self) -> list[Evaluation]:
        return [e for e in self.plan.evaluations if e.lf.kind != "relation" and e.reason != UNCHANGED and e.error is None]

    def _computed_label_problem(self, evaluation: Evaluation) -> Diagnostic | None:
        (lf,) = over_one_modality([evaluation.lf], self.task.modalities)
        values = f"SELECT {only_this_modality(lf).sql('duckdb')} AS label FROM {self.schema}.entity"
        failed, found = self._tried(lf, strange_labels(values, self.task.classes))
        return failed or (class_problem(lf, *found[0], self.task.classes) if found else None)

    def _weed_out_failing(self) -> bool:
        """Run row-local LFs one by one; True when one of them turned out to be the culprit."""
        for evaluation in self._local_to_do():
            self.listen(Event("lfs", f"checking {evaluation.lf.name} alone"))
            (lf,) = over_one_modality([evaluation.lf], self.task.modalities)
            query = f"SELECT count({only_this_modality(lf).sql('duckdb')}) FROM {self.schema}.entity"
            evaluation.error, _ = self._tried(lf, query)
        return any(e.error for e in self.plan.evaluations if e.lf.kind != "relation")

    def _tried(self, lf: LabelingFunction, query: str) -> tuple[Diagnostic | None, list[tuple]]:
        """The rows of a query, or what is wrong with the LF that made it fail."""
        try:
            with self.store.within(self.timeout):
                return None, self.store.rows(query)
        except QueryTimeout as error:
            return timeout_problem(lf, error), []
        except (duckdb.Error, StoreError) as error:
            if isinstance(error, StoreError) and error.code != "ST107":
                raise
            return runtime_problem(lf, error), []

    # -- the packed table -----------------------------------------------------------------------------------------------

    def _rebuild(self, relations: Sequence[Evaluation]) -> None:
        started = time.perf_counter()
        local = self._local_to_do()
        self.listen(Event("lfs", f"one scan for {len(local)} row-local LFs"))
        self._log_as_written(local)
        try:
            self._write(relations)
        except (duckdb.Error, QueryTimeout):
            if not self._weed_out_failing():
                raise
            self._write(relations)
        for evaluation in local:
            evaluation.seconds = (time.perf_counter() - started) / len(local)

    def _log_as_written(self, local: Sequence[Evaluation]) -> None:
        """For `-v`: the scan before rewriting; what is run follows in the log."""
        if local and sql_log.isEnabledFor(logging.DEBUG):
            lfs = over_one_modality([e.lf for e in local], self.task.modalities)
            slots = assign_slots({lf.name: "" for lf in lfs}, len(self.task.classes), {lf.name: lf.ballot for lf in lfs})
            plain = local_votes(lfs, slots, self.task.classes, self.layout, f"{self.schema}.entity", ("entity_id",), rewritten=False)
            sql_log.debug("-- the row-local LFs as written; the scan that is run, rewritten to give the same votes, follows\n%s;", plain.sql("duckdb", pretty=True))

    def _write(self, relations: Sequence[Evaluation]) -> None:
        healthy = [e for e in self.plan.evaluations if e.error is None]
        ballots = {e.lf.name: e.lf.ballot for e in healthy}
        self.slots = assign_slots({e.lf.name: e.fingerprint for e in healthy}, len(self.task.classes), ballots)
        with self.store.within(self.timeout * max(1, len(healthy))), self.store.transaction():
            self.store.create(self.task.name, "vote_code", self._query(relations))
            write_slots(self.store, self.task.name, self.slots)
            write_symbols(self.store, self.task, set(ballots.values()))
            self._write_soft_votes(relations, [e.lf.name for e in healthy])
            self.store.execute(f"DELETE FROM {self.schema}.entity_change")

    def _write_soft_votes(self, relations: Sequence[Evaluation], healthy: Sequence[str]) -> None:
        """Bring `soft_vote` up to date: the exact probabilities of LFs that give some."""
        table = f"{self.schema}.soft_vote"
        if self.plan.everything or not self.store.has_table(self.task.name, "soft_vote"):
            self.store.create(self.task.name, "soft_vote", f"SELECT CAST(NULL AS {self.layout.key_type}) AS entity_id, '' AS lf, '' AS label, 0.0::DOUBLE AS p LIMIT 0")
        stale = [e.lf.name for e in relations]
        self.store.execute(f"DELETE FROM {table} WHERE list_contains($stale, lf) OR NOT list_contains($healthy, lf)", {"stale": stale, "healthy": list(healthy)})
        for number, evaluation in enumerate(relations):
            if evaluation.error is None and evaluation.lf.ballot == "soft":
                self.store.execute(f"INSERT INTO {table} SELECT entity_id, $lf, label, p FROM lf_votes_{number} ORDER BY ALL", {"lf": evaluation.lf.name})
        if self.plan.rows:
            self.store.execute(f"DELETE FROM {table} WHERE entity_id NOT IN (SELECT entity_id FROM {self.schema}.entity)")

    def _query(self, relations: Sequence[Evaluation]) -> str:
        names = word_names(self.slots)
        base, kept = self._everything() if self.plan.everything else self._kept()
        parts = [self._relation_part(n, e) for n, e in enumerate(relations) if e.error is None]
        parts += [] if self.plan.everything else self._changed_parts()
        if not parts:
            words = ", ".join(f"{k} AS {n}" for k, n in zip(kept, names))
            return f"SELECT e.entity_id, e.modality, e.split, {words} FROM {base}"
        merged = ", ".join(f"bit_or({n}) AS {n}" for n in names)
        delta = f"(SELECT entity_id, {merged} FROM ({' UNION ALL '.join(parts)}) GROUP BY entity_id)"
        words = ", ".join(f"({k}) | coalesce(d.{n}, 0::UBIGINT) AS {n}" for k, n in zip(kept, names))
        return f"SELECT e.entity_id, e.modality, e.split, {words} FROM {base} LEFT JOIN {delta} AS d ON d.entity_id = e.entity_id"

    def _everything(self) -> tuple[str, list[str]]:
        lfs = over_one_modality([e.lf for e in self._local_to_do()], self.task.modalities)
        keep = ("entity_id", "modality", "split")
        query = local_votes(lfs, self.slots, self.task.classes, self.layout, f"{self.schema}.entity", keep, not self._has_collations())
        return f"({query.sql('duckdb')}) AS e", [f"e.{n}" for n in word_names(self.slots)]

    def _has_collations(self) -> bool:
        """Does `entity` hold text that compares by a collation? Rewriting knows letters only as they are."""
        found = "SELECT count(*) > 0 FROM duckdb_tables() WHERE schema_name = $schema AND table_name = 'entity' AND sql ILIKE '%collate%'"
        return self.store.value(found, {"schema": self.task.name})

    def _kept(self) -> tuple[str, list[str]]:
        """What stays of the votes there are: the base relation and an expression per word."""
        healthy = [e for e in self.plan.evaluations if e.error is None]
        keep = {e.lf.name for e in healthy if e.reason in (UNCHANGED, ROWS)}
        if not self.plan.rows:
            return f"{self.schema}.vote_code AS e", recoded(self.old, self.slots, keep, "e")
        relations = {e.lf.name for e in healthy if e.reason == UNCHANGED and e.lf.kind == "relation"}
        on_changed, on_others = (recoded(self.old, self.slots, names, "o") for names in (relations, keep))
        base = (
            f"{self.schema}.entity AS e LEFT JOIN {self.schema}.vote_code AS o ON o.entity_id = e.entity_id "
            f"LEFT JOIN (SELECT DISTINCT entity_id FROM {self.schema}.entity_change) AS c ON c.entity_id = e.entity_id"
        )
        pairs = zip(on_changed, on_others)
        return base, [f"coalesce(CASE WHEN c.entity_id IS NULL THEN {others} ELSE {changed} END, 0::UBIGINT)" for changed, others in pairs]

    def _changed_parts(self) -> list[str]:
        """Stale row-local LFs over the old rows, all row-local LFs over the new ones."""
        stale = [e for e in self.plan.stale if e.lf.kind != "relation" and e.error is None]
        both = [e for e in self.plan.evaluations if e.lf.kind != "relation" and e.error is None]
        if not self.plan.rows:
            return [self._local_part(stale, "")] if stale else []
        change = f"{self.schema}.entity_change USING (entity_id)"
        old_rows = [self._local_part(stale, f" ANTI JOIN {change}")] if stale else []
        return old_rows + ([self._local_part(both, f" SEMI JOIN {change}")] if both else [])

    def _local_part(self, evaluations: Sequence[Evaluation], join: str) -> str:
        """The rows on which these LFs vote. MATERIALIZED, or DuckDB pushes the filter down and evaluates every LF twice."""
        lfs = over_one_modality([e.lf for e in evaluations], self.task.modalities)
        source = f"(FROM {self.schema}.entity{join})" if join else f"{self.schema}.entity"
        query = local_votes(lfs, self.slots, self.task.classes, self.layout, source, ("entity_id",), not self._has_collations())
        names = word_names(self.slots)
        some = " OR ".join(f"{n} <> 0" for n in names)
        return f"SELECT * FROM (WITH voted AS MATERIALIZED ({query.sql('duckdb')}) SELECT * FROM voted WHERE {some})"

    def _relation_part(self, number: int, evaluation: Evaluation) -> str:
        slot = next(s for s in self.slots if s.lf == evaluation.lf.name)
        soft = evaluation.lf.ballot == "soft"
        step = LEVELS if soft else 1
        cases = " ".join(f"WHEN {exp.Literal.string(label).sql('duckdb')} THEN {i * step + 1}" for i, label in enumerate(self.task.classes))
        level = f" + CAST(least(floor(p * {LEVELS}), {LEVELS - 1}) AS INTEGER)" if soft else ""
        code = f"CAST(CASE label {cases} END{level} AS UBIGINT) << {slot.shift}"
        words = (f"{code} AS {n}" if i == slot.word else f"0::UBIGINT AS {n}" for i, n in enumerate(word_names(self.slots)))
        best = f" QUALIFY row_number() OVER (PARTITION BY entity_id ORDER BY p DESC, CASE label {cases} END) = 1" if soft else ""
        return f"SELECT entity_id, {', '.join(words)} FROM lf_votes_{number}{best}"
