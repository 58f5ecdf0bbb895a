"""Labeling functions that must not pass `check`: code, place, hint, exit code; and none of them stops the others."""

from __future__ import annotations

import pytest
from support import checked, project, verb, votes, workspace, write

HEALTHY = "-- lf: healthy -> refund\nFROM ticket WHERE body ILIKE '%refund%';\n\n"
ONE = "-- lf: bad -> refund\n"
READS = "LFs read warehouse relations"
GOLD = "judged by gold"

CASES = {
    # name: (text after the healthy LF, code, line in the text, column, part of the hint)
    "unknown column": (ONE + "FROM ticket WHERE bdy = 'x'", "LF102", 2, 19, 'did you mean "body"?'),
    "unknown column in the select": (ONE + "SELECT ticket_idd FROM ticket", "LF102", 2, 8, 'did you mean "ticket_id"?'),
    "unknown column of an alias": (ONE + "FROM ticket t WHERE t.bdy = 'x'", "LF102", 2, 21, 'did you mean "body"?'),
    "unknown column in a join": (ONE + "FROM ticket JOIN orders USING (order_id)\nWHERE is_lat", "LF102", 3, 7, 'did you mean "is_late"?'),
    "unknown column after umlauts": (ONE + "FROM ticket WHERE body = 'äöü€𝄞' AND bdy = 1", "LF102", 2, 38, 'did you mean "body"?'),
    "unknown column after a tab": (ONE + "FROM ticket\n\tWHERE\tbdy = 1", "LF102", 3, 8, 'did you mean "body"?'),
    "unknown class": ("-- lf: bad -> refnd\nFROM ticket WHERE body = 'x'", "LF108", 1, 15, 'did you mean "refund"?'),
    "unknown class far away": ("-- lf: bad -> qqqq\nFROM ticket WHERE body = 'x'", "LF108", 1, 15, "classes are: refund, delivery, other"),
    "unknown class in CASE": ("-- lf: bad\nSELECT ticket_id, CASE queue WHEN 'billing' THEN 'refnd' END AS label FROM ticket", "LF108", 2, 50, 'did you mean "refund"?'),
    "unknown class in CASE over a join": ("-- lf: bad\nSELECT ticket_id, CASE WHEN is_late THEN 'delivry' END AS label FROM ticket JOIN orders USING (order_id)", "LF108", 2, 42, 'did you mean "delivery"?'),
    "number for a class": ("-- lf: bad\nSELECT ticket_id, 1 AS label FROM ticket", "LF108", 2, 19, "classes are"),
    "syntax error": (ONE + "SELEC ticket_id FROM ticket", "LF101", 2, 1, None),
    "statement cut short": (ONE + "FROM ticket WHERE (body = 'x'", "LF101", 2, 29, "missing"),
    "unterminated string": (ONE + "FROM ticket WHERE body = 'abc", "LF101", 2, 26, "missing '"),
    "two statements": (ONE + "FROM ticket WHERE body = 'x';\nFROM ticket WHERE body = 'y';", "LF104", 3, 1, "a header above each"),
    "no statement": ("-- lf: bad -> refund\n", "LF104", 1, 8, "FROM relation WHERE"),
    "only a semicolon": (ONE + ";", "LF104", 1, 8, "FROM relation WHERE"),
    "INSERT": (ONE + "INSERT INTO ticket VALUES (1)", "LF103", 2, 1, "FROM relation WHERE"),
    "UPDATE": (ONE + "UPDATE ticket SET body = 'x'", "LF103", 2, 1, "FROM relation WHERE"),
    "DELETE": (ONE + "DELETE FROM ticket", "LF103", 2, 1, "FROM relation WHERE"),
    "CREATE": (ONE + "CREATE TABLE x AS FROM ticket", "LF103", 2, 1, "FROM relation WHERE"),
    "DROP": (ONE + "DROP TABLE ticket", "LF103", 2, 1, "FROM relation WHERE"),
    "ALTER": (ONE + "ALTER TABLE ticket ADD COLUMN x INTEGER", "LF103", 2, 1, "FROM relation WHERE"),
    "COPY": (ONE + "COPY ticket TO 'x.csv'", "LF103", 2, 1, "FROM relation WHERE"),
    "ATTACH": (ONE + "ATTACH 'x.duckdb'", "LF103", 2, 1, "FROM relation WHERE"),
    "DETACH": (ONE + "DETACH warehouse", "LF103", 2, 1, "FROM relation WHERE"),
    "PRAGMA": (ONE + "PRAGMA database_list", "LF103", 2, 1, "FROM relation WHERE"),
    "SET": (ONE + "SET threads = 1", "LF103", 2, 1, "FROM relation WHERE"),
    "RESET": (ONE + "RESET threads", "LF103", 2, 1, "FROM relation WHERE"),
    "CALL": (ONE + "CALL duckdb_tables()", "LF103", 2, 1, "FROM relation WHERE"),
    "LOAD": (ONE + "LOAD json", "LF103", 2, 1, "FROM relation WHERE"),
    "INSTALL": (ONE + "INSTALL json", "LF103", 2, 1, "FROM relation WHERE"),
    "EXPORT": (ONE + "EXPORT DATABASE 'x'", "LF103", 2, 1, "FROM relation WHERE"),
    "IMPORT": (ONE + "IMPORT DATABASE 'x'", "LF101", 2, 17, None),
    "USE": (ONE + "USE warehouse", "LF103", 2, 1, "FROM relation WHERE"),
    "CHECKPOINT": (ONE + "CHECKPOINT", "LF103", 2, 1, "FROM relation WHERE"),
    "VACUUM": (ONE + "VACUUM", "LF103", 2, 1, "FROM relation WHERE"),
    "BEGIN": (ONE + "BEGIN", "LF103", 2, 1, "FROM relation WHERE"),
    "PREPARE": (ONE + "PREPARE x AS SELECT 1", "LF103", 2, 1, "FROM relation WHERE"),
    "SHOW": (ONE + "SHOW TABLES", "LF103", 2, 1, "FROM relation WHERE"),
    "DESCRIBE": (ONE + "DESCRIBE ticket", "LF103", 2, 1, "FROM relation WHERE"),
    "SUMMARIZE": (ONE + "SUMMARIZE ticket", "LF103", 2, 1, "FROM relation WHERE"),
    "EXPLAIN": (ONE + "EXPLAIN FROM ticket", "LF103", 2, 1, "FROM relation WHERE"),
    "comment, then DROP": (ONE + "-- harmless\n/* really */ DROP TABLE ticket", "LF103", 3, 14, "FROM relation WHERE"),
    "INSERT inside a CTE": (ONE + "WITH x AS (INSERT INTO ticket VALUES (1) RETURNING *) SELECT ticket_id FROM x", "LF103", 2, 24, "one SELECT"),
    "UPDATE inside a CTE": (ONE + "WITH x AS (UPDATE ticket SET body = 'x' RETURNING ticket_id) SELECT ticket_id FROM x", "LF103", 2, 19, "one SELECT"),
    "SUMMARIZE as a table": (ONE + "SELECT count AS ticket_id FROM (SUMMARIZE ticket)", "LF103", 2, 43, "one SELECT"),
    "SELECT INTO": (ONE + "SELECT ticket_id INTO x FROM ticket", "LF103", 2, 23, "one SELECT"),
    "parameter": (ONE + "FROM ticket WHERE ticket_id = $1", "LF103", 1, 8, "one SELECT"),
    "read_csv": (ONE + "SELECT a AS ticket_id FROM read_csv('x.csv')", "LF106", 2, 28, READS),
    "read_csv in a sub-query": (ONE + "FROM ticket WHERE body IN (SELECT column0 FROM read_csv('x.csv'))", "LF106", 2, 48, READS),
    "read_text as a value": (ONE + "FROM ticket WHERE body = (SELECT content FROM read_text('/etc/hostname'))", "LF106", 2, 47, READS),
    "read_blob": (ONE + "SELECT 1 AS ticket_id FROM read_blob('warehouse.duckdb')", "LF106", 2, 28, READS),
    "file name as a table": (ONE + "FROM 'x.csv'", "LF106", 2, 6, "into the warehouse"),
    "quoted file name": (ONE + 'FROM "x.parquet"', "LF106", 2, 6, "into the warehouse"),
    "path as a table": (ONE + "FROM '/etc/passwd'", "LF106", 2, 6, "into the warehouse"),
    "file named like a CTE of itself": (ONE + 'WITH "x.csv" AS (FROM "x.csv") SELECT ticket_id FROM "x.csv"', "LF106", 2, 23, "into the warehouse"),
    "query()": (ONE + "FROM query('SELECT 1 AS ticket_id')", "LF106", 2, 6, READS),
    "query_table()": (ONE + "FROM query_table('ticket')", "LF106", 2, 6, READS),
    "glob()": (ONE + "SELECT 1 AS ticket_id FROM glob('*')", "LF106", 2, 28, READS),
    "glob() sideways": (ONE + "SELECT ticket_id FROM ticket, LATERAL glob('*')", "LF106", 2, 39, READS),
    "duckdb_settings()": (ONE + "SELECT 1 AS ticket_id FROM duckdb_settings()", "LF106", 2, 28, READS),
    "pragma function": (ONE + "SELECT 1 AS ticket_id FROM pragma_table_info('ticket')", "LF106", 2, 28, READS),
    "getenv": (ONE + "FROM ticket WHERE GETENV('HOME') = body", "LF106", 2, 19, READS),
    "getenv with a schema": (ONE + "FROM ticket WHERE system.main.getenv('HOME') = body", "LF106", 2, 31, READS),
    "getenv as a method": (ONE + "FROM ticket WHERE ('HOME').getenv() = body", "LF106", 2, 28, READS),
    "current_setting": (ONE + "FROM ticket WHERE current_setting('memory_limit') = body", "LF106", 2, 19, READS),
    "unknown relation": (ONE + "FROM tickt WHERE true", "LF105", 2, 6, 'did you mean "ticket"?'),
    "a relation that a verb makes": (ONE + "SELECT entity_id FROM affinity_label", "LF105", 2, 23, "groundswell affinity makes it"),
    "system view": (ONE + "SELECT 1 AS ticket_id FROM duckdb_tables", "LF105", 2, 28, "known: "),
    "system view behind a CTE of its name": (ONE + "WITH duckdb_tables AS (FROM duckdb_tables) SELECT table_oid AS ticket_id FROM duckdb_tables", "LF105", 2, 29, "known: "),
    "system view, its name a CTE elsewhere": (ONE + "SELECT table_oid AS ticket_id FROM duckdb_tables WHERE EXISTS (WITH duckdb_tables AS (SELECT 1) FROM duckdb_tables)", "LF105", 2, 36, "known: "),
    "information_schema": (ONE + "SELECT 1 AS ticket_id FROM information_schema.tables", "LF105", 2, 47, "known: "),
    "the store: runs": (ONE + "SELECT run_id AS ticket_id FROM gs.run", "LF105", 2, 36, "known: "),
    "the store: votes, catalogue and all": (ONE + "SELECT entity_id FROM store.intent.votes", "LF105", 2, 36, "known: "),
    "the store: votes": (ONE + "SELECT entity_id FROM intent.votes", "LF105", 2, 30, "known: "),
    "gold_label": (ONE + "SELECT entity_id FROM gold_label", "LF107", 2, 23, GOLD),
    "gold_label with its schema": (ONE + "SELECT entity_id FROM intent.gold_label", "LF107", 2, 30, GOLD),
    "gold_label with its catalogue": (ONE + "SELECT entity_id FROM store.intent.gold_label", "LF107", 2, 36, GOLD),
    "gold_label quoted, upper case": (ONE + 'SELECT entity_id FROM "GOLD_LABEL"', "LF107", 2, 23, GOLD),
    "gold_label in a sub-query": (ONE + "FROM ticket WHERE ticket_id IN (SELECT entity_id FROM Gold_Label)", "LF107", 2, 55, GOLD),
    "gold_label behind a CTE": (ONE + "WITH g AS (FROM intent.gold_label) SELECT entity_id FROM g", "LF107", 2, 24, GOLD),
    "gold_label behind a CTE of its name": (ONE + "WITH gold_label AS (FROM gold_label) SELECT entity_id FROM gold_label", "LF107", 2, 26, GOLD),
    "the warehouse's gold": (ONE + "SELECT ticket_id FROM ticket_gold WHERE label = 'refund'", "LF107", 2, 23, GOLD),
    "the warehouse's gold, column renamed": ("-- lf: bad\nSELECT k AS ticket_id, x AS label FROM ticket_gold AS t(k, x)", "LF107", 2, 40, GOLD),
    "the warehouse's gold, CTE renamed": ("-- lf: bad\nWITH g(ticket_id, x) AS (FROM ticket_gold) SELECT ticket_id, x AS label FROM g", "LF107", 2, 31, GOLD),
    "the warehouse's gold, a row as text": (ONE + "SELECT ticket_id FROM ticket_gold t WHERE t::VARCHAR LIKE '%refund%'", "LF107", 2, 23, GOLD),
    "the warehouse's gold, by USING": (ONE + "SELECT ticket_id FROM ticket_gold JOIN (VALUES ('refund')) v(label) USING (label)", "LF107", 2, 23, GOLD),
    "aggregate as a condition": (ONE + "FROM ticket WHERE count(*) > 3", "LF114", 2, 19, "HAVING"),
    "random()": (ONE + "FROM ticket WHERE random() < 0.5", "LF115", 2, 19, "hash of the key"),
    "TABLESAMPLE": (ONE + "FROM ticket TABLESAMPLE 10%", "LF115", 1, 8, "hash of the key"),
    "USING SAMPLE": (ONE + "SELECT ticket_id FROM ticket USING SAMPLE 10%", "LF115", 1, 8, "hash of the key"),
    "result without the key": (ONE + "SELECT body FROM ticket", "LF110", 1, 8, "SELECT ticket_id once"),
    "result without the key, another relation": (ONE + "SELECT order_id FROM orders", "LF110", 1, 8, "SELECT ticket_id once"),
    "key twice": (ONE + "SELECT ticket_id, ticket_id FROM ticket", "LF110", 1, 8, "SELECT ticket_id once"),
    "key twice from a join": (ONE + "FROM ticket t JOIN ticket u ON t.order_id = u.order_id", "LF110", 1, 8, "SELECT ticket_id once"),
    "no class and no label": ("-- lf: bad\nFROM ticket WHERE body = 'x'", "LF110", 1, 8, "AS label"),
    "ruled-out class": ("-- lf: bad -> !refnd\nFROM ticket WHERE body = 'x'", "LF108", 1, 16, "refund"),
    "column p twice": ("-- lf: bad\nSELECT ticket_id, 'refund' AS label, 0.3 AS p, 0.4 AS p FROM ticket", "LF110", 1, 8, "keep one"),
    "unknown function": (ONE + "FROM ticket WHERE lwer(body) = 'x'", "LF118", 2, 19, 'did you mean "lower"?'),
    "text as a condition": (ONE + "FROM ticket WHERE body", "LF113", 1, 8, "compare it"),
    "unknown dialect": ("-- lf: bad -> refund\n-- dialect: snowflke\nSELECT ticket_id FROM ticket", "LF125", 1, 8, 'did you mean "snowflake"?'),
    "syntax error in another dialect": ("-- lf: bad -> refund\n-- dialect: postgres\nSELECT ticket_id FRM ticket", "LF101", 3, 22, 'near "ticket"'),
    "reserved name": ("-- lf: entity_id -> refund\nFROM ticket WHERE body = 'x'", "LF122", 1, 8, "not one of"),
    "header without a class": ("-- lf: bad ->\nFROM ticket WHERE body = 'x'", "LF109", 1, 8, "-- lf: says_refund -> refund"),
    "name that also occurs before the colon": ("-- lf: l -> refund\nFROM ticket WHERE bdy = 'x'", "LF102", 2, 19, 'did you mean "body"?'),
    "the same name in other letters": ("-- lf: HEALTHY -> refund\nFROM ticket WHERE body = 'x'", "LF109", 1, 8, "rename"),
}


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    return project(tmp_path_factory.mktemp("refused") / "shop")


