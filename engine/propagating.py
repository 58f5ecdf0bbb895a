"""Label propagation from the warehouse into tables: a graph over features, seeds spread on it, thresholds, the views LFs read (Suri et al. 2020, section 4.4)."""

from __future__ import annotations

import hashlib
import json
import shutil
from dataclasses import asdict, dataclass
from typing import TYPE_CHECKING, Any, Mapping

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from . import __version__
from .errors import Diagnostic, PropagationError
from .pipeline import refresh
from .propagation import (
    Expander, Found, Similarity, Spread, Threshold, beside, class_mass_weights, expander, find_neighbours, harmonic, one_class_components, symmetric_graph, threshold,
)  # fmt: skip
from .propagation.options import METHODS, PropagationOptions
from .propagation.read import Read, read_rows
from .state import RunRecord, digest, fingerprint_of, recorded, remember
from .store import Store, publish, writing
from .store.held_out import LEAST_GOLD, held_out
from .store.names import quoted
from .types import Event, Listener, Project, Task, silent

if TYPE_CHECKING:
    import scipy.sparse as sp

ROWS_AT_ONCE = 100_000
VIEWS = ("propagation_label", "propagation_probability", "propagation_round")

TABLES = """
CREATE OR REPLACE TABLE {s}.propagation_score (entity_id {k}, label VARCHAR, score DOUBLE, n_hops INTEGER);
CREATE OR REPLACE TABLE {s}.propagation_threshold (label VARCHAR, threshold DOUBLE, meets_target BOOLEAN, n_seeds BIGINT, n_held_out BIGINT, "precision" DOUBLE,
    wilson_lower DOUBLE, recall DOUBLE, f1 DOUBLE, mass_weight DOUBLE);
CREATE OR REPLACE TABLE {s}.propagation_trace (pass VARCHAR, round INTEGER, change DOUBLE);
CREATE OR REPLACE TABLE {s}.propagation_model (method VARCHAR, options JSON, n_entities BIGINT, n_edges BIGINT, recall DOUBLE, cross_recall DOUBLE,
    n_components BIGINT, n_without_seed BIGINT, n_of_one_class BIGINT, converged BOOLEAN, warnings VARCHAR[], created_at TIMESTAMPTZ);
"""
GRAPH_TABLES = """
CREATE OR REPLACE TABLE {s}.edge (src {k}, dst {k}, weight DOUBLE);
CREATE OR REPLACE TABLE {s}.propagation_graph (recall DOUBLE, cross_recall DOUBLE, passes INTEGER, warnings JSON);
"""
SEEDS = """
WITH seed AS (
    SELECT g.entity_id, g.label, count(*) OVER () >= {least} AS plenty, {held_out} AS spared, md5_number_lower(concat(CAST(g.entity_id AS VARCHAR), ' seed ', $seed)) AS lot
    FROM {s}.gold_label AS g JOIN {s}.entity AS e USING (entity_id) WHERE e.split = 'train'
)
SELECT entity_id, label,
    CASE WHEN plenty THEN spared ELSE row_number() OVER (PARTITION BY label ORDER BY lot, entity_id) <= floor($share * count(*) OVER (PARTITION BY label)) END AS held_out
FROM seed
"""
"""Which seeds are held out: with plenty of gold those that judge all that is learned from it, see `store.held_out`."""
LABELLED = """
SELECT e.modality, count(*) AS entities, count(r.entity_id) AS reached, count(l.entity_id) AS labelled
FROM {s}.entity AS e
LEFT JOIN (SELECT DISTINCT entity_id FROM {s}.propagation_score) AS r ON r.entity_id = e.entity_id
LEFT JOIN {s}.propagation_label AS l ON l.entity_id = e.entity_id
GROUP BY 1 ORDER BY 1
"""


