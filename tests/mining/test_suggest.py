"""`suggest` from a warehouse to lfs/suggested.sql and on to labels of a modality nobody labelled."""

from __future__ import annotations

import duckdb
import pytest

from groundswell.errors import LFError, MiningError
from groundswell.labelling import fit_input
from groundswell.store import writing
from groundswell.store.held_out import held_out

from support import project, published, rows_of, shell, workspace

WORLD = """
CREATE TABLE post (post_id VARCHAR, topics VARCHAR[], reports INTEGER, country VARCHAR, body VARCHAR, only_text VARCHAR);
CREATE TABLE picture (post_id VARCHAR, topics VARCHAR[], reports INTEGER, country VARCHAR, only_image VARCHAR);
CREATE TABLE human (post_id VARCHAR, label VARCHAR);
CREATE TABLE drawn AS SELECT i, hash(i * 7 + 1) % 100 < 20 AS bad, hash(i * 7 + 2) % 100 AS a, hash(i * 7 + 3) % 100 AS b, CAST(hash(i * 7 + 4) % 6 AS INTEGER) AS c FROM range(6000) AS r(i);
CREATE TABLE described AS SELECT i, bad,
    list_concat(CASE WHEN bad AND a < 30 THEN ['pills', 'it''s cheap'] WHEN bad AND a < 45 OR a = 99 AND b < 20 THEN ['pills'] ELSE [] END, [['cats', 'news', 'sport', 'art', 'food', 'cars'][c + 1]]) AS topics,
    CAST(CASE WHEN bad THEN 2 + b // 11 ELSE b // 15 END AS INTEGER) AS reports, ['de', 'fr', 'it'][c // 2 + 1] AS country FROM drawn;
INSERT INTO post SELECT 't' || i, topics, reports, country, 'text number ' || i, 'x' FROM described WHERE i < 4000;
INSERT INTO picture SELECT 'i' || i, topics, reports, country, 'y' FROM described WHERE i >= 4000;
INSERT INTO human SELECT 't' || i, CASE WHEN bad THEN 'bad' ELSE 'ok' END FROM described WHERE i < 4000;
CREATE TABLE truth AS SELECT 'i' || i AS post_id, CASE WHEN bad THEN 'bad' ELSE 'ok' END AS label FROM described WHERE i >= 4000;
"""
CONFIG = """
[warehouse]
from = "warehouse.duckdb"
[modality.text]
from = "post"
key = "post_id"
[modality.image]
from = "picture"
key = "post_id"
[task.harm]
classes = ["ok", "bad"]
gold = { from = "human", key = "post_id", label = "label" }
"""


@pytest.fixture
def folder(tmp_path):
    return project(tmp_path, {}, sql=WORLD, config=CONFIG)


def codes(found) -> set[str]:
    return {d.code for d in found.diagnostics}


def test_from_gold_of_text_to_labels_of_pictures(folder):
    ws = workspace(folder)
    found = ws.suggest()
    assert {row["status"] for row in found.rows} == {"open"} and not (folder / "lfs" / "suggested.sql").exists()
    assert not any(name in row["predicate"] for row in found.rows for name in ("only_text", "only_image", "body"))
    named = ws.accept()
    text = (folder / "lfs" / "suggested.sql").read_text()
    assert [row["lf"] for row in named] == [line.split()[2] for line in text.splitlines() if line.startswith("-- lf:")]
    result = ws.run()
    assert not result.diagnostics
    right, n = _judged(folder)
    assert n > 600 and right / n > 0.9


def _judged(folder):
    """Labels of pictures that are right, and labels of pictures."""
    with duckdb.connect() as connection:
        connection.execute(f"ATTACH '{folder}/groundswell.duckdb' AS s (READ_ONLY); ATTACH '{folder}/warehouse.duckdb' AS w (READ_ONLY)")
        return connection.execute("SELECT count(*) FILTER (a.label = b.label), count(*) FROM s.harm.training_set AS a JOIN w.truth AS b ON b.post_id = a.entity_id").fetchone()


