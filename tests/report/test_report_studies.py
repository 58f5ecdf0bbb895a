"""The section about studies: every figure is a mean of `study`, every interval Student's."""

import json
import re

import numpy as np
import pytest
from scipy import stats
from small_store import World, store_of

from groundswell.report import build_report
from groundswell.report.studies import interval

VALUES = {"text": [0.4, 0.5, 0.6], "image (weak)": [0.6, 0.62, 0.64], "cross-modal": [0.7, 0.7, 0.73], "supervised 50": [0.5, 0.55, 0.6], "supervised 500": [0.8, 0.8, 0.83]}


def with_studies(world: World):
    store, task = store_of(world), world.task
    store.execute(f'CREATE TABLE IF NOT EXISTS "{task.name}".study (study VARCHAR, arm VARCHAR, seed BIGINT, metric VARCHAR, value DOUBLE, low DOUBLE, high DOUBLE, n_rows BIGINT)')
    return store, task


@pytest.fixture
def page():
    store, task = with_studies(World({1: {"a": "ham"}, 2: {"a": "spam", "b": "spam"}}))
    for study in ("end-to-end", "crossover"):
        for arm, values in VALUES.items():
            for seed, value in enumerate(values):
                store.execute(f"INSERT INTO \"{task.name}\".study VALUES ('{study}', '{arm}', {seed}, 'average_precision', {value}, NULL, NULL, 300)")
    store.execute(f"INSERT INTO \"{task.name}\".study VALUES ('crossover', 'cross-modal', 0, 'crossover', 240.0, NULL, NULL, 900), ('crossover', 'cross-modal', 1, 'crossover', NULL, NULL, NULL, 900)")
    return build_report(store, task)


def part(page: str) -> str:
    return re.search(r'<section id="studies".*?</section>', page, re.S)[0]


def test_means_and_intervals(page):
    text = re.sub(r"<[^>]+>", " ", part(page))
    for values in VALUES.values():
        low, high = stats.t.interval(0.95, 2, np.mean(values), stats.sem(values))
        assert f"{np.mean(values):.3f}" in text and f"{low:.3f} to {high:.3f}" in text


def test_arms_stand_by_what_they_reached_and_curves_by_their_labels(page):
    specs = [json.loads(s) for s in re.findall(r'<script type="application/json" class="spec">(.*?)</script>', part(page), re.S)]
    dots = next(s for s in specs if "data" in s)
    reached = [p["value"] for p in dots["data"]["values"]]
    assert reached == sorted(reached, reverse=True)
    curve = next(s for s in specs if "data" not in s)
    assert [p["labels"] for p in curve["layer"][1]["data"]["values"]] == [50, 500]


def test_the_crossing_says_how_many_seeds_reached_it(page):
    assert "hand labels match the pipeline from 240 on (mean of 1 of 2 seeds)" in part(page)


def test_without_a_study_the_section_says_how_to_run_one():
    store, task = with_studies(World({1: {"a": "ham"}, 2: {"a": "spam", "b": "spam"}}))
    assert "groundswell study end-to-end" in part(build_report(store, task))


def test_one_seed_has_no_interval():
    assert interval({"value": 0.5, "seeds": 1, "spread": None}) is None and interval({"value": None, "seeds": 3, "spread": 0.1}) is None
