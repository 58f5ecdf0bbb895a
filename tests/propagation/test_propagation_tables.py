"""Propagation of a project: tables, views that LFs read, runs that continue, input that cannot be."""

from __future__ import annotations

import duckdb
import numpy as np
import pytest


from groundswell.errors import PropagationError
from groundswell.propagation import passes
from tests.fashion import fashion, judged
from tests.support import change, project, published, rows_of, verb, workspace

CONFIG = """
[project]
name = "posts"
[warehouse]
from = "warehouse.duckdb"
[modality.text]
from = "text_post"
key = "id"
[modality.image]
from = "image_post"
key = "id"
[task.spam]
classes = ["spam", "ham"]
gold = { from = "gold", key = "id", label = "label" }
split = { column = "part" }
"""
WORLD = """
CREATE TABLE world AS SELECT i AS id, i % 2 AS y, hash(i) % 10 AS h FROM range(200) AS t(i);
CREATE TABLE text_post AS SELECT id, part, x, topics, words FROM (
    SELECT id, CASE WHEN h = 0 THEN 'dev' WHEN h = 1 THEN 'test' ELSE 'train' END AS part, y * 2.0 + h / 10.0 AS x,
        CASE WHEN h = 9 THEN NULL WHEN h = 8 THEN [] ELSE [CASE y WHEN 1 THEN 'win' ELSE 'talk' END, 'h' || h] END AS topics, 'word' || id AS words FROM world WHERE id < 120);
CREATE TABLE image_post AS SELECT id, 'test' AS part, y * 2.0 + h / 10.0 + 0.05 AS x, [CASE y WHEN 1 THEN 'win' ELSE 'talk' END] AS topics,
    CAST(CASE h WHEN 1 THEN NULL WHEN 2 THEN [0, 0]::FLOAT[] WHEN 3 THEN ['nan'::FLOAT, 1]::FLOAT[] ELSE [y * 2 - 1, h / 20.0]::FLOAT[] END AS FLOAT[2]) AS look FROM world WHERE id >= 120;
CREATE TABLE gold AS SELECT id, CASE y WHEN 1 THEN 'spam' ELSE 'ham' END AS label FROM world WHERE id < 120;
"""
LFS = """-- lf: propagated
SELECT entity_id, label FROM propagation_label;
-- lf: propagated_softly
SELECT entity_id, label, p FROM propagation_probability;
"""


def posts(folder, *, sql: str = WORLD, more: str = "", lfs: str = ""):
    """A project of 120 texts with gold and 80 images without."""
    return workspace(project(folder, lfs, sql=sql + more, config=CONFIG))


@pytest.fixture(scope="module")
def spam(tmp_path_factory):
    """(workspace, propagation)."""
    ws = posts(tmp_path_factory.mktemp("posts"))
    return ws, ws.propagate(precision=0.8)


def test_tables_have_the_columns_of_the_contract(spam):
    ws, found = spam
    described = {table: {r[0]: r[1] for r in published(ws.project.root, f"DESCRIBE spam.{table}")} for table in ("edge", "propagation_score", "propagation_label", "propagation_probability")}
    assert described["edge"] == {"src": "BIGINT", "dst": "BIGINT", "weight": "DOUBLE"}
    assert described["propagation_score"] == {"entity_id": "BIGINT", "label": "VARCHAR", "score": "DOUBLE", "n_hops": "INTEGER"}
    assert described["propagation_label"] == {"entity_id": "BIGINT", "label": "VARCHAR"}
    assert list(described["propagation_probability"]) == ["entity_id", "label", "p"]
    assert published(ws.project.root, "SELECT count(*) FROM spam.edge AS a ANTI JOIN spam.edge AS b ON a.src = b.dst AND a.dst = b.src AND a.weight = b.weight") == [(0,)]
    assert published(ws.project.root, "SELECT count(*) FROM spam.edge") == [(2 * found.n_edges,)]
    assert published(ws.project.root, "SELECT min(weight) >= 0.1, max(weight) <= 1, count(*) FILTER (src = dst) FROM spam.edge") == [(True, True, 0)]


