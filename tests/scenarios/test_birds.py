"""Two birds told apart without rules over pixels: the commands of the example's README, on the affinity paper's own photos."""

import re
import runpy
import shutil
from pathlib import Path

import duckdb
import pytest
from shared_data import shared
from support import published, rows_of, verb

EXAMPLE = Path(__file__).parents[2] / "examples" / "birds"
CODE = ("affinity", "--network", "squeezenet1_0", "--weights", "weights.npz", "--input", "caffe")


@pytest.fixture(scope="module")
def told(tmp_path_factory):
    """(folder, what `affinity` said) of the example after its one command."""
    home = tmp_path_factory.mktemp("birds") / "birds"
    shutil.copytree(EXAMPLE, home, ignore=shutil.ignore_patterns("*.duckdb", ".groundswell", "*.npz", "*.html", "gold", "__pycache__"))
    assert runpy.run_path(str(home / "build.py"))["build"](str(shared("cub_goggles")), home / "warehouse.duckdb") == 106
    shutil.copyfile(shared("cnn_weights_squeezenet") / "squeezenet_v1.0_deepcompressed.npz", home / "weights.npz")
    before = verb(home, "check")
    assert before.code == 1 and "groundswell affinity makes it" in before.err
    coded = verb(home, *CODE)
    assert coded.code == 0, coded.err
    ran = verb(home, "run")
    assert ran.code == 0 and "LF201" not in ran.err, ran.err
    return home, coded.out


def test_the_readme_names_the_command_that_is_tested():
    assert f"python build.py && groundswell {' '.join(CODE)} && groundswell run && groundswell report" in (EXAMPLE / "README.md").read_text()


def test_ten_named_photos_name_the_clusters(told):
    home, said = told
    assert published(home, "SELECT count(*) FROM bird.gold_label JOIN bird.entity USING (entity_id) WHERE entity.split <> 'test'") == [(10,)]
    right, n = map(int, re.search(r"right on (\d+) of (\d+) entities of the test split", said).groups())
    assert n == 33 and right >= 31
    assert "416 prototypes" in said and published(home, "SELECT DISTINCT source FROM bird.affinity_map") == [("gold",)]


def test_every_photo_is_labelled_and_nearly_all_rightly(told):
    home, _ = told
    labels = dict(published(home, "SELECT entity_id, label FROM bird.training_set"))
    photos = duckdb.sql(f"SELECT row_number() OVER (ORDER BY md5(image)), label FROM read_parquet('{shared('cub_goggles')}/images.parquet')").fetchall()
    assert len(labels) == len(photos) == 106
    assert sum(labels[key] == label for key, label in photos) >= 0.96 * 106


def test_clusters_and_colours_vote_side_by_side(told):
    home, _ = told
    rows = {row["lf"]: row for row in rows_of(verb(home, "summary", "--format", "json").out)}
    assert set(rows) == {"clusters", "blue_and_green", "no_colour"} and rows["clusters"]["coverage"] == 1
    assert all(row["n_incorrect"] <= 1 for row in rows.values())


def test_clusters_named_by_hand_vote_by_those_names(told, tmp_path):
    home, _ = told
    copied = shutil.copytree(home, tmp_path / "birds")
    names = {cluster: label for cluster, label in published(copied, "SELECT cluster, label FROM bird.affinity_map")}
    given = [f"{cluster}={names[1 - cluster]}" for cluster in names]
    answer = verb(copied, "affinity", "map", *given, "-o", str(copied / "affinity.html"))
    assert answer.code == 0, answer.err
    assert verb(copied, "run").code == 0
    query = "SELECT entity_id, label FROM bird.votes WHERE lf = 'clusters' ORDER BY ALL"
    turned = [(key, names[1 - next(c for c in names if names[c] == label)]) for key, label in published(home, query)]
    assert published(copied, query) == turned
    assert (copied / "affinity.html").read_text().count("<figure") > 30


def test_the_report_shows_what_voted(told):
    home, _ = told
    answer = verb(home, "report", "-o", str(home / "report.html"))
    assert answer.code == 0 and "clusters" in (home / "report.html").read_text()
