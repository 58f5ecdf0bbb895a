"""What only shows when labeling functions meet data, LFs in Python, and row tests."""

from __future__ import annotations

import pytest
from support import HEALTHY, TICKETS, checked, project, published, verb, votes, workspace, write

OK = "-- lf: ok -> refund\nFROM ticket WHERE body ILIKE '%refund%';\n"
FINE = {1: "refund", 3: "refund", 4: "refund"}
ONE = "-- lf: a -> refund\n"


@pytest.mark.parametrize(("text", "code", "words"), [
    (ONE + "SELECT ticket_id FROM ticket, range(100000000000) r(i) WHERE i % 2 = 3", "LF117", "interrupted after 0.5 s"),
    ("-- lf: a\nSELECT ticket_id, unnest(['refund', 'other']) AS label FROM ticket", "LF111", "key 1 gets two labels: other and refund"),
    ("-- lf: a\nSELECT ticket_id, 'x' || queue AS label FROM ticket", "LF108", '"xbilling" (2 rows)'),
    ("-- lf: a\nSELECT ticket_id, 'refun' || left(status, 0) AS label FROM ticket JOIN orders USING (order_id)", "LF108", '"refun" (4 rows)'),
    (ONE + "FROM ticket WHERE CAST(queue AS INTEGER) > 3", "LF116", "'billing'"),
    (ONE + "FROM ticket JOIN orders USING (order_id) WHERE CAST(queue AS INTEGER) > 3", "LF116", "'billing'"),
    (ONE + "SELECT 'abc' AS ticket_id", "LF116", "'abc'"),
])  # fmt: skip
def test_an_lf_that_fails_on_data_leaves_the_others_their_votes(tmp_path, text, code, words):
    folder = project(tmp_path / "shop", {"lfs/a.sql": text, "lfs/ok.sql": OK}, options="lf_timeout = 0.5")
    answer = verb(folder, "run", "--keep-going")
    assert answer.code == 1 and f"error[{code}]" in answer.err and words in answer.err and "lfs/a.sql:1:8" in answer.err
    assert votes(folder) == {"ok": FINE}
    ((status, error),) = published(folder, "SELECT status, error FROM intent.lf WHERE lf = 'a'")
    assert status == "error" and code in error
    assert [row[0] for row in published(folder, "SELECT lf FROM intent.lf_summary")] == ["ok"]


def test_an_lf_that_fails_on_data_stops_a_run_that_does_not_keep_going(tmp_path):
    folder = project(tmp_path / "shop", {"lfs/a.sql": ONE + "FROM ticket WHERE CAST(queue AS INTEGER) > 3", "lfs/ok.sql": OK})
    answer = verb(folder, "run")
    assert answer.code == 1 and "LF116" in answer.err and not (folder / "groundswell.duckdb").exists()


@pytest.mark.parametrize(("text", "code", "wanted"), [
    (ONE + "SELECT NULL::BIGINT AS ticket_id UNION ALL SELECT 2", "LF206", {2: "refund"}),
    (ONE + "SELECT 77 AS ticket_id UNION ALL SELECT 2", "LF205", {2: "refund"}),
    (ONE + "SELECT ticket_id FROM ticket, range(3) WHERE ticket_id = 2", None, {2: "refund"}),
    (ONE + "FROM ticket WHERE ticket_id > 0", "LF201", dict.fromkeys(range(1, 7), "refund")),
    ("-- lf: a\nSELECT ticket_id, CASE WHEN ticket_id % 2 = 0 THEN 'refund' WHEN ticket_id % 2 = 1 THEN 'other' END AS label FROM ticket", None, {i: "other" if i % 2 else "refund" for i in range(1, 7)}),
    (ONE + "FROM ticket WHERE ticket_id > 9", "LF202", {}),
    ("-- lf: a\nSELECT ticket_id, NULL AS label FROM ticket", "LF202", {}),
])  # fmt: skip
def test_oddities_are_warnings(tmp_path, text, code, wanted):
    folder = project(tmp_path / "shop", {"lfs/a.sql": text, "lfs/ok.sql": OK})
    result = workspace(folder).run()
    assert [d.code for d in result.diagnostics] == ([code] if code else []) and not result.errors
    assert votes(folder).get("a", {}) == wanted and votes(folder)["ok"] == FINE


