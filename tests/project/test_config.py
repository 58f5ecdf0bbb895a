"""groundswell.toml: what is wrong, where, and what was meant."""

from __future__ import annotations

import pytest
from support import CONFIG, TICKETS, project, verb, workspace, write

BASE = CONFIG.format(project="", warehouse="warehouse.duckdb", task="")

CASES = {
    # name: (text to replace, by what, code, the line it points at contains, part of the message or hint)
    "not TOML": ('name = "shop"', "name = shop", "CFG102", "name = shop", "not valid TOML"),
    "cut short": ('name = "shop"', 'name = "shop', "CFG102", "name", "not valid TOML"),
    "unknown block": ("[warehouse]", "[warehose]", "CFG103", "[warehose]", 'did you mean "warehouse"?'),
    "unknown project key": ('name = "shop"', 'nmae = "shop"', "CFG103", "nmae", 'did you mean "name"?'),
    "unknown warehouse key": ('from = "warehouse.duckdb"', 'form = "warehouse.duckdb"', "CFG103", "form", 'did you mean "from"?'),
    "unknown modality key": ("event_time =", "event_tme =", "CFG103", "event_tme", 'did you mean "event_time"?'),
    "unknown task key": ("classes =", "clases =", "CFG103", "clases", 'did you mean "classes"?'),
    "unknown gold key": ("[task.intent]", '[task.intent]\ngold = { from = "ticket_gold", key = "ticket_id", lable = "label" }', "CFG103", "lable", 'did you mean "label"?'),
    "unknown split key": ("[task.intent]", '[task.intent]\nsplit = { colum = "x" }', "CFG103", "colum", 'did you mean "column"?'),
    "wrong type": ('key  = "ticket_id"', "key  = 3", "CFG104", "key  = 3", "key is int"),
    "truth for a number": ('name = "shop"', 'name = "shop"\nlf_timeout = true', "CFG104", "lf_timeout", "lf_timeout is bool"),
    "classes not a list": ('classes = ["refund", "delivery", "other"]', 'classes = "refund"', "CFG104", "classes", "expected list"),
    "classes not names": ('["refund", "delivery", "other"]', "[1, 2]", "CFG104", "classes", "list of names"),
    "one class": ('["refund", "delivery", "other"]', '["refund"]', "CFG106", "classes", "at least two"),
    "class twice": ('["refund", "delivery", "other"]', '["refund", "refund"]', "CFG106", "classes", "named twice"),
    "no key": ('key  = "ticket_id"', "", "CFG105", "[modality.text]", 'needs "key"'),
    "no classes": ('classes = ["refund", "delivery", "other"]', "", "CFG105", "[task.intent]", 'needs "classes"'),
    "no modality": ("[modality.text]", "[warehouse.text]", "CFG103", "text", "unknown key"),
    "empty key": ('key  = "ticket_id"', "key = []", "CFG106", "key", "one column"),
    "key of numbers": ('key  = "ticket_id"', "key = [1, 2]", "CFG106", "key", "one column"),
    "unknown time zone": ('name = "shop"', 'name = "shop"\ntimezone = "Europe/Berlln"', "CFG106", "timezone", 'did you mean "Europe/Berlin"?'),
    "memory": ('name = "shop"', 'name = "shop"\nmemory_limit = "plenty"', "CFG106", "memory_limit", "4GB"),
    "timeout": ('name = "shop"', 'name = "shop"\nlf_timeout = 0', "CFG106", "lf_timeout", "above 0"),
    "unknown modality": ("[task.intent]", '[task.intent]\nmodalities = ["txt"]', "CFG106", "modalities", 'did you mean "text"?'),
    "modality of a strange type": ("[task.intent]", "[task.intent]\nmodalities = [[1]]", "CFG106", "modalities", "no modality"),
    "no modalities": ("[task.intent]", "[task.intent]\nmodalities = []", "CFG106", "modalities", "every modality"),
    "task called gs": ("[task.intent]", "[task.gs]", "CFG106", "[task.gs]", "cannot name a task"),
    "task called main": ("[task.intent]", "[task.Main]", "CFG106", "[task.Main]", "cannot name a task"),
    "split of two kinds": ("[task.intent]", '[task.intent]\nsplit = { column = "a", hash = [80, 10, 10] }', "CFG106", "split", "exactly one"),
    "percentages": ("[task.intent]", "[task.intent]\nsplit = { hash = [80, 10, 20] }", "CFG106", "hash", "sum to 100"),
    "not a date": ("[task.intent]", '[task.intent]\nsplit = { before = "next week" }', "CFG106", "before", "not a date"),
    "seed": ("[task.intent]", '[task.intent]\nlabel_model = { method = "auto", seed = "x" }', "CFG104", "label_model", "whole number"),
}


