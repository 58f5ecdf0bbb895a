"""Studies from a warehouse to `study`: same rows for all arms, nothing leaks, finished arms are kept."""

from __future__ import annotations

import duckdb
import numpy as np
import pytest
from sklearn.metrics import average_precision_score

from groundswell.errors import ConfigError, StudyError
from groundswell.studies import run
from groundswell.studies.arms import BASELINE, CROSS_MODAL
from support import change, project, published, rows_of, shell, workspace

WORLD = """
CREATE TABLE drawn AS SELECT i, hash(i * 11 + 1) % 100 < 30 AS bad, hash(i * 11 + 2) % 1000 / 1000.0 AS a, hash(i * 11 + 3) % 1000 / 1000.0 AS b, hash(i * 11 + 4) % 1000 / 1000.0 AS c,
    hash(i * 11 + 5) % 1000 / 1000.0 AS d, hash(i * 11 + 6) % 10 AS part FROM range(3000) AS r(i);
CREATE TABLE described AS SELECT i, bad, part, CASE WHEN a < (CASE WHEN bad THEN 0.7 ELSE 0.2 END) THEN 'pills' ELSE 'cats' END AS topic,
    b + CASE WHEN bad THEN 0.35 ELSE 0 END AS links, CASE WHEN c < (CASE WHEN bad THEN 0.6 ELSE 0.1 END) THEN ['loud'] ELSE ['calm'] END AS tone,
    [d + CASE WHEN bad THEN 0.4 ELSE 0 END, d]::FLOAT[2] AS pixels FROM drawn;
CREATE TABLE post AS SELECT 't' || i AS post_id, topic, links, tone, CASE WHEN part = 0 THEN 'dev' ELSE 'train' END AS split FROM described WHERE i < 1500;
CREATE TABLE picture AS SELECT 'i' || i AS post_id, topic, links, tone, pixels, CASE WHEN part < 3 THEN 'test' WHEN part = 3 THEN 'dev' ELSE 'train' END AS split FROM described WHERE i >= 1500;
CREATE TABLE human AS SELECT 't' || i AS post_id, CASE WHEN bad THEN 'bad' ELSE 'ok' END AS label FROM described WHERE i < 1500;
CREATE TABLE truth AS SELECT 'i' || i AS post_id, CASE WHEN bad THEN 'bad' ELSE 'ok' END AS label, CASE WHEN bad THEN 0.9 ELSE 0.1 END AS best, CASE WHEN bad THEN 0.2 ELSE 0.7 END AS worst FROM described WHERE i >= 1500;
"""
CONFIG = """
[warehouse]
from = "warehouse.duckdb"
[modality.text]
from = "post"
key = "post_id"
[modality.image]
from = "picture"
key = "post_id"
[task.harm]
classes = ["ok", "bad"]
gold = { from = "human", key = "post_id", label = "label" }
study = { from = "truth", key = "post_id", label = "label", optimum = "best", optimum_all = "worst" }
split = { column = "split" }
end_model = { method = "logistic", seed = 0, max_epochs = 15 }
"""
LFS = "-- lf: pills -> bad\nFROM entity WHERE topic = 'pills';\n-- lf: linked -> bad\nFROM entity WHERE links > 1;\n-- lf: plain -> ok\nFROM entity WHERE topic = 'cats' AND links < 0.6;\n-- lf: calm -> ok\nFROM entity WHERE list_contains(tone, 'calm');\n"
FEATURES = {
    "features/sets.sql": "-- feature: mood   kind: service   set: B   servable: no\nSELECT post_id, tone AS mood FROM post UNION ALL BY NAME SELECT post_id, tone AS mood FROM picture;\n"
    "-- feature: shop   kind: rule   set: A   servable: yes\nSELECT post_id, topic = 'pills' AS shop FROM post UNION ALL BY NAME SELECT post_id, topic = 'pills' AS shop FROM picture;\n"
}


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    made = project(tmp_path_factory.mktemp("studies"), LFS, sql=WORLD, config=CONFIG, files=FEATURES)
    workspace(made).run()
    return made


@pytest.fixture(scope="module")
def end_to_end(folder):
    return workspace(folder).study("end-to-end", seeds=(0, 1), workers=1)


