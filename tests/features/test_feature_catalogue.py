"""The figures of the catalogue against a worked example and by hand; what is suspicious is said."""

import pytest
from support import project, published, verb, workspace

CONFIG = """
[project]
name = "posts"
[warehouse]
from = "warehouse.duckdb"
[modality.old]
from = "old_post"
key = "post_id"
[modality.new]
from = "new_post"
key = "post_id"
[task.spam]
classes = ["no", "yes"]
gold = { from = "gold", key = "post_id", label = "label" }
split = { column = "part" }
"""
WAREHOUSE = """
CREATE TABLE old_post AS SELECT i AS post_id, ['train', 'dev'][1 + i % 2] AS part FROM range(10) AS t(i);
CREATE TABLE new_post AS SELECT 100 + i AS post_id, 'train' AS part FROM range(10) AS t(i);
CREATE TABLE gold AS SELECT post_id, CASE WHEN post_id < 4 THEN 'yes' ELSE 'no' END AS label FROM old_post;
CREATE TABLE place AS
SELECT post_id, CASE WHEN post_id < 6 THEN 'outdoor' WHEN post_id < 8 THEN 'indoor' END AS setting FROM old_post
UNION ALL SELECT post_id, CASE WHEN post_id < 103 THEN 'outdoor' WHEN post_id < 109 THEN 'indoor' END FROM new_post;
"""
FEATURES = """-- feature: setting   kind: service   set: C
SELECT post_id, setting FROM place;
-- feature: settings   kind: service   set: C
SELECT post_id, CASE WHEN setting IS NOT NULL THEN [setting] END AS settings FROM place;
-- feature: told   kind: rule   set: B   modalities: old
SELECT post_id, post_id < 4 AS told FROM old_post;
-- feature: many   kind: service   set: B
SELECT post_id, list_transform(range(50000), lambda i: 'word ' || (post_id * 50000 + i)) AS many FROM old_post
UNION ALL BY NAME SELECT post_id, ['one'] AS many FROM new_post;
"""


@pytest.fixture(scope="module")
def posts(tmp_path_factory):
    folder = project(tmp_path_factory.mktemp("catalogue") / "posts", "-- lf: a -> yes\nFROM entity WHERE setting = 'outdoor';\n", sql=WAREHOUSE, config=CONFIG, files={"features/all.sql": FEATURES})
    with workspace(folder) as ws:
        ws.run()
    return folder


@pytest.mark.parametrize("feature", ["setting", "settings"])
def test_drift_of_the_worked_example(posts, feature):
    """Old outdoor 6, indoor 2, NULL 2; new 3, 6, 1: total variation .4, Jensen-Shannon divergence .12451 bits."""
    rows = published(posts, f"SELECT modality, drift, jensen_shannon, coverage FROM gs.feature_quality JOIN gs.feature_divergence USING (feature, modality) WHERE feature = '{feature}' ORDER BY 1")
    assert [r[0] for r in rows] == ["new", "old"] and [r[3] for r in rows] == [0.9, 0.8]
    assert all(drift == pytest.approx(0.4) and divergence == pytest.approx(0.12451, abs=5e-6) for _, drift, divergence, _ in rows)


def test_what_has_nothing_in_common_is_one_bit_apart(posts):
    rows = published(posts, "SELECT drift, jensen_shannon FROM gs.feature_quality JOIN gs.feature_divergence USING (feature, modality) WHERE feature = 'many'")
    assert all(drift == pytest.approx(1) and divergence == pytest.approx(1) for drift, divergence in rows)


def test_a_vocabulary_of_half_a_million_values_and_one_of_one(posts):
    assert published(posts, "SELECT modality, distinct_values FROM gs.feature_quality WHERE feature = 'many' ORDER BY 1") == [("new", 1), ("old", 500_000)]


def test_a_label_in_a_feature_rings_the_alarm(posts):
    assert published(posts, "SELECT feature FROM gs.feature_quality WHERE leak") == [("told",)]
    assert "may hold the label itself: told" in verb(posts, "features").out
