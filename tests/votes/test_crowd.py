"""A relation with a worker column: thousands of people weighed into one soft vote."""

from __future__ import annotations

import warnings

import duckdb
import numpy as np
import pytest

import groundswell as gs
from groundswell.errors import GroundswellWarning
from support import change, diagnosed, project, published, rows_of, shell, workspace

CONFIG = """
[warehouse]
from = "warehouse.duckdb"
[modality.text]
from = "post"
key = "post_id"
[task.harm]
classes = ["ok", "bad"]
gold = { from = "truth", key = "post_id", label = "label" }
"""
WORLD = """
CREATE TABLE post AS SELECT i AS post_id, 'text ' || i AS body FROM range(800) AS r(i);
CREATE TABLE truth AS SELECT post_id, CASE WHEN hash(post_id * 5 + 1) % 100 < 40 THEN 'bad' ELSE 'ok' END AS label FROM post;
CREATE TABLE answer AS SELECT post_id, 'w' || w AS worker,
    CASE WHEN hash(post_id * 1009 + w * 31) % 100 < (CASE WHEN w < 40 THEN 90 ELSE 52 END) THEN label WHEN label = 'ok' THEN 'bad' ELSE 'ok' END AS label
    FROM truth, range(120) AS people(w) WHERE hash(post_id * 7 + w * 13) % 20 = 0;
"""
CROWD = "-- lf: crowd\nSELECT post_id, worker, label FROM answer;\n"
OTHER = "-- lf: long -> bad\nFROM post WHERE length(body) > 7;\n-- lf: even -> ok\nFROM post WHERE post_id % 2 = 0;\n"


@pytest.fixture
def folder(tmp_path):
    return project(tmp_path, CROWD + OTHER, sql=WORLD, config=CONFIG)


def test_the_soft_vote_is_what_label_votes_says_of_the_same_answers(folder):
    result = workspace(folder).run()
    assert [e.error for e in result.evaluations] == [None] * 3
    soft = {(key, label): p for key, label, p in published(folder, "SELECT entity_id, label, p FROM harm.soft_vote WHERE lf = 'crowd'")}
    with duckdb.connect(str(folder / "warehouse.duckdb"), read_only=True) as connection:
        answers = connection.execute("SELECT post_id, worker AS lf, label FROM answer").to_arrow_table()
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", GroundswellWarning)
        table = gs.label_votes(answers, key="post_id", classes=["ok", "bad"]).to_pylist()
    assert len(table) > 700
    for row in table:
        for label, p in zip(("ok", "bad"), row["p"]):
            assert soft.get((row["post_id"], label), 0.0) == pytest.approx(p, abs=1e-9)


def test_good_workers_count_for_more_than_guessing_ones(folder):
    workspace(folder).run()
    rows = published(folder, "SELECT CAST(substr(worker, 2) AS INTEGER), n_votes, learned_accuracy FROM harm.worker WHERE lf = 'crowd'")
    assert len(rows) == 120 and all(20 < n < 60 for _, n, _ in rows)
    good, guessing = ([a for w, _, a in rows if (w < 40) == kind] for kind in (True, False))
    assert np.mean(good) > 0.8 > 0.65 > np.mean(guessing)
    right = published(folder, "SELECT avg(CAST(v.label = g.label AS INTEGER)) FROM (SELECT entity_id, arg_max(label, p) AS label FROM harm.soft_vote GROUP BY 1) AS v JOIN harm.gold_label AS g USING (entity_id)")[0][0]
    with duckdb.connect(str(folder / "warehouse.duckdb"), read_only=True) as connection:
        majority = connection.execute(
            "SELECT avg(CASE WHEN n_bad * 2 = n THEN 0.5 ELSE CAST((n_bad * 2 > n) = (t.label = 'bad') AS INTEGER) END) "
            "FROM (SELECT post_id, count(*) AS n, count(*) FILTER (label = 'bad') AS n_bad FROM answer GROUP BY 1) JOIN truth AS t USING (post_id)"
        ).fetchone()[0]
    assert right > majority + 0.05


def test_a_second_run_weighs_nobody_and_new_answers_are_seen(folder):
    ws = workspace(folder)
    ws.run()
    assert {e.lf.name: e.reason for e in ws.run().evaluations}["crowd"] == "unchanged"
    change(folder, "INSERT INTO answer VALUES (1, 'newcomer', 'bad')")
    assert {e.lf.name: e.reason for e in workspace(folder).run().evaluations}["crowd"] == "data changed"
    assert published(folder, "SELECT n_votes FROM harm.worker WHERE worker = 'newcomer'") == [(1,)]


def test_select_star_from_answers_is_a_crowd_too(tmp_path):
    folder = project(tmp_path, "-- lf: crowd\nFROM answer;\n" + OTHER, sql=WORLD, config=CONFIG)
    workspace(folder).run()
    assert published(folder, "SELECT count(*) FROM harm.worker")[0][0] == 120


@pytest.mark.parametrize("sql, code", [
    ("INSERT INTO answer VALUES (1, 'w1', 'bad'), (1, 'w1', 'ok');", "LF111"),
    ("INSERT INTO answer VALUES (1, 'w500', 'spam');", "LF108"),
])  # fmt: skip
def test_answers_that_contradict_themselves(tmp_path, sql, code):
    folder = project(tmp_path, CROWD + OTHER, sql=WORLD + sql, config=CONFIG)
    result = workspace(folder).run(keep_going=True)
    (error,) = [e.error for e in result.evaluations if e.error]
    assert error.code == code and error.lf == "crowd"


def test_nulls_unknown_keys_and_no_answers_are_no_votes(tmp_path):
    folder = project(tmp_path, CROWD + OTHER, sql=WORLD + "INSERT INTO answer VALUES (NULL, 'w1', 'ok'), (2, NULL, 'ok'), (3, 'w1', NULL), (99999, 'w1', 'ok');", config=CONFIG)
    assert workspace(folder).run().errors == []
    change(folder, "DELETE FROM answer")
    assert workspace(folder).run().errors == []
    assert published(folder, "SELECT count(*) FROM harm.soft_vote WHERE lf = 'crowd'")[0][0] == 0


def test_check_binds_a_crowd_without_reading_it(folder):
    shown = shell(folder, "check", "--format", "json")
    assert shown.returncode == 0 and not [row for row in rows_of(shown.stdout) if row["severity"] == "error"]
    assert diagnosed(folder, "LF110") == []
