"""The published store is the contract: a cold reader with plain duckdb finds every relation and macro, at any time."""

from __future__ import annotations

import hashlib
import json
import os
import re
import signal
import subprocess
import sys
import time
from pathlib import Path

import duckdb
import pytest
from support import TICKETS, change, command, project, published, shell, verb, votes, workspace, write

LABEL, KEY = "VARCHAR", "BIGINT"
CONTRACT = {
    "gs.run": "run_id BIGINT, verb VARCHAR, task VARCHAR, started_at TIMESTAMPTZ, seconds DOUBLE, status VARCHAR, versions MAP(VARCHAR, VARCHAR)",
    "gs.lf_run": "run_id BIGINT, task VARCHAR, lf VARCHAR, fingerprint VARCHAR, reason VARCHAR, n_votes BIGINT, seconds DOUBLE, error VARCHAR",
    "gs.lineage": "run_id BIGINT, output VARCHAR, input VARCHAR, input_hash VARCHAR",
    "intent.class": "label VARCHAR, position INTEGER, prior DOUBLE",
    "intent.gold_label": "entity_id BIGINT, label VARCHAR, source VARCHAR, annotated_at TIMESTAMPTZ",
    "intent.lf": "lf VARCHAR, kind VARCHAR, label VARCHAR, sql VARCHAR, path VARCHAR, line INTEGER, owner VARCHAR, tags VARCHAR[], reads VARCHAR[], servable BOOLEAN, fingerprint VARCHAR, status VARCHAR, error VARCHAR",
    "intent.votes": "entity_id BIGINT, lf VARCHAR, label VARCHAR",
    "intent.label_matrix": "entity_id BIGINT, late_order VARCHAR, says_refund VARCHAR",
    "intent.entity_pattern": "entity_id BIGINT, pattern_id UBIGINT",
    "intent.vote_pattern": "pattern_id UBIGINT, n_entities BIGINT, n_votes INTEGER, votes MAP(VARCHAR, VARCHAR)",
    "intent.lf_summary": "lf VARCHAR, polarity VARCHAR[], n_votes BIGINT, coverage DOUBLE, overlaps DOUBLE, conflicts DOUBLE, n_correct BIGINT, n_incorrect BIGINT, empirical_accuracy DOUBLE, learned_accuracy DOUBLE",
    "intent.lf_pair": "lf_a VARCHAR, lf_b VARCHAR, n_both BIGINT, n_agree BIGINT, n_conflict BIGINT, agreement DOUBLE, correlation DOUBLE",
    "intent.lf_confusion": "lf VARCHAR, gold VARCHAR, vote VARCHAR, n BIGINT",
    "intent.coverage": "split VARCHAR, modality VARCHAR, n_entities BIGINT, n_covered BIGINT, n_overlapping BIGINT, n_conflicting BIGINT, mean_votes DOUBLE",
    "intent.label_model": "model_id BIGINT, method VARCHAR, options JSON, seed BIGINT, n_iterations INTEGER, converged BOOLEAN, objective DOUBLE, majority_disagreement DOUBLE, expected_accuracy DOUBLE, warnings VARCHAR[], is_current BOOLEAN, created_at TIMESTAMPTZ",
    "intent.label_model_param": "model_id BIGINT, lf VARCHAR, given VARCHAR, vote VARCHAR, p DOUBLE",
    "intent.probabilistic_labels": "entity_id BIGINT, label VARCHAR, p DOUBLE",
    "intent.training_set": "entity_id BIGINT, modality VARCHAR, split VARCHAR, label VARCHAR, confidence DOUBLE, entropy DOUBLE, n_votes INTEGER",
    "intent.conflicts_between('late_order', 'says_refund')": "entity_id BIGINT, label_a VARCHAR, label_b VARCHAR, gold VARCHAR",
    "intent.false_positives('says_refund')": "entity_id BIGINT, voted VARCHAR, gold VARCHAR",
    "intent.uncovered(10)": "entity_id BIGINT, modality VARCHAR",
    "intent.explain_label(4)": "source VARCHAR, vote VARCHAR, evidence DOUBLE",
    "intent.pattern_examples(0)": "entity_id BIGINT",
}  # fmt: skip

