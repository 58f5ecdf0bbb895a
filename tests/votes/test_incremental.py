"""Whatever changed, an incremental run ends where a fresh one does; and `plan` says why it works."""

from __future__ import annotations

import shutil
from pathlib import Path

import duckdb
import pytest
from support import GOLD, TICKETS, change, project, published, workspace, write

LFS = """-- lf: says_refund -> refund
FROM ticket WHERE body ILIKE '%refund%';

-- lf: late_order -> delivery
FROM ticket JOIN orders USING (order_id) WHERE is_late;

-- lf: by_queue
SELECT ticket_id, CASE queue WHEN 'billing' THEN 'refund' WHEN 'logistics' THEN 'delivery' WHEN 'general' THEN 'other' END AS label FROM ticket;

-- lf: many_orders -> other
FROM entity WHERE order_id IS NULL;

-- lf: low_score -> delivery
SELECT ticket_id FROM ticket WHERE score < (SELECT avg(score) FROM ticket);
"""

TABLES = (
    "entity", "class", "gold_label", "lf", "votes", "label_matrix", "entity_pattern", "vote_pattern", "lf_summary", "lf_pair",
    "lf_confusion", "coverage", "label_model", "label_model_param", "probabilistic_labels", "training_set",
)  # fmt: skip
HISTORY = {"model_id", "created_at"}
"""Columns that count runs instead of describing the result."""


def state(folder: Path, task: str = "intent") -> dict[str, tuple]:
    """Table -> (columns, sorted rows) of the published store; of the label models only the current one."""
    found = {}
    with duckdb.connect(str(folder / "groundswell.duckdb"), read_only=True) as connection:
        for table in TABLES:
            current = f' WHERE model_id = (SELECT model_id FROM "{task}".label_model WHERE is_current)' if table.startswith("label_model") else ""
            result = connection.execute(f'FROM "{task}"."{table}"{current}').to_arrow_table()
            columns = [c for c in result.column_names if c not in HISTORY]
            found[table] = (columns, sorted(([row[c] for c in columns] for row in result.to_pylist()), key=repr))
    return found


def fresh(folder: Path, there: Path) -> dict[str, tuple]:
    """The state of the same project run from nothing."""
    shutil.copytree(folder, there, ignore=shutil.ignore_patterns(".groundswell", "groundswell.duckdb"))
    workspace(there).run(keep_going=True)
    return state(there)


def assert_same(found: dict[str, tuple], wanted: dict[str, tuple]) -> None:
    """Table by table, so that a failure names the table."""
    for table in TABLES:
        assert found[table] == wanted[table], table


@pytest.fixture(scope="module")
def ran(tmp_path_factory) -> Path:
    """A project after its first run."""
    folder = project(tmp_path_factory.mktemp("ran") / "shop", LFS)
    workspace(folder).run()
    return folder


@pytest.fixture
def shop(ran, tmp_path) -> Path:
    """A copy of it to change."""
    return Path(shutil.copytree(ran, tmp_path / "shop"))


def edit(folder: Path, old: str, new: str, name: str = "lfs/rules.sql") -> None:
    """Replace a text that must be there."""
    path = folder / name
    text = path.read_text()
    assert old in text
    path.write_text(text.replace(old, new))


def sql(text: str):
    """A change of the warehouse."""
    return lambda folder: change(folder, text)


def lf(old: str, new: str):
    """A change of an LF."""
    return lambda folder: edit(folder, old, new)


def toml(old: str, new: str):
    """A change of the configuration."""
    return lambda folder: edit(folder, old, new, "groundswell.toml")


ROWS, SAME, DATA = "new or changed rows", "unchanged", "data changed"
NAMES = ("by_queue", "late_order", "low_score", "many_orders", "says_refund")


def reasons(**other: str) -> dict[str, str]:
    """Reasons of the five LFs; unchanged unless said."""
    return dict.fromkeys(NAMES, SAME) | other


LOCAL = {"by_queue": ROWS, "many_orders": ROWS, "says_refund": ROWS}

