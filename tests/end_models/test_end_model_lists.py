"""Multivalued and embedding features: against a written-out matrix, and in a fit."""

import duckdb
import numpy as np
import pyarrow as pa
import pytest

from groundswell.end_models import Feature, FeatureSpec, end_model, infer_features, load_end_model
from groundswell.end_models.columns import EncoderOptions
from groundswell.end_models.list_columns import EmbeddingColumn, MultivaluedColumn
from groundswell.errors import EndModelError
from groundswell.udfs.score import register_scoring_udf

TAGS = Feature("tags", "multivalued", "list<string>")
VECTOR = Feature("v", "embedding", "list<float>")


def fitted(kind, feature, column, **options):
    encoder = kind(feature, EncoderOptions(**options))
    encoder.observe(column)
    return encoder, encoder.freeze()


def test_multi_hot_keeps_null_and_empty_apart():
    column = pa.array([["b", "a", "b"], [], None, ["z", "y"], ["a", None]])
    encoder, warnings = fitted(MultivaluedColumn, TAGS, pa.array([["a", "b"], ["b"], ["a"], ["b", "b"], ["z"]]), min_count=2)
    assert warnings == [] and encoder.vocabulary.to_pylist() == ["a", "b"]
    expected = [[0, 0, 1, 1], [0, 0, 0, 0], [0, 1, 0, 0], [1, 0, 0, 0], [0, 0, 1, 0]]  # unknown, missing, a, b
    assert encoder.sparse(column).toarray().tolist() == expected


@pytest.mark.parametrize("kind", [pa.list_(pa.float32()), pa.list_(pa.float64()), pa.list_(pa.float32(), 2), pa.list_(pa.int32())])
def test_embeddings_are_centred_to_a_mean_length_of_one_and_missing_ones_flagged(kind):
    column = pa.array([[1, 2], None, [3, 4]], kind)
    encoder, warnings = fitted(EmbeddingColumn, VECTOR, column)
    half = np.sqrt(0.5)
    assert warnings == [] and np.allclose(encoder.dense(column), [[-half, -half, 0], [0, 0, 1], [half, half, 0]])


def test_slices_are_encoded_like_whole_columns():
    """A slice of an Arrow list column keeps the offsets of the whole."""
    tags, vectors = pa.array([["a"], ["b"], None, ["a", "b"]]), pa.array([[1.0], [2.0], None, [4.0]])
    multi, _ = fitted(MultivaluedColumn, TAGS, tags, min_count=1)
    embedding, _ = fitted(EmbeddingColumn, VECTOR, vectors)
    assert (multi.sparse(tags.slice(1)).toarray() == multi.sparse(tags).toarray()[1:]).all()
    assert (embedding.dense(vectors.slice(1)) == embedding.dense(vectors)[1:]).all()


@pytest.mark.parametrize(("feature", "kind", "column", "code"), [
    (VECTOR, EmbeddingColumn, pa.array([[1.0, 2.0], [1.0]]), "EM113"),
    (VECTOR, EmbeddingColumn, pa.array([[1.0, float("nan")]]), "EM104"),
    (VECTOR, EmbeddingColumn, pa.array([["a"]]), "EM113"),
    (VECTOR, EmbeddingColumn, pa.array(["a"]), "EM113"),
    (TAGS, MultivaluedColumn, pa.array(["a"]), "EM113"),
])  # fmt: skip
def test_bad_columns(feature, kind, column, code):
    with pytest.raises(EndModelError) as error:
        fitted(kind, feature, column)
    assert error.value.code == code


def test_nothing_to_learn_from_is_a_warning():
    assert [w.code for w in fitted(MultivaluedColumn, TAGS, pa.array([["a"], None]))[1]] == ["EM201"]
    assert [w.code for w in fitted(EmbeddingColumn, VECTOR, pa.array([None, None], pa.list_(pa.float32())))[1]] == ["EM201"]


