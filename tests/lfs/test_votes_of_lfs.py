"""What healthy labeling functions vote: the oracle is the statement itself, run by a plain connection on the warehouse."""

from __future__ import annotations

from pathlib import Path

import duckdb
import pytest
from support import TICKETS, checked, project, published, votes, workspace, write

R = " -> refund"
QUERIES = {
    # name: (class or None, statement)
    "keyword": ("refund", "FROM ticket WHERE body ILIKE '%refund%'"),
    "upper case": ("refund", "FROM TICKET WHERE BODY ILIKE '%REFUND%'"),
    "quoted": ("refund", 'FROM "ticket" WHERE "body" ILIKE \'%refund%\''),
    "table alias": ("refund", "FROM ticket AS t WHERE t.body = 'hello'"),
    "table name": ("refund", "FROM ticket WHERE ticket.body = 'hello'"),
    "catalogue and schema": ("refund", "FROM warehouse.main.ticket WHERE body = 'hello'"),
    "no condition": ("refund", "FROM ticket"),
    "NULL condition": ("refund", "FROM ticket WHERE score > 0.3"),
    "NOT NULL condition": ("refund", "FROM ticket WHERE NOT (score > 0.3)"),
    "a or b": ("refund", "FROM ticket WHERE queue = 'billing' OR score < 0.3"),
    "in": ("refund", "FROM ticket WHERE queue IN ('billing', 'general')"),
    "not in with NULL": ("refund", "FROM ticket WHERE queue NOT IN ('billing', NULL)"),
    "is distinct": ("refund", "FROM ticket WHERE queue IS DISTINCT FROM 'billing'"),
    "regexp": ("refund", r"FROM ticket WHERE regexp_matches(body, '(?i)\brefund\b')"),
    "like escape": ("refund", "FROM ticket WHERE body LIKE '%back\\%' ESCAPE '\\'"),
    "glob operator": ("refund", "FROM ticket WHERE body GLOB '*refund'"),
    "struct field": ("refund", "FROM ticket WHERE extra.lang = 'de'"),
    "struct field of an alias": ("refund", "FROM ticket t WHERE t.extra.lang = 'de'"),
    "struct index": ("refund", "FROM ticket WHERE extra['lang'] = 'de'"),
    "list contains": ("refund", "FROM ticket WHERE list_contains(words, 'refund')"),
    "list index": ("refund", "FROM ticket WHERE words[1] = 'refund'"),
    "list slice": ("refund", "FROM ticket WHERE len(words[1:2]) = 2"),
    "lambda": ("refund", "FROM ticket WHERE len(list_filter(words, lambda w: w = 'refund')) > 0"),
    "comprehension": ("refund", "FROM ticket WHERE len([w FOR w IN words IF w = 'refund']) > 0"),
    "dates": ("refund", "FROM ticket WHERE created_at > DATE '2026-01-03' AND created_at < TIMESTAMP '2026-01-05 12:00'"),
    "interval": ("refund", "FROM ticket WHERE created_at - INTERVAL 1 DAY < TIMESTAMP '2026-01-02'"),
    "extract": ("refund", "FROM ticket WHERE extract('dow' FROM created_at) IN (0, 6)"),
    "date_part": ("refund", "FROM ticket WHERE date_part('DAY', created_at) = 3"),
    "integer division": ("refund", "FROM ticket WHERE ticket_id // 2 = 1"),
    "division": ("refund", "FROM ticket WHERE ticket_id / 2 = 1.5"),
    "modulo": ("refund", "FROM ticket WHERE ticket_id % 2 = 1"),
    "power": ("refund", "FROM ticket WHERE ticket_id ** 2 > 20"),
    "concat with NULL": ("refund", "FROM ticket WHERE body || queue LIKE '%g%'"),
    "concat function": ("refund", "FROM ticket WHERE concat(body, queue) LIKE '%g%'"),
    "between": ("refund", "FROM ticket WHERE ticket_id BETWEEN 2 AND 4"),
    "case condition": ("refund", "FROM ticket WHERE CASE WHEN queue = 'billing' THEN score > 0.85 ELSE score < 0.3 END"),
    "number as condition": ("refund", "FROM ticket WHERE order_id - 10"),
    "cast": ("refund", "FROM ticket WHERE ticket_id::VARCHAR LIKE '%1%'"),
    "try_cast": ("refund", "FROM ticket WHERE TRY_CAST(queue AS INTEGER) IS NULL"),
    "coalesce": ("refund", "FROM ticket WHERE coalesce(score, 1) > 0.85"),
    "prefix operator": ("refund", "FROM ticket WHERE body ^@ 'I want'"),
    "similar to": ("refund", "FROM ticket WHERE body SIMILAR TO '.*parcel.*'"),
    "hash sample": ("refund", "FROM ticket WHERE hash(ticket_id) % 2 = 0"),
    "dollar quotes": ("refund", "FROM ticket WHERE body = $$hello$$"),
    "semicolon in a string": ("refund", "FROM ticket WHERE body <> 'a;b' AND ticket_id < 3"),
    "semicolon, then a comment": ("refund", "FROM ticket JOIN orders USING (order_id) WHERE is_late; -- done"),
    "comments inside": ("refund", "FROM ticket -- one\nWHERE /* two /* nested */ */ body = 'hello'"),
    "aliased key": ("refund", "SELECT order_id - 9 AS ticket_id FROM ticket WHERE order_id IS NOT NULL"),
    "computed key": ("refund", "SELECT ticket_id + 1 AS ticket_id FROM ticket WHERE ticket_id < 6"),
    "replaced key": ("refund", "SELECT * REPLACE (ticket_id % 2 + 1 AS ticket_id) FROM ticket"),
    "renamed columns": ("refund", "SELECT b AS ticket_id FROM (SELECT * FROM ticket) AS t(b, c) WHERE c = 'hello'"),
    "renamed columns of a table": ("refund", "SELECT ticket_id FROM ticket AS t(ticket_id, queue) WHERE queue = 'hello'"),
    "alias in the condition": ("refund", "SELECT ticket_id, lower(body) AS b FROM ticket WHERE b = 'hello'"),
    "alias called like another column": ("refund", "SELECT ticket_id, queue AS body FROM ticket WHERE body = 'hello'"),
    "other columns beside the key": ("refund", "SELECT ticket_id, body, score * 2 AS twice FROM ticket WHERE score > 0.5"),
    "join": ("refund", "FROM ticket JOIN orders USING (order_id) WHERE is_late"),
    "left join": ("refund", "SELECT ticket_id FROM ticket LEFT JOIN orders USING (order_id) WHERE is_late IS NULL"),
    "anti join": ("refund", "FROM ticket ANTI JOIN orders USING (order_id)"),
    "correlated": ("refund", "FROM ticket t WHERE EXISTS (SELECT 1 FROM orders o WHERE o.order_id = t.order_id AND is_late)"),
    "scalar sub-query": ("refund", "FROM ticket WHERE score > (SELECT avg(score) FROM ticket)"),
    "unqualified name of the outer row": ("refund", "FROM ticket WHERE order_id IN (SELECT order_id FROM orders WHERE queue = 'logistics')"),
    "group by": ("refund", "SELECT ticket_id FROM ticket JOIN orders ON true GROUP BY ticket_id HAVING count(*) FILTER (is_late) > 1"),
    "distinct": ("refund", "SELECT DISTINCT ticket_id FROM ticket JOIN orders ON true WHERE status = 'sent'"),
    "union": ("refund", "SELECT ticket_id FROM ticket WHERE queue = 'billing' UNION SELECT ticket_id FROM ticket WHERE score < 0.2"),
    "repeated rows": ("refund", "SELECT ticket_id FROM ticket JOIN orders ON true"),
    "window": ("refund", "FROM ticket QUALIFY row_number() OVER (PARTITION BY queue ORDER BY ticket_id) = 2"),
    "order and limit": ("refund", "FROM ticket ORDER BY ticket_id DESC LIMIT 2"),
    "cte": ("refund", "WITH late AS (FROM orders WHERE is_late) SELECT ticket_id FROM ticket JOIN late USING (order_id)"),
    "cte named like its table": ("refund", "WITH ticket AS (FROM ticket WHERE score > 0.5) SELECT ticket_id FROM ticket"),
    "recursive cte": ("refund", "WITH RECURSIVE n(i) AS (SELECT 1 UNION ALL SELECT i + 2 FROM n WHERE i < 5) SELECT i AS ticket_id FROM n"),
    "unnest": ("refund", "SELECT ticket_id FROM ticket, unnest(words) AS u(w) WHERE w = 'parcel'"),
    "range": ("refund", "SELECT ticket_id FROM ticket JOIN range(3) r(i) ON r.i = ticket_id"),
    "parentheses": ("refund", "(FROM ticket WHERE body = 'hello')"),
    "view": ("refund", "FROM good_ticket"),
    "macro": ("refund", "FROM ticket WHERE says(body, 'refund')"),
    "other schema": ("refund", "SELECT ticket_id FROM ticket JOIN crm.vip USING (ticket_id)"),
    "label by case": (None, "SELECT ticket_id, CASE queue WHEN 'billing' THEN 'refund' WHEN 'logistics' THEN 'delivery' END AS label FROM ticket"),
    "label with a condition": (None, "SELECT ticket_id, CASE WHEN score > 0.5 THEN 'refund' ELSE 'other' END AS label FROM ticket WHERE queue IS NOT NULL"),
    "label constant": (None, "SELECT ticket_id, 'other' AS label FROM ticket WHERE body = 'hello'"),
    "label computed": (None, "SELECT ticket_id, lower('RE' || 'FUND') AS label FROM ticket WHERE queue = 'billing'"),
    "label from an alias": (None, "SELECT ticket_id, lower(body) AS b, CASE WHEN b = 'hello' THEN 'other' END AS label FROM ticket"),
    "label from a table": (None, "SELECT ticket_id, said AS label FROM crowd"),
    "label column of a table": (None, "FROM crowd2"),
    "label by join": (None, "SELECT ticket_id, if(is_late, 'delivery', 'refund') AS label FROM ticket JOIN orders USING (order_id)"),
}
SQL = TICKETS + """
CREATE VIEW good_ticket AS FROM ticket WHERE score > 0.5;
CREATE MACRO says(t, w) AS t ILIKE '%' || w || '%';
CREATE SCHEMA crm; CREATE TABLE crm.vip AS SELECT 2::BIGINT AS ticket_id UNION ALL SELECT 5;
CREATE TABLE crowd AS SELECT * FROM (VALUES (1::BIGINT, 'refund'), (2, NULL), (1, 'refund')) v(ticket_id, said);
CREATE TABLE crowd2 AS SELECT ticket_id, said AS label FROM crowd;
"""


