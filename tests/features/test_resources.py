"""features/*.sql: what becomes a column of entity, the catalogue, and everything that can be wrong with one."""

import pytest
from support import change, project, published, rows_of, verb, workspace

WAREHOUSE = """
CREATE TABLE post AS
SELECT i AS post_id, ['alpha beta', 'beta', 'gamma delta', 'delta'][1 + i % 4] AS body, i % 20 AS member_id, 't' || i % 5 AS tone, ['train', 'train', 'dev'][1 + i % 3] AS part,
       CASE WHEN i % 4 < 2 THEN 'yes' ELSE 'no' END AS label
FROM range(400) AS t(i);
CREATE TABLE picture AS SELECT 1000 + i AS picture_id, i % 20 AS member_id, 't' || i % 2 AS tone, ['train', 'test'][1 + i % 2] AS part FROM range(200) AS t(i);
CREATE TABLE told AS SELECT post_id, label FROM post;
CREATE TABLE topic AS
SELECT post_id, CASE WHEN post_id % 10 = 0 THEN NULL WHEN post_id % 10 = 1 THEN [] ELSE [['sport', 'news', 'food', 'art'][1 + post_id % 4], 'all'] END AS topics FROM post;
INSERT INTO topic SELECT picture_id, [['sport', 'food'][1 + picture_id % 2]] FROM picture;
CREATE TABLE report AS SELECT i AS report_id, i % 7 AS member_id FROM range(60) AS t(i);
"""
FEATURES = """-- feature: topics   kind: service   set: C   servable: yes
SELECT post_id, topics FROM topic;

-- feature: n_reports   kind: aggregate   set: A   servable: no
SELECT post_id, count(r.report_id)::DOUBLE AS n_reports FROM post LEFT JOIN report AS r USING (member_id) GROUP BY post_id
UNION ALL BY NAME
SELECT picture_id AS post_id, count(r.report_id)::DOUBLE AS n_reports FROM picture LEFT JOIN report AS r USING (member_id) GROUP BY picture_id;

-- feature: says_beta   kind: rule   set: B
SELECT post_id, body LIKE '%beta%' AS says_beta FROM post;
"""
LFS = """-- lf: beta -> yes
FROM entity WHERE says_beta;
-- lf: food -> no
FROM entity WHERE list_contains(topics, 'food');
-- lf: reported -> no
FROM entity WHERE n_reports > 8;
"""
CONFIG = """
[project]
name = "posts"
[warehouse]
from = "warehouse.duckdb"
[modality.text]
from = "post"
key = "post_id"
[modality.image]
from = "picture"
key = "picture_id"
[task.spam]
classes = ["no", "yes"]
gold = { from = "told", key = "post_id", label = "label" }
split = { column = "part" }
end_model = { method = "logistic", max_epochs = 3, text_buckets = 256 }
"""


def built(folder, features=FEATURES, run=True):
    folder = project(folder, LFS, sql=WAREHOUSE.replace(", CASE WHEN i % 4 < 2 THEN 'yes' ELSE 'no' END AS label", "").replace("SELECT post_id, label FROM post", "SELECT post_id, CASE WHEN post_id % 4 < 2 THEN 'yes' ELSE 'no' END AS label FROM post"), config=CONFIG, files={"features/all.sql": features})
    if run:
        with workspace(folder) as ws:
            ws.run()
    return folder


@pytest.fixture(scope="module")
def posts(tmp_path_factory):
    return built(tmp_path_factory.mktemp("features") / "posts")


def test_features_are_columns_of_entity_and_null_is_not_the_empty_list(posts):
    rows = dict((key, rest) for key, *rest in published(posts, "SELECT entity_id, topics, n_reports, says_beta FROM spam.entity WHERE entity_id IN (0, 1, 2, 1000)"))
    assert rows[0][0] is None and rows[1][0] == [] and rows[2][0] == ["food", "all"] and rows[1000][0] == ["sport"]
    assert rows[0][2] is True and rows[2][2] is False and rows[1000][2] is None
    n = published(posts, "SELECT count(*), count(n_reports), sum(n_reports) FROM spam.entity")[0]
    assert n == (600, 600, 30 * 60.0)


def test_labeling_functions_read_them_over_all_modalities(posts):
    assert dict(published(posts, "SELECT lf, n_votes FROM spam.lf_summary"))["food"] == published(posts, "SELECT count(*) FROM spam.entity WHERE list_contains(topics, 'food')")[0][0] > 100
    assert published(posts, "SELECT DISTINCT modality FROM spam.votes JOIN spam.entity USING (entity_id) WHERE lf = 'food' ORDER BY 1") == [("image",), ("text",)]


def test_the_registry(posts):
    rows = {name: rest for name, *rest in published(posts, "SELECT feature, kind, feature_set, type, servable, modalities FROM gs.feature")}
    assert rows["topics"] == ["service", "C", "VARCHAR[]", True, ["image", "text"]]
    assert rows["n_reports"] == ["aggregate", "A", "DOUBLE", False, ["image", "text"]]
    assert rows["says_beta"] == ["rule", "B", "BOOLEAN", True, ["text"]]
    assert rows["body"][:2] == ["column", None]


