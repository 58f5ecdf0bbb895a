"""Weighted vote: an example worked by hand, and where accuracies come from."""

import numpy as np
import pytest

from groundswell.errors import LabelModelError
from groundswell.label_models import VotePatterns, label_model
from groundswell.label_models.weighted import vote_weights

from .simulated import accuracy, patterns_of, random_votes

A = -1
PATTERNS = VotePatterns(np.array([[1, 0, 0], [1, A, 0], [0, 1, 1], [A, A, A]]), np.ones(4, int), ("a", "b", "c"), ("n", "p"))
WORKED = {"a": 0.9, "b": 0.7, "c": 0.6}


def test_worked_numbers():
    assert vote_weights(np.array([0.9, 0.7, 0.6]), 2) == pytest.approx([2.1972, 0.8473, 0.4055], abs=5e-5)
    p = label_model("weighted", accuracies=WORKED).fit(PATTERNS).predict(PATTERNS)
    assert p[:, 1] == pytest.approx([0.72, 0.8571, 0.28, 0.5], abs=5e-5)


def test_weights_are_clipped_and_unknown_ones_are_zero():
    assert vote_weights(np.array([1.0, 0.0, np.nan]), 2) == pytest.approx([np.log(99), -np.log(99), 0])
    assert vote_weights(np.array([0.25]), 4) == pytest.approx([0])


def test_a_class_balance_shifts_the_odds():
    p = label_model("weighted", accuracies=WORKED).fit(PATTERNS, class_balance=[0.8, 0.2]).predict(PATTERNS)
    odds = 0.72 / 0.28 / 4
    assert p[0, 1] == pytest.approx(odds / (1 + odds)) and p[3] == pytest.approx([0.8, 0.2])


def test_accuracies_from_gold():
    gold = np.array([[0, 1], [0, 1], [0, 0], [0, 0]])  # patterns 0 and 1 are "p"
    weight = label_model("weighted").fit(PATTERNS, gold=gold).evidence().log_weight[:, 1, 1]
    assert weight == pytest.approx(np.log([3 / 1, 1 / 2, 1 / 3]))  # (2+1)/(2+2), (0+1)/(1+2), (0+1)/(2+2)


@pytest.mark.parametrize("k", [2, 5])
def test_learned_accuracies_beat_majority_vote_when_lfs_differ(k):
    """One LF of accuracy .95 among four of .6 on 5,000 rows: standard error .007, the gain is above .02."""
    rng = np.random.default_rng(k)
    gold, _ = random_votes(rng, 5000, 1, k)
    quality = np.array([0.95, 0.6, 0.6, 0.6, 0.6])
    wrong = (gold[:, None] + rng.integers(1, k, (5000, 5))) % k
    votes = np.where(rng.random((5000, 5)) < quality, gold[:, None], wrong)
    votes = np.where(rng.random((5000, 5)) < 0.8, votes, A)
    patterns, inverse = patterns_of(votes, k)
    covered = (votes != A).any(axis=1)
    weighted, majority = (label_model(name).fit(patterns).predict(patterns)[inverse] for name in ("weighted", "majority"))
    assert accuracy(weighted, gold, covered) > accuracy(majority, gold, covered) + 0.02


@pytest.mark.parametrize(
    ("accuracies", "says"),
    [
        ([0.9, 0.7, 0.6], "mapping"),
        ({**WORKED, "d": 0.5}, "unknown LF"),
        ({"a": 0.9}, "absent: ['b', 'c']"),
        ({**WORKED, "c": 1.2}, "in [0, 1]"),
    ],
)
def test_accuracies_that_do_not_fit_are_refused(accuracies, says):
    with pytest.raises(LabelModelError) as caught:
        label_model("weighted", accuracies=accuracies).fit(PATTERNS)
    assert caught.value.code == "LM107" and says in str(caught.value)
