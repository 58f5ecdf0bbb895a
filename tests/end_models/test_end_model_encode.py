"""The encoder against independent numpy and hand-counted oracles."""

import json

import numpy as np
import pyarrow as pa
import pytest

from groundswell.end_models import Feature, FeatureSpec
from groundswell.end_models.batches import blocks, soft_labels
from groundswell.end_models.columns import EncoderOptions
from groundswell.end_models.encode import Encoder
from groundswell.errors import EndModelError


def fitted(kind, parts, type_=None, **options):
    encoder = Encoder(FeatureSpec((Feature("f", kind),)), EncoderOptions(**options))
    for part in parts:
        encoder.observe(pa.record_batch({"f": pa.array(part, type_)}))
    return encoder, encoder.freeze()


def test_numeric_is_z_score_with_missing_flag_even_far_from_zero():
    x = 1e9 + np.random.default_rng(0).normal(0, 3, 5000)
    encoder, warnings = fitted("numeric", np.split(x, [10, 700]), pa.float64())
    rows = encoder.encode(pa.record_batch({"f": pa.array([x[0], None, float("nan"), x[1]], pa.float64())}))
    z = (x[:2] - x.mean()) / x.std()
    np.testing.assert_allclose(rows.dense, [[z[0], 0], [0, 1], [0, 1], [z[1], 0]], rtol=1e-5)
    assert rows.dense.dtype == np.float32 and not warnings


def test_timestamps_are_seconds_and_decimals_are_numbers():
    encoder, _ = fitted("numeric", [[0, 10_000_000]], pa.timestamp("us", tz="UTC"))
    assert encoder.columns[0].mean == 5.0 and encoder.columns[0].sd == 5.0
    dates, _ = fitted("numeric", [[0, 2]], pa.date32())
    assert dates.columns[0].mean == 86400.0
    import decimal

    assert fitted("numeric", [[decimal.Decimal("1.5"), decimal.Decimal("2.5")]])[0].columns[0].mean == 2.0


@pytest.mark.parametrize("values", [[7.1] * 50, [None] * 5])
def test_constant_number_is_zero_with_a_warning(values):
    encoder, (warning,) = fitted("numeric", [values], pa.float64())
    assert warning.code == "EM201"
    dense = encoder.encode(pa.record_batch({"f": pa.array([7.1, 9.0, None], pa.float64())})).dense
    np.testing.assert_array_equal(dense, [[0, 0], [0, 0], [0, 1]])


def test_infinity_is_an_error_naming_the_column():
    with pytest.raises(EndModelError, match='"f"') as e:
        fitted("numeric", [[1.0, float("inf")]])
    assert e.value.code == "EM104"


def test_categories_out_of_vocabulary_and_missing():
    encoder, warnings = fitted("categorical", [["b"] * 5 + ["a"] * 3, ["a"] * 3 + ["rare"] * 4 + [None] * 9])
    assert encoder.state()["columns"] == [{"vocabulary": ["a", "b"]}] and not warnings
    sparse = encoder.encode(pa.record_batch({"f": ["b", "rare", None, "new", "a"]})).sparse.toarray()
    np.testing.assert_array_equal(sparse, np.eye(4)[[3, 0, 1, 0, 2]])


@pytest.mark.parametrize(
    ("values", "expected"),
    [
        (pa.array([True, False, None]), [3, 2, 1]),
        (pa.array(["true", "false", None]).dictionary_encode(), [3, 2, 1]),
        (pa.chunked_array([["true"], ["x", None]]).combine_chunks(), [3, 0, 1]),
    ],
)
def test_booleans_and_enums_are_strings(values, expected):
    encoder, _ = fitted("categorical", [[True, False] * 5])
    assert encoder.encode(pa.record_batch({"f": values})).sparse.indices.tolist() == expected


def test_vocabulary_is_limited_to_the_most_frequent():
    encoder, _ = fitted("categorical", [["a"] * 5 + ["b"] * 7 + ["c"] * 7 + ["d"] * 6], max_categories=2)
    assert encoder.state()["columns"][0]["vocabulary"] == ["b", "c"]


def test_category_with_one_value_or_only_rare_values_warns():
    assert fitted("categorical", [["a"] * 9])[1][0].code == "EM201"
    assert fitted("categorical", [["a", "b", "c"]])[1][0].code == "EM201"


