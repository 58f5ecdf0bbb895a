"""Logistic regression as SQL: the same probabilities as in process, the same meaning in every dialect, honest refusals."""

import duckdb
import numpy as np
import pyarrow as pa
import pytest
import sqlglot
from sqlglot import exp
from support import published, verb

from groundswell.end_models import Feature, FeatureSpec, end_model
from groundswell.end_models.export_model import sql_text
from groundswell.end_models.export_sql import DIALECTS, model_sql
from groundswell.errors import EndModelError

from .conftest import CLASSES, batch, inputs, rows, source

TABLE = ("intent", "entity")


def answers(query: str, table: pa.Table) -> pa.Table:
    """The rows of the query on an entity table in DuckDB, in order of entity_id, far from UTC."""
    with duckdb.connect() as connection:
        connection.execute("SET TimeZone = 'America/New_York'; CREATE SCHEMA intent")
        connection.register("given", table)
        connection.execute("CREATE TABLE intent.entity AS FROM given")
        return connection.execute(f"FROM ({query}) ORDER BY entity_id").to_arrow_table()


def probabilities(found: pa.Table) -> np.ndarray:
    return np.stack([found[name].to_numpy() for name in found.column_names[3:]], axis=1)


def by_hand(model, table: pa.Table) -> np.ndarray:
    """softmax(logits / temperature) of a logistic model in float64, row by row, from its weights."""
    numbers, categories = inputs(model, table)
    own = {name: value.numpy().astype(float) for name, value in model.network_.state_dict().items()}
    logits = np.tile(own["bias"], (len(table), 1))
    d = s = 0
    for column in model.encoder_.columns:
        name = column.feature.name
        if name in numbers:
            x = numbers[name]
            z = np.where(np.isnan(x), 0, (x - column.mean) / column.sd if column.sd else 0)
            logits += np.outer(z, own["dense_weight"][d]) + np.outer(np.isnan(x), own["dense_weight"][d + 1])
            d += 2
        else:
            place = {value: 2 + i for i, value in enumerate(column.vocabulary.to_pylist())} | {None: 1}
            logits += own["sparse_weight"][[s + place.get(value, 0) for value in categories[name]]]
            s += column.sparse_width
    e = np.exp((logits - logits.max(axis=1, keepdims=True)) / model.temperature_)
    return e / e.sum(axis=1, keepdims=True)


def test_agrees_with_the_model(models, surprising):
    model = models["logistic"]
    found = answers(sql_text(model, "a title\nof two lines", TABLE), surprising)
    assert found.column_names == ["entity_id", "predicted_label", "confidence", "p_refund", "p_delivery", "p_it's other"]
    expected = model.predict(batch(surprising))
    assert model.temperature_ != 1 and len(np.unique(expected.round(3))) > 100
    np.testing.assert_allclose(probabilities(found), by_hand(model, surprising), rtol=0, atol=1e-12)
    np.testing.assert_allclose(probabilities(found), expected, rtol=0, atol=1e-6)
    assert found["predicted_label"].to_pylist() == [CLASSES[k] for k in expected.argmax(axis=1)]
    np.testing.assert_allclose(found["confidence"].to_numpy(), expected.max(axis=1), rtol=0, atol=1e-6)


@pytest.mark.parametrize("dialect", DIALECTS)
def test_every_dialect_says_the_same(models, surprising, dialect):
    """Read as its dialect reads it and translated, the text gives the same numbers in DuckDB."""
    query = model_sql(models["logistic"], TABLE, dialect)
    tree = sqlglot.parse_one(query, dialect=dialect)
    assert tree.sql(dialect, pretty=True) + "\n" == query
    words = {e.this for e in tree.find_all(exp.Literal) if e.is_string}
    assert {"it's", 'b\\n"', "line\nend", "", *CLASSES} <= words
    found = answers(in_duckdb(tree), surprising)
    np.testing.assert_allclose(probabilities(found), by_hand(models["logistic"], surprising), rtol=0, atol=1e-9)


def in_duckdb(tree: exp.Expression) -> str:
    """The query for DuckDB; what sqlglot leaves as it was in the other dialect is put in DuckDB's words."""
    seconds = lambda x: sqlglot.parse_one(f"EPOCH_US({x.sql('duckdb')})", dialect="duckdb")  # noqa: E731

    def translated(node: exp.Expression) -> exp.Expression:
        if isinstance(node, exp.UnixMicros):
            return seconds(node.this.this if isinstance(node.this, exp.Cast) else node.this)
        if isinstance(node, exp.Extract) and node.name.upper() == "EPOCH_MICROSECOND":
            return seconds(node.expression)
        return node

    return tree.transform(translated).sql("duckdb", identify=True)


