"""Services called by features: asked once per content, kept, asked again only for what changed; and everything that can go wrong."""

import pytest
from support import change, diagnosed, project, published, rows_of, verb, workspace

from groundswell.services import answers

RESOURCES = '''
from pathlib import Path
import groundswell as gs
import pyarrow as pa

LOG = Path(__file__).with_name("asked.txt")

def note(name, texts):
    with LOG.open("a") as log:
        log.writelines(f"{name} {t}\\n" for t in texts.to_pylist())

@gs.udf("words_of", inputs=["VARCHAR"], returns="VARCHAR[]", version=1, cost_ms=0.01)
def words(texts):
    note("words", texts)
    if "hello" in texts.to_pylist():
        raise ValueError("no greetings")
    return pa.array([sorted(set(t.lower().split())) for t in texts.to_pylist()], pa.list_(pa.string()))

@gs.udf(inputs=["VARCHAR"], returns="DOUBLE")
def length_of(texts):
    note("length", texts)
    return pa.array([len(t) for t in texts.to_pylist()])
'''
FEATURES = """-- feature: body_words   kind: service   set: C
SELECT ticket_id, words_of(body) AS body_words FROM ticket;

-- feature: body_length   kind: service   set: C
SELECT ticket_id, length_of(body) AS body_length FROM ticket;
"""
LFS = "-- lf: refund -> refund\nFROM entity WHERE list_contains(body_words, 'refund');\n-- lf: long -> delivery\nFROM entity WHERE body_length > 18;\n"


def shop(folder, resources=RESOURCES, features=FEATURES, **options):
    """A shop whose features call services."""
    return project(folder, LFS, files={"resources/texts.py": resources, "features/all.sql": features}, **options)


def asked(folder, name=""):
    """The contents a service was asked for since the last look, in order."""
    log = folder / "resources" / "asked.txt"
    found = [line.split(" ", 1) for line in log.read_text().splitlines()] if log.exists() else []
    log.unlink(missing_ok=True)
    return sorted({content for service, content in found if service == name or not name})


def ran(folder):
    """The result of a run."""
    with workspace(folder) as ws:
        return ws.run()


def test_a_row_that_raises_is_null_counted_and_asked_again(tmp_path):
    folder = shop(tmp_path / "shop")
    (warning,) = [d for d in ran(folder).diagnostics if d.code == "FT201"]
    assert "1 of 5 contents" in warning.message and "ValueError: no greetings" in warning.message and warning.message.endswith("first: 5")
    rows = dict((k, rest) for k, *rest in published(folder, "SELECT entity_id, body_words, body_length FROM intent.entity"))
    assert rows[1] == [["a", "i", "refund", "want"], 15.0] and rows[5] == [None, 5.0] and rows[6] == [None, None]
    asked(folder)
    assert [s.reason for s in ran(folder).steps if s.output == "features"] == ["1 of 2: body_words (a service failed)"]
    assert asked(folder) == ["hello"]


def test_a_second_run_asks_nothing_and_new_rows_ask_for_new_contents_alone(tmp_path):
    folder = shop(tmp_path / "shop", RESOURCES.replace('if "hello"', 'if "never"'))
    ran(folder)
    assert len(asked(folder, "words")) == 5
    assert not any(step.done for step in ran(folder).steps) and asked(folder) == []
    change(folder, "INSERT INTO ticket (ticket_id, body) VALUES (7, 'brand new'), (8, 'I want a refund')")
    ran(folder)
    assert asked(folder, "words") == ["brand new"]
    assert published(folder, "SELECT entity_id, body_words FROM intent.entity WHERE entity_id > 6 ORDER BY 1") == [(7, ["brand", "new"]), (8, ["a", "i", "refund", "want"])]