def test_too_many_categories_is_an_error(monkeypatch):
    monkeypatch.setattr("groundswell.end_models.columns.COUNTED_VALUES", 3)
    with pytest.raises(EndModelError) as e:
        fitted("categorical", [["a", "b", "c", "d"]])
    assert e.value.code == "EM112"


def test_text_rows_are_sublinear_and_normalised():
    encoder, _ = fitted("text", [["x"]], char_ngrams=0, text_buckets=2**16)
    sparse = encoder.encode(pa.record_batch({"f": ["spam spam ham", "ham", None, ""]})).sparse.toarray()
    # n-grams: spam x2, ham, "spam spam", "spam ham"
    raw = np.array([1 + np.log(2), 1, 1, 1])
    np.testing.assert_allclose(sorted(sparse[0][sparse[0] > 0]), sorted(raw / np.linalg.norm(raw)), rtol=1e-6)
    shared = np.flatnonzero((sparse[0] > 0) & (sparse[1] > 0))
    assert len(shared) == 1 and sparse[1][shared[0]] == 1
    np.testing.assert_array_equal(sparse[:, -1], [0, 0, 1, 0])
    assert sparse[3].sum() == 0 and sparse.shape[1] == encoder.widths[1] == 2**16 + 1


def test_character_ngrams_have_buckets_of_their_own():
    encoder, _ = fitted("text", [["x"]], char_ngrams=3, text_buckets=2**12)
    row = encoder.encode(pa.record_batch({"f": ["song"]})).sparse.toarray()[0]
    assert (row[: 2**12] > 0).sum() == 1 and (row[2**12 :] > 0).sum() == 4  # " so", "son", "ong", "ng "
    assert encoder.widths == (0, 2**13 + 1)


def test_state_is_json_and_restores_the_same_encoder(mixed):
    table = mixed.table(300)
    encoder = Encoder(mixed.spec, EncoderOptions(text_buckets=64))
    encoder.observe(mixed.batch(table))
    encoder.freeze()
    again = Encoder.restored(json.loads(json.dumps(encoder.state())))
    a, b = (e.encode(mixed.batch(mixed.table(50, seed=1))) for e in (encoder, again))
    np.testing.assert_array_equal(a.dense, b.dense)
    assert (a.sparse != b.sparse).nnz == 0 and again.state() == encoder.state()


def test_missing_columns_are_all_named(mixed):
    with pytest.raises(EndModelError, match='"c", "t"') as e:
        Encoder(mixed.spec).encode(pa.record_batch({"x": [1.0]}))
    assert e.value.code == "EM105"


@pytest.mark.parametrize(("kind", "column"), [("numeric", ["a"]), ("text", [1.0]), ("categorical", [[1]])])
def test_types_that_do_not_suit_the_kind(kind, column):
    with pytest.raises(EndModelError) as e:
        fitted(kind, [column])
    assert e.value.code == "EM113"


def test_blocks_regroup_rows():
    table = pa.table({"a": range(25)})
    found = list(blocks(lambda: iter(table.to_batches(max_chunksize=7)), 10))
    assert [b.num_rows for b in found] == [10, 10, 5]
    assert pa.Table.from_batches(found)["a"].to_pylist() == list(range(25))
    assert list(blocks(lambda: iter(table.slice(0, 0).to_batches()), 10)) == []


@pytest.mark.parametrize(
    "p",
    [[0.5, 0.6], [0.5, None], [float("nan"), 1.0], [1.5, -0.5], [1.0], None, [0.2, 0.3, 0.5]],
)
def test_p_that_is_no_distribution_names_the_entity(p):
    batch = pa.record_batch({"entity_id": ["one", "two"], "p": pa.array([[0.5, 0.5], p], pa.list_(pa.float64()))})
    with pytest.raises(EndModelError, match="entity 'two'") as e:
        soft_labels(batch, 2)
    assert e.value.code == "EM103"


@pytest.mark.parametrize("type_", [pa.list_(pa.float64()), pa.list_(pa.float64(), 2), pa.list_(pa.float32()), pa.large_list(pa.float64())])
def test_p_types_and_slices(type_):
    batch = pa.record_batch({"p": pa.array([[1, 0], [0.1, 0.9], [0.25, 0.75]], type_)}).slice(1)
    np.testing.assert_allclose(soft_labels(batch, 2), [[0.1, 0.9], [0.25, 0.75]], rtol=1e-6)