COLD = """
import duckdb, json, sys
connection = duckdb.connect(sys.argv[1], read_only=True)
contract = json.loads(sys.argv[2])
found = {}
for relation in contract:
    found[relation] = [list(row[:2]) for row in connection.execute("DESCRIBE FROM " + relation).fetchall()]
    connection.execute("FROM " + relation).to_arrow_table()
assert not [m for m in sys.modules if m.startswith("groundswell")]
print(json.dumps(found))
"""


def cold_reader(store: Path) -> dict[str, list[list[str]]]:
    """Columns and types of every relation of the contract, read in full by a process that knows duckdb only."""
    code = [sys.executable, "-c", COLD, str(store), json.dumps(list(CONTRACT))]
    return json.loads(subprocess.run(code, capture_output=True, text=True, check=True, cwd="/").stdout)


def columns(text: str) -> list[list[str]]:
    names = {"TIMESTAMPTZ": "TIMESTAMP WITH TIME ZONE"}
    return [[n, names.get(t, t)] for n, t in re.findall(r"(\w+) (MAP\([^)]*\)|\S+?)(?:, |$)", text)]


def test_every_relation_has_the_contracts_columns(published_shop):
    assert cold_reader(published_shop / "groundswell.duckdb") == {name: columns(text) for name, text in CONTRACT.items()}


def test_entity_has_its_five_kinds_of_columns(published_shop):
    found = dict(row[:2] for row in published(published_shop, "DESCRIBE intent.entity"))
    assert list(found)[:4] == ["entity_id", "modality", "split", "event_time"]
    assert found["event_time"] == "TIMESTAMP WITH TIME ZONE" and found["extra"] == "STRUCT(lang VARCHAR, n INTEGER)"
    assert "ticket_id" not in found


def test_macros_answer_cold(published_shop):
    assert published(published_shop, "FROM intent.conflicts_between('late_order', 'says_refund')") == [(4, "delivery", "refund", "delivery")]
    assert published(published_shop, "SELECT entity_id FROM intent.uncovered(10) ORDER BY 1") == [(5,), (6,)]
    assert len(published(published_shop, "FROM intent.uncovered(1)")) == 1
    ((pattern,),) = published(published_shop, "SELECT pattern_id FROM intent.entity_pattern WHERE entity_id = 4")
    assert published(published_shop, f"FROM intent.pattern_examples({pattern})") == [(4,)]
    evidence = published(published_shop, "FROM intent.explain_label(1)")
    assert ("says_refund", "refund") in {row[:2] for row in evidence}
    assert [abs(row[2]) for row in evidence] == sorted((abs(row[2]) for row in evidence), reverse=True)


def test_false_positives_are_those_of_the_dev_split(tmp_path):
    sql = TICKETS + "ALTER TABLE ticket ADD COLUMN part VARCHAR; UPDATE ticket SET part = CASE WHEN ticket_id = 4 THEN 'dev' ELSE 'test' END; UPDATE ticket_gold SET label = 'other'"
    folder = project(tmp_path / "shop", sql=sql, task='gold = { from = "ticket_gold", key = "ticket_id", label = "label" }\nsplit = { column = "part" }')
    workspace(folder).run()
    assert published(folder, "FROM intent.false_positives('says_refund')") == [(4, "refund", "other")]


def test_nothing_published_names_the_warehouse_or_a_function_of_ours(published_shop):
    text = published(published_shop, "SELECT coalesce(string_agg(sql, ' '), '') FROM duckdb_views() WHERE NOT internal")[0][0]
    text += published(published_shop, "SELECT coalesce(string_agg(macro_definition, ' '), '') FROM duckdb_functions() WHERE NOT internal AND macro_definition IS NOT NULL")[0][0]
    assert text and "warehouse" not in text and "gs_row" not in text and "store." not in text


