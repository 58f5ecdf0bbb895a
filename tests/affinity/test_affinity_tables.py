"""Affinity coding from a warehouse into tables, with the real network on the paper's own birds, and on everything that is no image."""

from __future__ import annotations

import duckdb
import numpy as np
import pyarrow.parquet as pq
import pytest

from groundswell.affinity import affinity_matrix
from groundswell.affinity.encoding import encode
from groundswell.coding import coding_options
from groundswell.errors import AffinityError
from groundswell.workspace import open_workspace
from tests.shared_data import shared
from tests.support import published

from .pictures import drawing

CONFIG = """
[project]
name = "birds"
[warehouse]
from = "warehouse.duckdb"
[modality.image]
from = "photo"
key = "id"
[task.bird]
classes = {classes}
gold = {{ from = "gold", key = "id", label = "label" }}
split = {{ hash = [60, 20, 20] }}
"""
BIRDS = ["Green_Jay", "Whip_Poor_Will"]


def birds_project(folder, gold: str = "SELECT id, label FROM picked", photo: str = "SELECT id, image FROM picked", classes=BIRDS):
    """A project over 20 photos of each bird."""
    folder.mkdir(parents=True, exist_ok=True)
    images = pq.read_table(shared("cub_goggles") / "images.parquet", columns=["label", "image"])
    with duckdb.connect(str(folder / "warehouse.duckdb")) as connection:
        connection.register("images", images)
        connection.execute("CREATE TEMP TABLE picked AS SELECT row_number() OVER () AS id, label, image FROM (FROM images QUALIFY row_number() OVER (PARTITION BY label) <= 20)")
        connection.execute(f"CREATE TABLE photo AS {photo}")
        connection.execute(f"CREATE TABLE gold AS {gold}")
    (folder / "groundswell.toml").write_text(CONFIG.format(classes=str(classes).replace("'", '"')))
    return open_workspace(folder)


def squeezenet() -> dict:
    """Options: the real network."""
    weights = shared("cnn_weights_squeezenet") / "squeezenet_v1.0_deepcompressed.npz"
    return {"network": "squeezenet1_0", "weights": str(weights), "convention": "caffe"}


@pytest.fixture(scope="module")
def birds(tmp_path_factory):
    """(workspace, coding) of the birds, coded once."""
    ws = birds_project(tmp_path_factory.mktemp("birds"))
    return ws, ws.affinity(**squeezenet())


def test_the_birds_are_told_apart(birds):
    ws, coding = birds
    right = published(ws.project.root, "SELECT count(*) FILTER (l.label = g.label), count(*) FROM (FROM bird.affinity_label QUALIFY row_number() OVER (PARTITION BY entity_id ORDER BY p DESC) = 1) AS l JOIN bird.gold_label AS g USING (entity_id)")
    assert right[0][1] == 40 and right[0][0] >= 38
    assert coding.naming.source == "gold" and coding.gold_needed <= 5 and coding.clusters.stability == 1


def test_tables_have_the_columns_of_the_contract(birds):
    ws, coding = birds
    types = {row[0]: row[1] for row in published(ws.project.root, "DESCRIBE bird.prototype")}
    assert types == {"affinity_function": "VARCHAR", "prototype_id": "BIGINT", "entity_id": "BIGINT", "row": "INTEGER", "col": "INTEGER", "vector": "FLOAT[]"}
    assert {row[0]: row[1] for row in published(ws.project.root, "DESCRIBE bird.affinity")} == {"affinity_function": "VARCHAR", "entity_id": "BIGINT", "block": "INTEGER", "s": "FLOAT[]"}
    assert published(ws.project.root, "SELECT DISTINCT affinity_function FROM bird.affinity") == [("image:features.12",)]
    assert published(ws.project.root, "SELECT count(*) FROM bird.prototype") == [(coding.n_prototypes,)]
    sums = published(ws.project.root, "SELECT min(s), max(s) FROM (SELECT sum(p) AS s FROM bird.affinity_label GROUP BY entity_id)")[0]
    assert sums == pytest.approx((1, 1))