@pytest.fixture(scope="module")
def ran(tmp_path_factory) -> Path:
    """All of them in one project, so that they also must not disturb each other."""
    text = ";\n\n".join(f"-- lf: {name}" + (f" -> {label}" if label else "") + f"\n{sql}" for name, (label, sql) in QUERIES.items())
    folder = project(tmp_path_factory.mktemp("votes") / "shop", text, sql=SQL)
    result = workspace(folder).run()
    assert {d.code for d in result.diagnostics} <= {"LF201", "LF202", "LF208", "LF211", "LF212"}
    return folder


@pytest.fixture(scope="module")
def all_votes(ran) -> dict:
    return votes(ran)


@pytest.mark.parametrize("name", QUERIES)
def test_votes_are_what_the_statement_returns(ran, all_votes, name):
    label, sql = QUERIES[name]
    with duckdb.connect(str(ran / "warehouse.duckdb"), read_only=True) as connection:
        query = sql.replace("warehouse.main.", "main.").removesuffix("; -- done")
        result = connection.execute(query)
        columns = [c[0] for c in result.description]
        rows = result.fetchall()
    key, said = columns.index("ticket_id"), None if label else columns.index("label")
    wanted = {row[key]: label or row[said] for row in rows if label or row[said] is not None}
    assert all_votes.get(name, {}) == wanted