@pytest.mark.parametrize("name", CASES)
def test_a_mistake_is_found_with_its_place(tmp_path, name):
    old, new, code, line, words = CASES[name]
    assert old in BASE
    text = BASE.replace(old, new, 1)
    folder = project(tmp_path / "shop", sql="", config=text)
    answer = verb(folder, "check")
    assert answer.code == 2 and answer.out == "" and f"error[{code}]" in answer.err and words in answer.err
    at = int(answer.err.split("groundswell.toml:")[1].split(":")[0])
    assert line in text.splitlines()[at - 1]


@pytest.mark.parametrize(("task", "code", "words"), [
    ('gold = { from = "ticket_glod", key = "ticket_id", label = "label" }', "CFG108", 'did you mean "ticket_gold"?'),
    ('gold = { from = "ticket_gold", key = "ticket_id", label = "labl" }', "CFG109", 'did you mean "label"?'),
    ('split = { column = "quue" }', "CFG109", 'did you mean "queue"?'),
    ('split = { column = "queue" }', "CFG112", "not a split"),
    ('gold = { from = "ticket", key = "ticket_id", label = "queue" }', "CFG113", "not a class"),
    ('gold = { from = "twice", key = "ticket_id", label = "label" }', "CFG114", "delivery and refund"),
    ('label_model = { method = "dawid_skeen" }', "LM105", "dawid_skene"),
    ('label_model = { method = "auto", fit_on = ["trian"] }', "CFG117", 'did you mean "train"?'),
])  # fmt: skip
def test_a_mistake_that_only_the_warehouse_shows(tmp_path, task, code, words):
    sql = TICKETS + "CREATE TABLE twice AS SELECT * FROM (VALUES (1, 'refund'), (1, 'delivery')) v(ticket_id, label)"
    answer = verb(project(tmp_path / "shop", sql=sql, task=task), "run")
    assert answer.code == 2 and f"error[{code}]" in answer.err and words in answer.err


@pytest.mark.parametrize(("sql", "code"), [("INSERT INTO ticket (ticket_id) VALUES (NULL)", "CFG110"), ("INSERT INTO ticket (ticket_id) VALUES (3)", "CFG111")])
def test_keys_are_unique_and_not_null(tmp_path, sql, code):
    answer = verb(project(tmp_path / "shop", sql=TICKETS + sql), "run")
    assert answer.code == 2 and f"error[{code}]" in answer.err
    if code == "CFG111":
        assert "3 (2 rows)" in answer.err


@pytest.mark.parametrize(("old", "new", "code", "words"), [
    ('from = "ticket"', 'from = "tickets"', "CFG108", 'did you mean "ticket"?'),
    ('"ticket_id"', '"tiket_id"', "CFG109", 'did you mean "ticket_id"?'),
    ('"created_at"', '"createdat"', "CFG109", 'did you mean "created_at"?'),
    ('"warehouse.duckdb"', '"postgresql://host/db"', "CFG107", "Parquet"),
])  # fmt: skip
def test_check_finds_it_before_any_run(tmp_path, old, new, code, words):
    answer = verb(project(tmp_path / "shop", config=BASE.replace(old, new)), "check")
    assert answer.code == 2 and f"error[{code}]" in answer.err and words in answer.err


def test_no_project_here(tmp_path):
    answer = verb(tmp_path, "check")
    assert answer.code == 2 and "error[CFG101]" in answer.err and "groundswell init" in answer.err


def test_a_time_split_needs_a_time(tmp_path):
    text = BASE.replace('event_time = "created_at"', "").replace("[task.intent]", '[task.intent]\nsplit = { before = "2026-01-01" }')
    answer = verb(project(tmp_path / "shop", config=text), "check")
    assert answer.code == 2 and "event_time" in answer.err


def test_several_tasks_ask_which_one(tmp_path):
    text = BASE + '\n[task.mood]\nclasses = ["good", "bad"]\n'
    folder = project(tmp_path / "shop", {"lfs/intent/a.sql": "-- lf: a -> refund\nFROM ticket WHERE score > 0.5", "lfs/mood/a.sql": "-- lf: a -> good\nFROM ticket WHERE score > 0.8"}, config=text)
    answer = verb(folder, "run")
    assert answer.code == 2 and "CFG119" in answer.err and "--task intent or mood" in answer.err
    assert verb(folder, "run", "--task", "moood").code == 2
    assert verb(folder, "run", "--task", "mood").code == verb(folder, "run", "--task", "intent").code == 0
    from support import votes

    assert votes(folder, "mood") == {"a": {1: "good"}} and votes(folder, "intent") == {"a": {1: "refund", 3: "refund"}}
    workspace(folder, task="mood").run(full=True)
    assert votes(folder, "intent") == {"a": {1: "refund", 3: "refund"}}


def test_all_of_it_together_is_valid(tmp_path):
    options = 'timezone = "Europe/Berlin"\nmemory_limit = "1GB"\nlf_timeout = 5'
    task = 'split = { hash = [60, 20, 20] }\nmodalities = ["text"]\nlabel_model = { method = "majority", seed = 3 }\nend_model = { method = "logistic", seed = 1 }'
    folder = project(tmp_path / "shop", options=options, task=task)
    write(folder, {"notes.txt": "x"})
    assert verb(folder, "run").code == 0
