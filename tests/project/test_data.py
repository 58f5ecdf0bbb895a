"""Splits, gold, modalities, warehouses and scaffolding."""

from __future__ import annotations

from collections import Counter

import duckdb
import pytest
from support import GOLD, TICKETS, change, project, published, verb, votes, workspace, write

MANY = TICKETS + "INSERT INTO ticket SELECT i, 'x', 'q', NULL, TIMESTAMP '2026-01-01' + INTERVAL (i) HOUR, 0.5, [], NULL FROM range(10, 3010) t(i);"


def splits(folder) -> dict:
    return dict(published(folder, "SELECT entity_id, split FROM intent.entity"))


def test_split_by_column(tmp_path):
    sql = TICKETS + "ALTER TABLE ticket ADD COLUMN part VARCHAR; UPDATE ticket SET part = ['train', 'dev', 'test'][1 + ticket_id % 3] WHERE ticket_id < 6"
    folder = project(tmp_path / "shop", sql=sql, task='split = { column = "part" }')
    workspace(folder).run()
    assert splits(folder) == {1: "dev", 2: "test", 3: "train", 4: "dev", 5: "test", 6: "train"}


def test_split_by_hash_is_stable_and_near_its_shares(tmp_path):
    folder = project(tmp_path / "shop", sql=MANY, task="split = { hash = [60, 30, 10] }")
    workspace(folder).run()
    first = splits(folder)
    share = Counter(first.values())
    assert share["train"] / len(first) == pytest.approx(0.6, abs=0.04) and share["dev"] / len(first) == pytest.approx(0.3, abs=0.04)
    change(folder, "INSERT INTO ticket SELECT i, 'y', 'q', NULL, NULL, NULL, [], NULL FROM range(5000, 5500) t(i); DELETE FROM ticket WHERE ticket_id = 3")
    workspace(folder).run()
    second = splits(folder)
    assert all(second[key] == part for key, part in first.items() if key != 3)


def test_split_by_time(tmp_path):
    folder = project(tmp_path / "shop", sql=MANY, task='split = { before = "2026-03-01" }')
    workspace(folder).run()
    rows = published(folder, "SELECT split, count(*), min(event_time) >= '2026-03-01 00:00:00+00' FROM intent.entity GROUP BY split")
    found = {split: (n, late) for split, n, late in rows}
    assert found["test"][1] and not found["train"][1] and not found["dev"][1]
    assert found["dev"][0] / (found["dev"][0] + found["train"][0]) == pytest.approx(0.1, abs=0.03)
    assert published(folder, "SELECT count(*) FROM intent.entity WHERE split <> 'test' AND event_time >= '2026-03-01 00:00:00+00'") == [(0,)]


# -- gold ------------------------------------------------------------------------------------------------------------------


def gold(folder) -> dict:
    return {key: (label, source) for key, label, source in published(folder, "SELECT entity_id, label, source FROM intent.gold_label")}


HEAD = "key,label,annotator,annotated_at,note\n"


def test_the_newest_answer_wins_over_older_ones_and_the_warehouse(tmp_path):
    files = {
        "gold/b.csv": HEAD + "1,other,ann,2026-03-02T10:00:00+00:00,\n5,other,ann,2026-03-02T10:00:00Z,\"a, b\"\n",
        "gold/a.csv": HEAD + "1,delivery,bob,2026-03-03T10:00:00,\n5,refund,bob,2026-03-01,\n3,other,bob,,\n",
        "gold/affinity_map.csv": "cluster,label\n1,refund\n",
    }
    folder = project(tmp_path / "shop", files=files)
    workspace(folder).run()
    assert gold(folder) == {1: ("delivery", "bob"), 2: ("delivery", "warehouse"), 3: ("other", "bob"), 4: ("delivery", "warehouse"), 5: ("other", "ann")}


def test_answers_without_gold_in_the_warehouse(tmp_path):
    folder = project(tmp_path / "shop", task="", files={"gold/a.csv": "\ufeff" + HEAD + "1,refund,ann,,\n99,refund,ann,,\n"})
    result = workspace(folder).run()
    assert gold(folder) == {1: ("refund", "ann")}
    assert [d.code for d in result.diagnostics] == ["CFG201"]


