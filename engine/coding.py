"""Affinity coding: prototypes, affinities, clusters and their names, from the warehouse into tables (Das et al. 2019)."""

from __future__ import annotations

import json
from dataclasses import dataclass, field, fields
from datetime import datetime, timezone
from pathlib import Path
from typing import Any, Callable, Mapping

import numpy as np
import pyarrow as pa

from .affinity import DEFAULT_METHOD, AffinityFunction, Clusters, Evidence, affinities, infer, inference, prototypes, sampled
from .affinity.calibration import LEAST_GOLD, fitted_temperature, tempered
from .affinity.declared import named_function
from .affinity.encoding import Encoded, EncodingOptions, encode
from .affinity.kept import KeptCodings
from .affinity.mapping import gold_needed
from .affinity.prototypes import Prototypes
from .coding_map import Naming, name_clusters, named_by_class, write_map
from .errors import AffinityError, Diagnostic, did_you_mean
from .features import build_entities, build_gold, entity_layout
from .state import recorded
from .store import Store, publish, writing
from .store.names import quoted
from .types import EntityLayout, Event, Listener, Project, Task, silent

BLOCK_WIDTH = 1024
"""Prototypes per row of `affinity`."""
KEEP = ("all", "clusters")

TABLES = """
CREATE TABLE IF NOT EXISTS {s}.prototype (affinity_function VARCHAR, prototype_id BIGINT, entity_id {k}, "row" INTEGER, "col" INTEGER, vector FLOAT[]);
CREATE TABLE IF NOT EXISTS {s}.affinity (affinity_function VARCHAR, entity_id {k}, block INTEGER, s FLOAT[]);
CREATE TABLE IF NOT EXISTS {s}.affinity_cluster (affinity_function VARCHAR, entity_id {k}, cluster INTEGER, p DOUBLE);
CREATE TABLE IF NOT EXISTS {s}.affinity_map (affinity_function VARCHAR, cluster INTEGER, label VARCHAR, source VARCHAR);
CREATE TABLE IF NOT EXISTS {s}.affinity_model (affinity_function VARCHAR, method VARCHAR, options JSON, seed BIGINT, n_entities BIGINT, n_prototypes BIGINT,
    n_iterations INTEGER, converged BOOLEAN, stability DOUBLE, temperature DOUBLE, expected_accuracy DOUBLE, gold_needed INTEGER, changed_labels BIGINT[],
    warnings VARCHAR[], created_at TIMESTAMPTZ);
"""
NAMED = ("prototype", "affinity", "affinity_cluster", "affinity_map", "affinity_model")


@dataclass(frozen=True)
class CodingOptions:
    """How affinity coding is done.

    name              of this coding in all tables (default: what is encoded)
    k                 prototypes per entity
    most_prototypes   a sample where there are more: affinities grow with entities times prototypes
    function          the affinity function
    method, options   class inference
    restarts          seeds that are compared, by methods that start at random
    keep              all: prototypes and affinities become tables; clusters: only what inference found
    """

    encoding: EncodingOptions = EncodingOptions()
    name: str | None = None
    k: int = 5
    most_prototypes: int | None = 5000
    function: str = "cosine"
    method: str = DEFAULT_METHOD
    options: Mapping[str, Any] = field(default_factory=dict)
    seed: int = 0
    restarts: int = 3
    keep: str = "all"


def coding_options(given: Mapping[str, Any]) -> CodingOptions:
    """Options of the coding and of its encoding by name. Raises AffinityError AF108 for a name nobody knows."""
    encoding, own = {f.name for f in fields(EncodingOptions)}, {f.name for f in fields(CodingOptions)} - {"encoding"}
    for name in given:
        if name not in encoding | own:
            raise AffinityError("AF108", f'affinity has no option "{name}"', hint=did_you_mean(name, encoding | own) or f"options: {', '.join(sorted(encoding | own))}")
    return CodingOptions(EncodingOptions(**{k: v for k, v in given.items() if k in encoding}), **{k: v for k, v in given.items() if k in own})