def test_no_lf_and_no_rows(tmp_path):
    folder = project(tmp_path / "shop", "")
    assert verb(folder, "check").code == verb(folder, "run").code == verb(folder, "summary").code == 0
    assert "write an LF" in verb(folder, "check").out
    assert published(folder, "SELECT count(*) FROM intent.label_matrix") == [(6,)]
    empty = project(tmp_path / "empty", sql=TICKETS + "DELETE FROM ticket; DELETE FROM ticket_gold")
    assert verb(empty, "run").code == verb(empty, "coverage").code == 0
    assert votes(empty) == {}


# -- Python ------------------------------------------------------------------------------------------------------------------

HEAD = "import ibis\nimport groundswell as gs\n"


def python(folder, text: str):
    return project(folder, {"lfs/ok.sql": OK, "lfs/p.py": HEAD + text})


@pytest.mark.parametrize(("text", "wanted"), [
    ("@gs.lf('refund')\ndef a(t):\n    return t.body.contains('refund')", {1: "refund", 4: "refund"}),
    ("@gs.lf()\ndef a(t):\n    return ibis.cases((t.queue == 'billing', 'refund'), (t.queue == 'logistics', 'delivery'))", {1: "refund", 2: "delivery", 3: "refund", 4: "delivery"}),
    ("@gs.lf('refund', name='a')\ndef other_name(t):\n    return t.score > t.score.mean()", {1: "refund", 3: "refund"}),
    ("@gs.lf('refund')\ndef a(t):\n    return t.extra.lang == 'de'", {3: "refund"}),
    ("@gs.lf('refund', columns=['body', 'score'])\ndef a(body, score):\n    return body is not None and score is not None and len(body) * score > 12", {1: "refund", 3: "refund"}),
    ("@gs.lf(columns=['queue'])\ndef a(queue):\n    return {'billing': 'refund', 'logistics': 'delivery'}.get(queue)", {1: "refund", 2: "delivery", 3: "refund", 4: "delivery"}),
    ("@gs.lf('refund', columns=['words', 'extra', 'ticket_id', 'created_at'])\ndef a(w, e, k, t):\n    return bool(w) and e is not None and e['lang'] == 'de' and k == 3 and t.day == 3", {3: "refund"}),
])  # fmt: skip
def test_python_lfs_vote(tmp_path, text, wanted):
    folder = python(tmp_path / "shop", text)
    workspace(folder).run()
    assert votes(folder) == {"ok": FINE, "a": wanted}
    assert {e.reason for e in workspace(folder).run().evaluations} == {"unchanged"}


def test_one_function_under_two_names(tmp_path):
    text = "def f(body):\n    return body == 'hello'\na = gs.lf('refund', name='a', columns=['body'])(f)\nb = gs.lf('other', name='b', columns=['body'])(f)"
    folder = python(tmp_path / "shop", text)
    workspace(folder).run()
    assert votes(folder) == {"ok": FINE, "a": {5: "refund"}, "b": {5: "other"}}


def test_an_edited_python_lf_counts_at_once(tmp_path):
    text = "@gs.lf('refund', columns=['ticket_id'])\ndef a(k):\n    return k == 1\n"
    folder = python(tmp_path / "shop", text)
    workspace(folder).run()
    write(folder, {"lfs/p.py": HEAD + text.replace("== 1", "== 2")})
    workspace(folder).run()
    assert votes(folder)["a"] == {2: "refund"}
    assert [p.name for p in (folder / "lfs").iterdir() if p.is_dir()] == []