def test_every_arm_is_judged_on_the_same_rows_and_relative_to_the_baseline(folder, end_to_end):
    n = published(folder, "SELECT count(*) FROM harm.entity WHERE modality = 'image' AND split = 'test'")[0][0]
    judged = [row for row in end_to_end.rows if row["metric"] in ("average_precision", "f1", "accuracy", "log_loss")]
    assert {row["n_rows"] for row in judged} == {n}
    arms = {(r["arm"], r["seed"]): r["value"] for r in end_to_end.rows if r["metric"] == "average_precision"}
    assert {arm for arm, _ in arms} == {"optimum", BASELINE, "text", "image (weak)", CROSS_MODAL, "all features, supervised"}
    for row in end_to_end.rows:
        if row["metric"] == "relative_average_precision":
            assert row["value"] == pytest.approx(arms[row["arm"], row["seed"]] / arms[BASELINE, row["seed"]])
    assert arms["optimum", 0] == 1.0
    stored = published(folder, "SELECT arm, seed, metric, value FROM harm.study WHERE study = 'end-to-end'")
    assert sorted(map(str, stored)) == sorted(str((r["arm"], r["seed"], r["metric"], r["value"])) for r in end_to_end.rows)


def test_an_arm_equals_a_model_trained_by_hand(folder, end_to_end):
    """The text arm: gold text, shared servable features, judged on image gold that only studies know."""
    from groundswell.end_models import end_model, infer_features

    with duckdb.connect() as connection:
        connection.execute(f"ATTACH '{folder}/groundswell.duckdb' AS s (READ_ONLY); ATTACH '{folder}/warehouse.duckdb' AS w (READ_ONLY)")
        rows = connection.execute(
            "SELECT entity_id, topic, links, tone, shop, split, [1.0 - (g.label = 'bad')::INT, (g.label = 'bad')::INT]::DOUBLE[] AS p FROM s.harm.entity JOIN s.harm.gold_label AS g USING (entity_id) "
            "WHERE modality = 'text' ORDER BY md5(entity_id)"
        ).to_arrow_table()
        test = connection.execute("SELECT entity_id, topic, links, tone, shop, t.label = 'bad' AS y FROM s.harm.entity JOIN w.truth AS t ON t.post_id = entity_id WHERE split = 'test'").to_arrow_table()
    part = lambda split: rows.filter(np.array(rows["split"].to_pylist()) == split)  # noqa: E731
    spec, _ = infer_features(rows.schema, rows, exclude=["entity_id", "split", "p"])
    model = end_model("logistic", max_epochs=15).fit(lambda: iter(part("train").to_batches()), spec, ("ok", "bad"), dev=lambda: iter(part("dev").to_batches()), seed=0)
    (batch,) = test.combine_chunks().to_batches()
    value = average_precision_score(test["y"].to_numpy(zero_copy_only=False), model.predict(batch)[:, 1])
    found = next(r["value"] for r in end_to_end.rows if (r["arm"], r["seed"], r["metric"]) == ("text", 0, "average_precision"))
    assert found == pytest.approx(value, abs=0.01)


def test_finished_arms_are_kept_and_a_killed_study_goes_on(folder, end_to_end, monkeypatch):
    again = workspace(folder).study("end-to-end", seeds=(0, 1), workers=1)
    assert again.kept == 10 and again.rows == end_to_end.rows
    calls, real = [], run.done

    def dies(work):
        calls.append(work.arm.name)
        if len(calls) == 3:
            raise KeyboardInterrupt
        return real(work)

    monkeypatch.setattr(run, "done", dies)
    with pytest.raises(KeyboardInterrupt):
        workspace(folder).study("lesion", seeds=(0,), workers=1)
    monkeypatch.setattr(run, "done", real)
    assert workspace(folder).study("lesion", seeds=(0,), workers=1).kept == 2


def test_processes_beside_each_other_give_the_same_figures(folder, end_to_end):
    import torch

    before = torch.get_num_threads()
    torch.set_num_threads(1)
    alone = workspace(folder).study("fusion", seeds=(0,), workers=1)
    torch.set_num_threads(before)
    with duckdb.connect(str(folder / ".groundswell" / "work.duckdb")) as connection:
        connection.execute("DELETE FROM gs.state WHERE output LIKE 'study fusion%'")
    beside = workspace(folder).study("fusion", seeds=(0,), workers=2)
    assert beside.kept == 0 and beside.rows == alone.rows
    assert {r["arm"] for r in alone.rows} == {"optimum", BASELINE, "early", "intermediate", "devise", "late", "auto"}