NAMES = ["check", "Ärger", "select", "two words", 'my "best" rule', "it's", "order", "a.b", "100%", "雪", "__x", "Check2", "lf", "label", "entity", "e", "w0", "o", "d", "c"]


def test_any_printable_name_is_a_name(tmp_path):
    folder = project(tmp_path / "shop", "\n".join(f"-- lf: {n} -> refund\nFROM ticket WHERE ticket_id = {1 + i % 6};" for i, n in enumerate(NAMES)))
    workspace(folder).run()
    assert votes(folder) == {n: {1 + i % 6: "refund"} for i, n in enumerate(NAMES)}
    columns = [row[0] for row in published(folder, "DESCRIBE intent.label_matrix")]
    assert sorted(columns) == sorted(["entity_id", *NAMES])
    (row,) = published(folder, "SELECT \"my \"\"best\"\" rule\", \"it's\", \"check\" FROM intent.label_matrix WHERE entity_id = 5")
    assert row == ("refund", None, None)


@pytest.mark.parametrize("text", [
    "\ufeff-- lf: a -> refund\nFROM ticket WHERE body = 'hello'\n",
    "-- lf: a -> refund\r\nFROM ticket\r\nWHERE body = 'hello';\r\n",
    "--LF:a->refund\nFROM ticket WHERE body = 'hello'",
    "  --  lf :  a  ->  refund  \n-- a note\n\n-- owner: me\nFROM ticket WHERE body = 'hello'",
    "/* the rules */\n-- of the shop\n-- lf: a -> refund\nFROM ticket WHERE body = 'hello'",
])  # fmt: skip
def test_headers_and_line_ends(tmp_path, text):
    folder = project(tmp_path / "shop", text)
    workspace(folder).run()
    assert votes(folder) == {"a": {5: "refund"}}


