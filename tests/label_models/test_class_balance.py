"""The class balance from third moments: a population it must return, simulated votes, and where it must not be believed."""

from itertools import product

import numpy as np
import pytest

from groundswell.label_models import VotePatterns
from groundswell.label_models.base import Task
from groundswell.label_models.class_balance import _ThirdMoments, class_balance, third_moment_balance

from .simulated import class_names, copied, names, one_sided, patterns_of, random_votes

TABLES = np.array([  # P(vote | y) of three LFs; rows y, columns vote 0, vote 1, abstain
    [[0.5, 0.1, 0.4], [0.1, 0.6, 0.3]],
    [[0.4, 0.2, 0.4], [0.2, 0.5, 0.3]],
    [[0.6, 0.1, 0.3], [0.2, 0.7, 0.1]],
])  # fmt: skip


def population(tables, pi, n=10**12):
    """Patterns in the proportions of sum_y pi_y prod_j tables[j, y, vote_j]."""
    m, k, _ = tables.shape
    votes = np.array(list(product(range(-1, k), repeat=m)))
    p = sum(pi[y] * np.prod([tables[j, y][votes[:, j]] for j in range(m)], axis=0) for y in range(k))
    kept = p > 0
    return VotePatterns(votes[kept], np.round(p[kept] * n).astype(int), names(m), class_names(k))


def task_of(patterns, balance=None, gold=None):
    return Task(patterns, balance, gold, 0)


def test_two_classes_come_back_from_their_population():
    balance, reason = third_moment_balance(population(TABLES, [0.7, 0.3]))
    assert reason == "" and balance == pytest.approx([0.7, 0.3], abs=2e-3)


def test_three_classes_come_back_although_second_moments_do_not_tell():
    rng = np.random.default_rng(0)
    right = rng.uniform(0.5, 0.8, (4, 3))
    tables = np.full((4, 3, 4), 0.0)
    tables[:, :, :3] = (1 - right[:, :, None]) / 2 * 0.8
    tables[:, range(3), range(3)] = right * 0.8
    tables[:, :, 3] = 0.2
    balance, reason = third_moment_balance(population(tables, [0.5, 0.2, 0.3]))
    assert reason == "" and balance == pytest.approx([0.5, 0.2, 0.3], abs=2e-3)


def test_the_gradient_is_the_slope():
    problem = _ThirdMoments(population(TABLES, [0.7, 0.3]), np.arange(3))
    at = np.random.default_rng(1).normal(size=3 * 2 * 3 + 2)
    _, gradient = problem.loss(at)
    for i, step in enumerate(1e-6 * np.eye(len(at))):
        assert gradient[i] == pytest.approx((problem.loss(at + step)[0] - problem.loss(at - step)[0]) / 2e-6, abs=1e-6)


@pytest.mark.parametrize("positives", [0.05, 0.3])
def test_a_rare_class_is_found_from_one_sided_lfs(positives):
    patterns, _ = patterns_of(one_sided(50_000, 0, positives)[1])
    balance, reason = third_moment_balance(patterns)
    assert reason == "" and balance[1] == pytest.approx(positives, abs=0.03)


@pytest.mark.parametrize("seed", range(3))
def test_copies_are_left_out(seed):
    """Five of ten LFs repeat a sixth on 80 % of the rows; taken for independent, they put the balance at .25 or .75 instead of .5."""
    gold, votes = copied(20_000, 0.8, seed)
    balance, reason = third_moment_balance(patterns_of(votes)[0])
    assert reason == "" and balance[1] == pytest.approx(gold.mean(), abs=0.06)


def test_five_unequal_classes():
    rng, pi = np.random.default_rng(4), np.array([0.4, 0.25, 0.2, 0.1, 0.05])
    gold = rng.choice(5, 20_000, p=pi)
    wrong = (gold[:, None] + rng.integers(1, 5, (20_000, 9))) % 5
    votes = np.where(rng.random((20_000, 9)) < rng.uniform(0.5, 0.9, 9), gold[:, None], wrong)
    votes = np.where(rng.random((20_000, 9)) < 0.6, votes, -1)
    balance, reason = third_moment_balance(patterns_of(votes, 5)[0])
    assert reason == "" and balance == pytest.approx(pi, abs=0.02)


def test_a_given_balance_and_gold_come_first():
    patterns, _ = patterns_of(random_votes(np.random.default_rng(0), 200, 4, 2)[1])
    gold = np.zeros((len(patterns.counts), 2))
    gold[0, 1], gold[1, 0] = 1, 1
    gold[2, 1] = 1
    assert class_balance(task_of(patterns, np.array([0.9, 0.1]), gold))[0].tolist() == [0.9, 0.1]
    assert class_balance(task_of(patterns, None, gold))[0].tolist() == [0.4, 0.6]
    asked = Task(patterns, None, gold, 0, answers=gold)  # about patterns chosen for their votes: no sample of the classes
    assert class_balance(asked)[0].tolist() == class_balance(task_of(patterns))[0].tolist()


@pytest.mark.parametrize(
    ("votes", "k", "why"),
    [
        (np.array([[0, 1], [1, 1]]), 2, "fewer than three LFs"),
        (np.array([[0, -1, 0], [0, 0, -1], [-1, 0, 0]]), 2, "no LF votes for class_01"),
        (random_votes(np.random.default_rng(0), 300, 5, 12)[1], 12, "more than 10 classes"),
        (np.full((4, 3), -1), 2, "fewer than three LFs"),
    ],
)
def test_what_cannot_be_told_is_uniform_with_a_warning(votes, k, why):
    balance, warnings = class_balance(task_of(patterns_of(votes, k)[0]))
    assert balance == pytest.approx(np.full(k, 1 / k))
    assert len(warnings) == 1 and warnings[0].startswith("LM218") and why in warnings[0]


def test_a_class_that_majority_vote_finds_is_never_lost():
    """Three copies of one opinion against one dissenter: the fit may say 0 of a class, the answer may not."""
    votes = np.array([[0, 0, 0, 1]] * 900 + [[0, 0, 0, 0]] * 50 + [[1, 1, 1, 0]] * 50)
    balance, warnings = class_balance(task_of(patterns_of(votes)[0]))
    assert balance.min() >= 0.005 or warnings
    assert balance.sum() == pytest.approx(1)
