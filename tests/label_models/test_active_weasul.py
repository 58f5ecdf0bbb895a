"""Active WeaSuL: the worked example, the gradient, and the published artificial data."""

import itertools

import numpy as np
import pytest

from groundswell.errors import LabelModelError
from groundswell.label_models import VotePatterns, answer_divergence, label_model
from groundswell.label_models.active_weasul import Problem
from groundswell.label_models.moments import moments, vote_events

LFS = ("lf1", "lf2", "lf3")
TABLES = np.array([[[0.5, 0.1, 0.4], [0.1, 0.6, 0.3]], [[0.4, 0.2, 0.4], [0.2, 0.5, 0.3]], [[0.6, 0.1, 0.3], [0.2, 0.7, 0.1]]])
PI = np.array([0.7, 0.3])


def population() -> VotePatterns:
    """Every pattern of three independent LFs, as often as TABLES and PI say among 10^12 entities."""
    votes = np.array(list(itertools.product((0, 1, 2), repeat=3)))
    p = sum(PI[y] * np.prod([TABLES[j, y, votes[:, j]] for j in range(3)], axis=0) for y in (0, 1))
    return VotePatterns(np.where(votes == 2, -1, votes), np.round(p * 1e12).astype(np.int64), LFS, ("no", "yes"))


def problem(patterns, answers=None, groups=()):
    events = vote_events(patterns, groups)
    return Problem.of(patterns, events, moments(events, patterns.counts), PI, answers)


def test_the_solution_and_the_weight_of_the_worked_example():
    found = problem(population())
    np.testing.assert_allclose(found.start * np.sign(found.start[1]), [-0.35196, 1.02133, -0.11006, 0.45163, 0, 1.49079], atol=2e-5)
    assert found.curvature() == pytest.approx(13.5578, abs=1e-3)
    np.testing.assert_allclose(found.tables(found.start)[:, 1], [0.1, 0.6, 0.2, 0.5, 0.2, 0.7], atol=1e-6)
    np.testing.assert_allclose(found.tables(found.start)[:, 0], [0.5, 0.1, 0.4, 0.2, 0.6, 0.1], atol=1e-6)


def test_without_answers_it_is_the_inverse_form():
    patterns = population()
    p, q = (label_model(*m[:1], **m[1]).fit(patterns, class_balance=PI).predict(patterns) for m in (("active_weasul", {}), ("metal", {"form": "inverse"})))
    np.testing.assert_allclose(p, q, atol=1e-6)


@pytest.mark.parametrize("groups", [(), ((1, 2),)])
def test_the_gradient_is_that_of_the_loss(groups):
    rng = np.random.default_rng(0)
    patterns = population()
    answers = np.zeros((len(patterns.counts), 2))
    answers[[3, 3, 7, 12, 20], [0, 1, 1, 0, 1]] += [1, 2, 1, 3, 1]
    found = problem(patterns, answers, groups)
    z = found.start + 0.1 * rng.standard_normal(len(found.start))
    slope = found.loss(z, 5.0)[1]
    step = 1e-6
    numeric = [(found.loss(z + step * e, 5.0)[0] - found.loss(z - step * e, 5.0)[0]) / (2 * step) for e in np.eye(len(z))]
    np.testing.assert_allclose(slope, numeric, rtol=1e-4, atol=1e-4)


def test_the_penalty_by_hand():
    """p and answers of three patterns: k_1 (p - 1)^2 + k_0 p^2, added up."""
    patterns = population()
    answers = np.zeros((len(patterns.counts), 2))
    answers[0], answers[5], answers[9] = (2, 0), (1, 1), (0, 3)
    found = problem(patterns, answers)
    p = label_model("active_weasul").fit(patterns, class_balance=PI).predict(patterns)[:, 1]
    by_hand = 2 * p[0] ** 2 + (p[5] - 1) ** 2 + p[5] ** 2 + 3 * (p[9] - 1) ** 2
    gained = found.loss(found.start, 1.0)[0] - found.loss(found.start, 0.0)[0]
    assert gained == pytest.approx(by_hand, rel=1e-3)


