"""Prior knowledge of labeling functions: against closed forms and simulated worlds."""

from __future__ import annotations

import numpy as np
import pytest

from groundswell.errors import LabelModelError
from groundswell.label_models import VotePatterns, label_model
from groundswell.label_models.priors import prior_counts

CLASSES = ("no", "yes")


def world(seed: int, n: int, accuracy: tuple[float, ...], positive: float = 0.5, fires: float = 0.5):
    """(patterns, inverse, y): LFs of two sides that are right with these probabilities, independent given the class."""
    random = np.random.default_rng(seed)
    y = (random.random(n) < positive).astype(int)
    votes = np.full((n, len(accuracy)), -1)
    for j, a in enumerate(accuracy):
        right = random.random(n) < a
        votes[:, j] = np.where(random.random(n) < fires, np.where(right, y, 1 - y), -1)
    patterns, inverse = VotePatterns.from_matrix(votes, [f"lf{j}" for j in range(len(accuracy))], CLASSES)
    return patterns, inverse, y


def accuracy_of(model, patterns, inverse, y) -> float:
    covered = patterns.covered[inverse]
    return float((model.predict(patterns)[inverse].argmax(axis=1) == y)[covered].mean())


@pytest.mark.parametrize("name", ["auto", "dawid_skene"])
def test_two_rules_whose_accuracies_are_known_are_weighed_like_naive_bayes(name):
    patterns, inverse, y = world(0, 4000, (0.9, 0.6))
    model = label_model(name, accuracies={"lf0": 0.9, "lf1": 0.6}, strength=1e9).fit(patterns, class_balance=[0.5, 0.5])
    weight = {0: {0: np.log(9), 1: -np.log(9), -1: 0.0}, 1: {0: np.log(1.5), 1: -np.log(1.5), -1: 0.0}}
    odds = np.array([weight[0][a] + weight[1][b] for a, b in patterns.votes])
    assert model.predict(patterns)[:, 0] == pytest.approx(1 / (1 + np.exp(-odds)), abs=1e-6)
    assert accuracy_of(label_model(name).fit(patterns), patterns, inverse, y) < accuracy_of(model, patterns, inverse, y) - 0.03


def test_auto_with_beliefs_about_all_rules_needs_no_three_of_them():
    patterns, *_ = world(1, 1000, (0.9, 0.6))
    informed = label_model("auto", accuracies={"lf0": 0.9, "lf1": 0.6}).fit(patterns)
    assert informed.chosen_ == "dawid_skene" and "2 of 2" in informed.reason_
    assert label_model("auto", accuracies={"lf0": 0.9}).fit(patterns).chosen_ == "majority_soft"


def test_a_belief_about_one_rule_moves_its_estimate_and_strength_says_how_far():
    patterns, *_ = world(2, 400, (0.8, 0.8, 0.8, 0.8))
    estimate = [label_model("auto", accuracies={"lf0": 0.55}, strength=s).fit(patterns, class_balance=[0.5, 0.5]).params_[0, 0, 0] for s in (1e-3, 100.0, 1e6)]
    assert estimate[0] > 0.7 and estimate[0] > estimate[1] > estimate[2] and estimate[2] == pytest.approx(0.55, abs=1e-3)


def test_a_rule_of_one_class_keeps_its_precision_and_its_coverage_where_the_class_is_rare():
    random = np.random.default_rng(3)
    n, precision = 20_000, 0.6
    y = (random.random(n) < 0.05).astype(int)
    votes = np.full((n, 3), -1)
    votes[:, 0] = np.where(random.random(n) < np.where(y == 1, 0.5, 0.5 * 0.05 / 0.95 * (1 - precision) / precision), 1, -1)
    votes[:, 1] = np.where(random.random(n) < np.where(y == 1, 0.02, 0.6), 0, -1)
    votes[:, 2] = np.where(random.random(n) < np.where(y == 1, 0.01, 0.5), 0, -1)
    patterns, inverse = VotePatterns.from_matrix(votes, ["sells", "calm", "dull"], CLASSES)
    model = label_model("auto", accuracies={"sells": precision, "calm": 0.998, "dull": 0.999}, strength=1e6).fit(patterns, class_balance=[0.95, 0.05])
    fires = votes[:, 0] == 1
    alone = fires & (votes[:, 1] == -1) & (votes[:, 2] == -1)
    believed = model.predict(patterns)[inverse]
    assert believed[fires, 1].mean() == pytest.approx(y[fires].mean(), abs=0.06)
    assert believed[alone, 1].mean() == pytest.approx(y[alone].mean(), abs=0.08)


def test_imagined_votes_of_a_one_sided_rule_leave_its_coverage_alone():
    patterns, _ = VotePatterns.from_matrix(np.array([[1]] * 20 + [[-1]] * 80), ["lf"], CLASSES)
    prior = prior_counts(patterns, {"lf": 0.75}, 10.0, np.array([True]), np.array([0.6, 0.4]))[0]
    assert prior[:, 1].tolist() == [2.5, 7.5] and prior[:, 0].tolist() == [0, 0]
    assert prior.sum(axis=1).tolist() == pytest.approx([30.0, 20.0]) and prior[:, 1].sum() / prior.sum() == pytest.approx(0.2)


@pytest.mark.parametrize("options", [
    {"accuracies": {"nobody": 0.9}}, {"accuracies": {"lf0": 1.0}}, {"accuracies": {"lf0": "high"}}, {"accuracies": [0.9]}, {"accuracies": {"lf0": 0.9}, "strength": 0},
])  # fmt: skip
@pytest.mark.parametrize("name", ["auto", "dawid_skene"])
def test_beliefs_that_cannot_be(name, options):
    patterns, *_ = world(4, 100, (0.9, 0.8, 0.7))
    with pytest.raises(LabelModelError) as error:
        label_model(name, **options).fit(patterns)
    assert error.value.diagnostics[0].code == "LM107"