def test_images_get_the_labels_of_texts_like_them(spam):
    ws, found = spam
    wrong, n = published(ws.project.root, "SELECT count(*) FILTER ((label = 'spam') <> (entity_id % 2 = 1)), count(*) FROM spam.propagation_label WHERE entity_id >= 120")[0]
    assert n >= 70 and wrong <= 2
    assert found.by_modality().to_pylist()[0]["labelled"] == n and found.n_without_seed == 0
    assert found.recall == found.cross_recall == 1


def test_scores_are_a_fixed_point_of_the_round_in_sql(spam):
    ws, _ = spam
    difference = published(ws.project.root, "SELECT max(abs(r.score - s.score)), count(*) FROM spam.propagation_round AS r JOIN spam.propagation_score AS s USING (entity_id, label)")[0]
    assert difference[0] < 1e-3 and difference[1] == published(ws.project.root, "SELECT count(*) FROM spam.propagation_score")[0][0]
    trace = [c for (c,) in published(ws.project.root, "SELECT change FROM spam.propagation_trace ORDER BY round")]
    assert trace[-1] < 1e-4 and trace[0] > trace[-1]


def test_seeds_are_of_train_alone_and_a_fifth_is_not_clamped(spam):
    ws, found = spam
    train = published(ws.project.root, "SELECT count(*) FROM spam.gold_label JOIN spam.entity USING (entity_id) WHERE split = 'train'")[0][0]
    assert found.n_clamped + found.n_held_out == train and 0.15 < found.n_held_out / train <= 0.2
    clamped = published(ws.project.root, "SELECT DISTINCT split FROM spam.propagation_score JOIN spam.entity USING (entity_id) WHERE n_hops = 0")
    assert clamped == [("train",)]
    right = published(ws.project.root, "SELECT bool_and((score = 1) = (label = g.label)) FROM spam.propagation_score AS s JOIN spam.gold_label AS g USING (entity_id, label) WHERE n_hops = 0 AND score > 0")
    assert right == [(True,)]


def test_gold_of_dev_and_test_changes_nothing(tmp_path):
    ws = posts(tmp_path)
    ws.propagate()
    before = published(tmp_path, "FROM spam.propagation_score ORDER BY ALL")
    change(tmp_path, "UPDATE gold SET label = CASE label WHEN 'spam' THEN 'ham' ELSE 'spam' END WHERE id IN (SELECT id FROM text_post WHERE part <> 'train')")
    assert ws.propagate().graph_kept
    assert published(tmp_path, "FROM spam.propagation_score ORDER BY ALL") == before
    change(tmp_path, "UPDATE gold SET label = CASE label WHEN 'spam' THEN 'ham' ELSE 'spam' END WHERE id IN (SELECT id FROM text_post WHERE part = 'train')")
    ws.propagate()
    assert published(tmp_path, "FROM spam.propagation_score ORDER BY ALL") != before


def test_both_views_are_labeling_functions(tmp_path):
    ws = posts(tmp_path)
    ws.propagate(precision=0.8)
    (tmp_path / "lfs").mkdir(exist_ok=True)
    (tmp_path / "lfs" / "rules.sql").write_text(LFS)
    result = ws.run()
    assert not result.errors, result.errors
    assert published(tmp_path, "SELECT entity_id, label FROM spam.votes WHERE lf = 'propagated' ORDER BY 1") == published(tmp_path, "FROM spam.propagation_label ORDER BY 1")
    soft = published(tmp_path, "SELECT entity_id, label, p FROM spam.soft_vote WHERE lf = 'propagated_softly' ORDER BY ALL")
    assert soft and [s[:2] for s in soft] == [(e, l) for e, l, _ in published(tmp_path, "FROM spam.propagation_probability ORDER BY ALL")]
    sums = published(tmp_path, "SELECT min(s), max(s) FROM (SELECT sum(p) AS s FROM spam.propagation_probability GROUP BY entity_id)")[0]
    assert sums == pytest.approx((1, 1))
    seeds = published(tmp_path, "SELECT count(*) FROM spam.votes JOIN spam.propagation_score USING (entity_id) WHERE lf = 'propagated' AND n_hops = 0")
    assert seeds == [(0,)], "a seed would repeat its own gold label"


