"""The dbt package: what it says about the published store, what it keeps, and a real `dbt build`."""

from __future__ import annotations

import json
import os
import shutil
import subprocess
import sys
from pathlib import Path

import duckdb
import pytest
import yaml
from support import absent, published, verb


def exported(shop: Path, folder: Path) -> dict[str, str]:
    """The files of the package, path -> text."""
    answer = verb(shop, "export", "dbt", "-o", str(folder))
    assert answer.code == 0, answer.err
    return {p.relative_to(folder).as_posix(): p.read_text() for p in sorted(folder.rglob("*")) if p.is_file()}


@pytest.fixture(scope="module")
def package(shop, tmp_path_factory) -> Path:
    """An exported package; tests only look at it."""
    folder = tmp_path_factory.mktemp("dbt") / "package"
    exported(shop, folder)
    return folder


def tables(folder: Path) -> dict[tuple[str, str], dict]:
    """(schema, name) -> table of models/sources.yml."""
    listed = yaml.safe_load((folder / "models" / "sources.yml").read_text())["sources"]
    return {(s["schema"], t["name"]): t for s in listed for t in s["tables"]}


def test_every_relation_and_column_is_described(shop, package):
    described = tables(package)
    names = {name for schema, name in described if schema == "intent"}
    assert {"entity", "class", "gold_label", "votes", "label_matrix", "vote_pattern", "probabilistic_labels", "training_set", "end_model", "predictions"} <= names
    assert {name for schema, name in described if schema == "gs"} >= {"run", "lf_run", "lineage"}
    for (schema, name), table in described.items():
        found = published(shop, f"SELECT column_name, data_type FROM duckdb_columns() WHERE schema_name = '{schema}' AND table_name = '{name}' ORDER BY column_index")
        assert [(c["name"], c["data_type"]) for c in table["columns"]] == found
        assert [c["name"] for c in table["columns"] if not c.get("description")] == []
        assert len(table["description"]) > 10


def test_columns_of_the_user_get_no_promises(package):
    """An LF called label is not a label."""
    matrix = {c["name"]: c for c in tables(package)["intent", "label_matrix"]["columns"]}
    assert "data_tests" not in matrix["label"] and matrix["label"]["description"].startswith("The vote of this")
    assert len(matrix["entity_id"]["data_tests"]) == 3


def test_written_again_what_is_ours_changes_and_what_is_theirs_stays(shop, tmp_path):
    first = exported(shop, tmp_path / "p")
    (tmp_path / "p" / "models" / "training_rows.sql").write_text("SELECT 1 AS mine")
    sources = tmp_path / "p" / "models" / "sources.yml"
    sources.write_text(sources.read_text() + "\n# gone again\n")
    again = exported(shop, tmp_path / "p")
    assert again.pop("models/training_rows.sql") == "SELECT 1 AS mine"
    assert again == {name: text for name, text in first.items() if name != "models/training_rows.sql"}


def test_a_folder_of_another_task_is_left_alone(shop, tmp_path):
    (tmp_path / "models").mkdir()
    (tmp_path / "models" / "sources.yml").write_text("version: 2\n")
    answer = verb(shop, "export", "dbt", "-o", str(tmp_path))
    assert answer.code == 2 and "CFG121" in answer.err and [p.name for p in tmp_path.iterdir()] == ["models"]


def test_a_folder_that_cannot_be(shop, tmp_path):
    (tmp_path / "file").write_text("")
    answer = verb(shop, "export", "dbt", "-o", str(tmp_path / "file"))
    assert answer.code == 2 and "CFG123" in answer.err


def test_no_path_of_this_machine(shop, tmp_path):
    for name, text in exported(shop, shop / "warehouse_job").items():
        assert str(shop) not in text and str(Path.home()) not in text, name
    assert "'../groundswell.duckdb'" in (shop / "warehouse_job" / "profiles.yml").read_text()
    shutil.rmtree(shop / "warehouse_job")


@pytest.fixture(scope="session")
def dbt() -> str:
    """The command dbt with dbt-duckdb: GROUNDSWELL_DBT, or beside this Python, or on the path."""
    beside = Path(sys.executable).with_name("dbt")
    command = os.environ.get("GROUNDSWELL_DBT") or (str(beside) if beside.is_file() else shutil.which("dbt"))
    if command is None:
        absent("dbt")
    about = subprocess.run([command, "--version"], capture_output=True, text=True, timeout=60)
    if "duckdb" not in about.stdout + about.stderr:
        absent("dbt")
    return command


def build(dbt: str, package: Path, folder: Path, store: Path) -> tuple[int, dict[str, str], Path]:
    """Exit code, node -> status, and the database of a `dbt build` of a copy of the package against a store."""
    shutil.copytree(package, folder)
    settings = {"GROUNDSWELL_STORE": str(store), "DO_NOT_TRACK": "1", "PYTHONWARNINGS": ""}
    done = subprocess.run([dbt, "build", "--profiles-dir", "."], cwd=folder, env=os.environ | settings, capture_output=True, text=True, timeout=120)
    results = folder / "target" / "run_results.json"
    assert results.exists(), done.stdout + done.stderr
    statuses = {r["unique_id"].split(".", 2)[2]: r["status"] for r in json.loads(results.read_text())["results"]}
    assert "deprecat" not in done.stdout.lower(), done.stdout
    return done.returncode, statuses, folder / "shop_intent.duckdb"


def test_dbt_builds_on_the_published_store(dbt, shop, package, tmp_path):
    before = (shop / "groundswell.duckdb").read_bytes()
    code, statuses, built = build(dbt, package, tmp_path / "p", shop / "groundswell.duckdb")
    assert code == 0 and set(statuses.values()) == {"pass", "success"} and len(statuses) > 80
    with duckdb.connect(str(built), read_only=True) as connection:
        found = connection.execute("SELECT entity_id, label, confidence, queue FROM training_rows ORDER BY ALL").fetchall()
    expected = "SELECT t.entity_id, t.label, t.confidence, e.queue FROM intent.training_set t JOIN intent.entity e USING (entity_id) WHERE confidence >= .9 AND t.label IS NOT NULL ORDER BY ALL"
    assert found == published(shop, expected) and len(found) > 100
    assert (shop / "groundswell.duckdb").read_bytes() == before


BROKEN = """
CREATE TABLE intent.changed AS FROM intent.votes;
INSERT INTO intent.changed SELECT entity_id, lf, 'no class' FROM intent.votes LIMIT 1;
DROP VIEW intent.votes;
ALTER TABLE intent.changed RENAME TO votes;
UPDATE intent.predictions SET entity_id = -1 WHERE entity_id = (SELECT min(entity_id) FROM intent.predictions);
"""


def test_dbt_finds_broken_promises(dbt, shop, package, tmp_path):
    store = tmp_path / "broken.duckdb"
    shutil.copy(shop / "groundswell.duckdb", store)
    with duckdb.connect(str(store)) as connection:
        connection.execute(BROKEN)
    code, statuses, _ = build(dbt, package, tmp_path / "p", store)
    failed = {name.split(".")[0] for name, status in statuses.items() if status == "fail"}
    warned = {name.split(".")[0] for name, status in statuses.items() if status == "warn"}
    assert code == 1 and len(failed) == 2 and len(warned) == 1
    assert {name.split("intent_")[1].split("_")[0] for name in failed} == {"votes"} and "predictions" in min(warned)
