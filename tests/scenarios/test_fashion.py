"""Labelled titles, photos nobody labelled: curation, the end model and a study on real data, with a real network's view of the photos."""

import runpy
import shutil
from pathlib import Path

import pytest
from shared_data import shared
from support import published

import groundswell as gs

EXAMPLE = Path(__file__).parents[2] / "examples" / "fashion"
SERVABLE = {"category", "colour", "season", "year", "pixels", "title_words", "title"}


@pytest.fixture(scope="module")
def curated(tmp_path_factory):
    home = tmp_path_factory.mktemp("fashion") / "fashion"
    shutil.copytree(EXAMPLE, home, ignore=shutil.ignore_patterns("*.duckdb", ".groundswell", "*.npz", "__pycache__"))
    build = runpy.run_path(str(home / "build.py"))["build"]
    assert build(str(shared("xmodal_fashion")), home / "warehouse.duckdb", 3000, 160) == (3000, 160)
    shutil.copyfile(shared("cnn_weights_squeezenet") / "squeezenet_v1.0_deepcompressed.npz", home / "weights.npz")
    with gs.open(home, task="gender") as workspace:
        yield home, workspace, workspace.curate()


def test_photos_are_labelled_far_better_than_by_chance_without_a_label_of_theirs(curated):
    home, workspace, done = curated
    assert done.judged_on == "dev split of text" and {row["arm"] for row in done.arms} == {"mined", "propagated", "mined + propagated"}
    assert published(home, "SELECT count(*) FROM gender.gold_label JOIN gender.entity USING (entity_id) WHERE modality = 'image'") == [(0,)]
    labels = dict(published(home, "SELECT entity_id, label FROM gender.training_set JOIN gender.entity USING (entity_id) WHERE entity.modality = 'image' AND label IS NOT NULL"))
    import duckdb

    with duckdb.connect(str(home / "warehouse.duckdb"), read_only=True) as warehouse:
        truth = dict(warehouse.execute("SELECT product_id, gender FROM photo_label WHERE gender IS NOT NULL").fetchall())
    judged = [labels[key] == truth[key] for key in labels if key in truth]
    assert len(judged) > 0.5 * len(truth) and sum(judged) / len(judged) > 0.75


def test_every_photo_has_been_seen_once_and_titles_never(curated):
    home, workspace, _ = curated
    rows = published(home, "SELECT modality, coverage FROM gs.feature_quality WHERE feature = 'pixels' ORDER BY 1")
    assert rows == [("image", 1.0), ("text", 0.0)]
    assert published(home, "SELECT len(vector) FROM gs.embedding_pixels LIMIT 1") == [(512,)]


def test_what_is_not_servable_shapes_labels_and_reaches_no_model(curated):
    home, workspace, _ = curated
    assert any("article" in sql for (sql,) in published(home, "SELECT sql FROM gender.lf"))
    training = workspace.train()
    assert set(training.features.names) <= SERVABLE and "pixels" in training.features.names


def test_the_studies_run_on_labels_the_pipeline_never_saw(curated):
    home, workspace, _ = curated
    found = workspace.study("end-to-end", seeds=(0,), workers=1)
    value = {row["arm"]: row["value"] for row in found.rows if row["metric"] == "average_precision"}
    assert set(value) == {"embedding, supervised", "text", "image (weak)", "cross-modal", "all features, supervised"}
    assert all(v > 0.45 for v in value.values())