def test_an_answer_of_a_person_is_a_seed(tmp_path):
    """The newest answer wins over the warehouse's gold; a new one is one seed more."""
    ws = posts(tmp_path, more="DELETE FROM gold WHERE id = (SELECT max(id) FROM text_post WHERE part = 'train');")
    before = ws.propagate()
    key, *_, known = [k for (k,) in published(tmp_path, "SELECT entity_id FROM spam.entity WHERE split = 'train' ORDER BY entity_id DESC")]
    (tmp_path / "gold").mkdir()
    (tmp_path / "gold" / "review.csv").write_text(f"key,label,annotator,annotated_at,note\n{key},spam,me,2026-01-01T00:00:00+00:00,\n{known},spam,me,2026-01-01T00:00:00+00:00,\n")
    after = ws.propagate()
    assert after.n_clamped + after.n_held_out == before.n_clamped + before.n_held_out + 1
    assert published(tmp_path, f"SELECT DISTINCT label FROM spam.propagation_score WHERE n_hops = 0 AND score = 1 AND entity_id IN ({key}, {known})") in ([("spam",)], [])


@pytest.mark.parametrize("options", [{"method": "expander"}, {"method": "expander", "top_labels": 1}, {"both_only": True}, {"all_seeds": True}, {"exclude": ("look",), "weights": {"topics": 3.0}}], ids=str)
def test_other_ways_label_images_too(spam, options):
    ws, _ = spam
    found = ws.propagate(precision=0.7, **options)
    wrong, n = published(ws.project.root, "SELECT count(*) FILTER ((label = 'spam') <> (entity_id % 2 = 1)), count(*) FROM spam.propagation_label WHERE entity_id >= 120")[0]
    assert n >= 60 and wrong <= 4, (n, wrong, found.thresholds)
    if options.get("top_labels"):
        assert published(ws.project.root, "SELECT max(n) FROM (SELECT count(*) AS n FROM spam.propagation_score GROUP BY entity_id)") == [(1,)]
    if options.get("all_seeds"):
        assert published(ws.project.root, "SELECT DISTINCT pass FROM spam.propagation_trace ORDER BY 1") == [("final",), ("tuned",)]
        assert published(ws.project.root, "SELECT count(DISTINCT entity_id) FROM spam.propagation_score WHERE n_hops = 0") == [(found.n_clamped + found.n_held_out,)]


def test_the_graph_is_kept_while_features_stay(tmp_path):
    ws = posts(tmp_path)
    first = ws.propagate()
    edges, score = (published(tmp_path, f"FROM spam.{t} ORDER BY ALL") for t in ("edge", "propagation_score"))
    again = ws.propagate()
    assert not first.graph_kept and again.graph_kept and (again.recall, again.diagnostics) == (first.recall, first.diagnostics)
    assert published(tmp_path, "FROM spam.edge ORDER BY ALL") == edges
    assert [r[3] for r in published(tmp_path, "FROM spam.propagation_score ORDER BY ALL")] == [r[3] for r in score]
    assert not ws.propagate(k=5).graph_kept
    change(tmp_path, "UPDATE text_post SET x = x + 1 WHERE id = 7")
    assert not ws.propagate(k=5).graph_kept


def test_a_killed_run_goes_on(tmp_path, monkeypatch):
    monkeypatch.setattr(passes, "FEW", 0)
    ws, said = posts(tmp_path), []

    def kill(event) -> None:
        if event.message.endswith("pass 3"):
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        ws.propagate(candidates=60, listen=kill)
    assert not (tmp_path / "groundswell.duckdb").exists()
    ws.propagate(candidates=60, listen=lambda event: said.append(event.message))
    assert any("after pass 2" in s for s in said) and not any(s.endswith("pass 2") for s in said)
    other = posts(tmp_path / "unbroken")
    other.propagate(candidates=60)
    assert published(tmp_path, "FROM spam.edge ORDER BY ALL") == published(tmp_path / "unbroken", "FROM spam.edge ORDER BY ALL")
    assert not any((tmp_path / ".groundswell" / "propagation" / "spam").iterdir()), "checkpoints are gone"


def test_a_failed_propagation_leaves_the_earlier_one(spam):
    ws, _ = spam
    ws.propagate()
    before = published(ws.project.root, "FROM spam.propagation_score ORDER BY ALL")
    with pytest.raises(PropagationError):
        ws.propagate(exclude=("x", "topics"))
    assert published(ws.project.root, "FROM spam.propagation_score ORDER BY ALL") == before


EVERYTHING_NULL = "UPDATE image_post SET x = NULL, topics = NULL;"


