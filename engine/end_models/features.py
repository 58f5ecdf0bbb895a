"""Which columns an end model reads, and how: one kind per column, inferred from Arrow types and a sample."""

from __future__ import annotations

from dataclasses import asdict, dataclass
from typing import Iterable, Mapping

import pyarrow as pa
import pyarrow.compute as pc

from ..errors import Diagnostic, EndModelError, did_you_mean

KINDS = ("numeric", "categorical", "text", "multivalued", "embedding")
RESERVED = ("entity_id", "p", "weight")
"""Columns of a training batch that are never features."""

REPEATED_RATIO = 0.1
"""Strings with at most this share of distinct values are categories, whatever their length."""
FEW_VALUES, FEW_RATIO = 20, 0.5
"""So are strings with at most 20 distinct values of which at most half are distinct."""
TEXT_WORDS = 2.0
"""Other strings are text from this mean number of words on."""
IDENTIFIER_RATIO, IDENTIFIER_ROWS = 0.95, 100
"""Single words that are almost all distinct in a sample of 100 or more are identifiers: reported and skipped."""


@dataclass(frozen=True)
class Feature:
    """One input column. kind is one of KINDS; type the Arrow type as text; servable False = not readable at prediction time."""

    name: str
    kind: str
    type: str = "string"
    servable: bool = True

    @property
    def sql_type(self) -> str:
        """DuckDB type of this input in predict_<task>(...): DOUBLE, TIMESTAMP, TIMESTAMPTZ, DATE, BOOLEAN, VARCHAR,
        VARCHAR[] or FLOAT[]."""
        if self.type == "bool":
            return "BOOLEAN"
        if self.kind in ("multivalued", "embedding"):
            return "VARCHAR[]" if self.kind == "multivalued" else "FLOAT[]"
        if self.kind != "numeric":
            return "VARCHAR"
        if self.type.startswith("timestamp"):
            return "TIMESTAMPTZ" if "tz=" in self.type else "TIMESTAMP"
        return "DATE" if self.type.startswith("date") else "DOUBLE"


@dataclass(frozen=True)
class FeatureSpec:
    """The inputs of an end model, in column order."""

    features: tuple[Feature, ...]

    @property
    def names(self) -> tuple[str, ...]:
        return tuple(f.name for f in self.features)

    def check(self) -> None:
        """None. Raises EndModelError: EM117 without features, EM113 for an unknown kind, EM107 for a name used twice."""
        if not self.features:
            raise EndModelError("EM117", "the end model has no feature", hint="name at least one feature column")
        for feature in self.features:
            if feature.kind not in KINDS:
                raise _unknown_kind(feature.name, feature.kind)
        twice = {n for n in self.names if self.names.count(n) > 1}
        if twice:
            raise EndModelError("EM107", f"feature {min(twice)!r} is listed twice", hint="list each feature once")

    def as_json(self) -> list[dict[str, object]]:
        return [asdict(f) for f in self.features]

    @classmethod
    def from_json(cls, rows: Iterable[Mapping]) -> FeatureSpec:
        return cls(tuple(Feature(**row) for row in rows))


@dataclass(frozen=True)
class SkippedColumn:
    """A column that is not a feature, and why."""

    name: str
    reason: str

    @property
    def diagnostic(self) -> Diagnostic:
        return Diagnostic("EM202", f'column "{self.name}" is not used as a feature: {self.reason}')


@dataclass(frozen=True)
class ColumnStatistics:
    """What decides between category, text and identifier: counts over values that are not NULL, mean words per value."""

    n: int
    n_distinct: int
    mean_words: float

    @property
    def distinct_ratio(self) -> float:
        return self.n_distinct / max(1, self.n)


def column_statistics(sample: pa.Table | pa.RecordBatch) -> dict[str, ColumnStatistics]:
    """Column name -> statistics, for the string columns of a sample (a few thousand rows suffice)."""
    return {f.name: _string_statistics(sample.column(f.name)) for f in sample.schema if is_string(f.type)}


def _string_statistics(column) -> ColumnStatistics:
    text = pc.drop_null(decoded(column))
    words = pc.mean(pc.list_value_length(pc.utf8_split_whitespace(pc.utf8_trim_whitespace(text)))).as_py()
    return ColumnStatistics(len(text), pc.count_distinct(text).as_py(), float(words or 0))


