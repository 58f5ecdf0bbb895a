"""A store with one task, made from votes in a dictionary: everything the report reads, without a pipeline."""

from __future__ import annotations

import random
from dataclasses import dataclass, field
from typing import Any, Mapping, Sequence

import duckdb
import pyarrow as pa
from sqlglot import exp

from groundswell.store import Store
from groundswell.store.schema import TABLES
from groundswell.types import Task

CLASSES = ("ham", "spam", "other")


@dataclass
class World:
    """What is known: votes per entity (lf -> label), splits, gold, texts, the label model's answers per entity.

    posterior  entity -> {label: p}; default: shares of the votes. Entities with the same votes must have the same.
    predicted  entity -> {label: p}, or None where there is no end model
    """

    votes: Mapping[int, Mapping[str, str]]
    classes: Sequence[str] = ("ham", "spam")
    splits: Mapping[int, str] = field(default_factory=dict)
    gold: Mapping[int, str] = field(default_factory=dict)
    texts: Mapping[int, str] = field(default_factory=dict)
    posterior: Mapping[int, Mapping[str, float]] = field(default_factory=dict)
    predicted: Mapping[int, Mapping[str, float]] | None = None
    lfs: Sequence[str] | None = None
    broken: Mapping[str, str] = field(default_factory=dict)
    warnings: Sequence[str] = ()
    name: str = "spam"

    @property
    def task(self) -> Task:
        return Task(self.name, tuple(self.classes), ("text",))

    @property
    def names(self) -> list[str]:
        return sorted(self.lfs if self.lfs is not None else {lf for each in self.votes.values() for lf in each})

    def split(self, entity: int) -> str:
        return self.splits.get(entity, "train")

    def p(self, entity: int) -> dict[str, float]:
        if entity in self.posterior:
            return dict(self.posterior[entity])
        cast = list(self.votes[entity].values())
        return {c: cast.count(c) / len(cast) for c in self.classes}

    def label(self, entity: int) -> str | None:
        """The most probable class; None on a tie or without votes."""
        if not self.votes[entity]:
            return None
        ranked = sorted(self.p(entity).items(), key=lambda pair: -pair[1])
        return None if ranked[0][1] - ranked[1][1] <= 1e-5 else ranked[0][0]


def store_of(world: World) -> Store:
    """The world as a store."""
    connection = duckdb.connect(":memory:")
    connection.execute("ATTACH ':memory:' AS store")
    connection.execute("USE store")
    store = Store(connection, None)
    connection.execute(TABLES)
    connection.execute(f"CREATE SCHEMA {exp.to_identifier(world.name, quoted=True).sql('duckdb')}")
    for name, table in tables(world).items():
        store.create_from_arrow(world.name, name, table)
    for name in ("lf_summary", "lf_pair", "lf_confusion", "coverage"):
        store.create_from_file(world.name, name)
    record(store, world)
    return store


def rows(columns: Mapping[str, pa.DataType], found: Sequence[Sequence[Any]]) -> pa.Table:
    """Rows as an Arrow table."""
    return pa.table({name: pa.array([row[i] for row in found], kind) for i, (name, kind) in enumerate(columns.items())})


