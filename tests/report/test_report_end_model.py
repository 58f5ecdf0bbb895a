"""The section about the end model: its inputs, shares, trials and live metrics, as they stand in the tables."""

import re

import pytest
from small_store import World, store_of

from groundswell.report import build_report

TABLES = """
CREATE TABLE spam.end_model (model_id BIGINT, method VARCHAR, features VARCHAR[], metrics JSON, artefact VARCHAR, sha256 VARCHAR, label_model_id BIGINT, created_at TIMESTAMPTZ);
CREATE TABLE IF NOT EXISTS spam.study (study VARCHAR, arm VARCHAR, seed BIGINT, metric VARCHAR, value DOUBLE, low DOUBLE, high DOUBLE, n_rows BIGINT);
CREATE TABLE spam.trial (trial_id BIGINT, options JSON, metric VARCHAR, value DOUBLE, seconds DOUBLE);
CREATE TABLE spam.live_metric (reviewed_at TIMESTAMPTZ, metric VARCHAR, value DOUBLE, low DOUBLE, high DOUBLE, n_reviewed BIGINT);
"""
ROWS = """
INSERT INTO spam.end_model VALUES (1, 'mlp', ['old'], '[]', 'a', 'b', 1, '2026-01-01 10:00:00+00'), (2, 'logistic', ['topic', 'a<b'], '[]', 'a', 'b', 1, '2026-01-02 10:00:00+00');
INSERT INTO spam.study VALUES ('modality shares', 'image only features on image rows', 0, 'log_odds', 1.25, 1.2, 1.3, 2000);
INSERT INTO spam.trial VALUES (1, '{"learning_rate": 0.5}', 'log_loss', NULL, 3.0), (2, '{"learning_rate": 0.1}', 'log_loss', 0.31251, 2.5);
INSERT INTO spam.live_metric VALUES ('2026-01-03 09:30:00+00', 'recall', 0.4, 0.25, 0.5625, 40), ('2026-01-03 09:30:00+00', 'precision', NULL, NULL, NULL, 40), (NULL, 'recall', 0.5, 0.4, 0.6, 90);
"""


def section(statements: str) -> str:
    world = World({1: {"a": "ham"}, 2: {"a": "spam", "b": "spam"}})
    store = store_of(world)
    for statement in filter(str.strip, statements.split(";\n")):
        store.execute(statement)
    return re.search(r'<section id="model".*?</section>', build_report(store, world.task), re.S)[0]


@pytest.fixture(scope="module")
def shown():
    return section(TABLES + ROWS)


def words(html: str) -> str:
    return re.sub(r"\s+", " ", re.sub(r"<[^>]+>", " ", re.sub(r"<details.*?</details>", "", html, flags=re.S)))


def test_the_newest_model_and_its_inputs(shown):
    assert "Model 2 (logistic), trained 2026-01-02 10:00 UTC, needs 2 inputs, all servable" in words(shown)
    assert "<code>a&lt;b</code>" in shown and "<code>old</code>" not in shown


def test_shares_trials_and_live_metrics_are_the_tables(shown):
    text = words(shown)
    assert "image only features on image rows 1.250 1.200 to 1.300 2,000" in text
    assert text.index("0.3125") < text.index("diverged") and "learning_rate" in text
    assert text.index("all reviews recall 50.0 % 40.0 % to 60.0 % 90") < text.index("2026-01-03 09:30 precision – – 40 recall 40.0 % 25.0 % to 56.2 % 40")


def test_what_is_not_there_yet_says_how_to_get_it():
    assert "groundswell train" in section("")
    bare = section(TABLES.split("CREATE TABLE spam.trial")[0] + ROWS.split("INSERT INTO spam.trial")[0].replace("modality shares", "evaluation"))
    assert "groundswell review --strategy monitor" in bare and "The search for options" not in bare and "What each modality contributes" not in bare