@dataclass(frozen=True)
class Propagation:
    """What propagation found.

    recall, cross_recall  of the true nearest neighbours (of another modality) on a sample, as the search saw it; NaN: there are none
    n_clamped, n_held_out seeds
    thresholds            class -> threshold and what it was worth on held-out seeds
    modalities            one dict each: modality, entities, reached, labelled, no_seed_beside (share of rows without a seed among their neighbours)
    n_components, n_without_seed, n_of_one_class   of the graph
    graph_kept            was the graph of an earlier run used again?
    """

    method: str
    n_edges: int
    recall: float
    cross_recall: float
    n_clamped: int
    n_held_out: int
    thresholds: Mapping[str, Threshold]
    modalities: tuple[Mapping[str, Any], ...]
    n_components: int
    n_without_seed: int
    n_of_one_class: int
    n_rounds: int
    converged: bool
    graph_kept: bool
    diagnostics: tuple[Diagnostic, ...]

    def by_class(self) -> pa.Table:
        """One row per class: its threshold and what it is worth on held-out seeds."""
        rows = [
            {"label": label, "threshold": t.value, "meets_target": t.meets, "n_held_out": t.n_held_out, "precision": t.precision, "wilson_lower": t.lower, "recall": t.recall, "f1": t.f1}
            for label, t in self.thresholds.items()
        ]
        return pa.Table.from_pylist(rows)

    def by_modality(self) -> pa.Table:
        """One row per modality: entities, how many are reached and labelled, share without a seed among their neighbours."""
        return pa.Table.from_pylist(list(self.modalities))


def propagate(project: Project, task: Task, options: PropagationOptions = PropagationOptions(), listen: Listener = silent) -> Propagation:
    """Build the graph (or keep it), propagate the gold labels of train, tune thresholds, publish.

    Gold of dev and test is never read. Raises PropagationError (PR1xx). What an earlier propagation published stays when this one fails.
    """
    with writing(project, "propagate") as store:
        with recorded(store, "propagate", task.name) as record:
            found = _Job(store, project, task, options, listen, record).run()
        listen(Event("publish", f"publishing {project.published.name}"))
        publish(store, project.published)
        return found


@dataclass(frozen=True)
class _Seeds:
    """Class of every row that is a seed, int (n,), -1 = none: those clamped, and those held out."""

    clamped: np.ndarray
    held_out: np.ndarray

    @property
    def all(self) -> np.ndarray:
        return np.maximum(self.clamped, self.held_out)


