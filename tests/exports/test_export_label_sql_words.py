"""Conditions in other engines, one by one: what is translated gives DuckDB's answer on every row; what is not is refused at its place."""

from __future__ import annotations

import random
from contextlib import closing
from pathlib import Path

import duckdb
import pytest
import sqlglot
from sqlglot import exp
from support import project, warehouse_file, workspace

from groundswell.errors import LFError
from groundswell.export_sql.portable import Refused
from groundswell.export_sql.queries import Queries
from groundswell.export_sql.regex import Untranslatable, translated

from .engines import ENGINES
from .label_world import BODIES, text

PATTERNS = [
    r"money", r"(?i)MONEY", r"\bmoney\b", r"(?i)\bCASH\b|refund", r"^hello$", r"hello.", r"(?s)late.parcel", r"late.parcel", r"^$", r"a\\b", r"\d+ ?%", r"[^a-z ]",
    r"[\w']+\s[\w']+", r"\W\d", r"\S{4,6}\s", r"(?i)école", r"(?i)[É]c", r"(?i)übe|x{20,}", r"^(?:say|my) ", r"a|", r"(hello|cash)+?$", r"[]a]b", r"[a\]]\b", r"[[:upper:]]{2}",
    r"[^\n]+\n", r"\thi|\tthere", r"\.\d", r"it's", r"'hi'", r"[&|!]", r"[a&&b]c", r"\Ahello\z", r"x{50}", r"ch.{0,2}ch$", r"[+\-.*]", r"[a-c\-x]{3}",
]  # fmt: skip

CONDITIONS = [
    *(f"regexp_matches(body, {text(p)})" for p in PATTERNS), *(f"regexp_full_match(body, {text(p)})" for p in PATTERNS[:12]), "regexp_matches(body, 'HELLO', 'i')",
    "regexp_matches(body, 'late.parcel', 's')", "body LIKE 'h_llo%'", "body NOT LIKE '%e%'", "body LIKE 'a\\%'", "body LIKE '%!%%' ESCAPE '!'", "body ILIKE '%ÉCOLE%'",
    "body ILIKE 'HELLO_'", "lower(body) = 'école'", "lower(body) IN ('hello', 'überweisung')", "body < 'b'", "body BETWEEN 'A' AND 'a'", "body > lower(body)",
    "contains(body, '%')", "contains(body, '')", "starts_with(body, '')", "suffix(body, '!')", "prefix(body, 'É')", "strpos(body, 'e') = 2", "instr(body, 'money') > 1",
    "length(body) = 1", "substr(body, 2, 3) = 'ell'", "right(body, 2) = 'lo'", "replace(body, 'l', '') = 'heo'", "body || '!' = 'hello!'", "body IS NULL", "NOT (body = 'hello')",
    "body IS DISTINCT FROM 'hello'", "coalesce(body, 'hello') = 'hello'", "nullif(body, 'hello') IS NULL", "CASE WHEN body = 'hello' THEN n > 3 ELSE n < 3 END",
    "CASE n WHEN 3 THEN true WHEN 4 THEN false END", "if(n > 2, vip, NOT vip)", "(vip AND n > 3) IS TRUE", "(vip OR n > 3) IS NOT FALSE", "vip = true", "n IN (1, 3, NULL)",
    "n NOT IN (1, 3)", "n > 2.5", "n / 4 = 0.75", "n % 4 = 1", "-n < -3", "abs(n - 5) <= 1", "n + score > 4.1", "score > 0.3", "isnan(score)", "NOT isnan(score)", "score = 0.25", "score <= 0.25 OR score <> score",
    "score BETWEEN 0.2 AND 0.4", "floor(score * 10) = 2", "ceil(score * 4) = 1", "price = 12.5", "price > 12.49 AND price <= 12.51", "CAST(price AS DOUBLE) * 2 = 25",
    "greatest(n, 4) = 4", "least(n, 4) IS NOT DISTINCT FROM n", "day = '2026-01-31'", "day > '2026-01-30'", "seen < '2026-01-31 12:00'", "seen >= day", "CAST(seen AS DATE) = day",
    "seen + INTERVAL 1 MONTH > TIMESTAMP '2026-02-28 10:00:00'", "day - INTERVAL 1 WEEK < '2026-01-24 00:00:01'", "year(day) = 2026 AND extract(minute FROM seen) = 30",
    "date_part('hour', seen) = 12", "list_contains(words, 'a')", "NOT list_contains(words, 'a')", "list_contains(codes, 2)", "words && ['a', 'b']", "NOT list_has_any(words, ['a', 'b'])",
    "list_has_all(words, ['a', 'b'])", "len(words) = 0", "words = []", "codes <> []", "coalesce(list_contains(words, 'a'), false)", "length(codes) > 1", "list_has(words, 'b') IS NULL", "NOT vip OR vip IS NULL", "CAST(n AS VARCHAR) = '3'",
]  # fmt: skip

