"""The section about common features, from a real run: every figure is the catalogue's, every alarm is said."""

import re

import duckdb
import pytest
from small_store import World, store_of
from support import project, published, verb, workspace

from groundswell.report import build_report
from groundswell.report.features import alarms

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
gold = { from = "gold", key = "post_id", label = "label" }
split = { column = "part" }
"""
WAREHOUSE = """
CREATE TABLE text_post AS SELECT i AS post_id, 'word ' || i % 3 AS body, ['train', 'dev'][1 + i % 2] AS part FROM range(40) AS t(i);
CREATE TABLE image_post AS SELECT 100 + i AS post_id, 'train' AS part FROM range(20) AS t(i);
CREATE TABLE gold AS SELECT post_id, CASE WHEN post_id < 20 THEN 'yes' ELSE 'no' END AS label FROM text_post;
"""
RESOURCES = """
import groundswell as gs
import pyarrow as pa

@gs.udf(inputs=["VARCHAR"], returns="VARCHAR[]", version=3)
def words_of(texts):
    if "word 2" in texts.to_pylist():
        raise ValueError("two")
    return pa.array([t.split() for t in texts.to_pylist()])
"""
FEATURES = """-- feature: words   kind: service   set: B   modalities: text
SELECT post_id, words_of(body) AS words FROM text_post;
-- feature: told   kind: rule   set: A   servable: no   modalities: text
SELECT post_id, post_id < 20 AS told FROM text_post;
"""


@pytest.fixture(scope="module")
def posts(tmp_path_factory):
    folder = project(tmp_path_factory.mktemp("report") / "posts", "-- lf: a -> yes\nFROM entity WHERE told;\n", sql=WAREHOUSE, config=CONFIG, files={"features/all.sql": FEATURES, "resources/words.py": RESOURCES})
    with workspace(folder) as ws:
        ws.run()
    return folder


def section(folder):
    """The section's HTML."""
    target = folder / "report.html"
    assert verb(folder, "report", "-o", str(target)).code == 0
    return re.search(r'<section id="features".*?</section>', target.read_text(), re.DOTALL).group()


def test_the_figures_are_those_of_the_catalogue(posts):
    html = section(posts)
    assert "words_of v3" in html and "set A · rule · BOOLEAN" in html and "not servable" in html
    for share, in published(posts, "SELECT coverage FROM gs.feature_quality WHERE feature = 'words'"):
        assert f"{100 * share:.1f} %" in html


def test_leaks_and_failures_are_said(posts):
    html = section(posts)
    assert re.search(r"may hold the label itself: <code>told</code>", html) and "words: 1 content without an answer" in html


def test_the_sql_behind_it_runs_anywhere(posts):
    text = re.sub(r"<[^>]+>", "", re.search(r'<div class="query"><button[^>]*>Copy</button><pre tabindex="0">(.*?)</pre>', section(posts), re.DOTALL).group(1))
    text = text.replace("&lt;", "<").replace("&gt;", ">").replace("&#x27;", "'").replace("&quot;", '"').replace("&amp;", "&")
    with duckdb.connect(str(posts / "groundswell.duckdb"), read_only=True) as connection:
        assert len(connection.execute(text).fetchall()) == 2 * 3  # words, told, body


def test_without_a_catalogue_the_next_step_is_named():
    world = World({1: {"a": "spam"}, 2: {"b": "ham"}})
    html = build_report(store_of(world), world.task)
    assert "The catalogue is not built yet" in html


def test_nothing_is_said_where_nothing_is_wrong():
    row = {"feature": "x", "leak": False, "failures": 0, "coverage": 0.5, "kind": "rule", "modality": "text"}
    assert alarms([[row]]) is None