def test_published_figures_are_those_of_held_out_gold(folder):
    workspace(folder).suggest()
    rows = published(folder, "SELECT label, predicate, n_dev, precision, recall, coverage, new_coverage FROM harm.lf_suggestion")
    assert rows
    for label, predicate, n, precision, recall, coverage, new in rows:
        held = f"FROM harm.entity JOIN harm.gold_label USING (entity_id) WHERE split = 'train' AND {held_out('entity_id')}"
        fired, right, of_class = published(folder, f"SELECT count(*) FILTER ({predicate}), count(*) FILTER (({predicate}) AND label = '{label}'), count(*) FILTER (label = '{label}') {held}")[0]
        assert (n, precision, recall) == (fired, pytest.approx(right / fired), pytest.approx(right / of_class))
        shares = dict(published(folder, f"SELECT modality, avg(CAST({predicate} AS INTEGER)) FROM harm.entity GROUP BY 1"))
        assert (coverage, new) == (pytest.approx(shares["text"]), pytest.approx(shares["image"]))
    total, tp = published(folder, "SELECT sum(tp + fp), sum(tp) FROM harm.itemset")[0]
    assert 0 < tp <= total
    tried = published(folder, "SELECT label, attempt, n_itemsets, cut_by_support + cut_by_recall + cut_by_lift + cut_by_precision, reach FROM harm.mining_trace ORDER BY ALL")
    assert all(cut <= n and 0 <= reach <= 1 for _, _, n, cut, reach in tried)


def test_mining_twice_gives_the_same_and_names_what_is_accepted(folder):
    ws = workspace(folder)
    first = ws.suggest().rows
    assert ws.suggest().rows == first
    ws.accept([1])
    again = ws.suggest().rows
    assert len(again) > 1 and [row["status"] for row in again] == ["accepted"] + ["open"] * (len(again) - 1)
    assert len(ws.accept()) == len(again) - 1
    (folder / "lfs" / "suggested.sql").unlink()
    assert {row["status"] for row in ws.suggest().rows} == {"open"}


def test_accepting_keeps_what_people_wrote_in_the_file(folder):
    ws = workspace(folder)
    ws.suggest()
    ws.accept([1])
    path = folder / "lfs" / "suggested.sql"
    own = "-- lf: by_hand -> bad\n-- owner: me\nFROM post WHERE body LIKE '%7';"
    path.write_text(own + "\n\n" + path.read_text())
    (named,) = ws.accept([1])
    text = path.read_text()
    assert own in text and text.count(f"-- lf: {named['lf']} ->") == 1
    path.write_text("-- lf:\n" + text)
    with pytest.raises(LFError):
        ws.accept([1])


def test_the_nearest_existing_rule_is_named(folder):
    (folder / "lfs").mkdir()
    (folder / "lfs" / "own.sql").write_text("-- lf: reported -> bad\nFROM entity WHERE reports > 5;\n-- lf: french -> ok\nFROM entity WHERE country = 'fr';\n")
    ws = workspace(folder)
    ws.run()
    near = {row["predicate"]: row["nearest_lf"] for row in ws.suggest().rows}
    assert any(predicate.startswith("reports >=") and lf == "reported" for predicate, lf in near.items())


def test_a_feature_that_holds_the_label_is_no_suggestion_until_asked_for_by_number(tmp_path):
    leaky = WORLD + "ALTER TABLE post ADD COLUMN queue VARCHAR; UPDATE post SET queue = label FROM human WHERE human.post_id = post.post_id; ALTER TABLE picture ADD COLUMN queue VARCHAR DEFAULT 'ok';"
    ws = workspace(project(tmp_path, {}, sql=leaky, config=CONFIG))
    found = ws.suggest()
    leaks = [row for row in found.rows if row["status"] == "leak"]
    assert leaks and all("queue" in row["predicate"] for row in leaks) and {"MN202", "MN203"} <= codes(found)
    assert not any("queue" in row["predicate"] for row in ws.accept())
    assert ws.accept([leaks[0]["suggestion_id"]])
    assert not any("queue" in row["predicate"] for row in ws.suggest(exclude=["queue"]).rows)


def test_classes_without_a_telling_value_are_named(tmp_path):
    dull = WORLD + "UPDATE post SET topics = [], reports = 1; UPDATE picture SET topics = [], reports = 1;"
    found = workspace(project(tmp_path, {}, sql=dull, config=CONFIG)).suggest()
    assert not found.rows and [d.code for d in found.diagnostics] == ["MN201", "MN201"]
    assert [f"tells {label} apart" in d.message for d, label in zip(found.diagnostics, ("ok", "bad"))] == [True, True]


