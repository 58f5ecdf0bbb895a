"""From clusters to classes: the Hungarian mapping, how much gold it needs, and calibrated confidence."""

from __future__ import annotations

from itertools import permutations

import numpy as np
import pytest

from groundswell.affinity.calibration import fitted_temperature, tempered
from groundswell.affinity.mapping import cluster_map, gold_needed, mapping_error


def test_the_worked_example_of_a_mapping():
    found = cluster_map(np.array([[1, 4, 0], [5, 1, 0], [0, 1, 3]]))
    class_to_cluster = np.argsort(found.classes)
    assert class_to_cluster.tolist() == [1, 0, 2]


def test_mapping_and_margin_are_those_of_all_permutations():
    random = np.random.default_rng(0)
    for _ in range(50):
        counts = random.integers(0, 6, (4, 4))
        totals = sorted(sum(counts[row, column] for row, column in enumerate(p)) for p in permutations(range(4)))
        found = cluster_map(counts)
        assert counts[found.classes, np.arange(4)].sum() == totals[-1]
        assert found.margin == totals[-1] - totals[-2]


def test_doubtful_mappings_warn():
    clear = cluster_map(np.array([[5, 0], [0, 5]]))
    assert clear.margin == 10 and clear.warnings(("a", "b")) == []
    silent = cluster_map(np.array([[2, 0], [0, 0]])).warnings(("a", "b"))
    assert [d.code for d in silent] == ["AF206", "AF206"] and "b" in silent[0].message


@pytest.mark.parametrize(("accuracy", "n", "n_classes"), [(0.8, 3, 2), (0.6, 5, 2), (0.7, 4, 3), (0.6, 3, 4)])
def test_the_chance_of_a_wrong_mapping_against_simulation(accuracy, n, n_classes):
    random = np.random.default_rng(1)
    p = np.full((n_classes, n_classes), (1 - accuracy) / (n_classes - 1))
    np.fill_diagonal(p, accuracy)
    trials, wrong = 4000, 0
    identity = tuple(range(n_classes))
    others = [q for q in permutations(range(n_classes)) if q != identity]
    for _ in range(trials):
        counts = np.stack([random.multinomial(n, row) for row in p])
        right = counts.trace()
        wrong += any(counts[np.arange(n_classes), list(q)].sum() >= right for q in others)
    bound, slack = mapping_error(accuracy, n, n_classes), 4 * np.sqrt(0.25 / trials)
    assert wrong / trials <= bound + slack
    if n_classes == 2:
        assert wrong / trials == pytest.approx(bound, abs=slack)


def test_gold_needed_is_the_least_number():
    for accuracy, n_classes in ((0.9, 2), (0.7, 3), (0.95, 5)):
        n = gold_needed(accuracy, n_classes)
        assert mapping_error(accuracy, n, n_classes) <= 0.01 and (n == 1 or mapping_error(accuracy, n - 1, n_classes) > 0.01)
    assert gold_needed(0.5, 2) is None and gold_needed(0.501, 2) is None
    assert gold_needed(0.9, 2) < gold_needed(0.7, 2) < gold_needed(0.6, 2)


def test_a_temperature_makes_confidence_true():
    random = np.random.default_rng(2)
    log_odds = random.normal(0, 1, 4000)
    y = (random.random(4000) < 1 / (1 + np.exp(-log_odds))).astype(int)
    boastful = np.stack([np.zeros(4000), 50 * log_odds], axis=1)
    temperature = fitted_temperature(boastful[:1000], y[:1000])
    p = tempered(boastful, temperature)[1000:]
    right = (p.argmax(axis=1) == y[1000:]).mean()
    assert p.max(axis=1).mean() == pytest.approx(right, abs=0.03)
    assert (p.argmax(axis=1) == boastful[1000:].argmax(axis=1)).all()


def test_gold_that_is_right_everywhere_does_not_ask_for_certainty():
    log_p = np.tile([0.0, -700.0], (30, 1))
    p = tempered(log_p, fitted_temperature(log_p, np.zeros(30, int)))
    assert 0.9 < p[0, 0] < 0.99
    assert fitted_temperature(log_p[:5], np.zeros(5, int)) is None