def test_a_row_function_follows_the_constants_and_helpers_of_its_file(tmp_path):
    text = "WANTED = 1\ndef wanted(k):\n    return k == WANTED\n@gs.lf('refund', columns=['ticket_id'])\ndef a(k):\n    return wanted(k)\n"
    folder = python(tmp_path / "shop", text)
    workspace(folder).run()
    write(folder, {"lfs/p.py": HEAD + "# a remark\n" + text.replace("WANTED = 1", "WANTED  =  1")})
    assert {e.reason for e in workspace(folder).run().evaluations} == {"unchanged"}
    write(folder, {"lfs/p.py": HEAD + text.replace("WANTED = 1", "WANTED = 2")})
    assert {e.lf.name: e.reason for e in workspace(folder).run().evaluations} == {"ok": "unchanged", "a": "changed"}
    assert votes(folder)["a"] == {2: "refund"}


UNFIT = [
    ("import nothing_of_that_name", "LF121", 3, "ModuleNotFoundError"),
    ("x = 1\nraise ValueError('boom')", "LF121", 4, "boom"),
    ("import sys\nsys.exit(3)", "LF121", 4, "SystemExit"),
    ("def a(:", "LF121", 3, "SyntaxError"),
    ("@gs.lf('refund')\ndef a(t):\n    return t.bdy == 'x'", "LF121", 5, "bdy"),
    ("@gs.lf('refund')\ndef a(t):\n    return None", "LF121", 3, "not a column expression"),
    ("@gs.lf('refnd')\ndef a(t):\n    return t.body == 'x'", "LF108", 3, "refnd"),
    ("@gs.lf()\ndef a(t):\n    return ibis.cases((t.queue == 'billing', 'refnd'))", "LF108", 3, "refnd"),
    ("@gs.lf('refund', columns=['bdy'])\ndef a(bdy):\n    return True", "LF102", 3, "bdy"),
    ("@gs.lf('refund', modality='txt')\ndef a(t):\n    return t.body == 'x'", "LF105", 3, "txt"),
    ("@gs.lf('refund', name='split')\ndef a(t):\n    return t.body == 'x'", "LF122", 3, "split"),
    ("@gs.lf('refund')\ndef a(t):\n    return ibis.random() < 0.5", "LF115", 3, "random"),
]  # fmt: skip


@pytest.fixture(scope="module")
def unfit(tmp_path_factory):
    """All of them in one project, a file each, after one check."""
    files = {f"lfs/p{i}.py": HEAD + text.replace("def a(t", f"def a{i}(t") for i, (text, *_) in enumerate(UNFIT)}
    return checked(project(tmp_path_factory.mktemp("unfit") / "shop", {"lfs/ok.sql": OK, **files}))


@pytest.mark.parametrize("i", range(len(UNFIT)))
def test_python_lfs_that_do_not_pass_a_check(unfit, i):
    _, code, line, words = UNFIT[i]
    exit_code, found = unfit
    (problem,) = [d for d in found if d["file"] == f"lfs/p{i}.py"]
    assert exit_code == 1 and (problem["code"], problem["line"]) == (code, line)
    assert words in problem["message"] and "\n" not in problem["message"]


@pytest.mark.parametrize(("text", "code", "words"), [
    ("@gs.lf('refund', columns=['body'])\ndef a(body):\n    return 'x' in body", "LF116", "TypeError"),
    ("@gs.lf('refund', columns=['body', 'score'])\ndef a(body):\n    return True", "LF116", "positional argument"),
    ("@gs.lf(columns=['queue'])\ndef a(queue):\n    return 3", "LF116", "ArrowTypeError"),
    ("@gs.lf(columns=['queue'])\ndef a(queue):\n    return 'refnd'", "LF108", '"refnd" (6 rows)'),
])  # fmt: skip
def test_row_functions_that_fail_on_data(tmp_path, text, code, words):
    folder = python(tmp_path / "shop", text)
    answer = verb(folder, "run", "--keep-going")
    assert answer.code == 1 and f"error[{code}]" in answer.err and words in answer.err and "lfs/p.py:3" in answer.err
    assert votes(folder) == {"ok": FINE}


# -- row tests -----------------------------------------------------------------------------------------------------------------


def case(lf: str, given: str, expect: str) -> str:
    return f"- lf: {lf}\n  given: {given}\n  expect: {expect}\n"