@dataclass(frozen=True)
class Coding:
    """What affinity coding found.

    naming         which cluster is which class, and who says so; None: no cluster has a name yet
    expected_accuracy  mean confidence; gold_needed: labels a class that name clusters of that accuracy rightly with 99 %
    """

    name: str
    n_entities: int
    n_prototypes: int
    clusters: Clusters
    naming: Naming | None
    temperature: float | None
    expected_accuracy: float
    gold_needed: int | None
    diagnostics: tuple[Diagnostic, ...]


def affinity(project: Project, task: Task, options: CodingOptions = CodingOptions(), listen: Listener = silent) -> Coding:
    """Encode, compute affinities, infer clusters, name them by gold or by gold/affinity_map.csv, publish.

    Raises AffinityError (AF1xx). Nothing of an earlier coding of this name is lost when this one fails, and a coding that was
    killed goes on where it was: filter maps, blocks of affinities and the answers of each seed are found again by content.
    """
    method = inference(options.method, **options.options)
    function = named_function(project, options.function)
    if options.keep not in KEEP:
        raise AffinityError("AF108", f'keep cannot be "{options.keep}"', hint=f"one of {', '.join(KEEP)}")
    with writing(project, "affinity") as store:
        with recorded(store, "affinity", task.name) as record:
            coder = _Coder(store, project, task, options, function, listen)
            coding = coder.run(method)
            record.lineage(f"{task.name}.affinity_cluster", {f"{task.name}.entity": f"{coding.name} {coding.n_entities}"})
        listen(Event("publish", f"publishing {project.published.name}"))
        publish(store, project.published)
        coder.kept.finish()
        return coding


