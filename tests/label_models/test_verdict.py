"""Better than majority vote? Counted by hand."""

import numpy as np
import pytest

from groundswell.label_models import VotePatterns, label_model, verdict

from .simulated import copied, patterns_of

PATTERNS = VotePatterns(np.array([[0, 0, 1], [1, 1, 0], [0, 1, -1], [-1, -1, -1]]), np.array([10, 20, 6, 5]), ("a", "b", "c"), ("no", "yes"))
POSTERIOR = np.array([[0.3, 0.7], [0.2, 0.8], [0.6, 0.4], [0.5, 0.5]])


def test_measured_by_hand():
    """Majority: no, yes, a tie. The model: yes, yes, no. Gold: pattern 0 is 1 no, 4 yes; 1 is 5 yes; 2 is 2 no; row 3 is uncovered."""
    gold = np.array([[1, 4], [0, 5], [2, 0], [3, 0]], float)
    found = verdict(PATTERNS, POSTERIOR, gold)
    assert found.n == 12 and found.accuracy == pytest.approx(11 / 12) and found.majority == pytest.approx((1 + 5 + 1) / 12)
    gaps = np.array([-1.0] + [1.0] * 4 + [0.0] * 5 + [0.5] * 2)
    assert found.difference == pytest.approx(gaps.mean()) and found.error == pytest.approx(gaps.std() / np.sqrt(12))
    assert "no better than majority vote" in found.words or "better than majority vote" in found.words


def test_without_gold_it_is_a_reckoning_and_says_so():
    found = verdict(PATTERNS, POSTERIOR, None)
    by_hand = (10 * 0.7 + 20 * 0.8 + 6 * 0.6) / 36, (10 * 0.3 + 20 * 0.8 + 6 * 0.5) / 36
    assert (found.accuracy, found.majority) == pytest.approx(by_hand) and found.n == 0
    assert "no gold" in found.words and "own reckoning" in found.words


def test_copies_are_seen_through_and_a_misled_model_is_called_worse():
    gold, votes = copied(20_000, 0.5, 0)
    patterns, inverse = patterns_of(votes)
    known = np.zeros((len(patterns.counts), 2))
    np.add.at(known, (inverse[:4000], gold[:4000]), 1)
    words = {m: verdict(patterns, label_model(m).fit(patterns).predict(patterns), known).words for m in ("auto", "dawid_skene", "majority")}
    assert words["auto"].endswith(": better than majority vote") and "WORSE" in words["dawid_skene"]
    assert "no better than majority vote" in words["majority"]