@pytest.mark.parametrize(("text", "code", "line", "words"), [
    (HEAD + "1,refund,ann,,\nabc,refund,ann,,\n", "CFG115", 3, '"abc" is not a key'),
    (HEAD + ",refund,ann,,\n", "CFG115", 2, "not a key"),
    (HEAD + "1,,ann,,\n", "CFG115", 2, "without a label"),
    (HEAD + "1,refund,ann,yesterday,\n", "CFG115", 2, "not a time"),
    ("id,class\n1,refund\n", "CFG115", 1, "needs the columns key, label"),
    (HEAD.encode() + b"1,refund,\xff,,\n", "CFG115", 1, "UTF-8"),
    (HEAD + "1,refnd,ann,,\n", "CFG113", None, 'did you mean "refund"?'),
])  # fmt: skip
def test_answers_that_cannot_be_read(tmp_path, text, code, line, words):
    answer = verb(project(tmp_path / "shop", files={"gold/a.csv": text}), "run")
    assert answer.code == 2 and f"error[{code}]" in answer.err and words in answer.err
    assert line is None or f"gold/a.csv:{line}:" in answer.err


# -- modalities ------------------------------------------------------------------------------------------------------------

TWO = """
[warehouse]
from = "warehouse.duckdb"
[modality.text]
from = "post"
key = "post_id"
[modality.image]
from = "picture"
key = ["album", "no"]
event_time = "taken"
[task.safety]
classes = ["bad", "good"]
"""
TWO_SQL = """
CREATE TABLE post AS SELECT * FROM (VALUES (1::BIGINT, 'buy now', 3, true), (2, 'hello', 9007199254740993, false)) v(post_id, body, size, flag);
CREATE TABLE picture AS SELECT * FROM (VALUES ('a', 1, 0.5::DOUBLE, 1, TIMESTAMP '2026-01-01'), ('a', 2, 7.25, 0, NULL)) v(album, no, size, Flag, taken);
"""


def test_two_modalities_with_other_columns_and_keys(tmp_path):
    lfs = """-- lf: spam -> bad
FROM post WHERE body LIKE '%buy%';
-- lf: big_post -> bad
FROM post WHERE size = 9007199254740993;
-- lf: big_picture -> bad
FROM picture WHERE size > 7;
-- lf: flagged_post -> good
FROM post WHERE flag;
-- lf: flagged_picture -> good
FROM picture WHERE flag = 1;
-- lf: by_key -> good
FROM post WHERE post_id = 2;
-- lf: by_keys -> good
SELECT album, no FROM picture WHERE no = 2;
-- lf: joined -> good
SELECT album, no FROM picture JOIN post ON picture.no = post.post_id WHERE body = 'hello';
-- lf: all_kinds -> good
FROM entity WHERE modality = 'image' OR body = 'hello';
-- lf: nothing_else -> good
FROM entity WHERE body IS NULL;
"""
    folder = project(tmp_path / "shop", lfs, sql=TWO_SQL, config=TWO)
    workspace(folder).run()
    assert votes(folder, "safety") == {
        "spam": {"1": "bad"}, "big_post": {"2": "bad"}, "big_picture": {"a|2": "bad"}, "flagged_post": {"1": "good"}, "flagged_picture": {"a|1": "good"},
        "by_key": {"2": "good"}, "by_keys": {"a|2": "good"}, "joined": {"a|2": "good"}, "all_kinds": {"a|1": "good", "a|2": "good", "2": "good"},
        "nothing_else": {"a|1": "good", "a|2": "good"},
    }  # fmt: skip
    assert published(folder, "SELECT modality, sum(n_entities) FROM safety.coverage GROUP BY 1 ORDER BY 1") == [("image", 2), ("text", 2)]
    change(folder, "INSERT INTO picture VALUES ('b', 1, 9, 1, NULL)")
    workspace(folder).run()
    assert votes(folder, "safety")["big_picture"] == {"a|2": "bad", "b|1": "bad"}


def test_a_key_in_two_modalities_is_refused(tmp_path):
    config = TWO.replace('key = ["album", "no"]', 'key = "no"')
    answer = verb(project(tmp_path / "shop", "", sql=TWO_SQL, config=config), "run")
    assert answer.code == 2 and "CFG111" in answer.err


def test_columns_called_like_ours_are_kept_under_another_name(tmp_path):
    sql = "CREATE TABLE ticket AS SELECT 1 AS ticket_id, 'x' AS modality, 'y' AS split, 'z' AS entity_id, TIMESTAMP '2026-01-01' AS event_time, TIMESTAMP '2026-01-02' AS created_at"
    folder = project(tmp_path / "shop", "-- lf: a -> refund\nFROM ticket WHERE modality = 'x' AND split = 'y' AND event_time < created_at;\n-- lf: b -> other\nFROM entity WHERE modality = 'text' AND modality_ = 'x'", sql=sql, task="")
    workspace(folder).run()
    assert votes(folder) == {"a": {1: "refund"}, "b": {1: "other"}}