def test_a_change_of_one_service_concerns_its_features_alone(tmp_path):
    folder = shop(tmp_path / "shop", RESOURCES.replace('if "hello"', 'if "never"'))
    ran(folder)
    asked(folder)
    path = folder / "resources" / "texts.py"
    for old, new in (("version=1", "version=2"), ("t.lower()", "t.upper()")):
        path.write_text(path.read_text().replace(old, new))
        reasons = [s.reason for s in ran(folder).steps if s.output == "features"]
        assert reasons == ["1 of 2: body_words (changed)"]
        assert asked(folder, "length") == []
    assert published(folder, "SELECT body_words FROM intent.entity WHERE entity_id = 1") == [(["A", "I", "REFUND", "WANT"],)]
    path.write_text("# a comment\n" + path.read_text().replace("t.upper().split()", "t.upper(  ).split()"))
    assert not any(step.done for step in ran(folder).steps)


def test_check_and_plan_ask_nothing(tmp_path):
    folder = shop(tmp_path / "shop")
    assert verb(folder, "check").code == 0 and verb(folder, "plan").code == 0
    assert asked(folder) == []


ROWS = """CREATE TABLE ticket AS SELECT i AS ticket_id, 'row ' || i AS body, now()::TIMESTAMP AS created_at FROM range(1000) AS t(i);
CREATE TABLE ticket_gold AS SELECT 1 AS ticket_id, 'refund' AS label"""


def test_a_killed_run_goes_on_where_it_was(tmp_path, monkeypatch):
    monkeypatch.setattr(answers, "KEPT_EVERY", 0.0)
    killed = RESOURCES.replace('if "hello" in texts.to_pylist()', 'if LOG.with_name("stop").exists() and "row 700" in texts.to_pylist()').replace('ValueError("no greetings")', "KeyboardInterrupt")
    folder = shop(tmp_path / "shop", killed.replace("cost_ms=0.01", "batch=50"), sql=ROWS)
    (folder / "resources" / "stop").touch()
    with pytest.raises(KeyboardInterrupt):
        ran(folder)
    answered = set(asked(folder, "words"))
    (folder / "resources" / "stop").unlink()
    assert 600 < len(answered) <= 750
    ran(folder)
    again = set(asked(folder, "words"))
    assert len(again | answered) == 1000 and 1 <= len(again & answered) <= 50  # the batch in which it was killed
    assert published(folder, "SELECT count(body_words) FROM intent.entity") == [(1000,)]


def test_nothing_published_names_a_service(tmp_path):
    folder = shop(tmp_path / "shop")
    ran(folder)
    macros = published(folder, "SELECT function_name FROM duckdb_functions() WHERE function_name IN ('words_of', 'length_of')")
    views = published(folder, "SELECT sql FROM duckdb_views() WHERE NOT internal AND (sql LIKE '%words_of%' OR sql LIKE '%gs_cache%')")
    assert macros == [] and views == []


def test_a_service_of_a_services_value_is_asked_after_it(tmp_path):
    nested = FEATURES.replace("length_of(body)", "length_of(words_of(body)[1])").replace("words_of(body) AS", "words_of(lower(body)) AS")
    folder = shop(tmp_path / "shop", RESOURCES.replace('if "hello"', 'if "never"'), nested)
    ran(folder)
    assert asked(folder, "length") == ["a", "back", "hello", "is"]
    assert dict(published(folder, "SELECT entity_id, body_length FROM intent.entity WHERE entity_id IN (1, 3)")) == {1: 1.0, 3: 4.0}