COLUMNS = {
    "id": "BIGINT", "body": "VARCHAR", "n": "BIGINT", "score": "DOUBLE", "price": "DECIMAL(9, 2)", "vip": "BOOLEAN", "day": "DATE", "seen": "TIMESTAMP", "words": "VARCHAR[]",
    "codes": "BIGINT[]",
}  # fmt: skip


def rows() -> str:
    """Statements that make one table of everything."""
    r = random.Random(1)
    days = [f"2026-01-{d:02}" for d in (1, 24, 28, 30, 31)]
    values = {
        "n": [*range(1, 7)], "score": [0.25, 0.3, 0.1, 0.35, "'NaN'::DOUBLE"], "price": [12.5, 12.51, 3], "vip": ["true", "false"], "day": [f"DATE '{d}'" for d in days],
        "seen": [f"TIMESTAMP '{d} {h}'" for d in days for h in ("00:00:00", "12:30:00")],
        "words": [f"{w}::VARCHAR[]" for w in ("[]", "[NULL]", "['a']", "[NULL, 'b']", "['b', 'a']")], "codes": [f"{c}::BIGINT[]" for c in ("[]", "[2]", "[1, NULL]", "[3, 2, 1]")],
    }  # fmt: skip
    found = []
    for i, body in enumerate(BODIES * 4):
        others = (str(r.choice(["NULL", *choices])) for choices in values.values())
        found.append(f"({i}, {text(body)}, {', '.join(others)})")
    columns = ", ".join(f'"{c}" {kind}' for c, kind in COLUMNS.items())
    return f"CREATE TABLE everything ({columns}); INSERT INTO everything VALUES {', '.join(found)}"


@pytest.fixture(scope="module")
def everything(tmp_path_factory) -> Path:
    path = tmp_path_factory.mktemp("words") / "warehouse.duckdb"
    path.write_bytes(warehouse_file(rows()))
    return path


def said(condition: str, dialect: str) -> str:
    """The condition in a dialect. Raises Refused."""
    tree = sqlglot.parse_one(condition, read="duckdb")
    for column in tree.find_all(exp.Column):
        column.type = exp.DataType.build((COLUMNS | OTHER_COLUMNS)[column.name], dialect="duckdb")
    return Queries(dialect)(tree).node.sql(dialect)


@pytest.fixture(scope="module", params=ENGINES)
def engine(request, everything):
    """A running engine that has the table, with its name."""
    with closing(ENGINES[request.param]()) as found:
        found.load(everything, "words")
        yield request.param, found


def truth(conditions: list[str], key: str) -> str:
    """A query: 1, 0 or NULL for each condition and row."""
    columns = (f"CASE WHEN {c} THEN 1 WHEN NOT ({c}) THEN 0 END AS c_{i}" for i, c in enumerate(conditions))
    return f"SELECT {key}, {', '.join(columns)} FROM everything"


def test_translated_conditions_give_the_same_answer_on_every_row(engine, everything):
    dialect, running = engine
    found = running.rows(truth([said(c, dialect) for c in CONDITIONS], "id"), "words")
    with duckdb.connect(str(everything), read_only=True) as connection:
        expected = {row[0]: row[1:] for row in connection.execute(truth(CONDITIONS, "id")).fetchall()}
    wrong: dict[str, list] = {}
    for row in found:
        for i, c in enumerate(CONDITIONS):
            value = None if row[f"c_{i}"] is None else int(row[f"c_{i}"])
            if value != expected[int(row["id"])][i]:
                wrong.setdefault(c, []).append((row["id"], value, expected[int(row["id"])][i]))
    assert len(found) == len(expected) and wrong == {}
    assert all(len({values[i] for values in expected.values()}) > 1 for i in range(len(CONDITIONS)))