# -- warehouses ------------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("kind", ["parquet", "csv", "partitioned", "duckdb"])
def test_every_kind_of_warehouse_gives_the_same_votes(tmp_path, kind):
    folder = project(tmp_path / "shop", "-- lf: a -> refund\nFROM ticket WHERE body ILIKE '%refund%';\n-- lf: b -> delivery\nFROM ticket JOIN orders USING (order_id) WHERE is_late", warehouse="data" if kind != "duckdb" else "warehouse.duckdb")
    (folder / "data").mkdir()
    with duckdb.connect(str(folder / "warehouse.duckdb"), read_only=True) as connection:
        for table in ("ticket", "orders", "ticket_gold"):
            columns = "ticket_id, body, queue, order_id, created_at, score" if table == "ticket" else "*"
            if kind == "partitioned":
                (folder / "data" / table).mkdir()
                connection.execute(f"COPY (SELECT {columns} FROM {table}) TO '{folder}/data/{table}/part-0.parquet'")
            elif kind != "duckdb":
                connection.execute(f"COPY (SELECT {columns} FROM {table}) TO '{folder}/data/{table}.{kind}'")
    workspace(folder).run()
    assert votes(folder) == {"a": {1: "refund", 3: "refund", 4: "refund"}, "b": {2: "delivery", 4: "delivery"}}
    assert {row[0] for row in published(folder, "SELECT entity_id FROM intent.gold_label")} == {1, 2, 3, 4}
    assert not any(step.done for step in workspace(folder).run().steps)


def test_an_empty_folder_is_no_warehouse(tmp_path):
    folder = project(tmp_path / "shop", sql="", warehouse="data")
    (folder / "data").mkdir()
    answer = verb(folder, "check")
    assert answer.code == 3 and "ST103" in answer.err


# -- init --------------------------------------------------------------------------------------------------------------------


def run_init(folder, *arguments):
    return verb(folder, "init", *arguments)


@pytest.mark.parametrize("arguments", [
    ["warehouse.duckdb", "ticket", "--key", "ticket_id", "--classes", "refund,delivery"],
    ["warehouse.duckdb", "ticket", "--key", "ticket_id", "--gold", "queue"],
    ["warehouse.duckdb", "crm.order", "--key", "order, no", "--classes", "yes,no"],
    ["data", "orders", "--key", "order_id", "--classes", "it's,\"quoted\""],
])  # fmt: skip
def test_init_check_run(tmp_path, arguments):
    with duckdb.connect(str(tmp_path / "warehouse.duckdb")) as connection:
        connection.execute(TICKETS + 'CREATE SCHEMA crm; CREATE TABLE crm."order" AS SELECT 1 AS "order", 2 AS no, \'x\' AS "select"')
        (tmp_path / "data").mkdir()
        connection.execute(f"COPY orders TO '{tmp_path}/data/orders.parquet'")
    made = run_init(tmp_path, *arguments)
    assert made.code == 0 and "groundswell check" in made.out
    checked = verb(tmp_path, "check")
    assert checked.code == 0, checked.err
    assert verb(tmp_path, "run").code == 0
    again = run_init(tmp_path, *arguments)
    assert again.code == 2 and "CFG121" in again.err


@pytest.mark.parametrize(("arguments", "exit_code", "code", "words"), [
    (["warehouse.duckdb", "tickets", "--key", "ticket_id", "--classes", "a,b"], 2, "CFG108", 'did you mean "ticket"?'),
    (["warehouse.duckdb", "ticket", "--key", "tiket_id", "--classes", "a,b"], 2, "CFG109", 'did you mean "ticket_id"?'),
    (["warehouse.duckdb", "ticket", "--key", "ticket_id"], 2, "CFG122", "--classes"),
    (["warehose.duckdb", "ticket", "--key", "ticket_id", "--classes", "a,b"], 3, "ST103", "does not exist"),
])  # fmt: skip
def test_init_that_cannot_work_writes_nothing(tmp_path, arguments, exit_code, code, words):
    with duckdb.connect(str(tmp_path / "warehouse.duckdb")) as connection:
        connection.execute(TICKETS)
    answer = run_init(tmp_path, *arguments)
    assert answer.code == exit_code and code in answer.err and words in answer.err
    assert [p.name for p in tmp_path.iterdir()] == ["warehouse.duckdb"]


def test_init_keeps_files_that_are_there(tmp_path):
    with duckdb.connect(str(tmp_path / "warehouse.duckdb")) as connection:
        connection.execute(TICKETS)
    write(tmp_path, {"lfs/rules.sql": "-- lf: mine -> refund\nFROM ticket WHERE score > 1"})
    assert run_init(tmp_path, "warehouse.duckdb", "ticket", "--key", "ticket_id", "--classes", "refund,other").code == 0
    assert (tmp_path / "lfs/rules.sql").read_text().startswith("-- lf: mine")


def test_gold_line_of_the_support_project_is_used(tmp_path):
    folder = project(tmp_path / "shop", task=GOLD)
    workspace(folder).run()
    assert set(gold(folder)) == {1, 2, 3, 4}
