"""`groundswell demo`, as a new user meets it: one command, in a process of its own, and what it leaves behind."""

import os
import re
import subprocess
import sys

import pytest
from support import published, rows_of, verb

from groundswell.examples.moderation.bayes import feature_names

SECONDS = 120
"""The promise of the README is two minutes on two cores."""


@pytest.fixture(scope="module")
def shown(tmp_path_factory):
    home = tmp_path_factory.mktemp("demo")
    done = subprocess.run([sys.executable, "-m", "groundswell", "demo"], cwd=home, capture_output=True, text=True, timeout=SECONDS, env=os.environ | {"OMP_NUM_THREADS": "1"})
    assert done.returncode == 0, done.stderr
    return home / "groundswell-demo", done.stdout


def ranking(text: str) -> dict[str, float]:
    """Who ranks -> average precision."""
    return {name: float(value) for name, value in re.findall(r"^ (\S.*?\S) {2,}(0\.\d{3}) {2,}0\.\d{3} to", text, re.MULTILINE)}


def test_the_demo_ends_in_a_ranking_below_the_optimum(shown):
    found = ranking(shown[1])
    optimum = found["Bayes-optimal, servable features"]
    assert len(found) == 6 and found["Bayes-optimal, all features"] > optimum
    assert all(0.041 < value < optimum for name, value in found.items() if not name.startswith("Bayes"))
    assert found["end model: people's labels of text, rules' of images"] > found["majority vote"]


def test_the_ranking_is_what_the_store_says(shown):
    folder, text = shown
    stored = dict(published(folder, "SELECT arm, round(value, 3) FROM scam.study WHERE metric = 'average_precision' AND arm LIKE '%/test/image'"))
    names = {"end_model": "end model: people's labels of text, rules' of images", "label_model": "label model", "majority": "majority vote"}
    assert {arm: stored[f"{arm}/test/image"] for arm in names} == {arm: ranking(text)[name] for arm, name in names.items()}


def test_the_folder_is_a_healthy_project_without_the_generator(shown):
    folder, _ = shown
    assert {p.name for p in folder.iterdir()} == {"README.md", "groundswell.toml", "features", "lfs", "tests", "warehouse.duckdb", "groundswell.duckdb", ".groundswell"}
    answer = verb(folder, "check", "--format", "json")
    assert (answer.code, rows_of(answer.out)) == (0, [])
    assert "everything is up to date" in verb(folder, "plan").out


def test_the_end_model_reads_what_its_optimum_reads(shown):
    (features,) = published(shown[0], "SELECT features FROM scam.end_model")[0]
    assert sorted(features) == sorted(feature_names(servable=True)) and "user_reports" not in features


def test_every_command_it_names_works(shown, tmp_path, monkeypatch):
    folder, text = shown
    monkeypatch.chdir(tmp_path)
    commands = re.findall(r"^  groundswell (.+?)(?: {2,}.*)?$", text, re.MULTILINE)
    assert len(commands) >= 6
    for line in commands:
        assert verb(folder, *line.split()).code == 0, line
    (query,) = re.findall(r'duckdb groundswell.duckdb "(.+)"', text)
    assert published(folder, query)


def test_votes_and_labels_reach_both_modalities(shown):
    folder, _ = shown
    rows = published(folder, "SELECT split, modality, n_entities, n_covered FROM scam.coverage WHERE n_entities > 0 ORDER BY ALL")
    assert [(s, m) for s, m, _, _ in rows] == [("dev", "text"), ("test", "image"), ("train", "image"), ("train", "text")]
    assert all(covered > 0.5 * n for _, _, n, covered in rows)
    assert published(folder, "SELECT count(*), count(DISTINCT lf) FROM scam.votes WHERE entity_id > 500000000")[0][1] == 15


def test_nothing_is_overwritten(shown):
    folder, _ = shown
    answer = verb(None, "demo", str(folder))
    assert answer.code == 2 and "CFG121" in answer.err