@pytest.mark.parametrize("sql, code", [
    ("DELETE FROM human;", "MN102"),
    ("UPDATE human SET label = 'ok';", "MN102"),
    ("CREATE OR REPLACE TABLE picture AS SELECT post_id FROM picture;", "MN103"),
])  # fmt: skip
def test_nothing_to_mine(tmp_path, sql, code):
    with pytest.raises(MiningError) as error:
        workspace(project(tmp_path, {}, sql=WORLD + sql, config=CONFIG)).suggest()
    assert error.value.diagnostics[0].code == code and error.value.diagnostics[0].hint


def test_little_gold_mines_dev_too_and_says_so(tmp_path):
    found = workspace(project(tmp_path, {}, sql=WORLD + "DELETE FROM human WHERE hash(post_id) % 25 > 0;", config=CONFIG)).suggest()
    assert "MN207" in codes(found)


def test_unknown_features_and_numbers_are_told(folder):
    ws = workspace(folder)
    with pytest.raises(MiningError, match="MN105"):
        ws.accept([1])
    with pytest.raises(MiningError, match="MN103"):
        ws.suggest(features=["topic"])
    ws.suggest()
    with pytest.raises(MiningError, match="MN104"):
        ws.accept([99])


def test_held_out_gold_alone_tells_the_label_model_how_good_mined_rules_are(folder):
    ws = workspace(folder)
    ws.suggest()
    ws.accept()
    config = (folder / "groundswell.toml").read_text()
    (folder / "groundswell.toml").write_text(config + 'label_model = { method = "auto", gold = "held" }\n')
    workspace(folder).run()
    rates = dict(published(folder, "SELECT lf, p FROM harm.label_model_param JOIN harm.label_model USING (model_id) WHERE is_current AND given = 'bad' AND vote = 'bad'"))
    for lf, predicate in published(folder, "SELECT lf, sql FROM harm.lf WHERE label = 'bad'"):
        condition = predicate.split("WHERE", 1)[1].rstrip(";")
        measured = published(folder, f"SELECT avg(CAST({condition} AS INTEGER)) FROM harm.entity JOIN harm.gold_label USING (entity_id) WHERE label = 'bad' AND split = 'train' AND {held_out('entity_id')}")[0][0]
        assert rates[lf] == pytest.approx(measured, abs=0.05)


def test_the_command_line(folder):
    mined = shell(folder, "suggest", "--format", "json")
    rows = rows_of(mined.stdout)
    assert mined.returncode == 0 and list(rows[0]) == [
        "suggestion_id", "label", "predicate", "n_dev", "precision", "wilson_lower", "recall", "lift", "coverage", "new_coverage", "nearest_lf", "status",
    ]  # fmt: skip
    assert shell(folder, "suggest", "1").returncode == 2 and shell(folder, "suggest", "--accept").returncode == 2 and shell(folder, "suggest", "--accept", "x").returncode == 2
    accepted = shell(folder, "suggest", "--accept", "1", "2")
    assert accepted.returncode == 0 and "2 labeling functions in lfs/suggested.sql; next: groundswell run" in accepted.stdout
    for_people = shell(folder, "suggest")
    assert "accepted" in for_people.stdout and "precision, recall and lift on held-out gold" in for_people.stdout


def test_held_out_gold_weighs_as_much_as_everything_unlabelled_and_mined_rows_nothing(folder):
    ws = workspace(folder)
    ws.suggest()
    ws.accept()
    ws.run()
    with writing(ws.project, "look") as store:
        given = fit_input(store, ws.task)
        n_all, n_gold, n_held = store.rows(
            f"SELECT count(*), count(*) FILTER (split = 'train' AND label IS NOT NULL), count(*) FILTER (split = 'train' AND label IS NOT NULL AND {held_out('entity_id')}) "
            "FROM harm.entity LEFT JOIN harm.gold_label USING (entity_id)"
        )[0]
    others = n_all - n_gold
    times = max(1, round(others / n_held))
    assert times > 1 and given.gold.sum() == times * n_held and given.counts.sum() == others + times * n_held
