"""End models inside queries: scoring and training as DuckDB functions, under threads."""

import duckdb
import numpy as np
import pyarrow as pa
import pytest

from groundswell.end_models import Feature, FeatureSpec, end_model
from groundswell.errors import EndModelError
from groundswell.udfs.score import register_scoring_udf, score_udf
from groundswell.udfs.train import register_training_udf


@pytest.fixture(scope="module")
def model(mixed):
    options = {"text_buckets": 2**10, "max_epochs": 3}
    return end_model(**options).fit(mixed.source(mixed.table(500, 3)), mixed.spec, mixed.classes(3))


def test_query_scores_equal_predict_under_threads(model, mixed):
    data = pa.concat_tables([mixed.table(25_000, 3, seed=3)] * 10)
    data = data.set_column(0, "entity_id", pa.array(range(len(data))))
    with duckdb.connect(config={"threads": 2}) as connection:
        connection.execute("CREATE TABLE entity AS SELECT entity_id, x, c, t FROM data")
        register_scoring_udf(connection, "predict_task", model)
        found = connection.sql("SELECT entity_id, predict_task(x, c, t) AS p FROM entity").order("entity_id").to_arrow_table()
    p = model.predict(mixed.batch(mixed.table(25_000, 3, seed=3)))
    keys, values = pa.concat_arrays(found["p"].chunks).keys, pa.concat_arrays(found["p"].chunks).items
    assert keys.to_pylist() == list("abc") * len(data)
    np.testing.assert_allclose(values.to_numpy().reshape(-1, 3), np.tile(p, (10, 1)), atol=1e-6)


def test_all_null_gives_null_and_some_null_is_missing(model):
    with duckdb.connect() as connection:
        register_scoring_udf(connection, "f", model)
        rows = connection.sql("SELECT f(x, NULL, NULL) FROM (VALUES (NULL::DOUBLE), (1.0)) v(x)").fetchall()
    expected = model.predict(pa.record_batch({"x": [1.0], "c": pa.array([None], pa.string()), "t": pa.array([None], pa.string())}))[0]
    assert rows[0] == (None,) and rows[1][0] == pytest.approx(dict(zip("abc", expected)), abs=1e-6)


def test_dates_and_booleans_pass_through_a_query():
    spec = FeatureSpec((Feature("seen_at", "numeric", "timestamp[us, tz=UTC]"), Feature("day", "numeric", "date32[day]"), Feature("flag", "categorical", "bool")))
    with duckdb.connect() as connection:
        connection.execute("SET TimeZone = 'UTC'")
        query = """SELECT TIMESTAMPTZ '2026-01-01' + to_days(i::INT) AS seen_at, DATE '2026-01-01' + i::INT AS day, i % 2 = 0 AS flag,
                   [CASE WHEN i > 20 THEN .9 ELSE .1 END, CASE WHEN i > 20 THEN .1 ELSE .9 END]::DOUBLE[] AS p FROM range(40) r(i)"""
        table = connection.sql(query).to_arrow_table()
        model = end_model(max_epochs=3).fit(lambda: iter(table.to_batches()), spec, ("a", "b"))
        register_scoring_udf(connection, "f", model)
        found = connection.sql(f"SELECT f(seen_at, day, flag)['a'] FROM ({query})").fetchall()
    p = model.predict(table.combine_chunks().to_batches()[0])[:, 0]
    np.testing.assert_allclose([row[0] for row in found], p, atol=1e-6)
    assert p[-1] > 0.5 > p[0]


def test_score_udf_takes_arrays_and_chunks(model):
    columns = [pa.array([0.0, 1.0]), pa.array(["v0", "v1"]), pa.array(["red", "love"])]
    chunked = [pa.chunked_array([c.slice(0, 1), c.slice(1)]) for c in columns]
    assert score_udf(model)(*columns).equals(score_udf(model)(*chunked))
    assert len(score_udf(model)(*(pa.chunked_array([], c.type) for c in columns))) == 0


def test_a_query_trains_and_repeats(mixed):
    data, test = mixed.table(6000), mixed.table(500, seed=1)
    losses, models = [], []
    for _ in range(2):
        model = end_model(text_buckets=2**10)
        step = model.prepare(mixed.source(data), mixed.spec, ("a", "b"))
        with duckdb.connect(config={"threads": 1}) as connection:
            register_training_udf(connection, "train_task", step)
            connection.register("training_set", data)
            query = "SELECT avg(train_task(x, c, t, p)) FROM training_set"
            losses.append([connection.sql(query).fetchone()[0] for _ in range(8)])
        models.append(model)
    assert losses[0] == losses[1] and losses[0][-1] < 0.53 < losses[0][0]
    p = [m.predict(mixed.batch(test)) for m in models]
    np.testing.assert_array_equal(*p)
    assert (p[0].argmax(1) == test["y"].to_numpy()).mean() > 0.9


def test_training_under_threads_makes_every_step(mixed):
    data = pa.concat_tables([mixed.table(30_000)] * 5)
    model = end_model(text_buckets=2**8, char_ngrams=0)
    step = model.prepare(mixed.source(data), mixed.spec, ("a", "b"))
    with duckdb.connect(config={"threads": 2}) as connection:
        connection.execute("CREATE TABLE rows AS SELECT * FROM data")
        register_training_udf(connection, "train_task", step)
        n, worst = connection.sql("SELECT count(loss), max(loss) FROM (SELECT train_task(x, c, t, p) AS loss FROM rows)").fetchone()
    steps = step.optimiser.state[model.network_.bias]["step"]
    assert n == 150_000 and np.isfinite(worst) and steps >= n / 2048
    assert (model.predict(mixed.batch(mixed.table(500, seed=1))).argmax(1) == mixed.table(500, seed=1)["y"].to_numpy()).mean() > 0.9


def test_training_refuses_labels_that_are_no_distribution(mixed):
    step = end_model(text_buckets=2**8).prepare(mixed.source(mixed.table(50)), mixed.spec, ("a", "b"))
    batch = mixed.batch(mixed.table(2).drop_columns("p").append_column("p", pa.array([[0.5, 0.5], [1.0, 1.0]])))
    with pytest.raises(EndModelError, match="entity 1") as e:
        step(batch)
    assert e.value.code == "EM103"
