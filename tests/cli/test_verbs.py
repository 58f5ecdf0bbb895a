"""The command line: help, shapes of answers, exit codes, what goes where."""

from __future__ import annotations

import csv
import io
import re

import pytest
from support import HEALTHY, TICKETS, command, project, rows_of, shell, verb, workspace, write

from groundswell.cli import VERBS, cli

SUMMARY = ["lf", "polarity", "n_votes", "coverage", "overlaps", "conflicts", "n_correct", "n_incorrect", "empirical_accuracy", "learned_accuracy"]
SHAPES = {
    ("summary",): SUMMARY,
    ("pairs",): ["lf_a", "lf_b", "n_both", "n_agree", "n_conflict", "agreement", "correlation"],
    ("coverage",): ["split", "modality", "n_entities", "n_covered", "n_overlapping", "n_conflicting", "mean_votes"],
    ("explain", "4"): ["source", "vote", "evidence"],
    ("plan", "--full"): ["what", "action", "reason"],
}


@pytest.mark.parametrize("arguments", SHAPES, ids=" ".join)
def test_reading_verbs_in_json_and_csv(published_shop, arguments):
    answer = verb(published_shop, *arguments, "--format", "json")
    assert answer.code == 0 and answer.err == ""
    objects = rows_of(answer.out)
    assert objects and all(list(row) == SHAPES[arguments] for row in objects)
    table = list(csv.reader(io.StringIO(verb(published_shop, *arguments, "--format", "csv").out)))
    assert table[0] == SHAPES[arguments] and len(table) == len(objects) + 1


def test_json_says_what_the_tables_say(published_shop):
    (late, says) = rows_of(verb(published_shop, "summary", "--format", "json").out)
    assert (late["lf"], late["polarity"], late["n_votes"], late["coverage"]) == ("late_order", ["delivery"], 2, 2 / 6)
    assert (says["n_correct"], says["n_incorrect"], says["conflicts"]) == (2, 1, 1 / 6)


def test_tables_for_people_end_in_the_next_command(published_shop):
    for arguments in (["summary"], ["pairs"], ["coverage"], ["show", "says_refund"]):
        answer = verb(published_shop, *arguments)
        assert answer.code == 0 and "next: groundswell" in answer.out and answer.err == ""


def names(group, path=()):
    for each in group:
        yield (*path, each.name)
        yield from names(getattr(each, "commands", {}).values(), (*path, each.name))


@pytest.mark.parametrize("path", list(names(VERBS)), ids=" ".join)
def test_every_verb_explains_itself(path):
    answer = verb(None, *path, "--help")
    assert answer.code == 0 and answer.out.startswith("Usage: groundswell " + " ".join(path))
    assert len(answer.out.splitlines()) > 5


def test_help_lists_every_verb_and_the_exit_codes():
    answer = verb(None, "--help")
    assert answer.code == 0 and all(re.search(rf"^  {v.name}\b", answer.out, re.MULTILINE) for v in VERBS)
    assert "Exit codes: 0 ok; 1 errors" in answer.out
    assert verb(None, "--version").out.startswith("groundswell, version ")
    assert set(cli.commands) == {v.name for v in VERBS}


@pytest.mark.parametrize("arguments", [
    ["sumary"], ["summary", "--format", "xml"], ["show"], ["show", "says_refund", "--wrong", "--right"], ["init"], ["explain"], ["run", "--seed", "x"],
    ["summary", "--sort", "nothing"], ["summary", "--task", "nothing"], ["show", "says_refnd"], ["show", "says_refund", "--conflicts", "late_ordr"],
    ["explain", "999"], ["export", "matrix", "-o", "x.doc"], ["show", "says_refund", "-n", "-1"], ["pairs", "-n", "-1"], ["run", "--select", "nope"], ["plan", "--select", "nope"],
])  # fmt: skip
def test_usage_errors_exit_with_2_on_stderr(published_shop, arguments):
    answer = verb(published_shop, *arguments)
    assert answer.code == 2 and answer.err and answer.out == "" and "Traceback" not in answer.err


@pytest.mark.parametrize("sort", SUMMARY)
def test_the_summary_sorts_by_any_column(published_shop, sort):
    answer = verb(published_shop, "summary", "--sort", sort, "--format", "json")
    assert (answer.code, len(rows_of(answer.out))) == (0, 2)


