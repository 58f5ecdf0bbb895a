"""Exports of other projects: several modalities, keys of several columns, copied LFs, changed LFs, functions in Python, the verb."""

from __future__ import annotations

import json
import random

import duckdb
import pytest
import sqlglot
from support import GOLD, TICKETS, published, project, verb, workspace

from groundswell.errors import ConfigError, LabelModelError, LFError, StoreError
from groundswell.export_sql import DIALECTS

from .engines import ENGINES


@pytest.fixture(scope="module", params=["duckdb", *ENGINES])
def answer(request):
    """A function (folder, task) -> the rows of its exported view, in DuckDB, PostgreSQL or Spark."""
    running = ENGINES[request.param]() if request.param in ENGINES else None

    def rows(folder, task=None) -> list[dict]:
        text = workspace(folder, task=task).label_sql(request.param)
        if running is not None:
            running.load(folder / "warehouse.duckdb", folder.name)
            return running.rows(text, folder.name)
        with duckdb.connect(str(folder / "warehouse.duckdb"), read_only=True) as connection:
            found = connection.execute(text)
            return [dict(zip([c[0] for c in found.description], row)) for row in found.fetchall()]

    yield rows
    if running is not None:
        running.close()


def require_stored(folder, found: list[dict], key, task: str = "intent") -> None:
    """The probabilities and labels of the store, by key(row) = entity_id; rows without votes are not covered."""
    expected: dict = {}
    for entity, label, p in published(folder, f'SELECT entity_id, label, p FROM "{task}".probabilistic_labels'):
        expected.setdefault(entity, {})[f"p_{label}"] = p
    labels = dict(published(folder, f'SELECT entity_id, label FROM "{task}".training_set'))
    assert len(found) == published(folder, f'SELECT count(*) FROM "{task}".entity')[0][0]
    for row in found:
        own = expected.get(key(row), {})
        assert (str(row["covered"])[0] in "Tt") == bool(own), row
        assert {name: float(row[name]) for name in own} == pytest.approx(own, rel=0, abs=1e-9)
        assert row["label"] == labels.get(key(row))
    assert expected


TWO_MODALITIES = """
[project]
name = "posts"
[warehouse]
from = "warehouse.duckdb"
[modality.text]
from = "text_post"
key  = "post_id"
[modality.image]
from = "image_post"
key  = "image_id"
[task.bad]
classes = ["yes", "no"]
label_model = { method = "dawid_skene" }
"""

POSTS = """
CREATE TABLE text_post AS SELECT 't' || i AS post_id, ['sell now', 'hello', 'buy drugs', 'lunch'][i % 4 + 1] AS body, i % 7 AS reports FROM range(60) AS t(i);
CREATE TABLE image_post AS SELECT CAST(1000 + i AS BIGINT) AS image_id, ['weapon', 'cat', 'dog'][i % 3 + 1] AS object, i % 5 AS reports, i AS position FROM range(40) AS t(i);
"""


def test_several_modalities(tmp_path, answer):
    lfs = """-- lf: sells -> yes
FROM text_post WHERE body LIKE '%sell%' OR body LIKE '%drugs%';
-- lf: weapons -> yes
FROM image_post WHERE object = 'weapon';
-- lf: reported -> yes
FROM entity WHERE reports > 3;
-- lf: calm -> no
FROM entity WHERE reports < 2;
-- lf: above_mean -> yes
SELECT entity_id FROM entity WHERE reports > (SELECT avg(reports) + 1 FROM entity);
-- lf: ranked -> yes
FROM entity WHERE rank > 3.4;
-- lf: starred -> no
SELECT entity_id FROM (SELECT * FROM entity WHERE reports = 3);
-- lf: covered -> no
FROM image_post WHERE object IN ('cat', 'dog') AND position > 3;
"""
    features = """-- feature: rank   kind: rule   set: A   servable: yes
SELECT post_id, length(body) / 2 AS rank FROM text_post
UNION ALL BY NAME
SELECT position / 4 AS rank, CAST(image_id AS VARCHAR) AS post_id FROM image_post;
"""
    folder = project(tmp_path / "posts", lfs, sql=POSTS, config=TWO_MODALITIES, files={"features/rank.sql": features})
    workspace(folder).run()
    found = answer(folder)
    assert {row["modality"] for row in found} == {"text", "image"} and "vote_covered" in found[0]
    require_stored(folder, found, lambda row: row["entity_id"], "bad")