@pytest.mark.parametrize("text", [
    "FROM ticket WHERE body <> '\n-- lf: b -> other\n' AND body = 'hello'",
    "FROM ticket WHERE body = 'hello' /*\n-- lf: b -> other\n*/",
    "FROM ticket WHERE body <> $$\n-- lf: b -> other\n$$ AND body = 'hello'",
    "FROM ticket WHERE body <> $x$ ' \n-- lf: b -> other\n$x$ AND body = 'hello'",
    'SELECT ticket_id, 1 AS "\n-- lf: b -> other\n" FROM ticket WHERE body = \'hello\'',
])  # fmt: skip
def test_a_header_inside_a_string_or_comment_is_none(tmp_path, text):
    folder = project(tmp_path / "shop", "-- lf: a -> refund\n" + text)
    workspace(folder).run()
    assert votes(folder) == {"a": {5: "refund"}}


def test_comment_marks_inside_strings_do_not_hide_a_header(tmp_path):
    text = "-- lf: a -> refund\nFROM ticket WHERE body <> '/*' AND body = 'hello';\n-- /* not open\n-- lf: b -> other\nFROM ticket WHERE body <> '*/' AND body = 'hello'"
    folder = project(tmp_path / "shop", text)
    workspace(folder).run()
    assert votes(folder) == {"a": {5: "refund"}, "b": {5: "other"}}


