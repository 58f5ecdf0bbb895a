"""Which columns become features, and what happens to the others."""

import pyarrow as pa
import pytest

from groundswell.end_models import Feature, FeatureSpec, column_statistics, infer_features
from groundswell.errors import EndModelError

N = 200
SAMPLE = pa.table(
    {
        "entity_id": pa.array(range(N)),
        "p": [[0.5, 0.5]] * N,
        "weight": [1.0] * N,
        "n": pa.array(range(N), pa.int16()),
        "price": pa.array([1] * N, pa.int64()).cast(pa.decimal128(30, 2)),
        "at": pa.array([0] * N, pa.timestamp("us", tz="UTC")),
        "day": pa.array([0] * N, pa.date32()),
        "flag": [True, False] * (N // 2),
        "enum": pa.array(["a", "b"] * (N // 2)).dictionary_encode(),
        "country": [["de", "fr", "it", None][i % 4] for i in range(N)],
        "slogan": [["buy now and save", "call us any time today"][i % 2] for i in range(N)],
        "body": [f"comment number {i} about something" for i in range(N)],
        "url": [f"http://host/{i}" for i in range(N)],
        "surname": [f"name{i % 120}" for i in range(N)],
        "empty": pa.array([None] * N, pa.string()),
        "tags": [["a"]] * N,
        "vector": pa.array([[1.0, 2.0]] * N, pa.list_(pa.float32(), 2)),
    }
)


def test_kinds_follow_types_and_values():
    spec, skipped = infer_features(SAMPLE.schema, SAMPLE)
    assert {f.name: f.kind for f in spec.features} == {
        "n": "numeric", "price": "numeric", "at": "numeric", "day": "numeric", "flag": "categorical", "enum": "categorical",
        "country": "categorical", "slogan": "categorical", "body": "text", "surname": "categorical",
        "tags": "multivalued", "vector": "embedding",
    }  # fmt: skip
    reasons = {s.name: s.reason for s in skipped}
    assert set(reasons) == {"url", "empty"}
    assert "identifier" in reasons["url"] and "NULL" in reasons["empty"]
    assert skipped[0].diagnostic.code == "EM202" and skipped[0].diagnostic.severity == "warning"


def test_statistics_can_come_from_elsewhere_and_large_strings_count_too():
    large = SAMPLE.cast(pa.schema([f.with_type(pa.large_string()) if f.type == pa.string() else f for f in SAMPLE.schema]))
    assert infer_features(large.schema, column_statistics(SAMPLE))[0].names == infer_features(SAMPLE.schema, SAMPLE)[0].names


def test_user_decides_over_inference():
    spec, skipped = infer_features(SAMPLE.schema, SAMPLE, kinds={"url": "text", "n": "categorical"}, exclude=["body"])
    kinds = {f.name: f.kind for f in spec.features}
    assert kinds["url"] == "text" and kinds["n"] == "categorical" and "body" not in kinds
    assert "body" not in {s.name for s in skipped}


@pytest.mark.parametrize(
    ("kinds", "code", "hint"),
    [({"contry": "text"}, "EM105", '"country"'), ({"country": "txt"}, "EM113", '"text"')],
)
def test_wrong_overrides(kinds, code, hint):
    with pytest.raises(EndModelError) as e:
        infer_features(SAMPLE.schema, SAMPLE, kinds=kinds)
    assert e.value.code == code and hint in e.value.diagnostics[0].hint


def test_inferred_dictionary_needs_no_statistics_but_strings_do():
    spec, skipped = infer_features(SAMPLE.schema, {})
    assert "enum" in spec.names and {"country", "body"} <= {s.name for s in skipped}


@pytest.mark.parametrize(
    ("feature", "sql"),
    [
        (Feature("a", "numeric", "int32"), "DOUBLE"),
        (Feature("a", "numeric", "timestamp[us, tz=UTC]"), "TIMESTAMPTZ"),
        (Feature("a", "numeric", "timestamp[ns]"), "TIMESTAMP"),
        (Feature("a", "numeric", "date32[day]"), "DATE"),
        (Feature("a", "text", "large_string"), "VARCHAR"),
    ],
)
def test_sql_type(feature, sql):
    assert feature.sql_type == sql


def test_spec_round_trip_and_checks():
    spec = FeatureSpec((Feature("a", "text"), Feature("b", "numeric", "double", servable=False)))
    assert FeatureSpec.from_json(spec.as_json()) == spec
    for bad, code in [((), "EM117"), ((Feature("a", "text"),) * 2, "EM107"), ((Feature("a", "txt"),), "EM113")]:
        with pytest.raises(EndModelError) as e:
            FeatureSpec(bad).check()
        assert e.value.code == code