def test_the_affinity_table_is_the_matrix(birds):
    from groundswell.features import entity_layout
    from groundswell.store import looking

    ws, _ = birds
    with looking(ws.project) as store:
        encoded = encode(store, ws.project, entity_layout(store, ws.project, ws.task), coding_options(squeezenet()).encoding)
    vectors = np.array([v for (v,) in published(ws.project.root, "SELECT vector FROM bird.prototype ORDER BY prototype_id")], np.float32)
    rows = published(ws.project.root, "SELECT list(s ORDER BY block) FROM bird.affinity GROUP BY entity_id ORDER BY entity_id")
    matrix = np.array([np.concatenate(blocks) for (blocks,) in rows])
    assert matrix == pytest.approx(affinity_matrix(encoded.layers[0][1], vectors), abs=1e-6)
    own = published(ws.project.root, "SELECT entity_id FROM bird.prototype ORDER BY prototype_id")
    place = {key: i for i, key in enumerate(encoded.keys)}
    assert matrix[[place[k] for (k,) in own], np.arange(len(own))] == pytest.approx(1, abs=1e-5)


def test_carriers_are_those_of_numpy(birds):
    ws, _ = birds
    from groundswell.coding import BLOCK_WIDTH
    from groundswell.store import reading

    store = reading(ws.project)
    found = store.file("affinity_carrier", "bird", coding="image", n=5, width=BLOCK_WIDTH).to_pylist()
    attracted = store.file("affinity_attracted", "bird", coding="image:features.12", prototype=found[0]["prototype_id"], n=3, width=BLOCK_WIDTH).to_pylist()
    store.close()
    keys = [k for (k,) in published(ws.project.root, "SELECT DISTINCT entity_id FROM bird.affinity ORDER BY ALL")]
    matrix = np.array([np.concatenate(b) for (b,) in published(ws.project.root, "SELECT list(s ORDER BY block) FROM bird.affinity GROUP BY entity_id ORDER BY entity_id")])
    cluster = np.array([c for (c,) in published(ws.project.root, "SELECT arg_max(cluster, p) FROM bird.affinity_cluster GROUP BY entity_id ORDER BY entity_id")])
    source = np.array([keys.index(k) for (k,) in published(ws.project.root, "SELECT entity_id FROM bird.prototype ORDER BY prototype_id")])
    carry = np.full(len(source), -np.inf)
    for j, i in enumerate(source):
        inside, outside = cluster == cluster[i], cluster != cluster[i]
        inside[i] = False
        carry[j] = matrix[inside, j].mean() - matrix[outside, j].mean()
    for row in found:
        rivals = carry[cluster[source] == row["cluster"]]
        assert row["carry"] == pytest.approx(np.sort(rivals)[::-1][row["rank"] - 1], abs=1e-5)
    j = found[0]["prototype_id"]
    others = np.delete(np.arange(len(keys)), source[j])
    assert [r["s"] for r in attracted] == pytest.approx(np.sort(matrix[others, j])[::-1][:3], abs=1e-6)


def test_the_same_seed_gives_the_same_tables(birds):
    ws, _ = birds
    before = published(ws.project.root, "SELECT * FROM bird.affinity_label ORDER BY ALL")
    ws.affinity(**squeezenet())
    assert published(ws.project.root, "SELECT * FROM bird.affinity_label ORDER BY ALL") == before


def test_methods_stand_side_by_side_under_names(birds):
    ws, _ = birds
    ws.affinity(**squeezenet(), method="em", name="em", keep="clusters")
    assert published(ws.project.root, "SELECT affinity_function, method FROM bird.affinity_model ORDER BY ALL") == [("em", "em"), ("image", "spectral")]
    assert published(ws.project.root, "SELECT DISTINCT affinity_function FROM bird.affinity") == [("image:features.12",)]
    assert published(ws.project.root, "SELECT count(*) FROM bird.affinity_cluster WHERE affinity_function = 'em'") == [(80,)]
    trace = published(ws.project.root, "SELECT changed_labels FROM bird.affinity_model WHERE method = 'em'")[0][0]
    assert trace[-1] == 0


def test_a_failed_coding_leaves_the_earlier_one(birds):
    ws, _ = birds
    before = published(ws.project.root, "SELECT count(*) FROM bird.affinity_cluster")
    with pytest.raises(AffinityError):
        ws.affinity(**squeezenet(), method="em", options={"nothing": 1})
    with pytest.raises(AffinityError):
        ws.affinity(**squeezenet() | {"layers": ("features.99",)})
    assert published(ws.project.root, "SELECT count(*) FROM bird.affinity_cluster") == before