def test_features_that_are_not_servable_reach_no_model_unless_asked(folder, monkeypatch):
    seen = []
    monkeypatch.setattr(run, "done", lambda work: seen.append(work.arm) or [{"metric": "average_precision", "value": 0.5, "low": None, "high": None, "n_rows": 1}])
    workspace(folder).study("factors", seeds=(7,), workers=1)
    assert seen and not any("mood" in features for arm in seen for features in arm.features.values())
    assert any("shop" in features for arm in seen for features in arm.features.values())
    seen.clear()
    found = workspace(folder).study("factors", seeds=(8,), features="both", workers=1)
    assert any("mood" in features for arm in seen for features in arm.features.values())
    assert {r["arm"].endswith("(all features)") for r in found.rows} == {True, False}
    optima = {r["arm"]: r["value"] for r in found.rows if r["arm"].startswith("optimum")}
    assert optima["optimum"] == 1.0 and optima["optimum (all features)"] < 0.5  # the score of the world for all features is the worst there is


def test_crossover_is_reported_per_seed_with_the_most_labels_tried(folder):
    found = workspace(folder).study("crossover", seeds=(0,), points=3, workers=1)
    (crossed,) = [r for r in found.rows if r["metric"] == "crossover"]
    pool = published(folder, "SELECT count(*) FROM harm.entity WHERE modality = 'image' AND split = 'train'")[0][0]
    assert crossed["arm"] == CROSS_MODAL and crossed["n_rows"] == pool and (crossed["value"] is None or 50 <= crossed["value"] <= pool)
    assert {r["arm"] for r in found.rows if r["arm"].startswith("supervised")} == {"supervised 50", f"supervised {round(50 * (pool / 50) ** 0.5)}", f"supervised {pool}"}


def test_curation_trains_on_the_labels_of_each_part(folder):
    found = workspace(folder).study("curation", seeds=(0,), workers=1)
    assert {"hand-written", BASELINE} <= {r["arm"] for r in found.rows}


def test_labels_of_studies_change_no_label_of_the_pipeline(folder, tmp_path):
    turned = project(tmp_path, LFS, sql=WORLD + "UPDATE truth SET label = CASE WHEN label = 'ok' THEN 'bad' ELSE 'ok' END;", config=CONFIG, files=FEATURES)
    workspace(turned).run()
    query = "SELECT entity_id, label, round(p, 9) FROM harm.probabilistic_labels ORDER BY ALL"
    assert published(turned, query) == published(folder, query)


def test_without_labels_of_their_own_studies_have_no_baseline(tmp_path):
    config = CONFIG.replace('study = { from = "truth", key = "post_id", label = "label", optimum = "best", optimum_all = "worst" }\n', "")
    made = project(tmp_path, LFS, sql=WORLD + "INSERT INTO human SELECT post_id, label FROM truth JOIN picture USING (post_id) WHERE split = 'test';", config=config, files=FEATURES)
    workspace(made).run()
    found = workspace(made).study("end-to-end", seeds=(0,), workers=1)
    assert [d.code for d in found.diagnostics] == ["SY201"] and {r["arm"] for r in found.rows} == {"text", "image (weak)", CROSS_MODAL}


def test_an_arm_that_cannot_be_fitted_costs_no_other(tmp_path):
    made = project(tmp_path, "-- lf: late -> bad\nFROM post WHERE links > 1;\n-- lf: early -> ok\nFROM post WHERE links < 0.6;\n", sql=WORLD, config=CONFIG, files=FEATURES)
    workspace(made).run()
    found = workspace(made).study("end-to-end", seeds=(0,), workers=1)
    assert {d.code for d in found.diagnostics} == {"SY202"} and "image (weak), seed 0, was left out" in found.diagnostics[0].message
    assert {"text", BASELINE, "all features, supervised"} <= {r["arm"] for r in found.rows} and "image (weak)" not in {r["arm"] for r in found.rows}


def test_a_test_set_without_positives_has_no_average_precision(tmp_path):
    made = project(tmp_path, LFS, sql=WORLD + "UPDATE truth SET label = 'ok' WHERE post_id IN (SELECT post_id FROM picture WHERE split = 'test');", config=CONFIG, files=FEATURES)
    workspace(made).run()
    found = workspace(made).study("lesion", seeds=(0,), workers=1)
    values = {r["metric"]: r["value"] for r in found.rows if r["arm"] == "text A"}
    assert values["average_precision"] is None and values["accuracy"] > 0.5
    assert not [r for r in found.rows if r["metric"] == "relative_average_precision"]


