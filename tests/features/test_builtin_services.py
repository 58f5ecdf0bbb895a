"""Built-in services in a project of two modalities: from pixels and texts to columns of entity, by the command line."""

import os

import duckdb
import pytest
from PIL import Image
from support import change, project, published, rows_of, verb, workspace

from tests.affinity.pictures import encoded

CONFIG = """
[project]
name = "posts"
[warehouse]
from = "warehouse.duckdb"
[modality.text]
from = "text_post"
key = "post_id"
[modality.image]
from = "image_post"
key = "post_id"
[task.spam]
classes = ["no", "yes"]
"""
WAREHOUSE = """
CREATE TABLE text_post AS SELECT i AS post_id, ['refund my money please', 'late parcel, where is the parcel', 'the password does not reset', ''][1 + i % 4] AS body FROM range(80) AS t(i);
CREATE TABLE image_post (post_id BIGINT, image BLOB, file VARCHAR, seen VARCHAR[]);
CREATE TABLE shelf AS SELECT 'parcel post' AS name, 'delivery' AS section UNION ALL SELECT 'money and refund', 'billing' UNION ALL SELECT 'password', 'account';
"""
RESOURCES = """
import groundswell as gs

topics_of_text = gs.service("text_topics", fit="SELECT body FROM text_post", n_topics=3)
meaning_of = gs.service("text_embedding", fit="SELECT body FROM text_post", dimensions=8, buckets=4096)
section_of = gs.service("nearest_labels", fit="SELECT meaning_of(name) AS vector, section FROM shelf", k=1)
"""
FEATURES = """-- feature: topics   kind: service   set: C
SELECT post_id, topics_of_text(body) AS topics FROM text_post
UNION ALL BY NAME
SELECT post_id, topics_of_text(array_to_string(seen, ' ')) AS topics FROM image_post;

-- feature: meaning   kind: service   set: C   modalities: text
SELECT post_id, meaning_of(body) AS meaning FROM text_post;

-- feature: section   kind: service   set: C   modalities: text
SELECT post_id, section_of(meaning_of(body)) AS section FROM text_post;

-- feature: colours   kind: service   set: I   modalities: image
SELECT post_id, image_colours(image) AS colours FROM image_post;

-- feature: texture   kind: service   set: I   modalities: image
SELECT post_id, image_texture(file) AS texture FROM image_post;
"""
LFS = "-- lf: refund -> yes\nFROM entity WHERE list_contains(section, 'billing');\n-- lf: red -> no\nFROM entity WHERE list_contains(colours, 'red');\n"
COLOURS = {1000: "red", 1001: "blue", 1002: "red", 1003: None, 1004: b"no image", 1005: b""}


def plain(colour):
    """A picture of one colour."""
    return encoded(Image.new("RGB", (20, 20), colour)) if isinstance(colour, str) else colour


@pytest.fixture
def posts(tmp_path):
    """The project: 80 texts and 6 pictures, as bytes and as files."""
    folder = project(tmp_path / "posts", LFS, sql=WAREHOUSE, config=CONFIG, files={"resources/services.py": RESOURCES, "features/all.sql": FEATURES})
    (folder / "pictures").mkdir()
    with duckdb.connect(str(folder / "warehouse.duckdb")) as connection:
        for key, colour in COLOURS.items():
            name = None if key == 1003 else f"pictures/{key}.png"
            connection.execute("INSERT INTO image_post VALUES (?, ?, ?, ?)", [key, plain(colour), name, ["parcel"] if key == 1000 else []])
            if colour is not None and key != 1005:
                (folder / name).write_bytes(plain(colour))
    return folder


def ran(folder):
    """The result of a run."""
    with workspace(folder) as ws:
        return ws.run()


def test_both_modalities_get_what_the_services_say(posts):
    found = {d.message.split(" has ")[0]: d.message for d in ran(posts).diagnostics if d.code == "FT201"}
    rows = {k: rest for k, *rest in published(posts, "SELECT entity_id, topics, section, colours, texture IS NOT NULL, meaning IS NOT NULL FROM spam.entity")}
    assert rows[0][:2] == [rows[4][0], ["billing"]] and rows[1][1] == ["delivery"] and rows[2][1] == ["account"] and rows[3] == [[], None, None, False, False]
    assert rows[1000] == [rows[1][0], None, ["red"], True, False] and rows[1001][:3] == [[], None, ["blue"]] and rows[1003][2:4] == [None, False] == rows[1004][2:4] == rows[1005][2:4]
    assert "1 empty" in found["image_colours"] and "1 cannot be decoded" in found["image_colours"] and found["image_colours"].endswith("first: 1004")
    assert "1 without a known word" in found["meaning_of"]
    assert published(posts, "SELECT count(*) FROM spam.votes WHERE lf = 'refund'") == [(20,)]