def test_odd_photos_are_counted_and_the_rest_is_labelled(tmp_path):
    photo = "SELECT id, CASE id WHEN 3 THEN 'x'::BLOB WHEN 5 THEN ''::BLOB WHEN 7 THEN NULL ELSE image END AS image FROM picked WHERE id <= 10 OR id > 30"
    ws = birds_project(tmp_path / "a", photo=photo, gold="SELECT id, label FROM picked WHERE id IN (1, 2)")
    coding = ws.affinity(**squeezenet(), k=3)
    messages = {d.code: d.message for d in coding.diagnostics}
    assert coding.n_entities == 17
    assert "AF201" in messages and "AF206" in messages, messages


def test_without_gold_nobody_names_the_clusters(tmp_path):
    ws = birds_project(tmp_path, gold="SELECT id, label FROM picked LIMIT 0", photo="SELECT id, image FROM picked WHERE id % 4 = 0")
    coding = ws.affinity(**squeezenet())
    assert coding.naming is None and "AF205" in [d.code for d in coding.diagnostics]
    assert published(tmp_path, "SELECT count(*) FROM bird.affinity_label") == [(0,)]
    assert published(tmp_path, "SELECT count(*) FROM bird.affinity_cluster") == [(20,)]


@pytest.mark.parametrize(
    ("photo", "options", "code"),
    [
        ("SELECT id, image FROM picked WHERE id = 1", {}, "AF106"), ("SELECT id, (SELECT image FROM picked WHERE id = 1) AS image FROM picked WHERE id < 5", {}, "AF107"),
        ("SELECT id, NULL::BLOB AS image FROM picked", {}, "AF105"), ("SELECT id, 'junk'::BLOB AS image FROM picked", {}, "AF105"), ("SELECT id, 1.5 AS x FROM picked", {}, "AF105"),
        ("SELECT id, image FROM picked", {"images": "imag"}, "AF105"), ("SELECT id, image, 2 AS n FROM picked", {"images": "n"}, "AF105"),
        ("SELECT id, image FROM picked", {"text": "x", "rows": True}, "AF105"), ("SELECT id, image FROM picked", {"keep": "some"}, "AF108"),
        ("SELECT id, image FROM picked", {"wieghts": "x"}, "AF108"), ("SELECT id, ['a'] AS v FROM picked", {"vectors": "v"}, "AF110"),
        ("SELECT id, [range(id)] AS v FROM picked", {"vectors": "v"}, "AF110"), ("SELECT id, ['nan'::FLOAT] AS v FROM picked", {"vectors": "v"}, "AF110"),
        ("SELECT id, '?' AS words FROM picked", {"text": "words"}, "AF110"), ("SELECT id, 1 AS x FROM picked", {"rows": True}, "AF110"),
    ],
)  # fmt: skip
def test_bad_input_is_an_error_with_a_next_step(tmp_path, photo, options, code):
    ws = birds_project(tmp_path, photo=photo)
    with pytest.raises(AffinityError) as error:
        ws.affinity(**({"network": "squeezenet1_1", "weights": None, "size": 64} | options))
    assert error.value.code == code and error.value.diagnostics[0].hint


def test_images_from_a_folder_and_from_paths(tmp_path):
    photo = "SELECT id, 'pictures/' || id || '.png' AS file FROM picked"
    ws = birds_project(tmp_path, photo=photo)
    (tmp_path / "pictures").mkdir()
    for i in range(1, 41):
        if i != 9:
            (tmp_path / "pictures" / f"{i}.png").write_bytes(drawing("disc" if i <= 20 else "stripes", i))
    options = {"network": "squeezenet1_1", "weights": None, "size": 64}
    with duckdb.connect(str(tmp_path / "warehouse.duckdb")) as connection:
        connection.execute("UPDATE photo SET file = '/dev/zero' WHERE id = 9")
    by_folder = ws.affinity(**options, images="pictures", name="folder")
    by_path = ws.affinity(**options, images="file", name="path")
    assert by_folder.n_entities == by_path.n_entities == 39
    assert np.array_equal(by_folder.clusters.p, by_path.clusters.p)
    assert "AF201" in [d.code for d in by_path.diagnostics], "a path that is no file is counted"