# -- readers and runs ---------------------------------------------------------------------------------------------------

SLOW = """import time
import groundswell as gs

@gs.lf("other", columns=["body"])
def slow(body):
    time.sleep({seconds})
    return body == "hello"
"""


def started(folder: Path, *arguments: str) -> subprocess.Popen:
    return subprocess.Popen(command(folder, "run", "--log", "json", *arguments), stdout=subprocess.DEVNULL, stderr=subprocess.PIPE, text=True)


def wait_for(process: subprocess.Popen, word: str) -> None:
    """Until the run says that it does something."""
    for line in process.stderr:
        if word in line:
            return
    raise AssertionError(f"the run ended before {word}")


def test_readers_and_other_writers_during_a_run(tmp_path):
    folder = project(tmp_path / "shop")
    workspace(folder).run()
    before = votes(folder)
    write(folder, {"lfs/slow.py": SLOW.format(seconds=0.25)})
    run = started(folder)
    try:
        wait_for(run, "one scan")
        assert set(cold_reader(folder / "groundswell.duckdb")) == set(CONTRACT)
        assert votes(folder) == before
        assert verb(folder, "summary").code == 0
        other = verb(folder, "run")
        assert other.code == 3 and "ST101" in other.err and f"process {run.pid} " in other.err and "groundswell run" in other.err
        assert verb(folder, "plan").code == 0
        with duckdb.connect(str(folder / "groundswell.duckdb"), read_only=True) as open_reader:
            assert run.wait(30) == 0
            assert open_reader.execute("SELECT count(DISTINCT lf) FROM intent.votes").fetchone() == (2,)
    finally:
        run.kill()
        run.communicate()
    assert votes(folder) == before | {"slow": {5: "other"}}


@pytest.fixture(scope="module")
def undisturbed(tmp_path_factory) -> dict:
    folder = project(tmp_path_factory.mktemp("undisturbed") / "shop", files={"lfs/slow.py": SLOW.format(seconds=0)})
    disturb(folder)
    workspace(folder).run()
    return contents(folder)


def disturb(folder: Path) -> None:
    """The change between the published run and the one that is killed."""
    change(folder, "UPDATE ticket SET body = 'hello refund' WHERE ticket_id = 5; DELETE FROM ticket WHERE ticket_id = 2; UPDATE ticket_gold SET label = 'other' WHERE ticket_id = 1")


RESULTS = ("entity", "class", "gold_label", "votes", "label_matrix", "entity_pattern", "vote_pattern", "lf_summary", "lf_pair", "lf_confusion", "coverage", "probabilistic_labels", "training_set")


def contents(folder: Path) -> dict:
    with duckdb.connect(str(folder / "groundswell.duckdb"), read_only=True) as connection:
        return {t: sorted(connection.execute(f"FROM intent.{t}").to_arrow_table().to_pylist(), key=repr) for t in RESULTS}


@pytest.mark.parametrize("step", ["building entity", "one scan", "building vote_pattern", "building lf_summary", "publishing"])
def test_a_killed_run_costs_nothing_but_time(tmp_path, undisturbed, step):
    folder = project(tmp_path / "shop", files={"lfs/slow.py": SLOW.format(seconds=0)})
    workspace(folder).run()
    before = contents(folder)
    disturb(folder)
    run = started(folder)
    try:
        wait_for(run, step)
        os.kill(run.pid, signal.SIGKILL)
    finally:
        run.kill()
        run.communicate()
    assert run.returncode == -signal.SIGKILL
    assert contents(folder) in (before, undisturbed)
    assert verb(folder, "plan").code == 0
    workspace(folder).run()
    assert contents(folder) == undisturbed
    assert {row[0] for row in published(folder, "SELECT status FROM gs.run")} == {"ok", "killed"} or step == "publishing"
    assert sorted(p.name for p in folder.iterdir() if "groundswell.duckdb" in p.name) == ["groundswell.duckdb"]


