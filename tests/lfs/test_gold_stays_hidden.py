"""Gold in a column of the modality's own relation: LFs read the rest of the relation and never that column."""

from __future__ import annotations

import pytest
from support import TICKETS, checked, project, votes, workspace, write

SQL = TICKETS + "ALTER TABLE ticket ADD COLUMN truth VARCHAR; UPDATE ticket SET truth = 'refund' WHERE ticket_id < 4;"
TASK = 'gold = { from = "ticket", key = "ticket_id", label = "truth" }'


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    return project(tmp_path_factory.mktemp("gold") / "shop", sql=SQL, task=TASK)


@pytest.mark.parametrize("text", [
    "-- lf: a -> refund\nFROM ticket WHERE truth = 'refund'",
    '-- lf: a -> refund\nFROM ticket WHERE "TRUTH" = \'refund\'',
    "-- lf: a -> refund\nFROM ticket t WHERE t.truth = 'refund'",
    "-- lf: a\nSELECT ticket_id, truth AS label FROM ticket",
    "-- lf: a\nSELECT ticket_id, x AS label FROM (SELECT ticket_id, truth AS x FROM ticket)",
    "-- lf: a -> refund\nSELECT a AS ticket_id FROM ticket t(a, b, c, d, e, f, g, h, i) WHERE i = 'refund'",
    "-- lf: a -> refund\nWITH t(a, b, c, d, e, f, g, h, i) AS (FROM ticket) SELECT a AS ticket_id FROM t WHERE i = 'refund'",
    "-- lf: a -> refund\nSELECT ticket_id FROM ticket JOIN (VALUES ('refund')) v(truth) USING (truth)",
    "-- lf: a -> refund\nSELECT ticket_id FROM ticket NATURAL JOIN (VALUES ('refund')) v(truth)",
    "-- lf: a -> refund\nSELECT ticket_id FROM ticket JOIN orders USING (order_id) WHERE COLUMNS('tru.*') = 'refund'",
    "-- lf: a -> refund\nFROM warehouse.main.ticket WHERE body = 'x'",
    "-- lf: a -> refund\nFROM entity WHERE truth = 'refund'",
])  # fmt: skip
def test_every_way_to_the_gold_column_is_closed(folder, text):
    write(folder, {"lfs/rules.sql": text})
    code, found = checked(folder)
    assert code == 1 and found[0]["code"] in {"LF107", "LF102", "LF113"}


def test_a_row_as_text_does_not_hold_the_gold_label(folder):
    text = "-- lf: a -> refund\nSELECT ticket_id FROM ticket t JOIN orders USING (order_id) WHERE t::VARCHAR LIKE '%''truth''%';\n"
    text += "-- lf: b -> refund\nSELECT ticket_id FROM ticket t JOIN orders USING (order_id) WHERE t::VARCHAR LIKE '%''body''%'"
    write(folder, {"lfs/rules.sql": text})
    workspace(folder).run()
    assert set(votes(folder)) == {"b"}


def test_the_rest_of_the_relation_is_readable(folder):
    text = "-- lf: a -> refund\nFROM ticket WHERE body ILIKE '%refund%';\n-- lf: b -> delivery\nFROM ticket JOIN orders USING (order_id) WHERE is_late"
    write(folder, {"lfs/rules.sql": text})
    workspace(folder).run()
    assert votes(folder) == {"a": {1: "refund", 3: "refund", 4: "refund"}, "b": {2: "delivery", 4: "delivery"}}


def test_entity_and_the_end_models_input_lack_the_gold_column(folder):
    write(folder, {"lfs/rules.sql": "-- lf: a -> refund\nFROM ticket WHERE body ILIKE '%refund%';\n"})
    ws = workspace(folder)
    ws.run()
    assert "truth" not in ws.table("entity").columns


VIEWS = TICKETS + """
CREATE VIEW hidden AS SELECT ticket_id, label AS l FROM ticket_gold;
CREATE VIEW twice_hidden AS SELECT * FROM hidden;
CREATE MACRO gold_of(k) AS (SELECT label FROM ticket_gold WHERE ticket_id = k);
CREATE MACRO all_gold() AS TABLE SELECT ticket_id, l FROM twice_hidden;
CREATE VIEW late_orders AS SELECT order_id FROM orders WHERE is_late;
CREATE MACRO loud(x) AS upper(x);
"""


@pytest.mark.parametrize("text", [
    "-- lf: a\nSELECT ticket_id, l AS label FROM hidden",
    "-- lf: a\nSELECT ticket_id, l AS label FROM twice_hidden",
    "-- lf: a -> refund\nFROM ticket WHERE ticket_id IN (SELECT ticket_id FROM TWICE_HIDDEN WHERE l = 'refund')",
    "-- lf: a -> refund\nFROM ticket WHERE gold_of(ticket_id) = 'refund'",
    "-- lf: a\nSELECT ticket_id, l AS label FROM all_gold()",
])  # fmt: skip
def test_views_and_macros_do_not_hand_gold_on(tmp_path, text):
    code, found = checked(project(tmp_path / "shop", text, sql=VIEWS))
    assert code == 1 and found[0]["code"] in {"LF107", "LF106"} and found[0]["line"] == 2