@pytest.mark.parametrize(("text", "code", "line", "column"), [
    ("-- lf: a -> refund\nFROM ticket WHERE created_at < now()", "LF204", 2, 32),
    ("-- lf: a -> refund\nFROM ticket WHERE age(created_at) > INTERVAL 1 DAY", "LF204", 2, 19),
    ("-- lf: a -> refund\nFROM ticket WHERE created_at < current_date", "LF204", 1, 8),
    ("-- lf: a -> refund\nFROM ticket LIMIT 2", "LF213", 1, 8),
    ("-- lf: a -> refund\n-- ownr: me\nFROM ticket WHERE body = 'x'", "LF209", 2, 4),
    ("-- lf: a -> refund\nFROM ticket WHERE body = 'x';\n-- lf: b -> refund\nfrom TICKET where  Body = 'x' -- again", "LF208", 3, 8),
    ("-- lf: a -> refund\nFROM ticket WHERE true", "LF211", 1, 8),
    ("-- lf: a\nSELECT ticket_id, CASE WHEN body = 'x' THEN 'refund' ELSE 'other' END AS label FROM ticket", "LF212", 1, 8),
    ("-- lf: a -> refund\n-- dialect: postgres\nSELECT ticket_id FROM ticket WHERE body ~ 'x'", "LF203", 1, 8),
])  # fmt: skip
def test_warnings_do_not_fail_a_check(tmp_path, text, code, line, column):
    code_, found = checked(project(tmp_path / "shop", text))
    assert code_ == 0
    assert [(d["code"], d["severity"], d["line"], d["column"]) for d in found] == [(code, "warning", line, column)]
    assert all(d["hint"] for d in found)


def test_equal_conditions_for_different_classes_are_no_duplicates(tmp_path):
    text = "-- lf: a -> refund\nFROM ticket WHERE body = 'x';\n-- lf: b -> other\nFROM ticket WHERE body = 'x'"
    assert checked(project(tmp_path / "shop", text)) == (0, [])


def test_other_dialects_vote_like_their_engine(tmp_path):
    text = """-- lf: snow -> refund
-- dialect: snowflake
SELECT ticket_id FROM ticket WHERE IFF(score > 0.5, TRUE, FALSE);
-- lf: pg -> delivery
-- dialect: postgres, owner: me
SELECT ticket_id FROM ticket WHERE body ~* 'PARCEL';
-- lf: bq -> other
-- dialect: bigquery
SELECT ticket_id FROM `ticket` WHERE SAFE_CAST(queue AS INT64) IS NULL AND STARTS_WITH(body, 'hel')
"""
    folder = project(tmp_path / "shop", text)
    workspace(folder).run()
    assert votes(folder) == {"snow": {1: "refund", 3: "refund"}, "pg": {2: "delivery", 4: "delivery"}, "bq": {5: "other"}}


COMPOSITE = """
[warehouse]
from = "warehouse.duckdb"
[modality.line]
from = "line"
key = ["order_no", "pos"]
[task.kind]
classes = ["a", "b"]
"""


def test_composite_keys(tmp_path):
    sql = "CREATE TABLE line AS SELECT * FROM (VALUES ('x', 1, 'foo'), ('x', 2, 'bar'), ('y', 1, 'foo')) v(order_no, pos, item)"
    text = """-- lf: foo -> a
FROM line WHERE item = 'foo';
-- lf: second -> b
SELECT pos, order_no FROM (FROM line WHERE pos = 2);
-- lf: by_id -> b
SELECT entity_id FROM entity WHERE order_no = 'y';
-- lf: grouped -> a
SELECT order_no, pos FROM line GROUP BY ALL HAVING count(*) = 1 AND max(item) = 'bar';
"""
    folder = project(tmp_path / "shop", text, sql=sql, config=COMPOSITE)
    workspace(folder).run()
    assert votes(folder, "kind") == {"foo": {"x|1": "a", "y|1": "a"}, "second": {"x|2": "b"}, "by_id": {"y|1": "b"}, "grouped": {"x|2": "a"}}
    write(folder, {"lfs/rules.sql": "-- lf: half -> a\nSELECT order_no FROM line WHERE pos = 1"})
    code, found = checked(folder)
    assert code == 1 and [(d["code"], '"pos"' in d["message"]) for d in found] == [("LF110", True)]


