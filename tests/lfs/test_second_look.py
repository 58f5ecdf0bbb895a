"""DuckDB's own parser is asked what an LF reads: what only one of two parsers sees is refused."""

import duckdb
import pytest
import sqlglot

from groundswell.lfs.header import Statement
from groundswell.lfs.parse import LFProblem
from groundswell.lfs.second_look import second_look
from groundswell.store import Store


def looked_at(text: str, guarded: str | None = None) -> None:
    """Second look at `text`, where the guard saw `guarded`."""
    with duckdb.connect(":memory:") as connection:
        second_look(Store(connection, None), Statement("a", "x", text, "f.sql", 1), text, sqlglot.parse_one(guarded or text, read="duckdb"))


@pytest.mark.parametrize("text", [
    "FROM ticket WHERE body ILIKE '%x%'",
    "WITH t AS (FROM ticket) SELECT k FROM t JOIN crm.vip USING (k)",
    "SELECT k FROM ticket, unnest(words) AS u(w) WHERE w = 'x'",
    "SELECT k FROM ticket WHERE n IN (SELECT range FROM range(3))",
])  # fmt: skip
def test_what_both_read_alike_passes(text):
    assert looked_at(text) is None


@pytest.mark.parametrize(("text", "guarded", "code", "says"), [
    ("FROM ticket JOIN secret USING (k)", "FROM ticket", "LF106", "secret"),
    ("FROM ticket, read_csv('x')", "FROM ticket", "LF106", "read_csv()"),
    ("FROM ticket WHERE getenv('HOME') = 'x'", "FROM ticket", "LF106", "getenv()"),
    ("FROM 'x.csv'", "FROM ticket", "LF106", "x.csv"),
    ("SELECT * FROM (SHOW TABLES)", "FROM ticket", "LF106", "SHOW"),
    ("FROM ticket; FROM ticket", "FROM ticket", "LF103", "not exactly one"),
    ("DROP TABLE ticket", "FROM ticket", "LF103", "not exactly one"),
])  # fmt: skip
def test_what_only_duckdb_sees_is_refused(text, guarded, code, says):
    with pytest.raises(LFProblem) as problem:
        looked_at(text, guarded)
    assert problem.value.diagnostic.code == code and says in problem.value.diagnostic.message
