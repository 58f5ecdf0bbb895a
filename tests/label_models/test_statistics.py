"""Free functions over patterns and posteriors, against numbers worked out by hand."""

import numpy as np
import pytest

from groundswell.label_models import (
    VotePatterns,
    expected_accuracy,
    hard_labels,
    label_model,
    learned_accuracy,
    majority_disagreement,
    majority_posterior,
)
from groundswell.label_models.evidence import share

A = -1
PATTERNS = VotePatterns(
    np.array([[1, 1, 0, A], [0, 1, A, A], [A, A, A, A], [0, 0, A, A]]), np.array([10, 4, 6, 20]), ("a", "b", "c", "d"), ("n", "p")
)
POSTERIOR = np.array([[0.2, 0.8], [0.4, 0.6], [0.5, 0.5], [0.3, 0.7]])


def test_learned_accuracy_is_the_mean_posterior_of_the_vote():
    expected = [(10 * 0.8 + 4 * 0.4 + 20 * 0.3) / 34, (10 * 0.8 + 4 * 0.6 + 20 * 0.3) / 34, 0.2, np.nan]
    assert learned_accuracy(PATTERNS, POSTERIOR) == pytest.approx(expected, nan_ok=True)


def test_hard_labels_tie_within_tolerance():
    p = np.array([[0.5, 0.5, 0.0], [0.500004, 0.499996, 0.0], [0.51, 0.49, 0.0], [1 / 3, 1 / 3, 1 / 3], [0, 0.1, 0.9]])
    assert hard_labels(p).tolist() == [-1, -1, 0, -1, 2]
    assert hard_labels(np.zeros((0, 2))).tolist() == []


def test_majority_disagreement_keeps_ties_in_the_denominator_only():
    # covered: 34 entities; pattern 1 ties under majority vote; pattern 3 is labelled against it
    assert majority_disagreement(PATTERNS, POSTERIOR) == pytest.approx(20 / 34)
    assert majority_disagreement(PATTERNS, majority_posterior(PATTERNS)) == 0
    tied = np.full((4, 2), 0.5)
    assert majority_disagreement(PATTERNS, tied) == pytest.approx(30 / 34)


def test_expected_accuracy_is_over_covered_entities():
    assert expected_accuracy(PATTERNS, POSTERIOR) == pytest.approx((10 * 0.8 + 4 * 0.6 + 20 * 0.7) / 34)


def test_without_coverage_there_is_no_number():
    nothing = VotePatterns(np.array([[A, A]]), np.array([5]), ("a", "b"), ("n", "p"))
    assert np.isnan(expected_accuracy(nothing, np.array([[0.5, 0.5]])))
    assert np.isnan(majority_disagreement(nothing, np.array([[0.5, 0.5]])))


def test_majority_hard_and_soft():
    votes = np.array([[0, 0, 1, A], [0, 1, A, A], [2, 2, 1, 1], [A, A, A, A]])
    patterns = VotePatterns(votes, np.ones(4, int), ("a", "b", "c", "d"), ("x", "y", "z"))
    hard = label_model("majority").fit(patterns).predict(patterns)
    soft = label_model("majority_soft").fit(patterns).predict(patterns)
    third = [1 / 3] * 3
    assert hard == pytest.approx(np.array([[1, 0, 0], [0.5, 0.5, 0], [0, 0.5, 0.5], third]))
    assert soft == pytest.approx(np.array([[2 / 3, 1 / 3, 0], [0.5, 0.5, 0], [0, 0.5, 0.5], third]))
    assert share(np.zeros((1, 3))) == pytest.approx(np.array([third]))


def test_majority_ignores_gold_and_says_so():
    model = label_model("majority").fit(PATTERNS, gold=np.array([[0, 1], [0, 0], [0, 0], [0, 0]]))
    assert [w[:5] for w in model.warnings_ if w.startswith("LM212")] == ["LM212"]