def test_coverage_drift_and_worth_by_hand(posts):
    quality = {(f, m): rest for f, m, *rest in published(posts, "SELECT feature, modality, coverage, distinct_values, drift, auprc_alone, leak FROM gs.feature_quality")}
    assert quality["topics", "text"][0] == pytest.approx(0.9) and quality["topics", "image"][0] == 1 and quality["says_beta", "image"][0] == 0
    assert quality["topics", "text"][1] == 5 and quality["topics", "image"][1] == 2
    rows = published(posts, "SELECT modality, topics FROM spam.entity")
    share = {}
    for modality, topics in rows:
        for token in ["<null>"] if topics is None else topics or ["<none>"]:
            share.setdefault(modality, {}).setdefault(token, 0)
            share[modality][token] += 1
    n = {"text": 400, "image": 200}
    tv = 0.5 * sum(abs(share["text"].get(t, 0) / n["text"] - share["image"].get(t, 0) / n["image"]) for t in {*share["text"], *share["image"]})
    assert quality["topics", "text"][2] == pytest.approx(min(tv, 1)) == quality["topics", "image"][2]
    assert quality["tone", "text"][2] == pytest.approx(0.5 * (2 * 0.3 + 3 * 0.2)) == quality["tone", "image"][2]
    assert quality["says_beta", "text"][3] == pytest.approx(1) and quality["says_beta", "text"][4] is True
    assert 0.4 < quality["n_reports", "text"][3] < 0.8 and quality["n_reports", "text"][4] is False
    assert quality["topics", "image"][3] is None


def test_a_model_that_is_to_be_served_does_not_read_the_others(posts, tmp_path):
    folder = built(tmp_path / "posts")
    with workspace(folder) as ws:
        ws.train()
    (features,) = published(folder, "SELECT features FROM spam.end_model")[0]
    assert "topics" in features and "n_reports" not in features
    config = folder / "groundswell.toml"
    config.write_text(config.read_text().replace("max_epochs = 3", 'features = ["topics", "n_reports"], max_epochs = 3'))
    answer = verb(folder, "train")
    assert answer.code == 2 and "EM123" in answer.err and "n_reports" in answer.err


def test_nothing_is_done_again_until_something_changes(tmp_path):
    folder = built(tmp_path / "posts")
    with workspace(folder) as ws:
        assert not any(step.done for step in ws.run().steps)
    change(folder, "INSERT INTO report VALUES (100, 3)")
    with workspace(folder) as ws:
        done = {step.output for step in ws.run().steps if step.done}
    assert {"entity", "feature", "votes"} <= done
    assert published(folder, "SELECT n_reports FROM spam.entity WHERE entity_id = 3") == [(10.0,)]


def test_the_verb_shows_the_catalogue(posts):
    rows = rows_of(verb(posts, "features", "--format", "json").out)
    assert {r["feature"] for r in rows} >= {"topics", "n_reports", "says_beta", "body"}
    assert next(r for r in rows if r["feature"] == "n_reports")["servable"] is False
    text = verb(posts, "features").out
    assert "topics" in text and "says_beta" in text and "may hold the label" in text


@pytest.mark.parametrize(("feature", "code", "words"), [
    ("-- feature: x   kind: servce\nSELECT post_id, 1 AS x FROM post;", "FT101", "kind"),
    ("-- feature: x   kind: rule   servable: maybe\nSELECT post_id, 1 AS x FROM post;", "FT101", "maybe"),
    ("-- feature: x   kind: rule   sat: A\nSELECT post_id, 1 AS x FROM post;", "FT101", "set"),
    ("-- feature: entity_id   kind: rule\nSELECT post_id, 1 AS x FROM post;", "FT101", "entity_id"),
    ("-- feature: x   kind: rule\nSELECT 1 AS x FROM post;", "FT102", "post_id"),
    ("-- feature: x   kind: rule\nSELECT post_id, 1 AS y FROM post;", "FT103", "x"),
    ("-- feature: body   kind: rule\nSELECT post_id, 1 AS body FROM post;", "FT104", "body"),
    ("-- feature: x   kind: rule\nSELECT post_id, 1 AS x FROM post;\n-- feature: x   kind: rule\nSELECT post_id, 1 AS x FROM post;", "FT104", "features/all.sql:1"),
    ("-- feature: x   kind: rule\nSELECT entity_id, 1 AS x FROM entity;", "FT106", "warehouse"),
    ("-- feature: x   kind: rule\nSELECT post_id, length(bdy) AS x FROM post;", "LF102", "body"),
    ("-- feature: x   kind: rule\nSELECT post_id, 1 AS x FROM read_csv('/etc/passwd');", "LF106", "read_csv"),
    ("-- feature: x   kind: rule\nSELECT post_id, label AS x FROM told;", "LF107", ""),
])  # fmt: skip
def test_features_that_cannot_be(tmp_path, feature, code, words):
    answer = verb(built(tmp_path / "posts", feature, run=False), "check", "--format", "json")
    found = [d for d in rows_of(answer.out) if d["severity"] == "error" and (d["file"] or "").startswith("features")]
    assert answer.code == 1 and found and words in (found[0]["message"] + (found[0]["hint"] or ""))
    assert found[0]["code"] == code and found[0]["line"] >= 1


def test_several_rows_for_one_entity_are_an_error_with_the_key(tmp_path):
    folder = built(tmp_path / "posts", "-- feature: x   kind: rule\nSELECT post_id, report_id AS x FROM post JOIN report USING (member_id);", run=False)
    (folder / "lfs" / "rules.sql").write_text("-- lf: a -> yes\nFROM entity WHERE x > 3;\n")
    answer = verb(folder, "run")
    assert answer.code == 2 and "FT105" in answer.err and "features/all.sql:1" in answer.err