@pytest.fixture(scope="module")
def all_checked(tmp_path_factory):
    """Every case in a file of its own, one check: exit code, problems per file, names of healthy LFs."""
    texts = {f"lfs/r{i:03}.sql": HEALTHY.replace("healthy", f"healthy{i}") + text.replace("lf: bad", f"lf: b{i:02}") for i, (text, *_) in enumerate(CASES.values())}
    folder = project(tmp_path_factory.mktemp("all") / "shop", {"lfs/a.sql": HEALTHY, **texts})
    code, found = checked(folder)
    errors = {name: [d for d in found if d["file"] == name and d["severity"] == "error"] for name in texts}
    return code, dict(zip(CASES, errors.items())), {lf.name for lf in workspace(folder).check().lfs}


@pytest.mark.parametrize("name", CASES)
def test_a_bad_lf_is_refused_at_its_place(all_checked, name):
    _, code, line, column, hint = CASES[name]
    exit_code, problems, healthy = all_checked
    file, errors = problems[name]
    assert [(d["code"], d["file"], d["line"], d["column"]) for d in errors] == [(code, file, line + 3, column)]
    assert hint is None or hint in errors[0]["hint"]
    assert exit_code == 1
    assert f"healthy{int(file[5:8])}" in healthy


@pytest.mark.parametrize("name", ["unknown column", "unknown class", "syntax error", "DROP", "read_csv", "gold_label", "random()", "key twice"])
def test_one_bad_lf_is_exit_code_1(folder, name):
    write(folder, {"lfs/rules.sql": HEALTHY + CASES[name][0]})
    code, found = checked(folder)
    assert code == 1 and [d["code"] for d in found] == [CASES[name][1]]


