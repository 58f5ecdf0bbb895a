"""Vote tables as arrays: long (key, lf, label) or wide (one column per LF), from anything that speaks Arrow."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from groundswell.errors import LabelModelError, did_you_mean
from groundswell.label_models.patterns import ABSTAIN


@dataclass(frozen=True)
class VoteTable:
    """A vote table read into arrays.

    keys     Arrow array (n,)      distinct, in input order, no NULL, plain values
    key_type Arrow type            of the keys as they came in
    matrix   int8 or int16 (n, m)  index into labels, -1 = abstain
    lfs      m names
    labels   Arrow array (K,)      the classes, in order, of the votes' own type
    type     Arrow type            of the labels as they came in (a dictionary type stays one)
    """

    keys: pa.Array
    key_type: pa.DataType
    matrix: np.ndarray
    lfs: tuple[str, ...]
    labels: pa.Array
    type: pa.DataType

    @property
    def classes(self) -> tuple[str, ...]:
        """The labels as text, K names."""
        return tuple(str(label) for label in self.labels.to_pylist())


def as_table(relation: Any, what: str = "votes") -> pa.Table:
    """The relation as an Arrow table: an Arrow table or reader, a data frame, a DuckDB or Ibis relation; raises LM121."""
    if isinstance(relation, pa.Table):
        return relation
    if isinstance(relation, pa.RecordBatch):
        return pa.Table.from_batches([relation])
    if hasattr(relation, "to_pyarrow"):
        return as_table(relation.to_pyarrow(), what)
    for name in ("to_arrow_table", "fetch_arrow_table"):  # DuckDB relations, of 1.5 and of 1.4
        if hasattr(relation, name):
            return getattr(relation, name)()
    if hasattr(relation, "__arrow_c_stream__"):
        return pa.RecordBatchReader.from_stream(relation).read_all()
    if hasattr(relation, "arrow"):
        return as_table(relation.arrow(), what)
    raise LabelModelError(
        "LM121",
        f"{what} must be an Arrow table, a data frame, or a DuckDB or Ibis relation, got {type(relation).__name__}",
    )


def read_votes(votes: Any, *, key: str, classes: Sequence[Any] | None, abstain: Any, also: pa.Array | None) -> VoteTable:
    """The votes as arrays; raises LM112 and LM121 to LM127.

    key      the key column
    classes  labels in the order wanted, None = all labels seen, sorted
    abstain  a label that means abstain beside NULL, or None
    also     labels that are classes although no LF votes for them (gold), or None
    """
    table = as_table(votes)
    if key not in table.column_names:
        hint = did_you_mean(key, table.column_names) or f"columns: {', '.join(table.column_names)}"
        raise LabelModelError("LM121", f'the votes have no key column "{key}"', hint=hint)
    keys = _without_null(flat(table[key]), key)
    key_type = table[key].type
    rest = [name for name in table.column_names if name != key]
    long = {"lf", "label"} <= set(rest)
    if long and len(rest) > 2:
        extra = ", ".join(sorted(set(rest) - {"lf", "label"}))
        raise LabelModelError("LM121", f'long votes are ("{key}", lf, label), found also: {extra}', hint="select three columns")
    names, columns = (["label"], [table["label"]]) if long else (rest, [table[name] for name in rest])
    labels, type_ = _one_type([_nan_as_null(flat(c)) for c in columns], names, [c.type for c in columns])
    labels = [_without_abstain(c, name, abstain, classes, wide=not long) for c, name in zip(labels, names)]
    order = _classes(labels, classes, also)
    indexes = [_indexes(c, name, order) for c, name in zip(labels, names)]
    if long:
        return _long(keys, key_type, key, flat(table["lf"]), indexes[0], order, type_)
    _refuse_twice(keys, key)
    matrix = np.stack(indexes, axis=1) if indexes else np.zeros((len(keys), 0), np.int8)
    return VoteTable(keys, key_type, matrix, tuple(names), order, type_)


def _long(
    keys: pa.Array, key_type: pa.DataType, key: str, lf: pa.Array, votes: np.ndarray, labels: pa.Array, type_: pa.DataType
) -> VoteTable:
    """One row per key in order of first appearance, one column per LF in order of names."""
    if lf.null_count:
        raise LabelModelError("LM121", f"{lf.null_count} rows of the votes have no lf")
    coded_keys, coded_lfs = keys.dictionary_encode(), pc.cast(lf, pa.string()).dictionary_encode()
    names = coded_lfs.dictionary.to_pylist()
    order = np.argsort(np.argsort(names)) if names else np.zeros(0, np.int64)
    row, column = coded_keys.indices.to_numpy(), order[coded_lfs.indices.to_numpy()]
    matrix = np.full((len(coded_keys.dictionary), len(names)), ABSTAIN, votes.dtype)
    voted = votes != ABSTAIN
    matrix[row[voted], column[voted]] = votes[voted]
    clash = np.flatnonzero(voted & (matrix[row, column] != votes))
    if len(clash):
        at = clash[0]
        raise LabelModelError("LM124", f'LF "{lf[at]}" votes two labels for {key} = {keys[at]}')
    return VoteTable(coded_keys.dictionary, key_type, matrix, tuple(sorted(names)), labels, type_)


def restored(values: pa.Array, type_: pa.DataType) -> pa.Array:
    """The values in the type they came in: dictionaries (ENUM, category) are decoded on the way in."""
    return values.dictionary_encode().cast(type_) if pa.types.is_dictionary(type_) else values


def flat(column: pa.ChunkedArray) -> pa.Array:
    """One array of plain values."""
    if pa.types.is_dictionary(column.type):
        column = column.cast(column.type.value_type)
    if pa.types.is_string_view(column.type):
        column = column.cast(pa.large_string())
    flat = column.combine_chunks()
    return pa.concat_arrays(flat.chunks) if isinstance(flat, pa.ChunkedArray) else flat


def _nan_as_null(column: pa.Array) -> pa.Array:
    if not pa.types.is_floating(column.type):
        return column
    return pc.if_else(pc.is_nan(column), pa.scalar(None, column.type), column)


def _without_null(keys: pa.Array, key: str) -> pa.Array:
    if keys.null_count:
        raise LabelModelError("LM122", f'{keys.null_count} rows of the votes have no key: "{key}" is NULL')
    return keys


def _refuse_twice(keys: pa.Array, key: str) -> None:
    seen = keys.value_counts() if len(keys) else None
    if seen is None or len(seen) == len(keys):
        return
    first = seen.field("values").filter(pc.greater(seen.field("counts"), 1))[0]
    raise LabelModelError("LM123", f'wide votes have one row per key, "{key}" = {first} stands in several')


def _one_type(columns: list[pa.Array], names: list[str], given: list[pa.DataType]) -> tuple[list[pa.Array], pa.DataType]:
    """All columns in one label type, and the type to hand back."""
    voting = [(c, n, t) for c, n, t in zip(columns, names, given) if not pa.types.is_null(c.type)]
    if not voting:
        return [c.cast(pa.string()) for c in columns], pa.string()
    plain = _common_type([c for c, _, _ in voting], [n for _, n, _ in voting])
    types = {t for _, _, t in voting}
    kept = next(iter(types)) if len(types) == 1 else plain
    return [c.cast(plain) for c in columns], kept if pa.types.is_dictionary(kept) else plain


def _common_type(columns: list[pa.Array], names: list[str]) -> pa.DataType:
    """The one type all columns fit; float columns of whole numbers are integers where another column is one (NaN made them float)."""
    types = {c.type for c in columns}
    if len(types) == 1:
        return columns[0].type
    if all(pa.types.is_integer(c.type) or _is_whole(c) for c in columns):
        return pa.int64()
    if all(pa.types.is_string(t) or pa.types.is_large_string(t) for t in types):
        return pa.large_string() if pa.large_string() in types else pa.string()
    found = ", ".join(f'"{n}" {c.type}' for c, n in zip(columns, names))
    raise LabelModelError("LM127", f"vote columns must hold labels of one type, found {found}", hint="cast them to one type")


def _is_whole(column: pa.Array) -> bool:
    return pa.types.is_floating(column.type) and pc.all(pc.equal(pc.floor(column), column)).as_py() is not False


def _without_abstain(
    column: pa.Array, name: str, abstain: Any, classes: Sequence[Any] | None, *, wide: bool
) -> pa.Array:
    """The labels with the abstain value as NULL; raises LM126 for a -1 that nobody declared."""
    if abstain is not None:
        is_abstain = pc.equal(column, _scalar(abstain, column.type, "abstain"))
        return pc.if_else(pc.fill_null(is_abstain, True), pa.scalar(None, column.type), column)
    numeric = pa.types.is_signed_integer(column.type) or pa.types.is_floating(column.type)
    declared = classes is not None and -1 in list(classes)
    if wide and numeric and not declared and pc.any(pc.equal(column, pa.scalar(-1, column.type))).as_py():
        raise LabelModelError("LM126", f'LF "{name}" holds -1', hint="say abstain=-1 if that means abstain, or list -1 in classes")
    return column


def _scalar(value: Any, type_: pa.DataType, what: str) -> pa.Scalar:
    try:
        return pa.scalar(value, type_)
    except (pa.ArrowInvalid, pa.ArrowTypeError, OverflowError) as problem:
        raise LabelModelError("LM125", f"{what} {value!r} is not of the labels' type {type_}") from problem


def _classes(columns: list[pa.Array], classes: Sequence[Any] | None, also: pa.Array | None) -> pa.Array:
    """The classes in order, of the labels' type; raises LM112 with fewer than two."""
    type_ = columns[0].type if columns else pa.string()
    if classes is not None:
        wanted = _labels(list(classes), type_)
    else:
        seen = [pc.unique(c).drop_null() for c in columns] + ([_labels(also.to_pylist(), type_)] if also is not None else [])
        wanted = pc.unique(pa.concat_arrays(seen)) if seen else pa.array([], type_)
        wanted = wanted.take(pc.array_sort_indices(wanted))
    if len(wanted) < 2:
        raise LabelModelError("LM112", f"the votes name {len(wanted)} classes: {wanted.to_pylist()}", hint="pass classes=[...]")
    return wanted


def _labels(values: list[Any], type_: pa.DataType) -> pa.Array:
    return pa.array([_scalar(v, type_, "class").as_py() for v in values], type_)


def _indexes(column: pa.Array, name: str, classes: pa.Array) -> np.ndarray:
    """Index into classes per row, -1 for NULL; raises LM125 for a label that is no class."""
    index = pc.index_in(column, value_set=classes, skip_nulls=True)
    if index.null_count > column.null_count:
        label = column.filter(pc.and_(pc.is_null(index), pc.is_valid(column)))[0].as_py()
        known = [str(c) for c in classes.to_pylist()]
        hint = did_you_mean(str(label), known) or f"classes: {', '.join(known)}"
        raise LabelModelError("LM125", f'"{name}" holds "{label}", which is not a class', hint=hint)
    small = np.int8 if len(classes) <= 127 else np.int16
    return pc.fill_null(index, ABSTAIN).to_numpy(zero_copy_only=False).astype(small)