def test_vectors_of_a_modality_unseen_in_training_count_as_missing():
    """A model trained on text posts alone scores image posts, whose embedding it never saw."""
    encoder, _ = fitted(EmbeddingColumn, VECTOR, pa.array([None, None], pa.list_(pa.float32())))
    assert encoder.dense(pa.array([[1.0, 2.0], None], pa.list_(pa.float32()))).tolist() == [[1.0], [1.0]]


def lists(n: int, seed: int) -> pa.Table:
    """Two classes told apart by a tag that is often missing and by a direction in the vectors."""
    rng = np.random.default_rng(seed)
    y = rng.integers(0, 2, n)
    tags = [None if u < 0.2 else [] if u < 0.3 else [f"t{c}", f"x{int(u * 50) % 7}"] for u, c in zip(rng.random(n), y)]
    vectors = rng.normal(size=(n, 4)) + 0.7 * (2 * y[:, None] - 1) * np.array([1, 0, 0, 1])
    p = np.where(np.arange(2) == y[:, None], 0.9, 0.1)
    return pa.table({"tags": pa.array(tags, pa.list_(pa.string())), "v": pa.array(list(vectors.astype(np.float32)), pa.list_(pa.float32())), "p": p.tolist(), "y": y})


@pytest.mark.parametrize("method", ["logistic", "mlp"])
def test_both_kinds_are_found_learned_saved_and_scored_in_sql(mixed, tmp_path, method):
    train, test = lists(1500, 0), lists(500, 1)
    spec, skipped = infer_features(train.schema, train, exclude=["y"])
    assert [(f.name, f.kind) for f in spec.features] == [("tags", "multivalued"), ("v", "embedding")] and skipped == []
    model = end_model(method, max_epochs={"logistic": 10, "mlp": 40}[method]).fit(mixed.source(train), spec, ("no", "yes"))
    p = model.predict(mixed.batch(test))
    assert (p.argmax(axis=1) == test["y"].to_numpy()).mean() > 0.92  # the best possible is about .95
    assert np.array_equal(load_end_model(tmp_path, model.save(tmp_path)).predict(mixed.batch(test)), p)
    with duckdb.connect() as connection:
        register_scoring_udf(connection, "predict_task", model)
        connection.register("rows", test)
        found = connection.execute("SELECT predict_task(tags, v)['yes'] FROM rows").fetchnumpy()
    assert next(iter(found.values())) == pytest.approx(p[:, 1])


def test_the_rule_for_other_lists_says_why():
    table = pa.table({"a": pa.array([[[1]]]), "tags": pa.array([["x"]])})
    spec, skipped = infer_features(table.schema, table)
    assert [f.name for f in spec.features] == ["tags"] and "lists of list" in skipped[0].reason


def test_spec_kinds_are_complete():
    from groundswell.end_models.columns import COLUMN_ENCODERS
    from groundswell.end_models.features import KINDS

    assert set(KINDS) == set(COLUMN_ENCODERS)
    assert FeatureSpec((TAGS, VECTOR)).names == ("tags", "v")


def test_the_unit_of_an_embedding_does_not_matter():
    random = np.random.default_rng(0)
    x = random.normal(size=(500, 8)) + 3
    found = []
    for unit in (1e-3, 1.0, 300.0):
        column = pa.array((x * unit).tolist(), pa.list_(pa.float32()))
        encoder, _ = fitted(EmbeddingColumn, VECTOR, column)
        found.append(encoder.dense(column)[:, :8])
    assert np.allclose(found[0], found[1], atol=1e-5) and np.allclose(found[2], found[1], atol=1e-5)
    assert np.abs(found[1].mean(axis=0)).max() < 1e-5 and (found[1] ** 2).sum(axis=1).mean() == pytest.approx(1, abs=1e-4)


def test_equal_embeddings_stay_finite():
    column = pa.array([[5.0, 5.0]] * 4, pa.list_(pa.float32()))
    encoder, _ = fitted(EmbeddingColumn, VECTOR, column)
    assert encoder.dense(column).tolist() == [[0, 0, 0]] * 4