@pytest.mark.parametrize(("query", "expected"), [
    ("SELECT ticket_id, words_of(string_agg(status, ' ')) AS body_words FROM ticket JOIN orders USING (order_id) GROUP BY ticket_id", {1: ["done"], 2: ["sent"]}),
    ("SELECT ticket_id, flatten(list(words_of(status))) AS body_words FROM ticket JOIN orders USING (order_id) GROUP BY ticket_id", {1: ["done"], 2: ["sent"]}),
    ("WITH t AS (SELECT ticket_id, words_of(queue) AS w FROM ticket) SELECT ticket_id, w AS body_words FROM t WHERE len(w) = 1", {1: ["billing"], 6: None}),
    ("SELECT ticket_id, words_of(queue) AS body_words FROM ticket WHERE list_contains(words_of(body), 'refund')", {1: ["billing"], 2: None}),
    ("SELECT ticket_id, words_of(queue) AS body_words FROM ticket WHERE ticket_id < 3 UNION ALL BY NAME SELECT ticket_id, words_of(body) AS body_words FROM ticket WHERE ticket_id = 4", {1: ["billing"], 4: ["is", "late,", "me", "parcel", "refund"]}),
    ("SELECT ticket_id, words_of(upper(b)) AS body_words FROM (SELECT ticket_id, queue AS b FROM ticket)", {2: ["logistics"]}),
])  # fmt: skip
def test_calls_wherever_sql_has_them(tmp_path, query, expected):
    folder = shop(tmp_path / "shop", RESOURCES.replace('if "hello"', 'if "never"'), FEATURES.replace("SELECT ticket_id, words_of(body) AS body_words FROM ticket", query))
    ran(folder)
    rows = dict(published(folder, "SELECT entity_id, body_words FROM intent.entity"))
    assert {key: rows[key] for key in expected} == expected


@pytest.mark.parametrize(("resources", "features", "code", "words"), [
    (RESOURCES, FEATURES.replace("words_of(body)", "words_of(body, queue)"), "FT109", "takes 1 argument,"),
    (RESOURCES, FEATURES.replace("words_of(body)", "words_of(score)"), "FT109", "DOUBLE"),
    (RESOURCES, FEATURES.replace("words_of(body)", "list_transform([body], lambda b: words_of(b))[1]"), "FT111", "lambda"),
    (RESOURCES, FEATURES.replace("words_of(body) AS body_words FROM ticket", "(SELECT words_of(ticket.body)) AS body_words FROM ticket"), "FT111", "sub-query"),
    (RESOURCES, FEATURES.replace("words_of(body)", "words_of(bdy)"), "LF102", "body"),
    (RESOURCES.replace("import pyarrow as pa", "import pyarow as pa"), FEATURES, "FT107", "pyarow"),
    (RESOURCES.replace("def words(texts)", "def words(texts, more)"), FEATURES, "FT108", "one parameter per input"),
    (RESOURCES + "\nimage_x = gs.service('image_colors')\n", FEATURES, "FT108", "image_colours"),
    (RESOURCES + "\nt = gs.service('text_topics', topics=3)\n", FEATURES, "FT108", "n_topics"),
    (RESOURCES + "\nt = gs.service('text_topics', n_topics='3')\n", FEATURES, "FT108", "whole number"),
    (RESOURCES + "\nt = gs.service('nearest_labels')\n", FEATURES, "FT108", "fit="),
    (RESOURCES + "\nt = gs.service('text_topics', fit='SELECT label FROM ticket_gold')\n", FEATURES, "LF107", ""),
    (RESOURCES + "\nt = gs.service('text_topics', fit='SELECT bdy FROM ticket')\n", FEATURES, "LF102", "body"),
    (RESOURCES + "\nt = gs.service('text_topics', fit='SELECT body, queue FROM ticket')\n", FEATURES, "FT108", "2 columns"),
    (RESOURCES + "\na = gs.service('text_topics', fit='SELECT b(body)[1] FROM ticket')\nb = gs.service('text_topics', fit='SELECT a(body)[1] FROM ticket')\n", FEATURES, "FT108", "its own answers"),
    (RESOURCES + "\n@gs.udf('words_of', inputs=['VARCHAR'], returns='DOUBLE')\ndef again(texts):\n    return texts\n", FEATURES, "FT108", "already"),
])  # fmt: skip
def test_declarations_and_calls_that_cannot_be(tmp_path, resources, features, code, words):
    answer = verb(shop(tmp_path / "shop", resources, features), "check", "--format", "json")
    found = [d for d in rows_of(answer.out) if d["code"] == code and d["file"].startswith(("features", "resources"))]
    assert answer.code == 1 and found, answer.out
    assert words in found[0]["message"] + (found[0]["hint"] or "") and found[0]["line"] >= 1