REFUSED = {
    "postgres": ["(extra).lang = 'en'", "body ~ 'a(?=b)'"],
    "spark": ["body GLOB 'a*'", "trim(body) = 'a'"],
    "bigquery": ["body LIKE 'a!%' ESCAPE '!'", "greatest(n, 2) = 2", "score <> score"],
    "snowflake": ["(extra).lang = 'en'", "least(n, 2) = 2"],
}
"""Conditions one dialect cannot say."""

NOWHERE = [
    r"regexp_matches(body, '\Bx')", "regexp_matches(body, '(?i)ß')", "regexp_matches(body, 'a', 'm')", r"regexp_matches(body, '(?P<n>a)')", r"regexp_matches(body, '\pL')",
    "regexp_matches(body, body)", "body ILIKE '%Σ%'", "body LIKE queue", "upper(body) = 'A'", "body SIMILAR TO 'a.*'", "concat(body, queue) = 'a'", "n // 2 = 1", "n ^ 2 = 4",
    "n / (n - 1) > 1", "n % n = 0", "round(score) = 1", "score::INT = 1", "TRY_CAST(body AS INT) = 1", "body::INT = 1", "n > '3'", "body > 3", "price * 2 > 3", "words = ['a']", "ratio > 0.1",
    "seen - day > INTERVAL 1 DAY", "now() > seen", "zoned > '2026-01-01'", "dayofweek(day) = 0", "date_diff('day', day, seen) = 1", "words[1] = 'a'", "n & 1 = 1",
    "list_contains(words, body)", "score BETWEEN 'a' AND 'b'", "day < '2026-01-01 10:00'", "body IN (1, 2)", "hash(body) % 2 = 0",
]  # fmt: skip
"""Conditions no other engine answers as DuckDB does, whatever they are written as."""

OTHER_COLUMNS = {"queue": "VARCHAR", "ratio": "FLOAT", "zoned": "TIMESTAMPTZ", "extra": "STRUCT(lang VARCHAR)"}


@pytest.mark.parametrize("dialect", ["postgres", "spark", "snowflake", "bigquery"])
def test_what_a_dialect_reads_otherwise_is_refused(dialect):
    for condition in [*NOWHERE, *REFUSED[dialect]]:
        with pytest.raises(Refused):
            pytest.fail(f"{condition} became {said(condition, dialect)}")


@pytest.mark.parametrize("dialect", ["snowflake", "bigquery"])
def test_dialects_without_an_engine_here_get_their_own_words(dialect):
    """What sqlglot alone would write for them and they would read otherwise."""
    found = {c: said(c, dialect) for c in CONDITIONS if c not in REFUSED[dialect] and not c.startswith(("greatest", "least")) and "score <> score" not in c and "ESCAPE" not in c}
    words = " ".join(found.values()).upper()
    assert not any(word in words for word in ("ILIKE", "CONTAINS_SUBSTR", "REGEXP_LIKE", "RLIKE", "&&", "LIST_", "REGEXP_FULL", "TRY_"))
    assert found["starts_with(body, '')"] == "LEFT(body, 0) = ''" if dialect == "snowflake" else "LEFT(`body`, 0) = ''"
    for text_ in found.values():
        sqlglot.parse_one(text_, dialect=dialect)


def test_flags_and_places_of_patterns():
    assert translated("a", "i", "bigquery") == "(?i)a" and translated("a.b", "s", "spark") == "a(?:[^\\n]|\\n)b"
    assert translated(r"\bA[é]$", "i", "postgres").endswith(")A[Éé]$")
    with pytest.raises(Untranslatable) as refused:
        translated(r"abc(?<x>d)", "", "spark")
    assert refused.value.position == 3


def test_all_refusals_of_a_run_are_shown_at_their_places(tmp_path):
    lfs = """-- lf: first -> refund
FROM ticket
WHERE score > 0.1 AND trim(body) = 'x';

-- lf: second -> delivery
SELECT ticket_id FROM ticket JOIN orders USING (order_id)
GROUP BY ticket_id HAVING string_agg(status, ',') = 'sent';

-- lf: third -> other
FROM ticket WHERE score > 0.1;
"""
    folder = project(tmp_path / "shop", lfs)
    workspace(folder).run()
    with pytest.raises(LFError) as refused:
        workspace(folder).label_sql("spark")
    found = {d.lf: (d.code, d.location.line, d.location.column) for d in refused.value.diagnostics}
    assert found == {"first": ("LF127", 3, 28), "second": ("LF127", 7, 38)}
    assert workspace(folder).label_sql("duckdb").count("TRIM") == 1