def tables(world: World) -> dict[str, pa.Table]:
    """The task's tables that no SQL file makes."""
    text, whole, real = pa.string(), pa.int64(), pa.float64()
    pattern_ids = {votes: i for i, votes in enumerate(sorted({tuple(sorted(v.items())) for v in world.votes.values()}))}
    pattern = {e: pattern_ids[tuple(sorted(v.items()))] for e, v in world.votes.items()}
    first = {p: min(e for e in pattern if pattern[e] == p) for p in pattern_ids.values()}
    covered = [p for p in first.values() if world.votes[p]]
    entities = sorted(world.votes)
    made = {
        "entity": rows(
            {"entity_id": whole, "modality": text, "split": text, "body": text},
            [(e, "text", world.split(e), world.texts.get(e, f"text {e}")) for e in entities],
        ),
        "class": rows(
            {"label": text, "position": pa.int32(), "prior": real},
            [(c, i, 1 / len(world.classes) if any(world.votes.values()) else None) for i, c in enumerate(world.classes)],
        ),
        "gold_label": rows({"entity_id": whole, "label": text}, sorted(world.gold.items())),
        "lf": rows(
            {
                "lf": text,
                "kind": text,
                "label": text,
                "sql": text,
                "path": text,
                "line": pa.int32(),
                "owner": text,
                "tags": pa.list_(text),
                "status": text,
                "error": text,
            },
            [
                (
                    lf,
                    "predicate",
                    None,
                    f"FROM t WHERE body ILIKE '%{lf}%'",
                    "lfs/rules.sql",
                    i + 1,
                    "me",
                    ["a"],
                    "error" if lf in world.broken else "ok",
                    world.broken.get(lf),
                )
                for i, lf in enumerate(sorted([*world.names, *world.broken]))
            ],
        ),
        "pattern_vote": rows(
            {"pattern_id": pa.uint64(), "lf": text, "label": text, "said": text, "ruled_out": text, "symbol": text, "ballot": text},
            [(p, lf, label, label, None, label, "vote") for votes, p in pattern_ids.items() for lf, label in votes],
        ),
        "vote_pattern": rows(
            {"pattern_id": pa.uint64(), "n_entities": whole, "n_votes": pa.int32(), "votes": pa.map_(text, text)},
            [(p, sum(q == p for q in pattern.values()), len(votes), list(votes)) for votes, p in pattern_ids.items()],
        ),
        "entity_vote": rows(
            {"entity_id": whole, "modality": text, "split": text, "pattern_id": pa.uint64()},
            [(e, "text", world.split(e), pattern[e]) for e in entities],
        ),
        "pattern_split": rows(
            {"modality": text, "split": text, "pattern_id": pa.uint64(), "n_entities": whole},
            [
                ("text", *key, sum((world.split(e), pattern[e]) == key for e in entities))
                for key in sorted({(world.split(e), pattern[e]) for e in entities})
            ],
        ),
        "pattern_gold": rows(
            {"pattern_id": pa.uint64(), "gold": text, "n": whole},
            [(*key, sum((pattern[e], g) == key for e, g in world.gold.items())) for key in sorted({(pattern[e], g) for e, g in world.gold.items()})],
        ),
        "pattern_label": rows(
            {"pattern_id": pa.uint64(), "label": text, "p": real}, [(pattern[e], c, world.p(e)[c]) for e in covered for c in world.classes]
        ),
        "pattern_summary": rows(
            {"pattern_id": pa.uint64(), "label": text, "confidence": real, "entropy": real, "n_votes": pa.int32()},
            [(pattern[e], world.label(e), max(world.p(e).values()), 0.0, len(world.votes[e])) for e in covered],
        ),
        "label_evidence": rows(
            {"lf": text, "vote": text, "label": text, "weight": real},
            [(None, None, c, 0.0) for c in world.classes]
            + [(lf, vote, c, float(vote == c)) for lf in world.names for vote in (*world.classes, None) for c in world.classes],
        ),
        "label_interaction": rows({"lfs": pa.list_(text), "votes": pa.list_(text), "label": text, "weight": real}, []),
        "vote_symbol": rows({"symbol": text, "hard": text}, [(c, c) for c in world.classes]),
        "lf_learned": rows({"lf": text, "learned_accuracy": real}, [(lf, 0.75) for lf in world.names]),
        "label_model": rows(
            {
                "model_id": whole,
                "method": text,
                "options": text,
                "majority_disagreement": real,
                "expected_accuracy": real,
                "warnings": pa.list_(text),
                "is_current": pa.bool_(),
                "created_at": pa.timestamp("us", "UTC"),
            },
            [(1, "auto", '{"chosen": "dawid_skene", "reason": "votes overlap"}', 0.1, 0.9, list(world.warnings), True, 0)] if world.names else [],
        ),
    }
    if world.predicted is not None:
        made["predictions"] = rows(
            {"model_id": whole, "entity_id": whole, "predicted_label": text, "confidence": real, "p": pa.map_(text, real)},
            [(1, e, max(p, key=p.get), max(p.values()), list(p.items())) for e, p in sorted(world.predicted.items())],
        )
    return made


def record(store: Store, world: World) -> None:
    """Two runs in the schema gs."""
    for run in (1, 2):
        store.execute(
            f"INSERT INTO gs.run VALUES ({run}, 'run', $t, TIMESTAMPTZ '2026-01-0{run} 10:00:00+00', 1.5, 'ok', map(['duckdb'], ['1.4']))",
            {"t": world.name},
        )
        store.execute(
            "INSERT INTO gs.lineage VALUES ($r, $o, 'warehouse.t', 'abc'), ($r, $v, 'lf:a', 'x'), ($r, $v, 'lf:b', 'y')",
            {"r": run, "o": f"{world.name}.entity", "v": f"{world.name}.votes"},
        )
        for lf in world.names[run - 1 :]:
            store.execute(
                "INSERT INTO gs.lf_run VALUES ($r, $t, $lf, 'f', 'new', $n, 0.1, NULL)", {"r": run, "t": world.name, "lf": lf, "n": 10 * run}
            )


def random_world(seed: int = 0, n: int = 160, with_model: bool = True) -> World:
    """n entities, five LFs, three classes, gold on half of them, answers that depend on the votes only."""
    r = random.Random(seed)
    votes = {e: {lf: r.choice(CLASSES) for lf in "abcd" if r.random() < 0.35} | ({"z": "spam"} if r.random() < 0.2 else {}) for e in range(n)}
    answer: dict[tuple, dict[str, float]] = {}
    for e, cast in votes.items():
        weights = [1 + 4 * list(cast.values()).count(c) + r.random() for c in CLASSES]
        answer.setdefault(tuple(sorted(cast.items())), {c: w / sum(weights) for c, w in zip(CLASSES, weights)})
    posterior = {e: answer[tuple(sorted(cast.items()))] for e, cast in votes.items() if cast}
    predicted = {e: dict(zip(CLASSES, (lambda w: [x / sum(w) for x in w])([r.random() for _ in CLASSES]))) for e in votes}
    splits = {e: r.choice(("train", "dev", "test")) for e in votes}
    gold = {e: r.choice(CLASSES) for e in votes if r.random() < 0.5}
    return World(votes, CLASSES, splits, gold, posterior=posterior, predicted=predicted if with_model else None)
