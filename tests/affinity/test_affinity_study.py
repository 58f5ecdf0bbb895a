"""The paper's table: any votes to the EM, any affinities to a label model; accuracies with intervals."""

from __future__ import annotations

import numpy as np
import pytest

from groundswell.affinity import inference
from groundswell.intervals import wilson
from groundswell.affinity.votes import affinity_votes, vote_evidence
from groundswell.coding import coding_options
from groundswell.coding_study import affinity_study, judged_arms, label_model_labels, study_arms
from tests.support import published, rows_of, verb, write

from .test_affinity_clustering import bagged
from .test_affinity_tables import birds_project, blobs


def test_the_wilson_interval_of_the_textbook():
    assert wilson(9, 10) == pytest.approx((0.5958, 0.9821), abs=5e-4)
    assert wilson(0, 0) == (0, 1) and wilson(10, 10)[1] == pytest.approx(1)


def test_affinities_become_votes_as_the_paper_says():
    s = np.array([[0.9, 0.1], [0.8, 0.2], [0.1, 0.9], [0.2, 0.4]], np.float32)
    votes = affinity_votes(s, 2, 0)
    a, b = votes[0, 0], votes[2, 1]
    assert {a, b} == {0, 1}
    assert votes.tolist() == [[a, -1], [a, -1], [-1, b], [-1, -1]]  # middles .5 and .5


def simulated_votes(seed: int, n: int = 400) -> tuple[np.ndarray, np.ndarray]:
    """Twelve LFs of accuracy .75 that abstain on half of the rows."""
    random = np.random.default_rng(seed)
    y = random.integers(0, 2, n)
    votes = np.where(random.random((n, 12)) < 0.75, y[:, None], 1 - y[:, None])
    return np.where(random.random((n, 12)) < 0.5, votes, -1).astype(np.int8), y


def test_votes_are_read_by_the_em():
    votes, y = simulated_votes(0)
    evidence = vote_evidence(votes, 2)
    assert evidence.affinity.shape == (400, 24) and set(np.unique(evidence.affinity)) == {0, 0.5, 1}
    labels = inference("em").clusters(evidence, 2, 0).labels
    assert (labels == y).mean() > 0.85
    assert (label_model_labels(votes, 2, 0) == y).mean() > 0.85


def test_every_arm_of_the_table_answers():
    evidence, y = bagged(30, 2, seed=1)
    votes = np.stack([y, np.where(np.arange(60) % 7 == 0, 1 - y, y), np.where(np.arange(60) % 5 == 0, -1, y)], axis=1).astype(np.int8)
    rows = judged_arms(study_arms(evidence, 2, votes), y, 2, (0,))
    assert [r["arm"] for r in rows] == ["LF+PGM", "LF+EM", "AF+PGM", "AF+KM", "AF+EM (random)", "AF+EM", "default"]
    assert all(r["low"] <= r["value"] <= r["high"] and r["n_rows"] == 60 for r in rows)
    assert min(r["value"] for r in rows if r["arm"] != "AF+EM (random)") > 0.9
    assert {r["arm"] for r in rows if r["metric"] == "accuracy"} == {"LF+PGM", "LF+EM"}


def test_the_study_of_a_project_is_a_table(tmp_path):
    """LFs over image statistics (here: numbers of the row) beside affinities, judged on the same rows."""
    gold = "SELECT id, CASE WHEN id <= 30 THEN 'Green_Jay' ELSE 'Whip_Poor_Will' END AS label FROM range(1, 61) AS t(id)"
    ws = birds_project(tmp_path, photo=blobs(), gold=gold)
    write(tmp_path, {"lfs/rules.sql": "-- lf: bright -> Green_Jay\nFROM photo WHERE a > 0;\n\n-- lf: dark -> Whip_Poor_Will\nFROM photo WHERE a < 0;\n\n-- lf: flat -> Green_Jay\nFROM photo WHERE b < 1;\n"})
    ws.run()
    rows = affinity_study(ws.project, ws.task, coding_options({"vectors": "v"}), seeds=(0,))
    stored = published(tmp_path, "SELECT arm, value FROM bird.study WHERE study = 'affinity' ORDER BY arm")
    assert stored == sorted((r["arm"], r["value"]) for r in rows) and len(stored) == 7
    assert dict(stored)["LF+PGM"] == 1 and dict(stored)["default"] == 1


def test_the_verb_prints_the_table(tmp_path):
    gold = "SELECT id, CASE WHEN id <= 30 THEN 'Green_Jay' ELSE 'Whip_Poor_Will' END AS label FROM range(1, 61) AS t(id)"
    ws = birds_project(tmp_path, photo=blobs(), gold=gold)
    write(tmp_path, {"lfs/rules.sql": "-- lf: bright -> Green_Jay\nFROM photo WHERE a > 0;\n\n-- lf: dark -> Whip_Poor_Will\nFROM photo WHERE a < 0;\n\n-- lf: flat -> Green_Jay\nFROM photo WHERE b < 1;\n"})
    ws.run()
    answer = verb(tmp_path, "study", "affinity", "--vectors", "v", "--seeds", "1", "--format", "json")
    assert answer.code == 0, answer.err
    found = {row["arm"]: row["value"] for row in rows_of(answer.out)}
    assert found == dict(published(tmp_path, "SELECT arm, value FROM bird.study WHERE study = 'affinity'")) and {"LF+PGM", "LF+EM", "default"} <= set(found)


def test_clusters_are_a_labeling_function_like_any_other(tmp_path):
    """`affinity_label` gives probabilities: a soft vote beside the rules, up to date after every coding."""
    gold = "SELECT id, CASE WHEN id <= 30 THEN 'Green_Jay' ELSE 'Whip_Poor_Will' END AS label FROM range(1, 61) AS t(id)"
    ws = birds_project(tmp_path, photo=blobs(), gold=gold)
    rules = "-- lf: bright -> Green_Jay\nFROM photo WHERE a > 0;\n\n-- lf: dark -> Whip_Poor_Will\nFROM photo WHERE a < 0;\n\n"
    write(tmp_path, {"lfs/rules.sql": rules})
    ws.run()
    ws.affinity(vectors="v")
    write(tmp_path, {"lfs/rules.sql": rules + "-- lf: clusters\nSELECT entity_id, label, p FROM affinity_label;\n"})
    result = ws.run()
    assert {e.lf.name: e.reason for e in result.evaluations} == {"bright": "unchanged", "clusters": "new", "dark": "unchanged"}
    n, least = published(tmp_path, "SELECT count(DISTINCT entity_id), min(p) FROM bird.soft_vote WHERE lf = 'clusters'")[0]
    assert n == 60 and 0 <= least <= 0.5
    assert published(tmp_path, "SELECT coverage FROM bird.lf_summary WHERE lf = 'clusters'") == [(1.0,)]
    assert not any(step.done for step in ws.run().steps)


def test_without_a_coding_there_is_nothing_to_read(tmp_path):
    ws = birds_project(tmp_path, photo=blobs())
    write(tmp_path, {"lfs/rules.sql": "-- lf: clusters\nSELECT entity_id, label, p FROM affinity_label;\n"})
    assert [d.code for d in ws.check().errors] == ["LF105"]