class _Coder:
    """The steps of one coding."""

    def __init__(self, store: Store, project: Project, task: Task, options: CodingOptions, function: AffinityFunction, listen: Listener):
        self.store, self.project, self.task, self.options, self.function, self.listen = store, project, task, options, function, listen
        self.kept = KeptCodings(project.state_dir / "affinities")
        asked = options.encoding
        self.name = options.name or asked.vectors or asked.text or ("rows" if asked.rows else "image")
        self.schema = quoted(task.name)

    def run(self, method) -> Coding:
        layout = entity_layout(self.store, self.project, self.task)
        diagnostics = self._ready(layout)
        encoded = encode(self.store, self.project, layout, self.options.encoding, self.options.seed, lambda n: self.listen(Event("encode", f"{n:,} images through the network")))
        gold = self._gold(encoded)
        with self.store.transaction():
            self._clear()
            evidence = self._evidence(encoded, gold)
            self.listen(Event("infer", f"class inference: {self.options.method}"))
            found = infer(method, evidence, len(self.task.classes), self.options.seed, self.options.restarts, self.kept)
            coding = self._named(encoded, evidence, found, [*diagnostics, *encoded.diagnostics, *self._doubts(evidence), *found.diagnostics])
        return coding

    def _ready(self, layout: EntityLayout) -> list[Diagnostic]:
        """Entities, gold as it is now, and the tables of affinity coding."""
        if not self.store.has_table(self.task.name, "entity"):  # else a run keeps them up to date, and must see what is new
            build_entities(self.store, self.task, layout)
        diagnostics = build_gold(self.store, self.project, self.task, layout)
        self.store.connection.execute(TABLES.format(s=self.schema, k=layout.key_type))
        self.store.create_view_from_file(self.task.name, "affinity_label")
        return diagnostics

    def _clear(self) -> None:
        for table in NAMED:
            self.store.execute(f"DELETE FROM {self.schema}.{table} WHERE affinity_function = $n OR starts_with(affinity_function, concat($n, ':'))", {"n": self.name})

    def _gold(self, encoded: Encoded) -> np.ndarray:
        """int (N,): class of the entities of train and dev that have gold; -1 elsewhere. Test gold is kept for judging."""
        rows = self.store.rows(f"SELECT entity_id, label FROM {self.schema}.gold_label JOIN {self.schema}.entity USING (entity_id) WHERE split <> 'test'")
        known = {key: self.task.classes.index(label) for key, label in rows}
        return np.array([known.get(key, -1) for key in encoded.keys], dtype=int)

    # -- affinities -----------------------------------------------------------------------------------------------------

    def _evidence(self, encoded: Encoded, gold: np.ndarray) -> Evidence:
        if self.options.keep != "all":
            return build_evidence(encoded, self.options, self.function, gold, listen=self.listen, kept=self.kept)
        return build_evidence(encoded, self.options, self.function, gold, self._write_prototypes, self._write_block, self.listen, self.kept)

    def _write_prototypes(self, layer: str, keys: list[Any], grid: tuple[int, int] | None, found: Prototypes) -> None:
        width, name = grid[1] if grid else 1, self._layer_name(layer)
        self.store.append_arrow(self.task.name, "prototype", pa.table({
            "affinity_function": pa.array([name] * len(found)), "prototype_id": pa.array(np.arange(len(found))), "entity_id": pa.array([keys[i] for i in found.entity]),
            "row": pa.array((found.position // width).astype(np.int32)), "col": pa.array((found.position % width).astype(np.int32)), "vector": float_lists(found.vectors),
        }))  # fmt: skip

    def _layer_name(self, layer: str) -> str:
        return f"{self.name}:{layer}" if layer else self.name

    def _write_block(self, layer: str, keys: list[Any], scores: np.ndarray) -> None:
        name = self._layer_name(layer)
        for block, start in enumerate(range(0, scores.shape[1], BLOCK_WIDTH)):
            self.store.append_arrow(self.task.name, "affinity", pa.table({
                "affinity_function": pa.array([name] * len(keys)), "entity_id": pa.array(keys), "block": pa.array(np.full(len(keys), block, np.int32)),
                "s": float_lists(scores[:, start : start + BLOCK_WIDTH]),
            }))  # fmt: skip

    def _doubts(self, evidence: Evidence) -> list[Diagnostic]:
        found, low, high = [], float(evidence.affinity.min()), float(evidence.affinity.max())
        if low < -1e-3 or high > 1 + 1e-3:
            found.append(Diagnostic("AF210", f"affinities range from {low:.2f} to {high:.2f}", hint="the layer has no ReLU behind it: every method works, but a score of 0 no longer means nothing in common"))
        if self.options.most_prototypes is not None and evidence.affinity.shape[1] == self.options.most_prototypes:
            found.append(Diagnostic("AF211", f"{self.options.most_prototypes:,} prototypes were drawn from more", hint="--most-prototypes N keeps more"))
        return found

    # -- names ----------------------------------------------------------------------------------------------------------

    def _named(self, encoded: Encoded, evidence: Evidence, found: Clusters, diagnostics: list[Diagnostic]) -> Coding:
        by_class = self.options.method == "propagation"
        naming = named_by_class(self.task) if by_class else name_clusters(self.project, self.task, self.name, encoded.keys, found.labels, evidence.gold)
        temperature = None
        if naming is not None and not by_class:
            known = evidence.gold >= 0
            temperature = fitted_temperature(found.log_odds[known][:, np.argsort(naming.classes)], evidence.gold[known])
            diagnostics += naming.diagnostics
        elif naming is None:
            diagnostics.append(Diagnostic("AF205", "clusters have no class names yet", hint="groundswell affinity map: look at each cluster and name it"))
        if temperature is None and inference(self.options.method, **self.options.options).overconfident:
            diagnostics.append(Diagnostic("AF212", f"method {self.options.method} multiplies prototypes that depend on each other: its p says little", hint=f"{LEAST_GOLD} gold labels in train and dev calibrate it"))
        p = found.p if temperature is None else tempered(found.log_odds, temperature)
        accuracy = float(p.max(axis=1).mean())
        coding = Coding(self.name, len(p), evidence.affinity.shape[1], found, naming, temperature, accuracy, gold_needed(min(accuracy, 0.999), p.shape[1]), tuple(diagnostics))
        self._write(encoded, coding, p)
        return coding

    def _write(self, encoded: Encoded, coding: Coding, p: np.ndarray) -> None:
        n, k = p.shape
        self.store.append_arrow(self.task.name, "affinity_cluster", pa.table({
            "affinity_function": pa.array([self.name] * (n * k)), "entity_id": pa.array([key for key in encoded.keys for _ in range(k)]),
            "cluster": pa.array(np.tile(np.arange(k, dtype=np.int32), n)), "p": pa.array(p.ravel()),
        }))  # fmt: skip
        if coding.naming is not None:
            write_map(self.store, self.task, self.name, coding.naming)
        o, e = self.options, self.options.encoding
        settings = {"k": o.k, "function": o.function, "restarts": o.restarts, **o.options, **{f: getattr(e, f) for f in ("images", "vectors", "text", "rows", "network", "layers", "convention", "size", "grid")}}
        settings["weights"] = None if e.weights is None else str(e.weights) if isinstance(e.weights, (str, Path)) else "a state dict"
        self.store.execute(
            f"INSERT INTO {self.schema}.affinity_model VALUES ($name, $method, $options, $seed, $n, $m, $iterations, $converged, $stability, $temperature, $accuracy, $needed, $trace, $warnings, $at)",
            {
                "name": self.name, "method": o.method, "options": json.dumps(settings, default=str), "seed": o.seed, "n": n, "m": coding.n_prototypes,
                "iterations": len(coding.clusters.trace), "converged": coding.clusters.converged, "stability": coding.clusters.stability, "temperature": coding.temperature,
                "accuracy": coding.expected_accuracy, "needed": coding.gold_needed, "trace": [c for _, c in coding.clusters.trace],
                "warnings": [f"{d.code}: {d.message}" for d in coding.diagnostics], "at": datetime.now(timezone.utc).isoformat(),
            },
        )  # fmt: skip


def build_evidence(
    encoded: Encoded, options: CodingOptions, function: AffinityFunction, gold: np.ndarray | None = None, on_prototypes: Callable | None = None,
    on_block: Callable | None = None, listen: Listener = silent, kept: KeptCodings | None = None,
) -> Evidence:  # fmt: skip
    """Affinities of all layers in one matrix, by the affinity function of the options.

    on_prototypes(layer, keys, grid, prototypes) and on_block(layer, keys of the block, float32 (b, M)) see each part while it is made.
    """
    share = None if options.most_prototypes is None else max(1, options.most_prototypes // len(encoded.layers))
    found = [sampled(prototypes(parts, options.k), share, options.seed) for _, parts in encoded.layers]
    ends = np.cumsum([len(f) for f in found])
    matrix = np.empty((len(encoded.keys), ends[-1]), np.float32)
    for (layer, parts), each, end in zip(encoded.layers, found, ends):
        if on_prototypes:
            on_prototypes(layer, encoded.keys, parts.grid, each)
        at = 0
        for block in affinities(parts, each.vectors, function, kept=kept):
            matrix[at : at + len(block), end - len(each) : end] = block
            if on_block:
                on_block(layer, encoded.keys[at : at + len(block)], block)
            at += len(block)
            listen(Event("affinity", f"affinities of {at:,} of {len(matrix):,} rows to {len(each):,} prototypes"))
    return Evidence(
        matrix, np.concatenate([f.entity for f in found]), np.concatenate([f.rank + options.k * i for i, f in enumerate(found)]),
        np.concatenate([np.full(len(f), i) for i, f in enumerate(found)]), encoded.features, gold,
    )  # fmt: skip


def float_lists(rows: np.ndarray) -> pa.ListArray:
    """FLOAT[] (n,): the rows of a matrix (n, m)."""
    n, m = rows.shape
    return pa.ListArray.from_arrays(pa.array(np.arange(0, (n + 1) * m, m, dtype=np.int32)), pa.array(np.ascontiguousarray(rows, dtype=np.float32).ravel()))