def test_other_views_and_macros_are_readable(tmp_path):
    text = "-- lf: a -> delivery\nFROM ticket JOIN late_orders USING (order_id);\n-- lf: b -> refund\nFROM ticket WHERE loud(body) LIKE '%REFUND%'"
    folder = project(tmp_path / "shop", text, sql=VIEWS)
    workspace(folder).run()
    assert votes(folder) == {"a": {2: "delivery", 4: "delivery"}, "b": {1: "refund", 3: "refund", 4: "refund"}}


def test_a_view_over_the_rows_without_the_gold_column_is_readable(tmp_path):
    sql = SQL + "CREATE VIEW plain AS SELECT ticket_id, body FROM ticket; CREATE VIEW leaky AS SELECT * FROM ticket;"
    text = "-- lf: a -> refund\nFROM plain WHERE body ILIKE '%refund%';\n-- lf: b -> refund\nSELECT ticket_id FROM leaky WHERE body ILIKE '%refund%'"
    code, found = checked(project(tmp_path / "shop", text, sql=sql, task=TASK))
    assert code == 1 and [(d["code"], d["lf"]) for d in found] == [("LF107", "b")]


TOLD = TICKETS + """
CREATE TABLE told AS SELECT ticket_id, 'refund' AS truth, 0.9 AS best FROM ticket;
CREATE VIEW retold AS SELECT ticket_id, best FROM told;
ALTER TABLE ticket ADD COLUMN verdict VARCHAR;
ALTER TABLE ticket ADD COLUMN ceiling DOUBLE;
"""
GIVEN = 'gold = { from = "ticket_gold", key = "ticket_id", label = "label" }\nstudy = '


@pytest.mark.parametrize("study, text, code", [
    ('{ from = "told", key = "ticket_id", label = "truth" }', "-- lf: a\nSELECT ticket_id, truth AS label FROM told", "LF107"),
    ('{ from = "told", key = "ticket_id", label = "truth", optimum = "best" }', "-- lf: a -> refund\nSELECT ticket_id FROM retold WHERE best > 0.5", "LF107"),
    ('{ from = "ticket", key = "ticket_id", label = "verdict", optimum = "ceiling" }', "-- lf: a -> refund\nFROM ticket WHERE verdict = 'refund'", "LF107"),
    ('{ from = "ticket", key = "ticket_id", label = "verdict", optimum = "ceiling" }', "-- lf: a -> refund\nFROM ticket WHERE ceiling > 0.5", "LF107"),
    ('{ from = "ticket", key = "ticket_id", label = "verdict", optimum_all = "ceiling" }', "-- lf: a -> refund\nFROM entity WHERE ceiling > 0.5", "LF102"),
    ('{ from = "told", key = "ticket_id", label = "truth" }', "-- lf: a\nSELECT ticket_id, label FROM ticket_gold", "LF107"),
    ('{ from = "ticket", key = "ticket_id", label = "VERDICT" }', "-- lf: a -> refund\nFROM ticket WHERE verdict = 'refund'", "LF107"),
])  # fmt: skip
def test_what_only_studies_are_told_is_as_closed_as_gold(tmp_path, study, text, code):
    left, found = checked(project(tmp_path / "shop", text, sql=TOLD, task=GIVEN + study))
    assert left == 1 and found[0]["code"] == code


@pytest.mark.parametrize("gold, study", [
    ('{ from = "ticket", key = "ticket_id", label = "verdict" }', '{ from = "ticket", key = "ticket_id", label = "VERDICT" }'),
    ('{ from = "ticket_gold", key = "ticket_id", label = "label" }', '{ from = "ticket", key = "ticket_id", label = "no_such_column" }'),
])  # fmt: skip
def test_a_column_named_twice_or_not_there_does_not_hinder_a_run(tmp_path, gold, study):
    folder = project(tmp_path / "shop", "-- lf: a -> refund\nFROM ticket WHERE body ILIKE '%refund%'", sql=TOLD, task=f"gold = {gold}\nstudy = {study}")
    workspace(folder).run()
    assert votes(folder) == {"a": {1: "refund", 3: "refund", 4: "refund"}}


def test_entity_lacks_what_only_studies_are_told(tmp_path):
    ws = workspace(project(tmp_path / "shop", sql=TOLD, task=GIVEN + '{ from = "ticket", key = "ticket_id", label = "verdict", optimum = "ceiling" }'))
    ws.run()
    assert not {"verdict", "ceiling"} & set(ws.table("entity").columns) and "body" in ws.table("entity").columns