def test_the_message_points_at_the_token(folder):
    write(folder, {"lfs/rules.sql": "-- lf: a -> refund\nFROM ticket\nWHERE bdy ILIKE '%x%';"})
    answer = verb(folder, "check")
    assert answer.err.startswith('error[LF102]: column "bdy" does not exist')
    assert "--> lfs/rules.sql:3:7\n  |\n3 | WHERE bdy ILIKE '%x%';\n  |       ^^^ did you mean \"body\"?" in answer.err


def test_a_name_that_occurs_in_the_word_lf_is_pointed_at_in_the_header(folder):
    write(folder, {"lfs/rules.sql": "-- lf: l -> refund\n"})
    (found,) = checked(folder)[1]
    assert (found["code"], found["column"]) == ("LF104", 8)


def test_a_statement_before_any_header(folder):
    write(folder, {"lfs/rules.sql": "-- rules of the shop\n\nFROM ticket;\n" + HEALTHY})
    code, found = checked(folder)
    assert code == 1
    assert [(d["code"], d["line"], d["column"], d["hint"]) for d in found] == [("LF109", 3, 1, "write above it: -- lf: my_name -> class")]


def test_text_that_is_not_utf8(folder):
    write(folder, {"lfs/rules.sql": b"-- lf: a -> refund\nFROM ticket WHERE body = '\xff'"})
    code, found = checked(folder)
    assert code == 1
    assert [(d["code"], d["line"]) for d in found] == [("LF120", 2)]