@pytest.mark.parametrize(
    ("more", "options", "code", "said"),
    [
        ("DELETE FROM gold;", {}, "PR101", "train"), ("DELETE FROM gold WHERE id IN (SELECT id FROM text_post WHERE part = 'train');", {}, "PR101", "train"),
        ("DELETE FROM gold WHERE label = 'ham';", {}, "PR102", '"spam"'), (EVERYTHING_NULL, {}, "PR103", "image and text"), ("", {"exclude": ("x", "topics")}, "PR103", "no feature"),
        ("", {"exclude": ("topic",)}, "PR104", "topic"), ("", {"weights": {"x": -1.0}}, "PR104", "weight of x"), ("", {"weights": {"x": float("nan")}}, "PR104", "weight of x"),
        ("", {"k": 0}, "PR104", "k cannot be 0"), ("", {"precision": 1.5}, "PR104", "precision"), ("", {"method": "harmonc"}, "PR104", "harmonc"), ("", {"neighbours": 3}, "PR104", "neighbours"),
        ("", {"held_out": 1.0}, "PR104", "held_out"), ("", {"candidates": -5}, "PR104", "candidates"),
    ],
)  # fmt: skip
def test_bad_input_is_an_error_with_a_next_step(tmp_path, more, options, code, said):
    ws = posts(tmp_path, more=more)
    with pytest.raises(PropagationError) as error:
        ws.propagate(**options)
    assert error.value.code == code and error.value.diagnostics[0].hint and said in str(error.value)


def codes(found) -> dict[str, str]:
    return {d.code: d.message for d in found.diagnostics}


def test_odd_values_are_counted_and_the_rest_is_labelled(spam, tmp_path):
    n = published(spam[0].project.root, "SELECT count(*) FROM spam.entity WHERE entity_id >= 120 AND hash(entity_id) % 10 IN (2, 3)")[0][0]
    said = codes(spam[0].propagate())
    assert f"look ({n} rows)" in said["PR203"] and "words" in said["PR208"]
    ws = posts(tmp_path, more="ALTER TABLE text_post ADD COLUMN one INTEGER DEFAULT 1; ALTER TABLE image_post ADD COLUMN one INTEGER DEFAULT 1; UPDATE text_post SET x = 'inf' WHERE id = 1;")
    said = codes(ws.propagate())
    assert "one" in said["PR204"] and "x (1 rows)" in said["PR203"]


def test_rows_that_no_seed_reaches_abstain(tmp_path):
    """Images of another world: alike among themselves, like no text."""
    far = "UPDATE image_post SET x = NULL, topics = ['elsewhere'], look = NULL WHERE id % 4 = 0;"
    ws = posts(tmp_path, more=far)
    found = ws.propagate()
    unreached = published(tmp_path, "SELECT count(*) FROM spam.entity ANTI JOIN spam.propagation_score USING (entity_id)")[0][0]
    assert unreached and f"{unreached:,} of 200 rows" in codes(found)["PR205"] and found.n_without_seed >= 1
    assert published(tmp_path, "SELECT count(*) FROM spam.propagation_label WHERE entity_id >= 120 AND entity_id % 4 = 0 AND entity_id NOT IN (SELECT entity_id FROM spam.propagation_score)") == [(0,)]


def test_parts_with_one_class_of_seeds_are_told(tmp_path):
    ws = posts(tmp_path, more="UPDATE text_post SET x = NULL, topics = [CASE id % 2 WHEN 1 THEN 'win' ELSE 'talk' END]; UPDATE image_post SET x = NULL, look = NULL;")
    found = ws.propagate()
    assert "PR206" in codes(found) and found.n_of_one_class == found.n_components - found.n_without_seed


def test_few_seeds_are_told(tmp_path):
    few = "DELETE FROM gold WHERE id NOT IN (SELECT id FROM text_post WHERE part = 'train' ORDER BY id LIMIT 12) OR (label = 'ham' AND id > 6);"
    said = codes(posts(tmp_path, more=few).propagate())
    assert "PR209" in said and "no label" in said["PR209"]


def test_a_target_out_of_reach_falls_back_and_says_so(spam):
    found = spam[0].propagate(precision=1.0)
    assert "PR202" in codes(found) and not any(t.meets for t in found.thresholds.values()) and all(t.value for t in found.thresholds.values())