def test_vectors_are_views_and_readable_by_anybody(posts):
    ran(posts)
    (n,), = published(posts, "SELECT count(*) FROM gs.embedding_meaning")
    kinds = dict(row[:2] for row in published(posts, "DESCRIBE gs.embedding_meaning"))
    assert n == 60 and kinds == {"entity_id": "BIGINT", "vector": "FLOAT[8]"}
    assert published(posts, "SELECT count(*) FROM gs.embedding_texture") == [(3,)]
    path = posts / "features" / "all.sql"
    path.write_text(path.read_text().replace("meaning ", "sense ").replace("AS meaning FROM", "AS sense FROM"))
    ran(posts)
    names = [name for (name,) in published(posts, "SELECT view_name FROM duckdb_views() WHERE schema_name = 'gs' ORDER BY 1")]
    assert names == ["embedding_sense", "embedding_texture"]


def test_nothing_is_asked_twice_until_something_changes(posts):
    ran(posts)
    assert not any(step.done for step in ran(posts).steps)
    change(posts, "INSERT INTO shelf VALUES ('refund refund', 'money')")
    reasons = {s.output: s.reason for s in ran(posts).steps if s.done}
    assert reasons["features"] == "1 of 5: section (changed)"
    assert published(posts, "SELECT section FROM spam.entity WHERE entity_id = 0") != [(None,)]


def test_a_file_that_is_written_anew_is_looked_at_again(posts):
    ran(posts)
    before = published(posts, "SELECT entity_id, texture FROM spam.entity WHERE entity_id >= 1000 ORDER BY 1")
    target = posts / "pictures" / "1001.png"
    target.write_bytes(plain("white"))
    os.utime(target, ns=(1, 1))
    (posts / "pictures" / "1005.png").write_bytes(plain("red"))
    reasons = {s.output: s.reason for s in ran(posts).steps if s.done}
    after = dict(published(posts, "SELECT entity_id, texture FROM spam.entity WHERE entity_id >= 1000"))
    assert reasons["features"] == "1 of 5: texture (files changed)"
    assert after[1001] != dict(before)[1001] and after[1000] == dict(before)[1000] and after[1005] == after[1000]


def test_a_model_is_fitted_once_and_again_when_its_settings_change(posts):
    ran(posts)
    change(posts, "INSERT INTO text_post VALUES (81, 'volcano eruption volcano')")
    ran(posts)
    names = {t for (topics,) in published(posts, "SELECT topics FROM spam.entity") for t in topics or ()}
    assert not any("volcano" in name for name in names)
    path = posts / "resources" / "services.py"
    path.write_text(path.read_text().replace("n_topics=3)", "n_topics=3, version=2)"))
    change(posts, "INSERT INTO text_post SELECT 100 + i, 'volcano eruption ' || i FROM range(20) AS t(i)")
    ran(posts)
    names = {t for (topics,) in published(posts, "SELECT topics FROM spam.entity") for t in topics or ()}
    assert any("volcano" in name for name in names)


def test_the_catalogue_knows_services_versions_costs_and_failures(posts):
    ran(posts)
    rows = {r["feature"]: r for r in rows_of(verb(posts, "features", "--format", "json").out)}
    assert rows["section"]["services"] == "meaning_of v1, section_of v1" and rows["colours"]["failures"] == 2 and rows["colours"]["cost_ms"] > 0
    shown = verb(posts, "features").out
    assert "features that call services" in shown and "image_texture v1" in shown


def test_a_modality_without_values_is_said_unless_it_is_meant(posts):
    path = posts / "features" / "all.sql"
    path.write_text(path.read_text().replace("   modalities: text", "", 1).replace("modalities: image\nSELECT post_id, image_colours(image) AS colours FROM image_post", "modalities: text, image\nSELECT post_id, image_colours(image) AS colours FROM image_post"))
    found = {d.message: d.hint for d in ran(posts).diagnostics if d.code == "FT204"}
    assert set(found) == {"feature meaning has no value in image", "feature colours has no value in text"} and found["feature meaning has no value in image"].endswith("modalities: text")
    path.write_text(path.read_text().replace("modalities: text, image", "modalities: txt"))
    assert "FT101" in verb(posts, "check").err


def test_network_services_name_what_is_missing(posts):
    path = posts / "features" / "all.sql"
    path.write_text(path.read_text() + "\n-- feature: look   kind: service   modalities: image\nSELECT post_id, image_embedding(image) AS look FROM image_post;\n")
    (posts / "resources" / "nets.py").write_text('import groundswell as gs\nimage_embedding = gs.service("image_embedding", network="resnet1")\n')
    answer = verb(posts, "check")
    assert answer.code == 1 and "AF102" in answer.err and "resnet18" in answer.err
    (posts / "resources" / "nets.py").write_text('import groundswell as gs\nimage_embedding = gs.service("image_embedding", network="squeezenet1_1", weights=None, size=64)\n')
    assert "AF202" in [d.code for d in ran(posts).diagnostics]
    assert published(posts, "SELECT count(*), count(DISTINCT vector) FROM gs.embedding_look") == [(3, 2)]


def test_another_warehouse_cannot_say_what_a_service_says(posts):
    ran(posts)
    answer = verb(posts, "export", "sql", "--dialect", "postgres")
    assert answer.code == 1 and "LF127" in answer.err and "image_colours" in answer.err
