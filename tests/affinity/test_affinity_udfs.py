"""Affinity functions inside queries, under threads too; a project's own ones, in queries and in codings."""

from __future__ import annotations

import duckdb
import numpy as np
import pyarrow as pa
import pytest

from groundswell.affinity import affinity_function, affinity_matrix, bags
from groundswell.affinity.declared import pair_scorer
from groundswell.errors import AffinityError
from groundswell.udfs.affinity import register_affinity_udf
from tests.support import published, rows_of, verb, workspace

VECTORS = pa.list_(pa.float32())


def test_affinities_inside_a_query():
    random = np.random.default_rng(0)
    prototypes = random.normal(size=(4, 3)).astype(np.float32)
    rows = [random.normal(size=(int(n), 3)).astype(np.float32).tolist() for n in random.integers(1, 4, 5000)]
    rows[7], rows[8], rows[9] = None, [], [None]
    connection = duckdb.connect(config={"threads": 2})
    register_affinity_udf(connection, "affinity_cosine", pair_scorer(affinity_function("cosine")))
    connection.register("bag", pa.table({"id": range(5000), "v": pa.array(rows, pa.list_(VECTORS))}))
    connection.register("prototype", pa.table({"j": range(4), "vector": pa.array(prototypes.tolist(), VECTORS)}))
    found = connection.execute("SELECT list(affinity_cosine(vector, v) ORDER BY j) FROM bag, prototype GROUP BY id ORDER BY id").fetchall()
    assert [found.pop(7)[0] for _ in range(3)] == [[None] * 4] * 3
    del rows[7:10]
    assert np.array([s for (s,) in found]) == pytest.approx(affinity_matrix(bags(rows), prototypes), abs=1e-6)


def test_vectors_of_different_lengths_are_an_error():
    connection = duckdb.connect()
    register_affinity_udf(connection, "affinity_cosine", pair_scorer(affinity_function("cosine")))
    with pytest.raises(duckdb.Error, match="2 numbers meets one of 3"):
        connection.execute("SELECT affinity_cosine([1, 2], [[1, 2, 3]])").fetchall()


CONFIG = """
[project]
name = "points"
[warehouse]
from = "warehouse.duckdb"
[modality.point]
from = "point"
key = "id"
[task.side]
classes = ["left", "right"]
gold = { from = "gold", key = "id", label = "side" }
"""
OWN = """
import groundswell as gs
import torch

@gs.affinity_function("laplace", prepare=lambda vectors: 2 * vectors)
def laplace(vectors, prototypes):
    return (-torch.cdist(vectors, prototypes.T, p=1)).exp()
"""


def points(folder, resource: str | None = OWN):
    """A project of 60 points around (1, 0) and (-1, 2), with an affinity function of its own."""
    folder.mkdir(parents=True, exist_ok=True)
    with duckdb.connect(str(folder / "warehouse.duckdb")) as connection:
        connection.execute(
            """CREATE TABLE point AS SELECT id, [CASE WHEN id < 30 THEN 1 ELSE -1 END + (hash(id) % 100)::DOUBLE / 300,
                CASE WHEN id < 30 THEN 0 ELSE 2 END + (hash(-id) % 100)::DOUBLE / 300]::FLOAT[] AS v FROM range(60) AS t(id)"""
        )
        connection.execute("CREATE TABLE gold AS SELECT id, CASE WHEN id < 30 THEN 'right' ELSE 'left' END AS side FROM point")
    (folder / "groundswell.toml").write_text(CONFIG)
    (folder / "lfs").mkdir(exist_ok=True)
    (folder / "lfs" / "side.sql").write_text("-- lf: by_affinity\nSELECT entity_id, label FROM affinity_label WHERE p > .5;\n")
    if resource is not None:
        (folder / "resources").mkdir(exist_ok=True)
        (folder / "resources" / "nearness.py").write_text(resource)
    return folder