def test_a_run_killed_between_votes_and_patterns_does_not_keep_old_patterns(tmp_path, undisturbed, monkeypatch):
    from groundswell import pipeline

    folder = project(tmp_path / "shop", files={"lfs/slow.py": SLOW.format(seconds=0)})
    workspace(folder).run()
    disturb(folder)

    class Killed(BaseException):
        pass

    def killed(*_):
        raise Killed

    with monkeypatch.context() as patch:
        patch.setattr(pipeline, "write_classes", killed)  # the first thing after the votes are there
        with pytest.raises(Killed):
            workspace(folder).run()
    workspace(folder).run()
    assert contents(folder) == undisturbed


# -- what can be wrong with files ----------------------------------------------------------------------------------------


def test_the_warehouse_is_never_written(tmp_path):
    folder = project(tmp_path / "shop")
    digest = lambda: hashlib.sha256((folder / "warehouse.duckdb").read_bytes()).hexdigest()  # noqa: E731
    before = digest()
    for arguments in (["check"], ["plan"], ["run"], ["run", "--full"], ["summary"], ["show", "says_refund"], ["explain", "1"], ["export", "matrix", "-o", str(tmp_path / "m.npz")], ["doctor"]):
        assert verb(folder, *arguments).code == 0, arguments
    assert digest() == before
    assert [p.name for p in folder.glob("warehouse*")] == ["warehouse.duckdb"]


def test_a_warehouse_open_for_writing_elsewhere(tmp_path):
    folder = project(tmp_path / "shop")
    code = f"import duckdb, sys; c = duckdb.connect({str(folder / 'warehouse.duckdb')!r}); print('open', flush=True); sys.stdin.read()"
    owner = subprocess.Popen([sys.executable, "-c", code], stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True)
    try:
        owner.stdout.readline()
        for arguments in (["check"], ["plan"], ["run"]):
            answer = verb(folder, *arguments)
            assert answer.code == 3 and "ST102" in answer.err and "warehouse.duckdb" in answer.err and answer.out == ""
        assert verb(folder, "doctor").code == 3
    finally:
        owner.communicate("")
    assert verb(folder, "run").code == 0


@pytest.mark.parametrize(("spoil", "code", "words"), [
    (lambda f: (f / "warehouse.duckdb").unlink(), "ST103", "does not exist"),
    (lambda f: (f / "warehouse.duckdb").write_text("not a database at all, " * 999), "ST103", "cannot be read"),
    (lambda f: (f / ".groundswell" / "work.duckdb").write_text("not a database at all, " * 999), "ST103", "cannot be read"),
    (lambda f: duckdb.connect(str(f / ".groundswell" / "work.duckdb")).execute("UPDATE gs.schema_version SET version = 99").close(), "ST105", "99"),
])  # fmt: skip
def test_spoilt_files_stop_a_run_and_leave_the_published_store(tmp_path, spoil, code, words):
    folder = project(tmp_path / "shop")
    workspace(folder).run()
    before = contents(folder)
    spoil(folder)
    answer = verb(folder, "run")
    assert answer.code == 3 and f"error[{code}]" in answer.err and words in answer.err and "Traceback" not in answer.err
    assert contents(folder) == before


@pytest.mark.parametrize("spoil", [
    lambda f: (f / "groundswell.duckdb").write_text("not a database at all, " * 999),
    lambda f: duckdb.connect(str(f / "groundswell.duckdb")).execute("UPDATE gs.schema_version SET version = 99").close(),
    lambda f: duckdb.connect(str(f / "groundswell.duckdb")).execute("DROP SCHEMA gs CASCADE").close(),
    lambda f: (f / "groundswell.duckdb").unlink(),
])  # fmt: skip
def test_a_spoilt_published_store_is_replaced_by_the_next_run(tmp_path, spoil):
    folder = project(tmp_path / "shop")
    workspace(folder).run()
    spoil(folder)
    answer = verb(folder, "summary")
    assert answer.code == 3 and re.search(r"error\[ST10[345]\]", answer.err) and "Traceback" not in answer.err
    assert verb(folder, "run").code == 0
    assert verb(folder, "summary").code == 0


