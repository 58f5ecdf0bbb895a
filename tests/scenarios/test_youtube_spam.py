"""The field's tutorial task on real data: rules and label model see four videos, Shakira's judges."""

import runpy
import shutil
from pathlib import Path

import duckdb
import numpy as np
import pytest
from shared_data import shared

import groundswell as gs

EXAMPLE = Path(__file__).parents[2] / "examples" / "youtube_spam"

SNORKEL = 0.9565
"""Snorkel 0.10's LabelModel on the same votes, 100 and 500 epochs, mean of 5 seeds: python -m tests.benchmarks.youtube_spam"""


@pytest.fixture(scope="module")
def workspace(tmp_path_factory):
    home = tmp_path_factory.mktemp("youtube") / "youtube_spam"
    shutil.copytree(EXAMPLE, home, ignore=shutil.ignore_patterns("*.duckdb", ".groundswell"))
    build = runpy.run_path(str(home / "build.py"))["build"]
    assert build(str(shared("youtube_spam") / "csv"), home / "warehouse.duckdb") == 1956
    with gs.open(home) as workspace:
        assert workspace.check().errors == []
        assert workspace.run().errors == []
        workspace.train()
        yield workspace


def judged(workspace) -> dict[str, np.ndarray]:
    """Credit of majority vote, label model and end model, and coverage, for each of Shakira's 370 comments."""
    with duckdb.connect(str(workspace.project.published), read_only=True) as store:
        rows = store.execute(
            """
            SELECT g.label AS gold, t.label, p.predicted_label, t.entity_id IS NOT NULL AS covered,
                   len(list_filter(map_values(v.votes), x -> x = 'spam')) - len(list_filter(map_values(v.votes), x -> x = 'ham')) AS lead
            FROM spam.entity AS e
            JOIN spam.gold_label AS g USING (entity_id)
            JOIN spam.predictions AS p USING (entity_id)
            JOIN spam.entity_pattern USING (entity_id)
            JOIN spam.vote_pattern AS v USING (pattern_id)
            LEFT JOIN spam.training_set AS t USING (entity_id)
            WHERE e.split = 'test'
            """
        ).fetchnumpy()
    gold, label = np.asarray(rows["gold"], object), np.ma.filled(rows["label"].astype(object), None)
    majority = np.where(rows["lead"] > 0, "spam", np.where(rows["lead"] < 0, "ham", None))
    credit = lambda guess: np.where(guess == None, 0.5, guess == gold).astype(float)  # noqa: E711
    return {"majority": credit(majority), "label": credit(label), "end": credit(np.asarray(rows["predicted_label"], object)), "covered": rows["covered"]}


def test_the_label_model_is_at_least_majority_vote_and_near_snorkel(workspace):
    rows = judged(workspace)
    covered = rows["covered"].astype(bool)
    label, majority = rows["label"][covered].mean(), rows["majority"][covered].mean()
    standard_error = np.sqrt(SNORKEL * (1 - SNORKEL) / covered.sum())
    assert label >= majority > 0.9
    assert label > SNORKEL - standard_error


def test_the_end_model_labels_rows_no_rule_touches(workspace):
    rows = judged(workspace)
    assert rows["end"].mean() > rows["label"].mean()
    assert rows["end"][~rows["covered"].astype(bool)].mean() > 0.6


def test_gold_of_the_test_split_is_never_shown(workspace):
    shown = workspace.show("short", n=500).to_pylist()
    assert {r["gold"] for r in shown if r["split"] == "test"} == {None}
    assert {r["gold"] for r in shown if r["split"] != "test"} == {"ham", "spam"}