@pytest.mark.parametrize("n", [1, 2, 3])
def test_hardly_any_rows(tmp_path, n):
    config = CONFIG.replace('[modality.image]\nfrom = "image_post"\nkey = "id"\n', "")
    sql = f"CREATE TABLE text_post AS SELECT i AS id, 'train' AS part, i AS x FROM range({n}) AS t(i); CREATE TABLE gold AS SELECT id, CASE id WHEN 0 THEN 'spam' ELSE 'ham' END AS label FROM text_post WHERE id < 2;"
    ws = workspace(project(tmp_path, "", sql=sql, config=config))
    if n == 1:
        with pytest.raises(PropagationError) as error:
            ws.propagate()
        assert error.value.code in ("PR102", "PR106")
        return
    found = ws.propagate(least_weight=0.0)
    assert found.n_clamped == 2 and "PR209" in codes(found)
    assert published(tmp_path, "SELECT count(*) FROM spam.propagation_label") == [(0,)]


def test_equal_rows_everywhere(tmp_path):
    ws = posts(tmp_path, more="UPDATE text_post SET x = id % 2, topics = ['same']; UPDATE image_post SET x = id % 2, topics = ['same'], look = [1, 1];")
    found = ws.propagate(precision=0.7)
    assert {m["reached"] for m in found.modalities} == {80, 120}
    assert "PR204" in codes(found)


def test_several_classes(tmp_path):
    config = CONFIG.replace('["spam", "ham"]', '["a", "b", "c"]')
    sql = WORLD.replace("y * 2.0", "(id % 3) * 2.0").replace("CASE y WHEN 1 THEN 'win' ELSE 'talk' END", "'t' || (id % 3)").replace("CASE y WHEN 1 THEN 'spam' ELSE 'ham' END", "chr(97 + CAST(id % 3 AS INTEGER))")
    ws = workspace(project(tmp_path, "", sql=sql, config=config))
    ws.propagate(precision=0.6, exclude=("look",))
    wrong, n = published(tmp_path, "SELECT count(*) FILTER (label <> chr(97 + CAST(entity_id % 3 AS INTEGER))), count(*) FROM spam.propagation_label WHERE entity_id >= 120")[0]
    assert n >= 60 and wrong <= 3


# -- the command line ---------------------------------------------------------------------------------------------------


def test_the_verb_prints_a_table_and_the_next_step(spam):
    answer = verb(spam[0].project.root, "propagate", "--precision", "0.8", "--exclude", "look", "--weight", "topics=2")
    assert answer.code == 0, answer.err
    assert "threshold" in answer.out and "image" in answer.out and "FROM propagation_label" in answer.out and "edges" in answer.out


def test_json_holds_one_object_per_class(spam):
    found = rows_of(verb(spam[0].project.root, "propagate", "--format", "json").out)
    assert [row["label"] for row in found] == ["spam", "ham"] and {"threshold", "precision", "wilson_lower", "recall", "n_held_out"} <= set(found[0])
    assert verb(spam[0].project.root, "propagate", "--format", "csv").out.splitlines()[0].startswith("label,threshold,")


@pytest.mark.parametrize(("given", "said"), [(("--weight", "topics"), "PR104"), (("--weight", "topcs=2"), 'did you mean "topics"'), (("-k", "0"), "PR104"), (("--method", "x"), "harmonic")])
def test_wrong_options_in_the_terminal(spam, given, said):
    answer = verb(spam[0].project.root, "propagate", *given)
    assert answer.code == 2 and said in answer.err


# -- real data ----------------------------------------------------------------------------------------------------------


def test_titles_label_photos(tmp_path):
    """Products of two thousand titles with a label and five hundred photos without: what common columns say of usage."""
    with fashion(tmp_path, "usage", 2000, 500) as ws:
        found = ws.propagate(precision=0.85)
    right = judged(tmp_path, "usage")
    assert right["rows"] == 500 and right["coverage"] > 0.85 and right["accuracy"] > 0.85, right
    share = max(published(tmp_path, "SELECT avg((label = 'Casual')::INT) FROM usage.gold_label")[0][0], 0.5)
    assert right["accuracy"] > share, "better than the larger class"
    assert found.recall > 0.95 and {m["modality"] for m in found.modalities} == {"title", "photo"}
    assert "name" in codes(found)["PR208"] and "image" in codes(found)["PR208"], "titles and pixels are not compared"