CHANGES = {
    "new row": (sql("INSERT INTO ticket VALUES (7, 'refund please', 'general', 10, '2026-02-01', 0.05, [], NULL)"), reasons(**LOCAL, late_order=DATA, low_score=DATA)),
    "changed row": (sql("UPDATE ticket SET body = 'refund now' WHERE ticket_id = 5"), reasons(**LOCAL)),
    "deleted row": (sql("DELETE FROM ticket WHERE ticket_id = 3"), None),
    "deleted row that no relation LF reads": (sql("DELETE FROM ticket WHERE ticket_id = 6"), None),
    "most rows changed": (sql("UPDATE ticket SET score = score + 1"), None),
    "all rows deleted": (sql("DELETE FROM ticket"), None),
    "added column": (sql("ALTER TABLE ticket ADD COLUMN vip BOOLEAN"), None),
    "other type": (sql("ALTER TABLE ticket ALTER score TYPE DECIMAL(5, 2)"), None),
    "edited constant": (lf("%refund%", "%money%"), reasons(says_refund="changed")),
    "edited join": (lf("WHERE is_late", "WHERE NOT is_late"), reasons(late_order="changed")),
    "other class": (lf("many_orders -> other", "many_orders -> refund"), reasons(many_orders="changed")),
    "renamed": (lf("lf: many_orders", "lf: zz_no_order"), None),
    "removed": (lf("-- lf: says_refund -> refund\nFROM ticket WHERE body ILIKE '%refund%';\n", ""), {k: SAME for k in NAMES if k != "says_refund"}),
    "added before the others": (lambda f: write(f, {"lfs/more.sql": "-- lf: aaa -> other\nFROM ticket WHERE body = 'hello'"}), reasons(aaa="new")),
    "broken": (lf("%refund%'", "%refund%' AND nope"), None),
    "joined table changed": (sql("UPDATE orders SET is_late = true WHERE order_id = 10"), reasons(late_order=DATA)),
    "joined table grows": (sql("INSERT INTO orders VALUES (99, true, 'new')"), reasons(late_order=DATA)),
    "column nobody reads": (sql("UPDATE orders SET status = 'x'"), reasons()),
    "classes reordered": (toml('"refund", "delivery", "other"', '"other", "delivery", "refund"'), dict.fromkeys(NAMES, DATA)),
    "class added": (toml('"refund", "delivery", "other"', '"refund", "delivery", "other", "praise"'), None),
    "gold changed": (sql("UPDATE ticket_gold SET label = 'delivery' WHERE ticket_id = 1"), reasons()),
    "gold answers": (lambda f: write(f, {"gold/a.csv": "key,label,annotator,annotated_at,note\n5,other,ann,2026-03-01T10:00:00,\n"}), reasons()),
    "gold gone": (lambda f: edit(f, GOLD, "", "groundswell.toml"), reasons()),
    "label model": (toml("[task.intent]", '[task.intent]\nlabel_model = { method = "majority" }'), reasons()),
    "split": (toml("[task.intent]", "[task.intent]\nsplit = { hash = [40, 30, 30] }"), None),
    "time zone": (toml('name = "shop"', 'name = "shop"\ntimezone = "Asia/Tokyo"'), dict.fromkeys(NAMES, "changed")),
    "owner and comments only": (lf("-- lf: many_orders -> other\n", "-- lf: many_orders -> other\n-- owner: me, tags: a b\n"), reasons()),
    "white space, case, comments": (lf("FROM ticket WHERE body ILIKE '%refund%';", "from Ticket  -- note\n  where BODY ilike '%refund%' /* x */\n;"), reasons()),
    "nothing": (lambda f: None, reasons()),
}


@pytest.mark.parametrize("name", CHANGES)
def test_an_incremental_run_equals_a_fresh_one(shop, tmp_path, name):
    make, wanted = CHANGES[name]
    make(shop)
    planned = workspace(shop).plan()
    done = workspace(shop).run(keep_going=True)
    if wanted is not None:
        assert {e.lf.name: e.reason for e in planned.evaluations} == wanted
    assert {e.lf.name: e.reason for e in planned.evaluations} == {e.lf.name: e.reason for e in done.evaluations}
    assert {s.output: s.done for s in planned.steps} == {s.output: s.done for s in done.steps}
    assert_same(state(shop), fresh(shop, tmp_path / "fresh"))