def test_what_studies_refuse(tmp_path, folder):
    with pytest.raises(StudyError, match="SY101"):
        workspace(folder).study("end-to-and")
    with pytest.raises(ConfigError):
        workspace(folder).study("fusion", features="some")
    made = project(tmp_path / "a", LFS, sql=WORLD, config=CONFIG, files=FEATURES)
    with pytest.raises(StudyError, match="SY102"):
        workspace(made).study("end-to-end")
    workspace(made).run()
    change(made, "DELETE FROM truth")
    with pytest.raises(StudyError, match="SY104"):
        workspace(made).study("end-to-end", workers=1)
    change(made, "INSERT INTO human SELECT 'i' || i, 'ok' FROM described WHERE i >= 1500")
    with pytest.raises(StudyError, match="SY103"):
        workspace(made).study("end-to-end", workers=1)


def test_the_command_line(folder, end_to_end):
    kept = shell(folder, "study", "end-to-end", "--seeds", "2", "--format", "json")
    assert kept.returncode == 0 and len(rows_of(kept.stdout)) == len(end_to_end.rows)
    for_people = shell(folder, "study", "end-to-end", "--seeds", "2")
    assert "cross-modal" in for_people.stdout and "10 fits kept from an earlier run" in for_people.stdout
    assert shell(folder, "study", "lesion", "--seeds", "0").returncode == 2


def test_counted_labels_are_a_random_part_that_grows_with_their_number(tmp_path):
    """Another seed draws other rows; more rows of the same seed contain the fewer."""
    import pyarrow as pa

    from groundswell.studies import Arm, Source
    from groundswell.studies.rows import RowFiles

    n = 400
    table = pa.table({"entity_id": range(n), "modality": ["image"] * n, "pattern_id": [0] * n, "gold": pa.array([None] * n, pa.int8()), "told": pa.array([i % 2 for i in range(n)], pa.int8()), "x": [float(i) for i in range(n)]})
    with pa.OSFile(str(tmp_path / "train.arrow"), "wb") as sink, pa.ipc.new_file(sink, table.schema) as writer:
        writer.write_table(table, 100)
    files = RowFiles(tmp_path, 2)
    drawn = lambda most, seed: {key for batch in files.labelled(Arm("a", (Source("image", "told", most),), {"image": ("x",)}), "train", seed) for key in batch.column("entity_id").to_pylist()}  # noqa: E731
    assert len(drawn(40, 0)) == 40 and drawn(40, 0) == drawn(40, 0) and drawn(40, 0) < drawn(120, 0)
    assert len(drawn(40, 0) & drawn(40, 1)) < 15 and max(drawn(40, 0)) > 300


def test_a_feature_is_missing_on_rows_of_a_modality_that_does_not_show_it():
    import pyarrow as pa

    from groundswell.studies import Arm
    from groundswell.studies.rows import shown

    batch = pa.RecordBatch.from_pydict({"entity_id": [1, 2, 3], "modality": ["text", "image", "text"], "a": [1.0, 2.0, 3.0], "b": [["x"], ["y"], []]})
    columns = shown(batch, Arm("arm", (), {"text": ("a", "b"), "image": ("a",)}))
    assert columns["a"].to_pylist() == [1.0, 2.0, 3.0] and columns["b"].to_pylist() == [["x"], None, []]


def test_a_few_reviewed_images_do_not_make_images_a_labelled_modality(tmp_path):
    made = project(tmp_path, LFS, sql=WORLD, config=CONFIG, files=FEATURES)
    workspace(made).run()
    keys = [key for (key,) in published(made, "SELECT entity_id FROM harm.entity WHERE modality = 'image' AND split = 'train' ORDER BY 1 LIMIT 3")]
    lines = [f"{key},ok,me,2026-01-01T00:00:00+00:00," for key in keys]
    (made / "gold").mkdir()
    (made / "gold" / "review.csv").write_text("\n".join(["key,label,annotator,annotated_at,note", *lines]) + "\n")
    workspace(made).run()
    found = workspace(made).study("lesion", seeds=(0,), workers=1)
    assert {"text A", "image A", "both A"} <= {r["arm"] for r in found.rows}