def test_a_coding_by_a_function_of_the_project(tmp_path):
    folder = points(tmp_path)
    answer = verb(folder, "affinity", "--vectors", "v", "--function", "laplace")
    assert answer.code == 0, answer.err
    rows = published(folder, "SELECT p.prototype_id, p.vector, e.v, a.s[p.prototype_id + 1] FROM side.prototype AS p, side.affinity AS a JOIN side.entity AS e USING (entity_id)")
    assert len(rows) == 60 * 60
    for _, vector, own, s in rows[::97]:
        assert s == pytest.approx(np.exp(-2 * np.abs(np.array(vector) - np.array(own)).sum()), abs=1e-5)


def test_queries_call_every_affinity_function(tmp_path):
    folder = points(tmp_path)
    assert verb(folder, "affinity", "--vectors", "v", "--function", "laplace").code == 0
    assert verb(folder, "run").code == 0
    query = "SELECT {columns} FROM side.entity, (SELECT vector FROM side.prototype WHERE prototype_id = 5) ORDER BY entity_id"
    with workspace(folder) as ws:
        found = ws.sql(query.format(columns="v, vector, affinity_laplace(vector, [v]) AS l, affinity_cosine(vector, [v]) AS c, affinity_gaussian(vector, [v, v]) AS g"))
        again = ws.sql(query.format(columns="affinity_laplace(vector, [v]) AS l"))
    assert again["l"] == found["l"]
    v, q = np.array(found["v"].to_pylist()), np.array(found["vector"].to_pylist())
    assert found["l"].to_pylist() == pytest.approx(np.exp(-2 * np.abs(v - q).sum(axis=1)), abs=1e-5)
    assert found["c"].to_pylist() == pytest.approx((v * q).sum(axis=1) / np.linalg.norm(v, axis=1) / np.linalg.norm(q, axis=1), abs=1e-5)
    assert found["g"].to_pylist() == pytest.approx(np.exp(-((v - q) ** 2).sum(axis=1) / 2), abs=1e-5)


BROKEN = {
    "ImportError": ("import groundswell as gs\nfrom nowhere import nothing\n", "nearness.py:2"),
    "another name": (OWN.replace('"laplace"', '"cosine"'), "already"),
    "no name": (OWN.replace('"laplace"', '"la place"'), "cannot name"),
    "raises": (OWN.replace("(-torch", "1 / 0 * (-torch"), "ZeroDivisionError"),
    "another shape": (OWN.replace(".exp()", ".exp()[0]"), "not ("),
    "no tensor": (OWN.replace("return", "return 7 #"), "int"),
}


@pytest.mark.parametrize("what", BROKEN)
def test_a_function_that_cannot_be_is_an_error_at_its_place(tmp_path, what):
    text, said = BROKEN[what]
    answer = verb(points(tmp_path, text), "affinity", "--vectors", "v", "--function", "laplace")
    assert answer.code == 2 and "AF114" in answer.err and said in answer.err and "resources/nearness.py" in answer.err


def test_unknown_functions_are_answered_with_the_known_ones(tmp_path):
    answer = verb(points(tmp_path), "affinity", "--vectors", "v", "--function", "laplac")
    assert answer.code == 2 and "AF109" in answer.err and 'did you mean "laplace"' in answer.err


def test_functions_of_a_project_stay_in_it(tmp_path):
    from groundswell.affinity.declared import named_function

    with workspace(points(tmp_path / "with")) as ws:
        assert named_function(ws.project, "laplace").name == "laplace"
    with workspace(points(tmp_path / "without", None)) as ws, pytest.raises(AffinityError, match="laplace"):
        named_function(ws.project, "laplace")


def test_another_function_gives_other_affinities(tmp_path):
    """Affinities are kept by what the function is, not by its name."""
    folder = points(tmp_path)
    code = ("affinity", "--vectors", "v", "--function", "laplace", "--format", "json")
    assert len(rows_of(verb(folder, *code).out)) == 2
    before = published(folder, "SELECT s FROM side.affinity ORDER BY entity_id")
    (folder / "resources" / "nearness.py").write_text(OWN.replace("2 * vectors", "3 * vectors"))
    assert verb(folder, *code).code == 0
    assert published(folder, "SELECT s FROM side.affinity ORDER BY entity_id") != before