def test_an_unchanged_run_rebuilds_nothing(shop):
    done = workspace(shop).run()
    assert not any(step.done for step in done.steps)
    assert {e.reason for e in done.evaluations} == {SAME}


def test_without_lfs_a_second_run_rebuilds_nothing(tmp_path):
    folder = project(tmp_path / "shop", "")
    workspace(folder).run()
    assert not any(step.done for step in workspace(folder).run().steps)


def test_changes_add_up_over_several_runs(shop, tmp_path):
    for name in ("new row", "edited constant", "joined table changed", "added before the others", "deleted row", "gold changed"):
        CHANGES[name][0](shop)
        workspace(shop).run()
    assert_same(state(shop), fresh(shop, tmp_path / "fresh"))


def test_a_run_that_failed_on_one_lf_leaves_nothing_stale(shop, tmp_path):
    edit(shop, "%refund%'", "%refund%' AND nope")
    change(shop, "UPDATE ticket SET queue = 'general' WHERE ticket_id = 1")
    with pytest.raises(Exception, match="nope"):
        workspace(shop).run()
    edit(shop, " AND nope", "")
    workspace(shop).run()
    assert_same(state(shop), fresh(shop, tmp_path / "fresh"))


def test_an_lf_failing_on_data_is_evaluated_again_once_the_data_are_mended(shop, tmp_path):
    write(shop, {"lfs/more.sql": "-- lf: year -> other\nFROM ticket WHERE CAST(queue AS INTEGER) > 3;"})
    first = workspace(shop).run(keep_going=True)
    assert [d.code for d in first.errors] == ["LF116"]
    change(shop, "UPDATE ticket SET queue = '7'")
    second = workspace(shop).run()
    assert not second.errors
    assert_same(state(shop), fresh(shop, tmp_path / "fresh"))


def test_select_evaluates_only_what_was_asked_for(shop, tmp_path):
    edit(shop, "%refund%", "%money%")
    edit(shop, "order_id IS NULL", "order_id IS NOT NULL")
    before = state(shop)
    done = workspace(shop).run(select=["says_refund+"])
    evaluated = {e.lf.name for e in done.evaluations if e.reason != SAME}
    assert evaluated == {"says_refund"}
    votes = lambda s, lf: [row for row in s["votes"][1] if row[1] == lf]  # noqa: E731
    after = state(shop)
    assert votes(after, "says_refund") != votes(before, "says_refund")
    assert votes(after, "many_orders") == votes(before, "many_orders")
    assert {e.lf.name: e.reason for e in workspace(shop).plan().evaluations} == reasons(many_orders="changed")
    workspace(shop).run()
    assert_same(state(shop), fresh(shop, tmp_path / "fresh"))


def test_select_of_an_unknown_lf_is_refused_with_the_nearest_name(shop):
    with pytest.raises(Exception) as caught:
        workspace(shop).run(select=["says_refnd"])
    assert caught.value.code == "CFG116" and "says_refund" in str(caught.value)


def test_full_evaluates_everything_and_changes_nothing(shop):
    before = state(shop)
    done = workspace(shop).run(full=True)
    assert {e.reason for e in done.evaluations} == {"asked for"}
    assert all(step.done for step in done.steps)
    assert_same(state(shop), before)


def test_an_lf_that_reads_the_clock_is_always_stale(shop):
    write(shop, {"lfs/more.sql": "-- lf: old -> other\nFROM ticket WHERE created_at < now() - INTERVAL 1 HOUR"})
    workspace(shop).run()
    again = workspace(shop).run()
    assert {e.lf.name: e.reason for e in again.evaluations} == reasons(old="depends on the clock")


def test_a_cte_named_like_the_table_it_filters_follows_that_table(tmp_path):
    folder = project(tmp_path / "shop", "-- lf: late -> delivery\nWITH orders AS (FROM orders WHERE is_late) SELECT ticket_id FROM ticket JOIN orders USING (order_id)")
    workspace(folder).run()
    change(folder, "UPDATE orders SET is_late = true")
    done = workspace(folder).run()
    assert [e.reason for e in done.evaluations] == [DATA]
    assert_same(state(folder), fresh(folder, tmp_path / "fresh"))