def test_a_store_file_opened_by_someone_else(tmp_path):
    folder = project(tmp_path / "shop")
    workspace(folder).run()
    code = f"import duckdb, sys; c = duckdb.connect({str(folder / '.groundswell' / 'work.duckdb')!r}); print('open', flush=True); sys.stdin.read()"
    holder = subprocess.Popen([sys.executable, "-c", code], stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True)
    try:
        holder.stdout.readline()
        answer = verb(folder, "run")
        assert answer.code == 3 and "ST101" in answer.err and str(holder.pid) in answer.err
        assert verb(folder, "summary").code == 0
    finally:
        holder.communicate("")


def test_a_full_disk_leaves_the_published_store(tmp_path):
    folder = project(tmp_path / "shop")
    workspace(folder).run()
    before = contents(folder)
    change(folder, "INSERT INTO ticket SELECT i, md5(i::VARCHAR) || md5((i + 1)::VARCHAR), 'q', i, NULL, random(), [md5(i::VARCHAR)], NULL FROM range(100, 40000) t(i)")
    limit = "import resource, signal, sys; signal.signal(signal.SIGXFSZ, signal.SIG_IGN); resource.setrlimit(resource.RLIMIT_FSIZE, (3_000_000, 3_000_000)); from groundswell.cli import main; main(sys.argv[1:])"
    answer = subprocess.run([sys.executable, "-c", limit, "run", "--project", str(folder)], capture_output=True, text=True, timeout=60)
    assert answer.returncode == 3 and "ST106" in answer.stderr and "Traceback" not in answer.stderr
    assert contents(folder) == before
    assert shell(folder, "run").returncode == 0
    assert len(contents(folder)["entity"]) == 6 + 39_900


# -- the second wall -----------------------------------------------------------------------------------------------------


def test_the_connection_that_evaluates_lfs_is_closed(tmp_path):
    from groundswell.store import looking, scratch, writing

    folder = project(tmp_path / "shop")
    write(folder, {"secret.csv": "a\n1\n"})
    ws = workspace(folder)
    for opened in (writing(ws.project, "test"), looking(ws.project), scratch(ws.project)):
        with opened as store:
            for text in (f"FROM read_csv('{folder / 'secret.csv'}')", f"FROM '{folder / 'secret.csv'}'", "SET enable_external_access = true", "SET threads = 1", f"COPY (SELECT 1) TO '{folder / 'out.csv'}'", f"ATTACH '{folder / 'new.duckdb'}'", "INSTALL json"):
                with pytest.raises(duckdb.Error):
                    store.connection.execute(text)
    with writing(ws.project, "test") as store, pytest.raises(duckdb.Error):
        store.connection.execute("INSERT INTO warehouse.main.orders VALUES (1, true, 'x')")
    assert not (folder / "out.csv").exists()


def test_a_folder_warehouse_opens_that_folder_only(tmp_path):
    from groundswell.store import looking

    folder = project(tmp_path / "shop", sql="", warehouse="data", files={"data/ticket.csv": "ticket_id,body,created_at\n1,a,2026-01-01\n", "secret.csv": "a\n1\n"}, task="")
    with looking(workspace(folder).project) as store:
        assert store.value("SELECT count(*) FROM warehouse.main.ticket") == 1
        with pytest.raises(duckdb.Error):
            store.connection.execute(f"FROM read_csv('{folder / 'secret.csv'}')")


def test_an_interrupted_query_does_not_poison_the_next(tmp_path):
    from groundswell.store import QueryTimeout, writing

    with writing(workspace(project(tmp_path / "shop")).project, "test") as store:
        began = time.perf_counter()
        with pytest.raises(QueryTimeout), store.within(0.2):
            store.execute("SELECT sum(a.i * b.i) FROM range(10000000) a(i), range(10000000) b(i)")
        assert time.perf_counter() - began < 5
        assert store.value("SELECT 42") == 42