def test_a_key_of_several_columns(tmp_path, answer):
    config = """
[project]
name = "calls"
[warehouse]
from = "warehouse.duckdb"
[modality.call]
from = "call"
key  = ["Day No", "line"]
[task.intent]
classes = ["a", "b"]
label_model = { method = "majority_soft" }
"""
    sql = """
    CREATE TABLE call AS SELECT i AS "Day No", j || CASE WHEN i = 1 THEN '|x' WHEN i = 2 THEN '\\' ELSE '' END AS line, i + j AS n FROM range(5) AS t(i), range(4) AS u(j);
    CREATE TABLE note AS SELECT i AS "Day No", '2' AS line FROM range(5) AS t(i);
    """
    lfs = """-- lf: noted -> a
FROM note;
-- lf: many -> b
FROM call WHERE n > 3;
-- lf: few -> a
SELECT c."Day No", c.line FROM call AS c LEFT JOIN note AS o ON o."Day No" = c."Day No" AND o.line = c.line WHERE o.line IS NULL AND c.n < 3;
"""
    folder = project(tmp_path / "calls", lfs, sql=sql, config=config)
    workspace(folder).run()
    found = answer(folder)
    assert list(found[0])[:2] == ["Day No", "line"]
    require_stored(folder, found, lambda row: f"{row['Day No']}|{row['line'].replace(chr(92), chr(92) * 2).replace('|', chr(92) + '|')}")


def copied(n: int = 2500, seed: int = 0) -> tuple[str, str]:
    """(warehouse, LFs): six sources, two of which mostly copy the third."""
    r = random.Random(seed)
    rows = []
    for i in range(n):
        y = r.random() < 0.5
        votes = [(y if r.random() < p else not y) if r.random() < 0.6 else None for p in (0.85, 0.8, 0.62, 0.75)]
        votes += [votes[2] if r.random() < 0.8 else (y if r.random() < 0.6 else not y) if r.random() < 0.5 else None for _ in range(2)]
        rows.append(f"({i}, {', '.join('NULL' if v is None else repr(int(v)) for v in votes)})")
    columns = ", ".join(f"c{j} BIGINT" for j in range(6))
    lfs = "\n".join(f"-- lf: source_{j}\nSELECT ticket_id, CASE c{j} WHEN 1 THEN 'yes' WHEN 0 THEN 'no' END AS label FROM ticket;" for j in range(6))
    return f"CREATE TABLE ticket (ticket_id BIGINT, {columns}); INSERT INTO ticket VALUES {', '.join(rows)}", lfs


COPIED = """
[project]
name = "copies"
[warehouse]
from = "warehouse.duckdb"
[modality.text]
from = "ticket"
key  = "ticket_id"
[task.intent]
classes = ["yes", "no"]
label_model = { method = "auto" }
"""


def test_copied_lfs_are_read_together(tmp_path, answer):
    warehouse, lfs = copied()
    folder = project(tmp_path / "copies", lfs, sql=warehouse, config=COPIED)
    workspace(folder).run()
    assert published(folder, "SELECT count(*) FROM intent.label_interaction")[0][0] > 10
    require_stored(folder, answer(folder), lambda row: int(row["ticket_id"]))


def test_new_rows_are_labelled_without_a_run(tmp_path):
    folder = project(tmp_path / "shop", task=GOLD + '\nlabel_model = { method = "dawid_skene" }')
    workspace(folder).run()
    text = workspace(folder).label_sql()
    with duckdb.connect(str(folder / "warehouse.duckdb")) as connection:
        connection.execute("INSERT INTO ticket (ticket_id, body, order_id) VALUES (7, 'refund!', 11), (8, 'bye', NULL)")
        connection.execute(f"CREATE VIEW intent_labels AS {text}")
        found = {row[0]: row[1:] for row in connection.execute("SELECT ticket_id, late_order, says_refund, p_refund, p_delivery, label, covered FROM intent_labels").fetchall()}
    twin, silent = found[4], found[8]  # ticket 4 is late and says refund
    assert found[7] == twin and twin[:2] == ("delivery", "refund")
    (options,) = published(folder, "SELECT options FROM intent.label_model WHERE is_current")[0]
    assert silent == (None, None, json.loads(options)["uncovered"]["refund"], json.loads(options)["uncovered"]["delivery"], None, False)


def test_two_labels_for_a_new_key_abstain(tmp_path):
    lfs = "-- lf: by_status\nSELECT ticket_id, CASE status WHEN 'sent' THEN 'delivery' WHEN 'done' THEN 'refund' ELSE 'other' END AS label FROM ticket JOIN orders USING (order_id);"
    folder = project(tmp_path / "shop", lfs, task='label_model = { method = "majority" }')
    workspace(folder).run()
    text = workspace(folder).label_sql()
    with duckdb.connect(str(folder / "warehouse.duckdb")) as connection:
        connection.execute("INSERT INTO orders VALUES (11, true, 'done')")
        assert connection.execute(f"SELECT ticket_id, by_status FROM ({text}) ORDER BY 1").fetchall() == [(1, "refund"), (2, None), (3, None), (4, "delivery"), (5, None), (6, "other")]