def test_row_order_lf_order_and_file_names_do_not_matter(ran, tmp_path):
    statements = ["-- lf: " + s for s in LFS.split("-- lf: ")[1:]]
    files = {f"lfs/{9 - i}.sql": s for i, s in enumerate(statements)}
    shuffled = TICKETS + "CREATE TABLE t2 AS FROM ticket ORDER BY hash(ticket_id); DROP TABLE ticket; ALTER TABLE t2 RENAME TO ticket;"
    folder = project(tmp_path / "shop", files, sql=shuffled)
    workspace(folder).run()
    places = {"path", "line"}
    wanted, found = state(ran), state(folder)
    for table in TABLES:
        strip = lambda t: sorted(([v for c, v in zip(t[0], row) if table != "lf" or c not in places] for row in t[1]), key=repr)  # noqa: E731, B023
        assert strip(found[table]) == strip(wanted[table]), table


BIG = """
CREATE TABLE ticket AS SELECT i AS ticket_id, 'w' || (hash(i) % 97) AS body, 'q' || (hash(i + 1) % 5) AS queue,
    i % 7 AS order_id, TIMESTAMP '2026-01-01' + INTERVAL (i) MINUTE AS created_at, (hash(i) % 1000) / 1000.0 AS score, [] AS words, NULL AS extra
FROM range(9000) t(i) ORDER BY hash({seed}, i);
CREATE TABLE orders AS SELECT i AS order_id, i % 2 = 0 AS is_late, 'x' AS status FROM range(7) t(i);
CREATE TABLE ticket_gold AS SELECT ticket_id, ['refund', 'delivery', 'other'][1 + ticket_id % 3] AS label FROM ticket WHERE ticket_id % 11 = 0;
"""
BIG_LFS = """-- lf: a
SELECT ticket_id, CASE WHEN score < .3 THEN 'refund' WHEN score < .5 THEN 'delivery' END AS label FROM ticket;
-- lf: b -> refund
FROM ticket WHERE body LIKE 'w1%';
-- lf: c -> delivery
FROM ticket JOIN orders USING (order_id) WHERE is_late AND score > .2;
-- lf: d -> other
FROM ticket WHERE queue = 'q3';
"""


def test_same_bits_for_any_number_of_threads_and_any_row_order(tmp_path, monkeypatch):
    states = []
    for threads, seed in ((1, 1), (2, 1), (2, 2)):
        connect = duckdb.connect

        def with_threads(*arguments, _connect=connect, _threads=threads, **options):
            connection = _connect(*arguments, **options)
            connection.execute(f"SET threads = {_threads}")
            return connection

        folder = project(tmp_path / f"{threads}{seed}", BIG_LFS, sql=BIG.format(seed=seed))
        with monkeypatch.context() as patch:
            patch.setattr(duckdb, "connect", with_threads)
            workspace(folder).run()
        states.append(state(folder))
    assert_same(states[1], states[0])
    assert_same(states[2], states[0])


def test_columns_may_be_called_like_anything(tmp_path):
    """n, o, e, f0, s: whatever short names our own queries use."""
    sql = "CREATE TABLE ticket AS SELECT i AS ticket_id, 'refund ' || i AS body, i % 3 AS n, i % 4 AS o, i % 2 AS e, i AS f0, i AS s, i AS g, i AS v, i AS p, i AS c FROM range(60) AS t(i);"
    config = '[project]\nname = "shop"\n[warehouse]\nfrom = "warehouse.duckdb"\n[modality.text]\nfrom = "ticket"\nkey = "ticket_id"\n[task.intent]\nclasses = ["refund", "other"]\n'
    lfs = "-- lf: a -> refund\nFROM ticket WHERE n = 1;\n-- lf: b -> other\nFROM ticket WHERE o = 2;\n-- lf: c -> refund\nFROM ticket WHERE e = 1;\n"
    feature = "-- feature: twice   kind: rule\nSELECT ticket_id, 2 * n AS twice FROM ticket;\n"
    folder = project(tmp_path / "shop", lfs, sql=sql, config=config, files={"features/a.sql": feature})
    workspace(folder).run()
    change(folder, "UPDATE ticket SET n = 1 WHERE ticket_id = 0")
    workspace(folder).run()
    assert published(folder, "SELECT n_votes FROM intent.lf_summary WHERE lf = 'a'") == [(21,)]
