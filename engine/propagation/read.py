"""`entity` as features of propagation: every column by its type, in order of the keys."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Iterable, Mapping

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from ..errors import Diagnostic, PropagationError, did_you_mean
from ..store import Store
from ..store.names import quoted, table_name
from ..types import NUMBER_TYPES, RESERVED_COLUMNS
from .features import Column, Numbers, Rows, Sets, Vectors, bandwidth, unit_rows, where_present

TIMES = ("DATE", "TIMESTAMP")
CATEGORIES = ("VARCHAR", "BOOLEAN", "ENUM")
MOST_DISTINCT, FEW = 0.5, 50
"""A category with more values than this share of its rows (and than FEW) is a name or a text."""


@dataclass
class Read:
    """Rows as read: `keys` in order, modality names, features, what was left out and why."""

    keys: pa.Array
    modalities: tuple[str, ...]
    rows: Rows
    diagnostics: list[Diagnostic] = field(default_factory=list)


def kind_of(type_name: str) -> str | None:
    """number, time, category, set or vector, by DuckDB type; None for what rows cannot be compared by."""
    if type_name.endswith("]"):
        inner = type_name[: type_name.rindex("[")]
        if inner.endswith("]") or inner.startswith(("STRUCT", "MAP", "UNION", "BLOB")):
            return None
        return "vector" if inner.startswith(("FLOAT", "DOUBLE", "DECIMAL")) else "set"
    found = {NUMBER_TYPES: "number", TIMES: "time", CATEGORIES: "category"}
    return next((kind for names, kind in found.items() if type_name.startswith(names)), None)


def read_columns(columns: Mapping[str, str], exclude: Iterable[str], weights: Mapping[str, float]) -> dict[str, str]:
    """Column -> kind of the features, in the order of `entity`. Raises PropagationError PR104 for names nobody knows."""
    known = [c for c in columns if c not in RESERVED_COLUMNS]
    for name in (*exclude, *weights):
        if name not in known:
            raise PropagationError("PR104", f'there is no feature "{name}"', hint=did_you_mean(name, known) or f"features: {', '.join(known[:12])}")
    return {name: kind_of(columns[name]) or "" for name in known if name not in set(exclude)}


def read_rows(store: Store, schema: str, exclude: Iterable[str] = (), weights: Mapping[str, float] = {}, seed: int = 0) -> Read:
    """The features of all entities of a task. Raises PropagationError PR103, PR104, PR106."""
    entity = table_name(schema, "entity")
    kinds = read_columns(store.columns(f"FROM {entity}"), exclude, weights)
    found = store.arrow(f"SELECT entity_id, modality FROM {entity} ORDER BY entity_id")
    keys = found["entity_id"].combine_chunks()
    if len(keys) < 2:
        raise PropagationError("PR106", f"{len(keys)} row{'' if len(keys) == 1 else 's'}: labels spread between two or more", hint="check [modality] from in groundswell.toml")
    names, modality = np.unique(found["modality"].to_numpy(zero_copy_only=False).astype(str), return_inverse=True)
    reader = _Reader(store, entity, modality, len(names), seed)
    columns = [c for name, kind in kinds.items() if (c := reader.column(name, kind, weights.get(name, 1.0))) is not None]
    rows = Rows(modality, tuple(columns))
    return Read(keys, tuple(names), rows, [*reader.diagnostics(), *_apart(rows, tuple(names))])


def _apart(rows: Rows, names: tuple[str, ...]) -> list[Diagnostic]:
    """Warnings about modalities that share no feature with another. Raises PropagationError PR103 when none does."""
    shared = np.zeros(len(names), bool)
    for column in rows.common:
        shared |= column.modalities
    if not rows.common:
        what = "no column can be compared" if not rows.columns else f"no feature has values in both {' and '.join(names[:2])}"
        raise PropagationError("PR103", what, hint="features/*.sql: a column that every modality has, e.g. topics, categories, counts; or exclude fewer")
    return [
        Diagnostic("PR210", f"{name} has no feature in common with another modality", hint="its rows get labels from their own seeds alone; see features/*.sql") for name, is_shared in zip(names, shared) if not is_shared
    ]


class _Reader:
    """One column after the other, and what was odd about them."""

    def __init__(self, store: Store, entity: str, modality: np.ndarray, n_modalities: int, seed: int):
        self.store, self.entity, self.modality, self.n_modalities, self.seed = store, entity, modality, n_modalities, seed
        self.odd: dict[str, list[str]] = {"PR203": [], "PR204": [], "PR208": []}

    def column(self, name: str, kind: str, weight: float) -> Column | None:
        """One feature; None when it has no value, one value, or cannot be compared."""
        if not kind:
            self.odd["PR208"].append(name)
            return None
        read = {"number": self._number, "time": self._number, "category": self._category, "set": self._set, "vector": self._vector}[kind]
        found = read(name, kind, weight)
        return found if found is not None and found.present.any() else None

    def diagnostics(self) -> list[Diagnostic]:
        """PR203, PR204, PR208: each with the names it is about."""
        said = {
            "PR203": ("values that are NaN, infinite, zero vectors or of another length: {}", "such a row has no likeness in that feature, as if it were NULL"),
            "PR204": ("one value only, left out: {}", "a constant makes all rows a little more alike"),
            "PR208": ("not compared: {}", "texts, names and structures are none; make lists or embeddings of them (features/*.sql)"),
        }
        return [Diagnostic(code, said[code][0].format(", ".join(names)), hint=said[code][1]) for code, names in self.odd.items() if names]

    def _read(self, value: str) -> pa.Array:
        found = self.store.arrow(f"SELECT {value} AS v FROM {self.entity} ORDER BY entity_id")["v"]
        return pa.concat_arrays(found.chunks) if found.num_chunks else pa.array([], found.type)

    def _where(self, present: np.ndarray) -> np.ndarray:
        return where_present(present, self.modality, self.n_modalities)

    def _number(self, name: str, kind: str, weight: float) -> Numbers | None:
        value = f"epoch(CAST({quoted(name)} AS TIMESTAMP))" if kind == "time" else f"CAST({quoted(name)} AS DOUBLE)"
        found = self._read(value)
        values, known = found.to_numpy(zero_copy_only=False), ~np.asarray(found.is_null())
        present = known & np.isfinite(values)
        if (known & ~present).any():
            self.odd["PR203"].append(f"{name} ({int((known & ~present).sum()):,} rows)")
        h = bandwidth(values[present], self.seed)
        if present.any() and not h:
            self.odd["PR204"].append(name)
            return None
        centre = np.median(values[present]) if present.any() else 0.0
        scaled = np.where(present, np.clip((values - centre) / (h or 1.0), -1e6, 1e6), 0.0)  # in bandwidths: single precision would lose large numbers
        return Numbers(name, present, self._where(present), weight, scaled.astype(np.float32), 1.0)

    def _category(self, name: str, kind: str, weight: float) -> Sets | None:
        found = self._read(f"CAST({quoted(name)} AS VARCHAR)")
        present = ~np.asarray(found.is_null())
        tokens, n_tokens = _codes(found.drop_null())
        if n_tokens > max(FEW, MOST_DISTINCT * present.sum()):
            self.odd["PR208"].append(name)
            return None
        if present.any() and n_tokens < 2:
            self.odd["PR204"].append(name)
            return None
        return Sets(name, present, self._where(present), weight, np.concatenate([[0], np.cumsum(present)]), tokens)

    def _set(self, name: str, kind: str, weight: float) -> Sets | None:
        found = self._read(f"list_distinct(CAST({quoted(name)} AS VARCHAR[]))")
        sizes = pc.list_value_length(found)
        present = ~np.asarray(sizes.is_null())
        sizes = sizes.fill_null(0).to_numpy()
        tokens, n_tokens = _codes(found.flatten())
        if present.any() and (not n_tokens or (n_tokens == 1 and sizes[present].min() == 1)):
            self.odd["PR204"].append(name)
            return None
        return Sets(name, present, self._where(present), weight, np.concatenate([[0], np.cumsum(sizes)]), tokens)

    def _vector(self, name: str, kind: str, weight: float) -> Vectors | None:
        as_list = f"CAST({quoted(name)} AS FLOAT[])"
        length = self.store.value(f"SELECT mode(len({as_list})) FROM {self.entity}")
        if not length:
            return None
        unit, known, at = np.zeros((len(self.modality), length), np.float32), np.zeros(len(self.modality), bool), 0
        query = f"SELECT {quoted(name)} IS NOT NULL AS known, CASE WHEN len({as_list}) = {length} THEN {as_list} END AS v FROM {self.entity} ORDER BY entity_id"
        for batch in self.store.stream(query):
            v, rows = batch.column("v"), slice(at, at + batch.num_rows)
            known[rows] = np.asarray(batch.column("known").to_numpy(zero_copy_only=False), bool)
            flat = v.flatten()
            unit[rows][~np.asarray(v.is_null())] = flat.fill_null(np.nan).to_numpy(zero_copy_only=False).reshape(-1, length)
            at += batch.num_rows
        unit, present = unit_rows(unit)
        if (known & ~present).any():
            self.odd["PR203"].append(f"{name} ({int((known & ~present).sum()):,} rows)")
        return Vectors(name, present, self._where(present), weight, unit)


def _codes(values: pa.Array) -> tuple[np.ndarray, int]:
    """(int32 (n,), number of values): each text as its place among the sorted ones."""
    encoded = values.dictionary_encode()
    place = np.empty(len(encoded.dictionary), np.int32)
    place[pc.sort_indices(encoded.dictionary).to_numpy()] = np.arange(len(place), dtype=np.int32)
    return place[encoded.indices.to_numpy(zero_copy_only=False)] if len(values) else np.zeros(0, np.int32), len(place)