def test_did_you_mean_for_lfs_and_keys(published_shop):
    assert 'did you mean "says_refund"?' in verb(published_shop, "show", "says_refnd").err
    assert "keys look like 1" in verb(published_shop, "explain", "999").err


@pytest.mark.parametrize("arguments", [["summary"], ["pairs"], ["coverage"], ["show", "x"], ["explain", "1"], ["export", "labels"], ["export", "matrix"]])
def test_before_the_first_run_the_next_command_is_named(tmp_path, arguments):
    answer = verb(project(tmp_path / "shop"), *arguments)
    assert answer.code == 3 and "error[ST104]" in answer.err and "groundswell run" in answer.err


def test_check_in_json(tmp_path):
    folder = project(tmp_path / "shop", HEALTHY + "-- lf: bad -> refund\nFROM ticket WHERE bdy = 1")
    answer = verb(folder, "check", "--format", "json")
    assert answer.code == 1
    assert rows_of(answer.out) == [{
        "code": "LF102", "severity": "error", "file": "lfs/rules.sql", "line": 7, "column": 19, "lf": "bad",
        "message": 'column "bdy" does not exist', "hint": 'did you mean "body"?',
    }]  # fmt: skip
    table = list(csv.DictReader(io.StringIO(verb(folder, "check", "--format", "csv").out)))
    assert [(row["code"], row["line"]) for row in table] == [("LF102", "7")]
    people = verb(folder, "check")
    assert "2 labeling functions are healthy" in people.out and "LF102" in people.err and "LF102" not in people.out


def test_check_and_plan_write_nothing(tmp_path):
    folder = project(tmp_path / "shop")
    before = sorted(p.name for p in folder.rglob("*"))
    assert verb(folder, "check").code == verb(folder, "plan").code == 0
    assert sorted(p.name for p in folder.rglob("*")) == before


def test_plan_and_run_and_plan_again(tmp_path):
    folder = project(tmp_path / "shop")
    first = rows_of(verb(folder, "plan", "--format", "json").out)
    assert {(r["action"], r["reason"]) for r in first if not r["what"].startswith("lf ") and r["what"] != "votes"} == {("build", "never built")} or all(r["action"] != "keep" for r in first)
    ran = verb(folder, "run")
    assert ran.code == 0 and "published groundswell.duckdb" in ran.out and "building entity" in ran.err
    again = verb(folder, "plan")
    assert "everything is up to date" in again.out
    assert {r["action"] for r in rows_of(verb(folder, "plan", "--format", "json").out)} == {"keep"}
    explained = verb(folder, "plan", "--explain").out
    assert "says_refund" in explained and "late_order" in explained


def test_a_verbose_run_prints_sql_that_mentions_what_it_builds(tmp_path):
    answer = shell(project(tmp_path / "shop"), "run", "-v")
    assert answer.returncode == 0 and "published groundswell.duckdb" in answer.stdout
    assert re.search(r'CREATE OR REPLACE TABLE "intent"."lf_summary" AS', answer.stderr) and "%refund%" in answer.stderr
    assert "CREATE" not in answer.stdout and "CREATE" not in shell(project(tmp_path / "other"), "run").stderr


def test_progress_as_json_lines(tmp_path):
    answer = shell(project(tmp_path / "shop"), "run", "--log", "json")
    events = [line for line in answer.stderr.splitlines() if line.startswith("{")]
    assert answer.returncode == 0 and len(events) >= 5
    assert all(set(rows_of(f"[{line}]")[0]) == {"step", "message", "done", "total"} for line in events)


def test_show_is_deterministic_and_hides_gold_of_the_test_split(tmp_path):
    sql = TICKETS + "ALTER TABLE ticket ADD COLUMN part VARCHAR; UPDATE ticket SET part = CASE WHEN ticket_id = 3 THEN 'test' ELSE 'dev' END"
    folder = project(tmp_path / "shop", sql=sql, task='gold = { from = "ticket_gold", key = "ticket_id", label = "label" }\nsplit = { column = "part" }')
    workspace(folder).run()
    show = lambda *a: rows_of(verb(folder, "show", *a, "--format", "json").out)  # noqa: E731
    assert show("says_refund") == show("says_refund")
    assert {r["entity_id"]: r["gold"] for r in show("says_refund")} == {1: "refund", 3: None, 4: "delivery"}
    assert [r["entity_id"] for r in show("says_refund", "--wrong")] == [4]
    assert [r["entity_id"] for r in show("says_refund", "--right")] == [1]
    assert [(r["entity_id"], r["label_a"], r["label_b"]) for r in show("says_refund", "--conflicts", "late_order")] == [(4, "refund", "delivery")]
    assert {r["entity_id"] for r in show("--uncovered")} == {5, 6}
    assert len(show("says_refund", "-n", "1")) == 1 and show("says_refund", "-n", "0") == []