def artificial(n: int, seed: int) -> tuple[np.ndarray, np.ndarray]:
    """Labels (n,) and votes (n, 3) of the published artificial data: two clouds, three thresholds, LFs 2 and 3 on one coordinate."""
    rng = np.random.default_rng(seed)
    y = rng.integers(0, 2, n)
    x = np.array([[0.1, 1.3], [-0.8, -0.5]])[y] + 0.5 * rng.standard_normal((n, 2))
    return y, np.stack([x[:, 1] < 0.4, x[:, 0] < -0.3, x[:, 0] < -1], axis=1).astype(int)


def curve(seed: int, n_answers: int) -> list[float]:
    """Accuracy on 3,000 other rows before the first answer and after each, maxKL choosing the pattern."""
    y, votes = artificial(10_000, seed)
    truth, others = artificial(3_000, seed + 1000)
    patterns, inverse = VotePatterns.from_matrix(votes, LFS, ("0", "1"))
    seen, where = VotePatterns.from_matrix(others, LFS, ("0", "1"))
    answers, rng, before, found = np.zeros((len(patterns.counts), 2), int), np.random.default_rng(seed), None, []
    for _ in range(n_answers + 1):
        model = label_model("active_weasul", dependencies=[("similar", "lf2", "lf3")])
        model.fit(patterns, class_balance=[0.5, 0.5], answers=answers if answers.any() else None)
        p = model.predict(patterns)
        before = p if before is None else before
        found.append(float((model.predict(seen)[where].argmax(axis=1) == truth).mean()))
        bucket = int(np.argmax(answer_divergence(p, before, answers)))
        answers[bucket, y[rng.choice(np.flatnonzero(inverse == bucket))]] += 1
    return found


def test_a_few_answers_reach_the_best_of_the_artificial_data():
    """Ten seeds. Published: .81 -> .96 in four answers, from a random start; ours starts at the solution without answers (.93)."""
    mean = np.mean([curve(seed, 6) for seed in range(10)], axis=0)
    assert mean[4] > mean[0] + 0.01 and mean[6] > 0.95


def test_votes_alone_get_less():
    """What majority vote and EM make of the same votes: the answers are worth .06 and more."""
    y, votes = artificial(10_000, 0)
    patterns, inverse = VotePatterns.from_matrix(votes, LFS, ("0", "1"))
    for method in ("majority", "dawid_skene", "auto"):
        p = label_model(method).fit(patterns, class_balance=[0.5, 0.5]).predict(patterns)
        assert ((p[inverse].argmax(axis=1)) == y).mean() < 0.93


def test_answers_of_more_classes_bend_em():
    rng = np.random.default_rng(0)
    gold = rng.integers(0, 3, 3000)
    votes = np.where(rng.random((3000, 4)) < 0.6, np.where(rng.random((3000, 4)) < 0.7, gold[:, None], rng.integers(0, 3, (3000, 4))), -1)
    patterns, _ = VotePatterns.from_matrix(votes, ("a", "b", "c", "d"), ("x", "y", "z"))
    before = label_model("active_weasul").fit(patterns).predict(patterns)
    bucket = int(np.argmax(patterns.counts * (before[:, 0] > 0.5)))
    answers = np.zeros(before.shape, int)
    answers[bucket, 2] = 5
    after = label_model("active_weasul").fit(patterns, answers=answers).predict(patterns)
    assert after[bucket, 2] > before[bucket, 2]


@pytest.mark.parametrize("alpha", [0, -1])
def test_an_impossible_weight_is_refused(alpha):
    with pytest.raises(LabelModelError) as error:
        label_model("active_weasul", alpha=alpha).fit(population())
    assert error.value.code == "LM107"