def test_an_infinite_number_gives_null(models):
    table = rows(4, seed=3)
    table = table.set_column(table.schema.get_field_index("x"), "x", pa.array([float("inf"), 1.0, float("-inf"), None]))
    found = answers(model_sql(models["logistic"], TABLE), table)
    assert [v is None for v in found["predicted_label"].to_pylist()] == [True, False, True, False]
    assert [v is None for v in found["p_refund"].to_pylist()] == [True, False, True, False]


def test_far_values_saturate(models):
    table = rows(2, seed=3)
    table = table.set_column(table.schema.get_field_index("x"), "x", pa.array([1e9, -1e9]))
    found = probabilities(answers(model_sql(models["logistic"], TABLE), table))
    np.testing.assert_allclose(found, models["logistic"].predict(batch(table)), rtol=0, atol=1e-12)
    assert sorted(found[0]) == [0, 0, 1]


def fit(table: pa.Table, features: list[Feature], classes=("a", "b"), **options):
    return end_model(max_epochs=1, **options).fit(source(table), FeatureSpec(tuple(features)), classes)


def test_many_features_and_many_categories():
    n, wide = 400, 1200
    r = np.random.default_rng(0)
    numbers = {f"x{i}": r.normal(size=n) for i in range(wide)}
    table = pa.table({"entity_id": range(n), **numbers, "c": [f"c{i}" for i in range(n)], "p": [[0.3, 0.7], [0.8, 0.2]] * (n // 2)})
    model = fit(table, [Feature("c", "categorical"), *(Feature(name, "numeric", "double") for name in numbers)], min_count=1)
    found = probabilities(answers(model_sql(model, TABLE), table))
    np.testing.assert_allclose(found, model.predict(batch(table)), rtol=0, atol=1e-5)


def test_classes_that_differ_by_case_are_numbered():
    table = pa.table({"entity_id": range(4), "x": [1.0, 2.0, 3.0, 4.0], "p": [[1.0, 0.0], [0.0, 1.0]] * 2})
    found = answers(model_sql(fit(table, [Feature("x", "numeric", "double")], ("yes", "YES")), TABLE), table)
    assert found.column_names[3:] == ["p_1", "p_2"] and set(found["predicted_label"].to_pylist()) <= {"yes", "YES"}


def test_a_category_without_vocabulary_and_names_that_look_like_ours():
    table = pa.table({"entity_id": range(6), "z_x": ["a", None, "b"] * 2, "x": [1.0, None, 2.0] * 2, "highest": [1, 2, 3] * 2, "p": [[0.9, 0.1], [0.2, 0.8]] * 3})
    model = fit(table, [Feature("z_x", "categorical"), Feature("x", "numeric", "double"), Feature("highest", "numeric", "int64")])
    found = answers(model_sql(model, TABLE), table)
    np.testing.assert_allclose(probabilities(found), model.predict(batch(table)), rtol=0, atol=1e-6)


def test_what_sql_cannot_say_is_refused(models, text_models):
    odd = pa.table({"day": pa.array([1, 2, 1, 2], pa.date32()), "p": [[0.9, 0.1], [0.2, 0.8]] * 2})
    for model, words in (
        (text_models["logistic"], ["text (t)", 'features = ["x"]']),
        (models["mlp"], ['"mlp"', "torchscript"]),
        (fit(odd, [Feature("day", "categorical", "date32[day]")]), ["day (date32[day])"]),
    ):
        with pytest.raises(EndModelError) as refused:
            model_sql(model, TABLE)
        assert refused.value.code == "EM120" and all(word in str(refused.value) for word in words)
    with pytest.raises(EndModelError) as refused:
        model_sql(models["logistic"], TABLE, "oracle")
    assert refused.value.code == "EM107"


def test_the_verb_agrees_with_the_published_predictions(shop, tmp_path):
    target = tmp_path / "model.sql"
    answer = verb(shop, "export", "model", "--format", "sql", "-o", str(target))
    assert answer.code == 0 and "end model 1 (logistic)" in answer.out
    found = published(
        shop,
        f"""
        SELECT count(*), count_if(abs(m.p_delivery - p.p['delivery']) < 1e-6), count_if(m.predicted_label = p.predicted_label)
        FROM ({target.read_text()}) AS m
        JOIN intent.predictions AS p USING (entity_id)
        """,
    )
    assert found == [(300, 300, 300)]