def test_explain_for_people(published_shop):
    answer = verb(published_shop, "explain", "4")
    assert answer.code == 0 and "says_refund" in answer.out and "late_order" in answer.out and "exactly these votes" in answer.out
    assert "no labeling function votes" in verb(published_shop, "explain", "5").out


def test_doctor(published_shop, tmp_path):
    answer = verb(published_shop, "doctor")
    assert answer.code == 0 and "files outside are closed" in " ".join(answer.out.split()) and "recovers a known answer" in answer.out and "PROBLEM" not in answer.out
    codes = verb(None, "doctor", "--codes")
    assert codes.code == 0 and all(code in codes.out for code in ("CFG101", "LF102", "LF201", "ST101", "LM105", "EM101"))
    assert verb(tmp_path, "doctor").code == 0


def test_export(published_shop, tmp_path):
    import numpy as np
    import pyarrow.parquet as pq

    assert verb(published_shop, "export", "matrix", "-o", str(tmp_path / "m.npz")).code == 0
    found = np.load(tmp_path / "m.npz")
    assert found["L"].tolist() == [[-1, 0], [1, -1], [-1, 0], [1, 0], [-1, -1], [-1, -1]] and found["lfs"].tolist() == ["late_order", "says_refund"]
    assert found["entity_id"].tolist() == [1, 2, 3, 4, 5, 6] and found["classes"].tolist() == ["refund", "delivery", "other"]
    assert verb(published_shop, "export", "matrix", "-o", str(tmp_path / "m.parquet")).code == 0
    assert sorted(pq.read_table(tmp_path / "m.parquet").to_pylist(), key=lambda r: r["entity_id"])[3] == {"entity_id": 4, "late_order": "delivery", "says_refund": "refund"}
    assert verb(published_shop, "export", "labels", "-o", str(tmp_path / "l.csv")).code == 0
    assert len((tmp_path / "l.csv").read_text().splitlines()) == 5


def test_our_own_bug_is_exit_code_4(published_shop, monkeypatch):
    from groundswell import workspace as module

    monkeypatch.setattr(module.Workspace, "show", lambda *_, **__: 1 / 0)
    answer = verb(published_shop, "show", "says_refund")
    assert answer.code == 4 and "ZeroDivisionError" in answer.err and "groundswell doctor" in answer.err


def test_a_closed_pipe_is_no_error(published_shop):
    import subprocess

    found = subprocess.run(" ".join(command(published_shop, "doctor", "--codes")[:-2]) + " | head -1", shell=True, capture_output=True, text=True)
    assert "Traceback" not in found.stderr and "bug in groundswell" not in found.stderr


def test_a_project_named_by_a_relative_path(published_shop, monkeypatch):
    monkeypatch.chdir(published_shop.parent)
    assert verb(None, "summary", "--project", "shop").code == 0
    monkeypatch.chdir(published_shop)
    assert verb(None, "summary").code == 0


def test_python_and_command_line_see_the_same(published_shop):
    with workspace(published_shop) as ws:
        assert ws.summary().count().to_pyarrow().as_py() == 2
        assert sorted(ws.labels().to_pyarrow()["entity_id"].to_pylist()) == [1, 2, 3, 4]
        assert ws.explain(1).num_rows and ws.show("says_refund").num_rows == 3


def test_two_lf_files_in_other_folders(tmp_path):
    folder = project(tmp_path / "shop", {"lfs/intent/a.sql": "-- lf: a -> refund\nFROM ticket WHERE score > 0.5", "lfs/_draft.sql": "garbage", "lfs/.hidden.sql": "garbage"})
    write(folder, {"lfs/b.sql": "-- lf: b -> other\nFROM ticket WHERE score < 0.5"})
    assert verb(folder, "run").code == 0