def test_a_function_in_python_is_refused(tmp_path):
    lf = 'import groundswell as gs\n\n@gs.lf("refund", columns=["body"])\ndef shouts(body):\n    return body is not None and body.isupper()\n'
    folder = project(tmp_path / "shop", {"lfs/rules.sql": "-- lf: a -> refund\nFROM ticket WHERE score > 0.5;", "lfs/shouts.py": lf})
    workspace(folder).run()
    with pytest.raises(LFError) as refused:
        workspace(folder).label_sql()
    (found,) = refused.value.diagnostics
    assert (found.code, found.lf, found.location.path) == ("LF126", "shouts", "lfs/shouts.py")


def test_an_lf_in_another_dialect_is_exported_as_it_was_run(tmp_path, answer):
    lfs = "-- lf: refunds -> refund\n-- dialect: postgres\nSELECT ticket_id FROM ticket WHERE body ~* 'REFUND';\n\n-- lf: late -> delivery\nFROM ticket WHERE body LIKE '%late%';"
    folder = project(tmp_path / "shop", lfs, sql=TICKETS)
    workspace(folder).run()
    require_stored(folder, answer(folder), lambda row: int(row["ticket_id"]))


def test_lfs_that_changed_since_the_run_are_not_exported(tmp_path):
    folder = project(tmp_path / "shop")
    with pytest.raises(StoreError) as missing:
        workspace(folder).label_sql()
    assert missing.value.code == "ST104"
    workspace(folder).run()
    rules = (folder / "lfs/rules.sql").read_text()
    for text, words in ((rules.replace("'%refund%'", "'%money%'"), "changed: says_refund"), (rules.split("-- lf: late")[0], "late_order")):
        (folder / "lfs/rules.sql").write_text(text)
        with pytest.raises(LabelModelError) as refused:
            workspace(folder).label_sql()
        assert refused.value.code == "LM128" and words in str(refused.value)
    (folder / "lfs/rules.sql").write_text(rules.replace("FROM ticket", "from  Ticket"))
    config = (folder / "groundswell.toml").read_text()
    (folder / "groundswell.toml").write_text(config.replace('"other"]', '"other", "new"]'))
    with pytest.raises(LabelModelError) as refused:
        workspace(folder).label_sql()
    assert refused.value.code == "LM128"
    (folder / "groundswell.toml").write_text(config)
    assert workspace(folder).label_sql()


def test_the_verb_writes_every_dialect(published_shop, tmp_path):
    for dialect in DIALECTS:
        target = tmp_path / f"{dialect}.sql"
        found = verb(published_shop, "export", "sql", "--dialect", dialect, "-o", str(target))
        assert found.code == 0 and str(target) in found.out
        text = target.read_text()
        assert text.startswith("-- Labels of task intent of project shop") and "-- Reads       orders, ticket\n" in text
        (tree,) = sqlglot.parse(text, dialect=dialect)
        assert [s.alias.lower() for s in tree.selects] == ["ticket_id", "late_order", "says_refund", "p_refund", "p_delivery", "p_other", "label", "covered"]
    assert verb(published_shop, "export", "sql", "--dialect", "oracle").code == 2
    nowhere = verb(published_shop, "export", "sql", "-o", str(tmp_path / "no" / "where.sql"))
    assert nowhere.code == 2 and "CFG123" in nowhere.err
    with pytest.raises(ConfigError) as refused:
        workspace(published_shop).label_sql("oracle")
    assert refused.value.code == "CFG125"


def test_names_an_engine_would_cut_off_or_confuse_are_replaced(tmp_path):
    long = "a" * 70
    lfs = f"-- lf: {long} -> refund\nFROM ticket WHERE score > 0.5;\n-- lf: Covered -> delivery\nFROM ticket WHERE score < 0.5;\n-- lf: p_refund -> other\nFROM ticket WHERE score = 0.5;"
    folder = project(tmp_path / "shop", lfs)
    workspace(folder).run()
    names = {d: [s.alias for s in sqlglot.parse_one(workspace(folder).label_sql(d), dialect=d).selects] for d in ("duckdb", "postgres")}
    assert names["duckdb"][1:4] == ["vote_Covered", long, "vote_p_refund"] and names["postgres"][2] == "vote_2"