@pytest.mark.parametrize(("kind", "keys"), [("VARCHAR", ["'a'", "'b|c'", "'ä'"]), ("INTEGER", ["1", "2", "3"]), ("UUID", [f"'0000000{i}-0000-0000-0000-000000000000'::UUID" for i in (1, 2, 3)]), ("DATE", ["DATE '2026-01-01'", "DATE '2026-01-02'", "DATE '2026-01-03'"])])
def test_keys_of_other_types(tmp_path, kind, keys):
    sql = f"CREATE TABLE t (id {kind}, v INTEGER); INSERT INTO t VALUES {', '.join(f'({k}, {i})' for i, k in enumerate(keys))}"
    config = COMPOSITE.replace('from = "line"', 'from = "t"').replace('["order_no", "pos"]', '"id"')
    folder = project(tmp_path / "shop", "-- lf: odd -> a\nFROM t WHERE v % 2 = 1;\n-- lf: rel -> b\nSELECT id FROM t GROUP BY id HAVING max(v) = 2", sql=sql, config=config)
    workspace(folder).run()
    found = published(folder, "SELECT lf, CAST(entity_id AS VARCHAR), typeof(entity_id) FROM kind.votes ORDER BY lf")
    text = duckdb.sql(f"SELECT {', '.join(f'CAST({k} AS VARCHAR)' for k in keys)}").fetchone()
    assert found == [("odd", text[1], kind), ("rel", text[2], kind)]


def test_two_label_columns_are_an_error(tmp_path):
    text = "-- lf: a\nSELECT ticket_id, 'refund' AS label, 'delivery' AS label FROM ticket JOIN orders USING (order_id)"
    code, found = checked(project(tmp_path / "shop", text))
    assert code == 1 and found[0]["code"] == "LF110" and 'several columns "label"' in found[0]["message"]


def test_composite_keys_that_hold_the_separator_stay_apart(tmp_path):
    """ "a|b","c" and "a","b|c" read alike when joined plainly; every part of groundswell that joins them agrees."""
    import duckdb

    from groundswell.store.arrow import as_table
    from groundswell.predicting import _keyed

    sql = r"CREATE TABLE ticket AS SELECT * FROM (VALUES ('a|b', 'c', 'x'), ('a', 'b|c', 'y'), ('a\', '|c', 'x'), ('a\|', 'c', 'y')) t(p, q, body); CREATE TABLE vip AS SELECT p, q FROM ticket WHERE body = 'y';"
    config = '[warehouse]\nfrom = "warehouse.duckdb"\n[modality.text]\nfrom = "ticket"\nkey = ["p", "q"]\n[task.intent]\nclasses = ["refund", "delivery"]\n'
    text = "-- lf: local -> refund\nFROM ticket WHERE body = 'x';\n-- lf: joined -> delivery\nFROM ticket SEMI JOIN vip USING (p, q);"
    case = "- lf: joined\n  given: {ticket: [{p: 'a|b', q: c}], vip: [{p: 'a|b', q: c}]}\n  expect: {'a\\|b|c': delivery}\n"
    folder = project(tmp_path / "shop", text, sql=sql, config=config, files={"tests/keys.yaml": case})
    assert checked(folder) == (0, [])
    workspace(folder).run()
    assert votes(folder) == {"local": {r"a\|b|c": "refund", r"a\\|\|c": "refund"}, "joined": {r"a|b\|c": "delivery", r"a\\\||c": "delivery"}}
    with duckdb.connect(str(folder / "warehouse.duckdb"), read_only=True) as connection:
        (batch,) = as_table(connection.execute("SELECT p, q FROM ticket")).to_batches()
    assert set(_keyed(batch, ("p", "q")).column("entity_id").to_pylist()) == {k for lf in votes(folder).values() for k in lf}
