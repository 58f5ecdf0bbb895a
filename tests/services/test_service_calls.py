"""Pairs of SQL: a query that calls services, and the SELECT that collects the arguments of each call; lookups by key."""

import pytest
import sqlglot

from groundswell.services.base import Service
from groundswell.services.calls import BadCall, by_key, service_calls
from groundswell.services.load import Services

SERVICES = Services({name: Service(name, ((kind,),), "VARCHAR[]", 1, name, lambda _: None) for name, kind in (("t", "VARCHAR"), ("u", "VARCHAR"), ("p", "BLOB"))})


def collected(query):
    """(service, query of its arguments) of every call."""
    return [(c.service.name, c.query) for c in service_calls(sqlglot.parse_one(query, read="duckdb"), SERVICES)]


def plain(query):
    """The query as the parser writes it."""
    return sqlglot.parse_one(query, read="duckdb").sql("duckdb")


@pytest.mark.parametrize(("query", "expected"), [
    ("SELECT k, t(body) AS x FROM a", [("t", 'SELECT * FROM (SELECT k, NULL AS "x", body AS gs_argument_0 FROM a) AS gs_rows')]),
    ("SELECT k, t(u(b)[1]) AS x FROM a", [
        ("u", 'SELECT * FROM (SELECT k, NULL AS "x", b AS gs_argument_0 FROM a) AS gs_rows'),
        ("t", 'SELECT * FROM (SELECT k, NULL AS "x", u(b)[1] AS gs_argument_0 FROM a) AS gs_rows'),
    ]),
    ("SELECT k, list(t(b)) AS x FROM a GROUP BY k HAVING count(*) > 1 ORDER BY k", [("t", "SELECT * FROM (SELECT b AS gs_argument_0 FROM a) AS gs_rows")]),
    ("SELECT k FROM a WHERE len(t(b)) > 1 AND k > 2", [("t", "SELECT * FROM (SELECT k, b AS gs_argument_0 FROM a WHERE k > 2) AS gs_rows")]),
    ("SELECT k, u(c) AS y FROM a WHERE len(t(b)) > 1", [
        ("t", 'SELECT * FROM (SELECT k, NULL AS "y", b AS gs_argument_0 FROM a) AS gs_rows'),
        ("u", 'SELECT * FROM (SELECT k, NULL AS "y", c AS gs_argument_0 FROM a WHERE LENGTH(t(b)) > 1) AS gs_rows'),
    ]),
    ("WITH a AS (SELECT k, u(b)[1] AS c FROM z), d AS (SELECT k, t(c) AS x FROM a) SELECT k, x FROM d", [
        ("u", 'SELECT * FROM (SELECT k, NULL AS "c", b AS gs_argument_0 FROM z) AS gs_rows'),
        ("t", 'WITH a AS (SELECT k, u(b)[1] AS c FROM z) SELECT * FROM (SELECT k, NULL AS "x", c AS gs_argument_0 FROM a) AS gs_rows'),
    ]),
])  # fmt: skip
def test_arguments_are_collected_where_the_call_stands(query, expected):
    assert [(name, plain(found)) for name, found in collected(query)] == [(name, plain(wanted)) for name, wanted in expected]


@pytest.mark.parametrize(("query", "words"), [
    ("SELECT list_transform(bs, lambda b: t(b)) AS x FROM a", "lambda"), ("SELECT x FROM a, unnest(t(b)) AS r(x)", "FROM or JOIN"),
    ("SELECT k FROM a JOIN c ON t(a.b) = c.d", "FROM or JOIN"), ("SELECT t(a, b) AS x FROM c", "takes 1 argument, not 2"),
])  # fmt: skip
def test_places_where_it_cannot_stand(query, words):
    with pytest.raises(BadCall, match=words):
        collected(query)


@pytest.mark.parametrize(("query", "expected"), [
    ("SELECT k, p(image) AS x FROM a", 'SELECT k, gs_by_key_p("a".gs_key_0) AS x FROM (SELECT *, CAST(MD5(image) AS UUID) AS gs_key_0 FROM a) AS "a"'),
    ("SELECT b.k, p(b.image) AS x FROM a JOIN c AS b USING (k)", 'SELECT b.k, gs_by_key_p("b".gs_key_0) AS x FROM a JOIN (SELECT *, CAST(MD5(b.image) AS UUID) AS gs_key_0 FROM c AS b) AS "b" USING (k)'),
    ("SELECT k, p(i) AS x FROM (SELECT k, image AS i FROM a) AS q", 'SELECT k, gs_by_key_p("q".gs_key_0) AS x FROM (SELECT *, CAST(MD5(i) AS UUID) AS gs_key_0 FROM (SELECT k, image AS i FROM a) AS q) AS "q"'),
    ("SELECT k, p(image) AS x FROM a JOIN c USING (k)", "SELECT k, p(image) AS x FROM a JOIN c USING (k)"),
    ("SELECT k, p(unhex(h)) AS x, t(b) AS y FROM a", 'SELECT k, gs_by_key_p("a".gs_key_0) AS x, t(b) AS y FROM (SELECT *, CAST(MD5(UNHEX(h)) AS UUID) AS gs_key_0 FROM a) AS "a"'),
    ("SELECT k, t(u(b)[1]) AS x FROM a", 'SELECT k, gs_by_key_t("a".gs_key_1) AS x FROM (SELECT *, CAST(MD5(u(b)[1]) AS UUID) AS gs_key_1 FROM a) AS "a"'),
    ("SELECT k, lower(b) AS c, t(u(c)[1]) AS x FROM a", "SELECT k, lower(b) AS c, t(u(c)[1]) AS x FROM a"),
    ("SELECT k, t(string_agg(u(b)[1], ' ')) AS x FROM a GROUP BY k", "SELECT k, t(string_agg(u(b)[1], ' ')) AS x FROM a GROUP BY k"),
])  # fmt: skip
def test_bytes_and_answers_are_looked_up_by_a_key_from_below(query, expected):
    assert plain(by_key(sqlglot.parse_one(query, read="duckdb"), SERVICES).sql("duckdb")) == plain(expected)