def test_all_problems_are_shown_together(folder):
    names = ("unknown column", "read_csv", "gold_label", "random()", "unknown class")
    parts = [CASES[n][0].replace("lf: bad", f"lf: bad{i}") for i, n in enumerate(names)]
    write(folder, {"lfs/rules.sql": HEALTHY + ";\n".join(parts)})
    code, found = checked(folder)
    assert code == 1
    assert sorted(d["code"] for d in found) == sorted(CASES[n][1] for n in names)


@pytest.mark.parametrize("text", ["score > 3) OR (1=1", "score > 3; DROP TABLE ticket", "score > 3 -- )", "true) UNION (SELECT 1", "score > 3 /*", "", "SELECT 1", "score AS x"])
def test_a_predicate_is_one_condition(folder, text):
    write(folder, {"lfs/rules.sql": HEALTHY})
    ws = workspace(folder)
    if text == "score > 3 -- )":  # a comment ends where the condition ends
        ws.lf("mine", "refund", text)
        assert not ws.check().errors
        return
    with pytest.raises(Exception) as caught:
        ws.lf("mine", "refund", text)
    assert caught.value.code == "LF124" and caught.value.exit_code == 1


def test_an_aggregate_is_no_predicate(folder):
    with pytest.raises(Exception) as caught:
        workspace(folder).lf("mine", "refund", "count(*) > 3")
    assert caught.value.code == "LF114"


def test_errors_stop_a_run_unless_it_keeps_going(tmp_path):
    folder = project(tmp_path / "shop", HEALTHY + CASES["unknown column"][0])
    stopped = verb(folder, "run")
    assert stopped.code == 1 and "LF102" in stopped.err and not (folder / "groundswell.duckdb").exists()
    went_on = verb(folder, "run", "--keep-going")
    assert went_on.code == 1 and "LF102" in went_on.err
    assert votes(folder) == {"healthy": {1: "refund", 3: "refund", 4: "refund"}}