@pytest.mark.parametrize(("body", "code", "words"), [
    ("return texts.slice(1)", "FT110", "4 values for 5 rows"),
    ("return pa.array([1] * len(texts))", "FT110", "int64"),
    ("return [[]] * len(texts)", "FT110", "list"),
    ("import random; return pa.array([[str(random.random())] for _ in texts])", "FT112", "other answers"),
])  # fmt: skip
def test_answers_that_cannot_be_stop_the_run(tmp_path, body, code, words):
    start = RESOURCES.index("    note(\"words\"")
    end = RESOURCES.index("@gs.udf(inputs")
    answer = verb(shop(tmp_path / "shop", RESOURCES[:start] + f"    {body}\n\n" + RESOURCES[end:]), "run")
    assert answer.code == 2 and code in answer.err and words in answer.err and "resources/texts.py" in answer.err


def test_a_service_that_fails_on_everything_stops_the_run(tmp_path):
    answer = verb(shop(tmp_path / "shop", RESOURCES.replace('if "hello" in texts.to_pylist()', "if True"), sql=ROWS), "run")
    assert answer.code == 2 and "FT114" in answer.err


def test_a_labeling_function_cannot_call_a_service(tmp_path):
    folder = shop(tmp_path / "shop")
    (folder / "lfs" / "bad.sql").write_text("-- lf: bad -> refund\nFROM ticket WHERE len(words_of(body)) > 2;\n-- lf: worse -> refund\nFROM ticket WHERE len(image_colours(body)) > 2;\n")
    assert [(d.lf, d.location.line) for d in diagnosed(folder, "FT115")] == [("bad", 2), ("worse", 4)]


def test_vectors_that_are_not_finite_are_null_and_counted(tmp_path):
    vectors = RESOURCES + """
@gs.udf(inputs=["BIGINT"], returns="FLOAT[2]")
def vector_of(keys):
    return pa.array([[float("nan"), 1.0] if k == 2 else [float(k), 1.0] for k in keys.to_pylist()], pa.list_(pa.float32(), 2))
"""
    features = FEATURES + """
-- feature: place   kind: service
SELECT ticket_id, vector_of(ticket_id) AS place FROM ticket;
-- feature: plain   kind: aggregate
SELECT ticket_id, [score / (ticket_id - 1), 1]::FLOAT[2] AS plain FROM ticket;
"""
    folder = shop(tmp_path / "shop", vectors, features)
    found = {d.code: d.message for d in ran(folder).diagnostics if d.code in ("FT201", "FT205") and "words_of" not in d.message}
    assert "1 NaN or infinity" in found["FT201"] and "first: 2" in found["FT201"] and "1 vectors" in found["FT205"]
    rows = {k: rest for k, *rest in published(folder, "SELECT entity_id, place, plain FROM intent.entity")}
    assert rows[2][0] is None and rows[3][0] == (3.0, 1.0) and rows[1][1] is None and rows[2][1] is not None


def test_keys_that_are_missing_or_strange_are_counted(tmp_path):
    features = FEATURES + """
-- feature: late   kind: aggregate
SELECT ticket_id, is_late AS late FROM orders LEFT JOIN (SELECT order_id, ticket_id FROM ticket WHERE ticket_id < 3) USING (order_id);
-- feature: strange   kind: rule
SELECT ticket_id + 4 AS ticket_id, 'x' AS strange FROM ticket;
-- feature: nothing   kind: rule
SELECT ticket_id, NULL::VARCHAR AS nothing FROM ticket;
"""
    found = {(d.code, d.message.split(":")[0].split(" has")[0]): d for d in ran(shop(tmp_path / "shop", features=features)).diagnostics}
    assert "2 rows have no key" in found["FT202", "feature late"].message
    assert "4 rows are for keys that are no entity" in found["FT203", "feature strange"].message
    assert "modalities:" in found["FT204", "feature nothing"].hint
