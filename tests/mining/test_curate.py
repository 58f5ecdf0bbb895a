"""`curate`: from gold of one modality to a training set for another, and what each part added."""

from __future__ import annotations

import numpy as np
import pytest

from groundswell.curating import measure
from groundswell.errors import MiningError
from groundswell.store import writing
from support import project, published, rows_of, shell, workspace
from tests.mining.test_suggest import CONFIG, WORLD

JUDGED = WORLD + """
INSERT INTO human SELECT post_id, label FROM truth WHERE hash(post_id) % 4 = 0;
ALTER TABLE post ADD COLUMN part VARCHAR; UPDATE post SET part = CASE WHEN hash(post_id) % 10 = 0 THEN 'dev' ELSE 'train' END;
ALTER TABLE picture ADD COLUMN part VARCHAR; UPDATE picture SET part = CASE WHEN hash(post_id) % 4 = 0 THEN 'test' ELSE 'train' END;
"""
HAND = "-- lf: french -> ok\nFROM entity WHERE country = 'fr';\n"
TEST_OF_IMAGE = CONFIG + 'split = { column = "part" }\n'


@pytest.fixture(scope="module")
def curated(tmp_path_factory):
    folder = project(tmp_path_factory.mktemp("curated"), {"lfs/own.sql": HAND}, sql=JUDGED, config=TEST_OF_IMAGE)
    return folder, workspace(folder).curate()


def test_every_part_is_an_arm_judged_on_the_new_modality(curated):
    folder, done = curated
    arms = {(row["arm"], row["metric"]): row for row in done.arms}
    assert {arm for arm, _ in arms} == {"hand-written", "mined", "propagated", "hand-written + mined", "mined + propagated", "all"}
    assert done.judged_on == "test split of image"
    n = published(folder, "SELECT count(*) FROM harm.entity JOIN harm.gold_label USING (entity_id) WHERE modality = 'image' AND split = 'test'")[0][0]
    assert arms["all", "coverage"]["n_rows"] == n
    assert arms["all", "coverage"]["value"] >= arms["hand-written + mined", "coverage"]["value"] > arms["hand-written", "coverage"]["value"]
    assert arms["all", "average_precision"]["value"] > arms["hand-written", "average_precision"]["value"] + 0.3
    stored = published(folder, "SELECT arm, metric, value FROM harm.study WHERE study = 'curated labels'")
    assert {(a, m): v for a, m, v in stored} == {k: row["value"] for k, row in arms.items()}


def test_figures_of_the_whole_equal_those_of_the_training_set(curated):
    folder, done = curated
    value = {row["metric"]: row["value"] for row in done.arms if row["arm"] == "all"}
    right, said, there, covered, n = published(folder, """
        SELECT count(*) FILTER (s.label = 'bad' AND g.label = 'bad'), count(*) FILTER (s.label = 'bad'), count(*) FILTER (g.label = 'bad'), count(s.entity_id), count(*)
        FROM harm.entity AS e JOIN harm.gold_label AS g USING (entity_id) LEFT JOIN harm.training_set AS s USING (entity_id) WHERE e.modality = 'image' AND e.split = 'test'
    """)[0]  # fmt: skip
    assert value["precision"] == pytest.approx(right / said) and value["recall"] == pytest.approx(right / there)
    assert value["coverage"] == pytest.approx(covered / n) and value["f1"] == pytest.approx(2 * right / (said + there))


def test_the_modality_nobody_labelled_judges_where_both_have_test_gold(tmp_path):
    both = JUDGED + "UPDATE post SET part = 'test' WHERE hash(post_id) % 10 = 1;"
    done = workspace(project(tmp_path, {}, sql=both, config=TEST_OF_IMAGE)).curate(propagation=None)
    assert done.judged_on == "test split of image"


def test_gold_of_the_test_split_takes_no_part_in_any_fit(curated, tmp_path):
    folder, done = curated
    turned = project(tmp_path, {"lfs/own.sql": HAND}, sql=JUDGED + "UPDATE human SET label = CASE WHEN label = 'ok' THEN 'bad' ELSE 'ok' END WHERE post_id LIKE 'i%';", config=TEST_OF_IMAGE)
    workspace(turned).curate()
    query = "SELECT entity_id, label, round(p, 9) FROM harm.probabilistic_labels ORDER BY ALL"
    assert published(turned, query) == published(folder, query)


def test_curating_again_changes_nothing(curated):
    folder, done = curated
    before = (folder / "lfs" / "suggested.sql").read_text(), (folder / "lfs" / "propagated.sql").read_text()
    again = workspace(folder).curate()
    assert again.accepted == [] and again.arms == done.arms
    assert ((folder / "lfs" / "suggested.sql").read_text(), (folder / "lfs" / "propagated.sql").read_text()) == before


def test_a_propagation_rule_of_the_user_is_not_doubled(tmp_path):
    own = {"lfs/own.sql": "-- lf: mine\nSELECT entity_id, label FROM propagation_label WHERE label = 'bad';\n"}
    folder = project(tmp_path, own, sql=JUDGED, config=TEST_OF_IMAGE)
    done = workspace(folder).curate()
    assert not (folder / "lfs" / "propagated.sql").exists() and "mine" in {e.lf.name for e in done.run.evaluations}


def test_without_gold_to_judge_by_the_training_set_is_made_all_the_same(tmp_path):
    folder = project(tmp_path, {}, sql=JUDGED + "UPDATE post SET part = 'train'; DELETE FROM human WHERE post_id LIKE 'i%';", config=TEST_OF_IMAGE)
    done = workspace(folder).curate(propagation=None)
    assert done.arms == [] and done.judged_on == ""
    assert published(folder, "SELECT count(*) FROM harm.training_set WHERE modality = 'image'")[0][0] > 500


def test_nothing_to_label_by(tmp_path):
    folder = project(tmp_path, {}, sql=JUDGED + "UPDATE post SET topics = [], reports = 1; UPDATE picture SET topics = [], reports = 1;", config=TEST_OF_IMAGE)
    with pytest.raises(MiningError, match="MN106"):
        workspace(folder).curate(propagation=None)


def test_several_classes_are_averaged(tmp_path):
    three = JUDGED + "UPDATE human SET label = 'odd' FROM described WHERE post_id IN ('t' || i, 'i' || i) AND list_contains(topics, 'art');"
    ws = workspace(project(tmp_path, {}, sql=three, config=TEST_OF_IMAGE.replace('"bad"]', '"bad", "odd"]')))
    value = {row["metric"]: row for row in ws.curate(propagation=None).arms if row["arm"] == "mined"}
    assert 0 < value["recall"]["value"] < 1 and value["recall"]["low"] is None and np.isfinite(value["average_precision"]["value"])
    with writing(ws.project, "look") as store:
        assert measure(store, ws.task)[1]


def test_the_command_line(tmp_path):
    folder = project(tmp_path, {}, sql=JUDGED, config=TEST_OF_IMAGE)
    shown = shell(folder, "curate", "--no-propagation", "--format", "json")
    assert shown.returncode == 0 and [row["arm"] for row in rows_of(shown.stdout)] == ["mined"]
    for_people = shell(folder, "curate", "--no-propagation")
    assert "what each part added, on gold of the test split of image" in for_people.stdout and "next: groundswell summary; groundswell train" in for_people.stdout