def infer_features(
    schema: pa.Schema,
    statistics: Mapping[str, ColumnStatistics] | pa.Table | pa.RecordBatch,
    *,
    kinds: Mapping[str, str] | None = None,
    exclude: Iterable[str] = (),
) -> tuple[FeatureSpec, list[SkippedColumn]]:
    """The features of a schema in column order, and the columns left out with the reason.

    statistics  of the string columns (`column_statistics`), or the sample itself
    kinds       column -> kind, decided by the user; wins over inference
    exclude     columns that are not features, beside entity_id, p and weight; not reported

    Numbers, dates and timestamps are numeric (timestamps in seconds), booleans and enums categorical, lists of strings
    multivalued, lists of numbers embeddings. A string column is
    categorical if its values repeat (distinct ratio <= .1, or <= 20 distinct values and ratio <= .5), else text if it has
    two words or more on average, else skipped as an identifier if its ratio exceeds .95 in 100 rows, else categorical.
    Raises EndModelError EM105 if kinds names an unknown column, EM113 for an unknown kind.
    """
    kinds = dict(kinds or {})
    if not isinstance(statistics, Mapping):
        statistics = column_statistics(statistics)
    _check_overrides(kinds, schema)
    left_out = {*RESERVED, *exclude}
    features, skipped = [], []
    for field in (f for f in schema if f.name not in left_out):
        kind, reason = (kinds[field.name], None) if field.name in kinds else _kind_of(field, statistics)
        if kind:
            features.append(Feature(field.name, kind, str(field.type)))
        else:
            skipped.append(SkippedColumn(field.name, reason))
    return FeatureSpec(tuple(features)), skipped


def _check_overrides(kinds: Mapping[str, str], schema: pa.Schema) -> None:
    for name, kind in kinds.items():
        if name not in schema.names:
            raise EndModelError("EM105", f'there is no column "{name}"', hint=did_you_mean(name, schema.names))
        if kind not in KINDS:
            raise _unknown_kind(name, kind)


def _unknown_kind(name: str, kind: str) -> EndModelError:
    hint = did_you_mean(kind, KINDS) or f"the kinds are {', '.join(KINDS)}"
    return EndModelError("EM113", f'feature "{name}" has an unknown kind "{kind}"', hint=hint)


def _kind_of(field: pa.Field, statistics: Mapping[str, ColumnStatistics]) -> tuple[str | None, str | None]:
    if is_number(field.type) or is_instant(field.type):
        return "numeric", None
    if pa.types.is_boolean(field.type) or pa.types.is_dictionary(field.type):
        return "categorical", None
    if is_string(field.type):
        found = statistics.get(field.name)
        return _kind_of_strings(found) if found else (None, "no statistics about its values were given")
    if is_list(field.type):
        of = field.type.value_type
        return ("multivalued", None) if is_string(of) else ("embedding", None) if is_number(of) else (None, f"lists of {of} are not supported")
    return None, f"type {field.type} is not supported yet"


def _kind_of_strings(s: ColumnStatistics) -> tuple[str | None, str | None]:
    if s.n == 0:
        return None, "every value in the sample is NULL"
    if s.distinct_ratio <= REPEATED_RATIO or (s.n_distinct <= FEW_VALUES and s.distinct_ratio <= FEW_RATIO):
        return "categorical", None
    if s.mean_words >= TEXT_WORDS:
        return "text", None
    if s.distinct_ratio > IDENTIFIER_RATIO and s.n >= IDENTIFIER_ROWS:
        return None, f"it looks like an identifier ({s.n_distinct} distinct single words in {s.n} values)"
    return "categorical", None


def is_number(t: pa.DataType) -> bool:
    """Is it a type of numbers?"""
    return pa.types.is_integer(t) or pa.types.is_floating(t) or pa.types.is_decimal(t)


def is_instant(t: pa.DataType) -> bool:
    """Is it a timestamp or a date?"""
    return pa.types.is_timestamp(t) or pa.types.is_date(t)


def is_list(t: pa.DataType) -> bool:
    """Is it a type of lists, of fixed or varying length?"""
    return pa.types.is_list(t) or pa.types.is_large_list(t) or pa.types.is_fixed_size_list(t)


def is_string(t: pa.DataType) -> bool:
    """Is it a type of plain strings (dictionaries are categories)?"""
    if pa.types.is_dictionary(t):
        return False
    return pa.types.is_string(t) or pa.types.is_large_string(t) or pa.types.is_string_view(t)


def decoded(column) -> pa.Array:
    """The values as one Arrow string array: dictionaries decoded, booleans 'true'/'false', numbers in decimal, chunks combined."""
    if isinstance(column, pa.ChunkedArray):
        column = column.combine_chunks()
    if isinstance(column, pa.ChunkedArray):
        column = pa.concat_arrays(column.chunks)
    if pa.types.is_dictionary(column.type):
        column = column.dictionary_decode()
    return column.cast(pa.string())
