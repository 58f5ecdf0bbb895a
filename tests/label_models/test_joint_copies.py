"""Copied LFs read together: the tables are counts, the evidence is exact, and few entities leave the discount alone."""

import itertools

import numpy as np
import pytest

from groundswell.label_models import label_model
from groundswell.label_models.base import Task
from groundswell.label_models.dawid_skene import DawidSkene
from groundswell.label_models.joint_copies import copied_groups, joint_fit
from groundswell.label_models.patterns import canonical

from .simulated import accuracy, copied, patterns_of


@pytest.fixture(scope="module")
def fitted():
    gold, votes = copied(20_000, 0.5, 0)
    patterns, inverse = patterns_of(votes)
    task = Task(canonical(patterns)[0], None, None, 0)
    alone = DawidSkene(discount_copies=True)._fit(task)
    return gold, votes, task, alone, joint_fit(task, alone), inverse


def test_the_copied_lfs_are_found(fitted):
    _, _, task, alone, _, _ = fitted
    assert [g.tolist() for g in copied_groups(task.patterns, alone.posterior(task.patterns))] == [[4, 5, 6, 7, 8, 9]]


def test_two_groups_are_kept_apart():
    rng = np.random.default_rng(0)
    gold = rng.integers(0, 2, 20_000)
    votes = np.where(rng.random((20_000, 9)) < 0.5, np.where(rng.random((20_000, 9)) < 0.75, gold[:, None], 1 - gold[:, None]), -1)
    for source, copies in ((3, (4, 5)), (6, (7, 8))):
        for copy in copies:
            rows = rng.random(20_000) < 0.6
            votes[rows, copy] = votes[rows, source]
    patterns, _ = patterns_of(votes)
    task = Task(canonical(patterns)[0], None, None, 0)
    alone = DawidSkene(discount_copies=True)._fit(task)
    assert [g.tolist() for g in copied_groups(patterns, alone.posterior(task.patterns))] == [[3, 4, 5], [6, 7, 8]]
    assert [i.lfs for i in joint_fit(task, alone).evidence.interactions] == [("lf_003", "lf_004", "lf_005"), ("lf_006", "lf_007", "lf_008")]


def test_the_posterior_is_naive_bayes_over_lfs_and_the_group(fitted):
    """By hand: expected counts under the posterior give the tables, the tables give the posterior back (EM has settled)."""
    _, _, task, alone, joint, _ = fitted
    patterns, posterior = task.patterns, joint.posterior(task.patterns)
    mass = patterns.counts[:, None] * posterior
    score = np.tile(np.log((1 + mass.sum(axis=0)) / (2 + mass.sum())), (len(mass), 1))
    for j in range(4):
        table = np.array([[mass[patterns.votes[:, j] == v, y].sum() + 1 + (v == y) for y in (0, 1)] for v in (0, 1)])
        log_p = alone.weight[j] * np.log(table / table.sum(axis=0))
        for v in (0, 1):
            score[patterns.votes[:, j] == v] += log_p[v]
    keys = [tuple(row) for row in patterns.votes[:, 4:]]
    seen = {key: sum(mass[i] for i in range(len(keys)) if keys[i] == key) for key in set(keys)}
    total = sum(n * (1 + 1 / n.sum()) for n in seen.values())
    for i, key in enumerate(keys):
        score[i] += np.log(seen[key] * (1 + 1 / seen[key].sum()) / total)
    by_hand = np.exp(score - score.max(axis=1, keepdims=True))
    by_hand /= by_hand.sum(axis=1, keepdims=True)
    assert np.abs(by_hand - posterior)[patterns.covered].max() < 0.02
    assert patterns.counts[patterns.covered] @ np.abs(by_hand - posterior)[patterns.covered].max(axis=1) < 1e-4 * patterns.n_entities


def test_a_joint_vote_that_was_never_seen_counts_as_the_discounted_votes(fitted):
    _, votes, _, alone, joint, _ = fitted
    seen = {tuple(row) for row in votes[:, 4:]}
    strange = next(v for v in itertools.product((-1, 0, 1), repeat=6) if v not in seen)
    row = np.array([[-1, -1, -1, -1, *strange]])
    expected = joint.evidence.log_prior + sum(alone.evidence.log_weight[4 + i][v] for i, v in enumerate(strange))
    np.testing.assert_allclose(joint.evidence.scores(row)[0], expected, atol=1e-12)


def test_the_copies_say_together_what_one_of_them_says(fitted):
    """All six copies on one side are worth little more than the copied LF alone (accuracy .6): far less than six votes."""
    _, _, _, _, joint, _ = fitted
    row = np.array([[-1] * 4 + [1] * 6])
    gap = np.diff(joint.evidence.scores(row)[0])[0]
    assert 0 < gap < 2 * np.log(0.6 / 0.4) + 3 * np.log(0.75 / 0.25)


def test_few_entities_leave_the_discount_alone():
    gold, votes = copied(2_000, 0.5, 0)
    task = Task(canonical(patterns_of(votes)[0])[0], None, None, 0)
    assert joint_fit(task, DawidSkene(discount_copies=True)._fit(task)) is None


def test_independent_lfs_are_not_grouped():
    gold, votes = copied(20_000, 0.0, 0)
    task = Task(canonical(patterns_of(votes)[0])[0], None, None, 0)
    assert joint_fit(task, DawidSkene(discount_copies=True)._fit(task)) is None


@pytest.mark.parametrize(("rho", "least"), [(0.0, 0.848), (0.5, 0.80), (0.8, 0.795)])
def test_accuracy_under_copies(rho, least):
    """Mean of three worlds of 20,000 rows, told nothing; the discount alone gets .850 / .796 / .792."""
    found = []
    for seed in range(3):
        gold, votes = copied(20_000, rho, seed)
        patterns, inverse = patterns_of(votes)
        found.append(accuracy(label_model("auto").fit(patterns).predict(patterns)[inverse], gold, (votes >= 0).any(axis=1)))
    assert np.mean(found) >= least


def test_order_of_lfs_and_rows_changes_nothing():
    gold, votes = copied(20_000, 0.8, 1)
    rng = np.random.default_rng(0)
    columns, rows = rng.permutation(10), rng.permutation(len(votes))
    from groundswell.label_models import VotePatterns

    names = [f"lf_{j}" for j in range(10)]
    plain, first = VotePatterns.from_matrix(votes, names, ("no", "yes"))
    other, second = VotePatterns.from_matrix(votes[rows][:, columns], [names[j] for j in columns], ("no", "yes"))
    p = label_model("auto").fit(plain).predict(plain)[first]
    q = label_model("auto").fit(other).predict(other)[second]
    assert np.array_equal(p[rows], q)