def blobs(n: int = 60) -> str:
    """A query of vectors around two centres, with text and columns that say the same."""
    return f"""SELECT id, [x, y, x * y]::FLOAT[] AS v, [[x, y]::FLOAT[], [0.1, 0.1]::FLOAT[]] AS bag, x AS a, y AS b,
        CASE WHEN id <= {n // 2} THEN 'A green jay sings in the tree. It is loud.' ELSE 'The market fell today! Shares lost value.' END AS words
        FROM (SELECT id, CASE WHEN id <= {n // 2} THEN 1 ELSE -1 END + (hash(id) % 100)::DOUBLE / 300 AS x, CASE WHEN id <= {n // 2} THEN 0.2 ELSE 1.5 END + (hash(-id) % 100)::DOUBLE / 300 AS y
              FROM range(1, {n + 1}) AS t(id))"""


@pytest.mark.parametrize("options", [{"vectors": "v"}, {"vectors": "bag"}, {"text": "words"}, {"rows": True}, {"rows": True, "function": "gaussian"}], ids=str)
def test_vectors_texts_and_rows_are_coded_too(tmp_path, options):
    ws = birds_project(tmp_path, photo=blobs(), gold="SELECT id, CASE WHEN id <= 30 THEN 'Green_Jay' ELSE 'Whip_Poor_Will' END AS label FROM range(1, 61) AS t(id)")
    ws.affinity(**options)
    right = published(tmp_path, "SELECT count(*) FROM (FROM bird.affinity_label QUALIFY row_number() OVER (PARTITION BY entity_id ORDER BY p DESC) = 1) JOIN bird.gold_label USING (entity_id, label)")
    assert right == [(60,)]


def test_rows_with_nan_are_left_out_and_counted(tmp_path):
    ws = birds_project(tmp_path, photo=f"SELECT id, CASE WHEN id = 4 THEN ['nan'::FLOAT, 1, 1] ELSE v END AS v FROM ({blobs()})")
    coding = ws.affinity(vectors="v")
    assert coding.n_entities == 59 and "e.g. 4" in next(d.message for d in coding.diagnostics if d.code == "AF203")


@pytest.mark.parametrize(("n_gold", "warned"), [(4, True), (40, False)])
def test_a_confidence_that_says_little_is_said_to(tmp_path, n_gold, warned):
    gold = f"SELECT id, CASE WHEN id <= 30 THEN 'Green_Jay' ELSE 'Whip_Poor_Will' END AS label FROM range(1, 61) AS t(id) WHERE id > {30 - n_gold / 2} AND id <= {30 + n_gold / 2}"
    coding = birds_project(tmp_path, photo=blobs(), gold=gold).affinity(vectors="v", method="em")
    assert ("AF212" in [d.code for d in coding.diagnostics]) == warned and (coding.temperature is None) == warned


def test_a_sample_of_prototypes_and_negative_affinities_are_said(tmp_path):
    coding = birds_project(tmp_path, photo=blobs()).affinity(vectors="v", most_prototypes=20)
    assert coding.n_prototypes == 20 and {"AF210", "AF211"} <= {d.code for d in coding.diagnostics}


def test_gold_of_the_test_split_does_not_name_clusters(tmp_path):
    """Test gold that says the opposite changes nothing."""
    ws = birds_project(tmp_path, photo=blobs(), gold="SELECT id, CASE WHEN id <= 30 THEN 'Green_Jay' ELSE 'Whip_Poor_Will' END AS label FROM range(1, 61) AS t(id)")
    ws.affinity(vectors="v")
    before = published(tmp_path, "FROM bird.affinity_label ORDER BY ALL")
    test = [key for (key,) in published(tmp_path, "SELECT entity_id FROM bird.entity WHERE split = 'test'")]
    with duckdb.connect(str(tmp_path / "warehouse.duckdb")) as connection:
        connection.execute("UPDATE gold SET label = CASE label WHEN 'Green_Jay' THEN 'Whip_Poor_Will' ELSE 'Green_Jay' END WHERE list_contains($t, id)", {"t": test})
    ws.affinity(vectors="v")
    from groundswell.coding_map import judged
    from groundswell.store import reading

    store = reading(ws.project)
    assert judged(store, ws.task, "v") == (0, len(test), "the test split")
    store.close()
    assert test and published(tmp_path, "FROM bird.affinity_label ORDER BY ALL") == before
