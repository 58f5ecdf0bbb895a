"""Metrics against scikit-learn, intervals against a plain bootstrap and against truth."""

import numpy as np
import pytest
from sklearn.metrics import accuracy_score, average_precision_score, f1_score, log_loss

from groundswell.end_models.metrics import best_threshold, judged


def drawn(n, k, seed):
    """Gold and probabilities that know something of it; rounded, so that scores tie."""
    rng = np.random.default_rng(seed)
    gold = rng.integers(0, k, n)
    z = rng.normal(size=(n, k)) + 1.2 * np.eye(k)[gold]
    p = np.exp(z)
    p = np.round(p / p.sum(axis=1, keepdims=True), 2) + 1e-3
    return gold, p / p.sum(axis=1, keepdims=True)


@pytest.mark.parametrize(("n", "k"), [(300, 2), (300, 3), (40, 5)])
def test_values_are_those_of_scikit_learn(n, k):
    gold, p = drawn(n, k, 0)
    found = {m.name: m.value for m in judged(gold, p)}
    called, one_hot = p.argmax(axis=1), np.eye(k)[gold]
    binary = k == 2
    expected = {
        "average_precision": average_precision_score(gold, p[:, 1]) if binary else average_precision_score(one_hot, p, average="macro"),
        "f1": f1_score(gold, called) if binary else f1_score(gold, called, average="macro"),
        "accuracy": accuracy_score(gold, called),
        "log_loss": log_loss(gold, p),
    }
    assert found == pytest.approx(expected, abs=1e-5)


def test_the_worked_example():
    gold, score = np.array([1, 0, 1, 1, 0, 0]), np.array([0.9, 0.8, 0.8, 0.4, 0.3, 0.1])
    assert judged(gold, np.stack([1 - score, score], 1))[0].value == pytest.approx(0.805556, abs=1e-6)


def test_intervals_agree_with_a_plain_bootstrap():
    gold, p = drawn(400, 2, 1)
    rng = np.random.default_rng(0)
    plain = [average_precision_score(gold[i], p[i, 1]) for i in (rng.integers(0, 400, 400) for _ in range(400))]
    found = judged(gold, p)[0]
    assert [found.low, found.high] == pytest.approx(np.quantile(plain, [0.025, 0.975]), abs=0.02)
    assert found.low < found.value < found.high


def test_intervals_hold_the_truth_about_as_often_as_they_say():
    """Accuracy of a coin that is right 80 % of the time, 100 samples of 200: 95 % intervals miss 0 to 13 times but for bad luck."""
    missed = 0
    for seed in range(100):
        rng = np.random.default_rng(seed)
        gold = rng.integers(0, 2, 200)
        called = np.where(rng.random(200) < 0.8, gold, 1 - gold)
        accuracy = judged(gold, np.eye(2)[called] * 0.9 + 0.05, seed=seed)[2]
        missed += not accuracy.low <= 0.8 <= accuracy.high
    assert missed <= 13


def test_threshold_of_the_largest_f1_by_brute_force():
    gold, p = drawn(200, 2, 2)
    found = best_threshold(gold, p)
    scores = {t: f1_score(gold, p[:, 1] >= t) for t in np.unique(p[:, 1])}
    assert scores[found] == pytest.approx(max(scores.values()))
    assert judged(gold, p, threshold=found)[1].value == pytest.approx(max(scores.values()))


def test_without_positives_rows_or_two_classes():
    gold, p = np.zeros(5, int), np.tile([0.6, 0.4], (5, 1))
    found = {m.name: m.value for m in judged(gold, p)}
    assert found["average_precision"] is None and found["f1"] is None and found["accuracy"] == 1.0
    assert [m.value for m in judged(np.zeros(0, int), np.zeros((0, 2)))] == [None] * 4
    assert best_threshold(gold, p) is None and best_threshold(gold, np.ones((5, 3)) / 3) is None


def test_same_seed_same_interval():
    gold, p = drawn(100, 2, 3)
    assert judged(gold, p, seed=1) == judged(gold, p, seed=1) != judged(gold, p, seed=2)