class _Job:
    """The steps of one propagation."""

    def __init__(self, store: Store, project: Project, task: Task, options: PropagationOptions, listen: Listener, record: RunRecord):
        self.store, self.project, self.task, self.options, self.listen, self.record = store, project, task, options, listen, record
        self.schema, self.diagnostics = quoted(task.name), []
        self.graph_kept = False

    def run(self) -> Propagation:
        self.key_type = self._ready()
        gold = self._gold()
        graph, keys, found = self._graph()
        seeds = self._seeds(gold, keys)
        self.listen(Event("propagate", f"propagating {int((seeds.clamped >= 0).sum()):,} seeds over {graph.nnz // 2:,} edges"))
        tuned = self._spread(graph, seeds.clamped)
        thresholds = self._thresholds(tuned, seeds)
        final = self._spread(graph, seeds.all) if self.options.all_seeds else tuned
        clamped = seeds.all if self.options.all_seeds else seeds.clamped
        parts = one_class_components(graph, clamped)
        self._doubts(final, parts)
        with self.store.transaction():
            self._write(final, keys, clamped, seeds, thresholds, {"tuned": tuned, "final": final})
            self._write_model(graph, found, parts, final)
        return self._result(graph, found, seeds, clamped, thresholds, parts, final)

    # -- input ----------------------------------------------------------------------------------------------------------

    def _ready(self) -> str:
        """Entities, features and gold as a run would have them; the type of keys."""
        layout, problems = refresh(self.store, self.project, self.task, self.record, self.listen)
        self.diagnostics += [p for p in problems if not p.code.startswith("LF")]
        return layout.key_type

    def _gold(self) -> pa.Table:
        """entity_id, label and held_out of the seeds: gold of train. Raises PropagationError PR101, PR102."""
        found = self.store.arrow(SEEDS.format(s=self.schema, least=LEAST_GOLD, held_out=held_out("g.entity_id")), {"seed": str(self.options.seed), "share": self.options.held_out})
        if not len(found):
            raise PropagationError("PR101", f"task {self.task.name} has no gold label in the train split", hint="gold = { from = ..., key = ..., label = ... } in groundswell.toml, or answers: groundswell review")
        counted = found.group_by(["label", "held_out"]).aggregate([([], "count_all")]).to_pylist()
        self.counts = {label: tuple(sum(c["count_all"] for c in counted if (c["label"], c["held_out"]) == (label, held)) for held in (False, True)) for label in self.task.classes}
        seen = [label for label, n in self.counts.items() if sum(n)]
        if len(seen) < 2:
            raise PropagationError("PR102", f'all {len(found):,} seeds are "{seen[0]}": every row would get that label', hint="give some gold labels of another class (groundswell review)")
        for label, (clamped, held) in self.counts.items():
            if not held:
                self.diagnostics.append(Diagnostic("PR209", f'class "{label}" has {clamped} seeds, none to tune its threshold on: it gets no label', hint=f"{int(np.ceil(1 / self.options.held_out))} or more gold labels in train"))
        return found

    def _seeds(self, gold: pa.Table, keys: pa.Array) -> _Seeds:
        place = pc.index_in(gold["entity_id"].cast(keys.type), value_set=keys).to_numpy()
        label = pc.index_in(gold["label"], value_set=pa.array(self.task.classes)).to_numpy()
        held = gold["held_out"].to_numpy()
        clamped, held_out = np.full(len(keys), -1), np.full(len(keys), -1)
        clamped[place[~held]], held_out[place[held]] = label[~held], label[held]
        return _Seeds(clamped, held_out)

    # -- graph ----------------------------------------------------------------------------------------------------------

    def _graph(self) -> tuple[sp.csr_array, pa.Array, Found]:
        fingerprint = self._fingerprint()
        if fingerprint_of(self.store, self.task.name, "edge") == fingerprint:
            self.graph_kept = True
            self.listen(Event("graph", "the graph is that of an earlier run"))
            return self._kept_graph()
        read = read_rows(self.store, self.task.name, self.options.exclude, self.options.weights, self.options.seed)
        folder = self.project.state_dir / "propagation" / self.task.name / fingerprint
        for old in folder.parent.glob("*"):
            if old != folder:
                shutil.rmtree(old)
        found = find_neighbours(Similarity(read.rows, self.options.both_only, _device()), self.options.search(), folder, lambda m: self.listen(Event("graph", m)))
        self._judge(found, read)
        graph = symmetric_graph(found.near, found.cross, self.options.least_weight)
        self.listen(Event("graph", f"writing {graph.nnz // 2:,} edges"))
        with self.store.transaction():
            self._write_graph(graph, read, found)
            remember(self.store, self.task.name, "edge", fingerprint)
        shutil.rmtree(folder, ignore_errors=True)
        self.diagnostics += read.diagnostics
        return graph, read.keys, found

    def _fingerprint(self) -> str:
        """What the graph is made of: keys, modalities and features, and how it is searched."""
        columns = [quoted(c) for c in self.store.columns(f"FROM {self.schema}.entity") if c not in ("split", "event_time", *self.options.exclude)]
        content = self.store.rows(f"SELECT count(*), CAST(sum(hash({', '.join(columns)})) AS VARCHAR) FROM {self.schema}.entity")
        how = json.dumps([asdict(self.options.search()), self.options.both_only, dict(self.options.weights), columns], sort_keys=True)
        return digest(str(content), how, __version__)

    def _judge(self, found: Found, read: Read) -> None:
        for name, value in (("nearest neighbours", found.recall), ("nearest neighbours of another modality", found.cross_recall)):
            if value < self.options.aim:
                read.diagnostics.append(Diagnostic("PR201", f"{value:.3f} of the true {name} were found on a sample", hint="--candidates or --refine finds more"))

    def _write_graph(self, graph: sp.csr_array, read: Read, found: Found) -> None:
        self.store.connection.execute(GRAPH_TABLES.format(s=self.schema, k=self.key_type))
        for at in range(0, graph.shape[0], ROWS_AT_ONCE):
            part = graph[at : at + ROWS_AT_ONCE]
            src = np.repeat(np.arange(at, at + part.shape[0]), np.diff(part.indptr))
            self.store.append_arrow(self.task.name, "edge", pa.table({
                "src": read.keys.take(pa.array(src)), "dst": read.keys.take(pa.array(part.indices)), "weight": pa.array(part.data.astype(np.float64)),
            }))  # fmt: skip
        warnings = json.dumps([(d.code, d.message, d.hint) for d in read.diagnostics])
        self.store.execute(f"INSERT INTO {self.schema}.propagation_graph VALUES ($r, $c, $p, $w)", {"r": _finite(found.recall), "c": _finite(found.cross_recall), "p": found.passes, "w": warnings})

    def _kept_graph(self) -> tuple[sp.csr_array, pa.Array, Found]:
        import scipy.sparse as sp

        keys = self.store.arrow(f"SELECT entity_id FROM {self.schema}.entity ORDER BY entity_id")["entity_id"].combine_chunks()
        self.store.execute(f"CREATE OR REPLACE TEMP TABLE placed AS SELECT entity_id, CAST(row_number() OVER (ORDER BY entity_id) - 1 AS INTEGER) AS i FROM {self.schema}.entity")
        edges = self.store.arrow(f"SELECT s.i AS src, d.i AS dst, CAST(weight AS FLOAT) AS weight FROM {self.schema}.edge JOIN placed AS s ON s.entity_id = src JOIN placed AS d ON d.entity_id = dst")
        graph = sp.coo_array((edges["weight"].to_numpy(), (edges["src"].to_numpy(), edges["dst"].to_numpy())), shape=(len(keys), len(keys))).tocsr()
        recall, cross, passes, warnings = self.store.rows(f"FROM {self.schema}.propagation_graph")[0]
        self.diagnostics += [Diagnostic(code, message, hint=hint) for code, message, hint in json.loads(warnings)]
        return graph, keys, Found(None, None, float("nan") if recall is None else recall, float("nan") if cross is None else cross, passes)

    # -- propagation ----------------------------------------------------------------------------------------------------

    def _spread(self, graph: sp.csr_array, seeds: np.ndarray) -> Spread:
        o, n_classes = self.options, len(self.task.classes)
        rounds = o.rounds or METHODS[o.method]
        if o.method == "harmonic":
            return harmonic(graph, seeds, n_classes, rounds, o.tolerance)
        return expander(graph, seeds, n_classes, Expander(o.mu1, o.mu2, o.mu3, o.top_labels), rounds, o.tolerance)

    def _thresholds(self, spread: Spread, seeds: _Seeds) -> dict[str, Threshold]:
        judged = np.flatnonzero(seeds.held_out >= 0)
        score = _dense(spread, judged, len(self.task.classes))
        found = {label: threshold(score[:, k], seeds.held_out[judged] == k, self.options.precision) for k, label in enumerate(self.task.classes)}
        for label, each in found.items():
            if each.n_held_out and not each.meets:
                reached = f"{each.precision:.3f} (at least {each.lower:.3f})" if each.value is not None else "unknown: none was reached"
                hint = "more gold labels in train, or --precision lower" if each.value is not None else "see PR205"
                self.diagnostics.append(Diagnostic("PR202", f'class "{label}": precision on {each.n_held_out:,} held-out seeds is {reached}, the target {self.options.precision:g}; the best F1 decides', hint=hint))
        return found

    def _doubts(self, spread: Spread, parts: tuple[int, int, int, int]) -> None:
        unreached, n = int((spread.n_hops < 0).sum()), len(spread.n_hops)
        if unreached:
            self.diagnostics.append(Diagnostic("PR205", f"{unreached:,} of {n:,} rows have no path to a seed ({parts[1]:,} of {parts[0]:,} parts of the graph)", hint="they abstain; more seeds, features or --k reach more"))
        if parts[2]:
            self.diagnostics.append(Diagnostic("PR206", f"{parts[2]:,} parts of the graph have seeds of one class only: {parts[3]:,} rows get it whatever they are", hint="a larger --k joins parts; seeds of other classes there"))
        if not spread.converged and self.options.method == "harmonic":
            self.diagnostics.append(Diagnostic("PR207", f"scores still changed by {spread.trace[-1]:.2g} after {len(spread.trace)} rounds", hint="--rounds N"))

    # -- output ---------------------------------------------------------------------------------------------------------

    def _write(self, spread: Spread, keys: pa.Array, clamped: np.ndarray, seeds: _Seeds, thresholds: Mapping[str, Threshold], traces: Mapping[str, Spread]) -> None:
        self.store.connection.execute(TABLES.format(s=self.schema, k=self.key_type))
        reached = np.flatnonzero(spread.n_hops >= 0)
        for at in range(0, len(reached), ROWS_AT_ONCE):
            self.store.append_arrow(self.task.name, "propagation_score", self._scores(spread, keys, reached[at : at + ROWS_AT_ONCE]))
        weights = self._mass_weights(spread, clamped, seeds)
        self.store.append_arrow(self.task.name, "propagation_threshold", pa.Table.from_pylist([
            {
                "label": label, "threshold": t.value, "meets_target": t.meets, "n_seeds": sum(self.counts[label]), "n_held_out": t.n_held_out, "precision": t.precision,
                "wilson_lower": t.lower, "recall": t.recall, "f1": t.f1, "mass_weight": w,
            }
            for (label, t), w in zip(thresholds.items(), weights.tolist())
        ]))  # fmt: skip
        passes = {name: s.trace for name, s in traces.items() if name == "tuned" or self.options.all_seeds}
        rows = [(name, i + 1, change) for name, trace in passes.items() for i, change in enumerate(trace)]
        self.store.append_arrow(self.task.name, "propagation_trace", pa.table(dict(zip(("pass", "round", "change"), (list(c) for c in zip(*rows))))))
        for view in VIEWS:
            self.store.create_view_from_file(self.task.name, view)

    def _scores(self, spread: Spread, keys: pa.Array, rows: np.ndarray) -> pa.Table:
        """Rows of propagation_score: every label of an entity, or those it kept."""
        score = spread.score[rows]
        label = np.tile(np.arange(score.shape[1], dtype=np.int32), (len(rows), 1)) if spread.label is None else spread.label[rows]
        row, place = np.nonzero(label >= 0)
        names = pa.array(self.task.classes, pa.string()).take(pa.array(label[row, place]))
        return pa.table({
            "entity_id": keys.take(pa.array(rows[row])), "label": names, "score": pa.array(score[row, place]), "n_hops": pa.array(spread.n_hops[rows[row]]),
        })  # fmt: skip

    def _mass_weights(self, spread: Spread, clamped: np.ndarray, seeds: _Seeds) -> np.ndarray:
        """Class-mass weights towards the task's class balance, or the shares among the seeds."""
        given = self.task.label_model.get("class_balance")
        share = np.bincount(seeds.all[seeds.all >= 0], minlength=len(self.task.classes)) / (seeds.all >= 0).sum()
        balance = np.array([given[c] for c in self.task.classes], float) if isinstance(given, Mapping) else share
        return class_mass_weights(_dense(spread, np.flatnonzero((spread.n_hops > 0) & (clamped < 0)), len(self.task.classes)), balance)

    def _write_model(self, graph: sp.csr_array, found: Found, parts: tuple[int, int, int, int], spread: Spread) -> None:
        self.store.execute(
            f"INSERT INTO {self.schema}.propagation_model VALUES ($method, $options, $n, $edges, $recall, $cross, $parts, $without, $one, $converged, $warnings, now())",
            {
                "method": self.options.method, "options": json.dumps(asdict(self.options)), "n": graph.shape[0], "edges": graph.nnz // 2, "recall": _finite(found.recall),
                "cross": _finite(found.cross_recall), "parts": parts[0], "without": parts[1], "one": parts[2], "converged": spread.converged,
                "warnings": [f"{d.code}: {d.message}" for d in self.diagnostics],
            },
        )  # fmt: skip
        name = self.task.name
        edges = str(fingerprint_of(self.store, name, "edge"))
        self.record.lineage(f"{name}.edge", {f"{name}.entity": edges})
        self.record.lineage(f"{name}.propagation_score", {f"{name}.edge": edges, f"{name}.gold_label": hashlib.sha256(repr(sorted(self.counts.items())).encode()).hexdigest()})

    def _result(self, graph, found: Found, seeds: _Seeds, clamped: np.ndarray, thresholds, parts, spread: Spread) -> Propagation:
        alone = ~beside(graph, clamped >= 0)
        modality = self.store.arrow(f"SELECT modality FROM {self.schema}.entity ORDER BY entity_id")["modality"].to_numpy(zero_copy_only=False)
        open_rows = clamped < 0
        modalities = tuple(
            {"modality": name, "entities": n, "reached": reached, "labelled": labelled, "no_seed_beside": float(alone[open_rows & (modality == name)].mean()) if (open_rows & (modality == name)).any() else None}
            for name, n, reached, labelled in self.store.rows(LABELLED.format(s=self.schema))
        )
        return Propagation(
            self.options.method, graph.nnz // 2, found.recall, found.cross_recall, int((seeds.clamped >= 0).sum()), int((seeds.held_out >= 0).sum()), thresholds, modalities,
            *parts[:3], len(spread.trace), spread.converged, self.graph_kept, tuple(self.diagnostics),
        )  # fmt: skip


def _dense(spread: Spread, rows: np.ndarray, n_classes: int) -> np.ndarray:
    """float64 (len(rows), K): scores of all classes, 0 for those a row did not keep, NaN where unreached."""
    if spread.label is None:
        return spread.score[rows]
    found = np.where((spread.n_hops[rows] >= 0)[:, None], 0.0, np.nan) * np.ones(n_classes)
    row, place = np.nonzero(spread.label[rows] >= 0)
    found[row, spread.label[rows][row, place]] = spread.score[rows][row, place]
    return found


def _finite(value: float) -> float | None:
    return float(value) if np.isfinite(value) else None


def _device() -> str:
    import torch

    return "cuda" if torch.cuda.is_available() else "cpu"