def row_tested(folder, text: str, lfs=HEALTHY, sql=TICKETS) -> tuple[int, list[dict], int]:
    made = project(folder, lfs, files={"tests/t.yaml": text}, sql=sql)
    code, found = checked(made)
    return code, found, workspace(made).check().n_tests_passed


def test_row_tests_that_pass(tmp_path):
    lfs = HEALTHY + "-- lf: by_queue\nSELECT ticket_id, CASE queue WHEN 'billing' THEN 'refund' END AS label FROM ticket;\n-- lf: vip -> other\nSELECT ticket_id FROM crm.vip;\n-- lf: all_rows -> other\nFROM entity WHERE body = 'x'"
    text = (
        case("says_refund", "{ticket: [{ticket_id: 1, body: a REFUND}, {ticket_id: 2, body: null}, {TICKET_ID: 3}]}", "{1: refund, 2: null, 3: null}")
        + case("late_order", "{ticket: [{ticket_id: 1, order_id: 7}], orders: [{order_id: 7, is_late: true}]}", "{1: delivery}")
        + case("by_queue", "{ticket: [{ticket_id: 1, queue: billing}, {ticket_id: 2}]}", "{1: refund, 2: null}")
        + case("vip", "{crm.vip: [{ticket_id: 9}]}", "{9: other}")
        + case("all_rows", "{entity: [{entity_id: 4, body: x}]}", "{4: other}")
    )
    assert row_tested(tmp_path / "shop", text, lfs, TICKETS + "CREATE SCHEMA crm; CREATE TABLE crm.vip (ticket_id BIGINT)") == (0, [], 5)


FAILING = [
    (case("says_refund", "{ticket: [{ticket_id: 1, body: hello}]}", "{1: refund}"), 1, "1: expected refund, voted abstain"),
    ("\n\n" + case("says_refund", "{ticket: [{ticket_id: 1, body: refund}]}", "{1: null}"), 3, "1: expected abstain, voted refund"),
    (case("says_refnd", "{}", "{}"), 1, "says_refnd"),
    (case("says_refund", "{tickt: []}", "{}"), 1, 'no relation "tickt"'),
    (case("says_refund", "{ticket: [{bdy: x}]}", "{}"), 1, 'no column "bdy"'),
    (case("says_refund", "{ticket: [1, 2]}", "{}"), 1, "list of"),
    (case("says_refund", "{ticket: {ticket_id: 1}}", "{}"), 1, "list of"),
    (case("says_refund", "{ticket: [{ticket_id: abc}]}", "{}"), 1, "abc"),
    (case("says_refund", "{ticket: [{ticket_id: 1}]}", "{1: refnd}"), 1, "not a class"),
    (case("says_refund", "[]", "{}"), 1, "given is"),
    (case("[a]", "{}", "{}"), 1, "needs lf, given and expect"),
    ("- lf: says_refund\n", 1, "needs lf, given and expect"),
    (case("says_refund", "{}", "{}") + "  expct: 1\n", 1, "expct"),
    ("lf: says_refund\n", 1, "list of cases"),
    ("- lf: [\n", 2, "not YAML"),
]  # fmt: skip


@pytest.fixture(scope="module")
def failing(tmp_path_factory):
    """All of them in one project, a file each: exit code, problems, passed cases."""
    files = {f"tests/t{i}.yaml": text for i, (text, *_) in enumerate(FAILING)}
    folder = project(tmp_path_factory.mktemp("failing") / "shop", files=files)
    return *checked(folder), workspace(folder).check().n_tests_passed


@pytest.mark.parametrize("i", range(len(FAILING)))
def test_row_tests_that_fail(failing, i):
    _, line, words = FAILING[i]
    code, found, passed = failing
    (problem,) = [d for d in found if d["file"] == f"tests/t{i}.yaml"]
    assert (code, passed) == (1, 0) and (problem["code"], problem["line"]) == ("LF123", line)
    assert words in problem["message"]


def test_a_row_test_reads_no_data_of_the_warehouse(tmp_path):
    text = case("late_order", "{ticket: [{ticket_id: 1, order_id: 11}]}", "{1: null, 2: null}")
    assert row_tested(tmp_path / "shop", text)[0] == 0


