"""The verb affinity and its map: a person names clusters, the names stay with what they named."""

from __future__ import annotations

import csv
import re
from html import unescape
from html.parser import HTMLParser

import duckdb
import pytest

from tests.support import published, rows_of, verb

from .pictures import drawing

CONFIG = """
[project]
name = "shapes"
[warehouse]
from = "warehouse.duckdb"
[modality.image]
from = "photo"
key = "id"
[task.shape]
classes = ["disc", "stripes"]
"""
CODE = ("--network", "squeezenet1_1", "--weights", "none", "--size", "64")


@pytest.fixture(scope="module")
def shapes(tmp_path_factory):
    """A project of 30 drawn images without gold, coded with a random network."""
    folder = tmp_path_factory.mktemp("shapes")
    with duckdb.connect(str(folder / "warehouse.duckdb")) as connection:
        connection.execute("CREATE TABLE photo (id INTEGER, image BLOB, name VARCHAR)")
        for i in range(30):
            connection.execute("INSERT INTO photo VALUES (?, ?, ?)", [i, drawing("disc" if i < 15 else "stripes", i), "<script>x</script>"])
    (folder / "groundswell.toml").write_text(CONFIG)
    answer = verb(folder, "affinity", *CODE)
    assert answer.code == 0, answer.err
    assert "AF202" in answer.err and "AF205" in answer.err and "next: groundswell affinity map" in answer.out
    return folder


def test_json_holds_one_object_per_cluster(shapes):
    found = rows_of(verb(shapes, "affinity", *CODE, "--format", "json").out)
    assert [row["cluster"] for row in found] == [0, 1] and sum(row["size"] for row in found) == 30
    assert all(row["label"] is None and len(row["typical"]) <= 8 for row in found)


class Tags(HTMLParser):
    """Tags and addresses of a page."""

    def __init__(self):
        super().__init__()
        self.tags, self.addresses = [], []

    def handle_starttag(self, tag, attributes):
        self.tags.append(tag)
        self.addresses += [value for key, value in attributes if key in ("src", "href")]


def test_names_given_in_the_terminal_reach_the_store(shapes):
    page = shapes / "page.html"
    answer = verb(shapes, "affinity", "map", "0=stripes", "1=disc", "-o", str(page))
    assert answer.code == 0, answer.err
    assert published(shapes, "SELECT cluster, label, source FROM shape.affinity_map ORDER BY ALL") == [(0, "stripes", "hand"), (1, "disc", "hand")]
    assert published(shapes, "SELECT count(*), count(DISTINCT entity_id) FROM shape.affinity_label") == [(60, 30)]
    lines = list(csv.DictReader((shapes / "gold" / "affinity_map.csv").read_text().splitlines()))
    assert {(line["cluster"], line["label"]) for line in lines} == {("0", "stripes"), ("1", "disc")} and len(lines) == 16
    text = page.read_text()
    tags = Tags()
    tags.feed(text)
    assert all(address.startswith("data:image/jpeg;base64,") for address in tags.addresses) and len(tags.addresses) > 20
    assert "script" not in tags.tags and "default-src 'none'" in unescape(text)
    assert tags.tags.count("rect") >= 2 and re.search(r"Cluster 0: <bdi>stripes</bdi>", text)


def test_a_name_follows_its_images_when_clusters_change_number(shapes):
    """The file names entities, not numbers: turn the numbers round and the labels stay."""
    verb(shapes, "affinity", "map", "0=stripes", "1=disc", "-o", str(shapes / "p.html"))
    before = published(shapes, "SELECT entity_id, label FROM shape.affinity_label ORDER BY entity_id, p DESC")
    path = shapes / "gold" / "affinity_map.csv"
    path.write_text(re.sub(r"^image,([01])", lambda m: f"image,{1 - int(m[1])}", path.read_text(), flags=re.M))
    assert verb(shapes, "affinity", *CODE).code == 0
    assert published(shapes, "SELECT entity_id, label FROM shape.affinity_label ORDER BY entity_id, p DESC") == before


def test_names_filled_into_the_file_reach_the_store(shapes):
    path = shapes / "gold" / "affinity_map.csv"
    path.unlink(missing_ok=True)
    assert verb(shapes, "affinity", "map", "-o", str(shapes / "p.html")).code == 0
    lines = path.read_text().splitlines()
    assert all(line.split(",")[3] == "" for line in lines[1:])
    first = {line.split(",")[1]: i for i, line in reversed(list(enumerate(lines[1:], 1)))}
    for cluster, label in (("0", "disc"), ("1", "stripes")):
        parts = lines[first[cluster]].split(",")
        lines[first[cluster]] = ",".join([*parts[:3], label, *parts[4:]])
    path.write_text("\n".join(lines) + "\n")
    answer = verb(shapes, "affinity", "map", "-o", str(shapes / "p.html"))
    assert answer.code == 0 and "names are in the store" in answer.out
    assert published(shapes, "SELECT label FROM shape.affinity_map ORDER BY cluster") == [("disc",), ("stripes",)]


@pytest.mark.parametrize(
    ("content", "said"),
    [
        ("affinity_function,cluster,key,label\nimage,0,1,dsc\n", 'did you mean "disc"'), ("affinity_function,cluster,key,label\nimage,0,1,disc\nimage,0,2,stripes\n", "affinity_map.csv:3"),
        ("cluster,key,label\n0,1,disc\n", "affinity_function"),
    ],
)  # fmt: skip
def test_a_wrong_file_is_an_error_at_its_line(shapes, content, said):
    path = shapes / "gold" / "affinity_map.csv"
    path.parent.mkdir(exist_ok=True)
    path.write_text(content)
    answer = verb(shapes, "affinity", "map", "-o", str(shapes / "p.html"))
    path.unlink()
    assert answer.code == 2 and "AF111" in answer.err and said in answer.err


@pytest.mark.parametrize(("given", "said"), [("0=dsc", 'did you mean "disc"'), ("7=disc", "clusters: 0, 1"), ("disc", "clusters: 0, 1")])
def test_wrong_names_in_the_terminal(shapes, given, said):
    answer = verb(shapes, "affinity", "map", given)
    assert answer.code == 2 and said in answer.err


def test_before_the_first_coding_map_says_what_to_do(tmp_path):
    with duckdb.connect(str(tmp_path / "warehouse.duckdb")) as connection:
        connection.execute("CREATE TABLE photo AS SELECT 1 AS id, NULL::BLOB AS image")
    (tmp_path / "groundswell.toml").write_text(CONFIG)
    answer = verb(tmp_path, "affinity", "map")
    assert answer.code == 3 and "ST104" in answer.err
