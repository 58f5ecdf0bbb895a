"""Estimates from drawn rows: unbiased by enumeration, intervals that cover, probabilities that are kept."""

import itertools

import numpy as np
import pytest

from groundswell.end_models.live import RANDOM, Estimate, Reviewed, answered_probability, estimates, horvitz_thompson, inclusion_probabilities

CLASSES = ("no", "yes")


def population(n: int, rate: float = 0.1, seed: int = 0):
    """True classes, probabilities of an imperfect model, and those of another one, silent on a third."""
    r = np.random.default_rng(seed)
    y = (r.random(n) < rate).astype(int)
    logit = np.log(rate / (1 - rate)) + 2.2 * (y - rate) + r.normal(0, 1.0, n)
    q = 1 / (1 + np.exp(-logit))
    other = 1 / (1 + np.exp(-(logit + r.normal(0, 1.0, n))))
    other[r.random(n) < 1 / 3] = np.nan
    return y, np.stack([1 - q, q], 1), np.stack([1 - other, other], 1)


def truth(y, p) -> dict[str, float]:
    c = p.argmax(1)
    tp = (y * c).sum()
    return {"accuracy": (y == c).mean(), "precision": tp / c.sum(), "recall": tp / y.sum(), "f1": 2 * tp / (c.sum() + y.sum()), "positive_rate": y.mean()}


def test_totals_are_unbiased_over_every_sample_there_is():
    """All 2**10 samples of ten rows, each with its probability."""
    r = np.random.default_rng(1)
    y, pi = r.normal(size=10), r.uniform(0.1, 0.9, 10)
    mean = 0.0
    for drawn in itertools.product([False, True], repeat=10):
        drawn = np.array(drawn)
        mean += np.where(drawn, pi, 1 - pi).prod() * horvitz_thompson(y[drawn], pi[drawn])
    assert mean == pytest.approx(y.sum(), abs=1e-12)


def test_probabilities_sum_to_the_number_asked_for_and_none_is_zero_or_above_one():
    _, p, other = population(5000)
    for n in (1, 20, 400, 4000, 5000, 9000):
        pi = inclusion_probabilities(n, p, other)
        assert pi.sum() == pytest.approx(min(n, 5000)) and pi.min() >= min(RANDOM * n / 5000, 1) * 0.999 and pi.max() <= 1
    assert inclusion_probabilities(20, p, None).sum() == pytest.approx(20)


def test_seldom_classes_and_disagreements_are_drawn_more_often():
    p = np.array([[0.99, 0.01]] * 97 + [[0.05, 0.95]] * 3)
    other = p.copy()
    other[:2] = [0.1, 0.9]
    pi = inclusion_probabilities(10, p, other)
    assert pi[:2].min() > 10 * pi[2:97].max() and pi[97:].min() > 2 * pi[2:97].max()
    importance = np.sqrt((p / p.mean(0)).sum(1))
    expected = 10 * (0.4 / 100 + 0.3 * importance / importance.sum())
    assert pi[5] < expected[5] * 1.2 and np.ptp(pi[2:97]) < 1e-12


def test_estimates_of_the_whole_population_are_its_metrics_without_an_interval():
    y, p, _ = population(3000)
    found = estimates(Reviewed(y, p.argmax(1), np.ones(3000), np.ones(3000)), CLASSES)
    assert {e.metric: pytest.approx(e.value) for e in found} == truth(y, p)
    assert all(e.low == e.value == e.high for e in found)


def test_a_worked_example_by_hand():
    """Four rows: two drawn with probability 1/2, two with 1/10."""
    rows = Reviewed(np.array([1, 0, 1, 0]), np.array([1, 1, 0, 0]), np.array([0.5, 0.5, 0.1, 0.1]), np.ones(4))
    found = {e.metric: e.value for e in estimates(rows, CLASSES)}
    assert found == pytest.approx({"accuracy": 12 / 24, "precision": 2 / 4, "recall": 2 / 12, "f1": 4 / 16, "positive_rate": 12 / 24})


def simulated(y, p, other, n: int, runs: int, share: float = 1.0) -> dict[str, list[Estimate]]:
    """Estimates of so many draws, of which a share of the rows is answered."""
    pi, r = inclusion_probabilities(n, p, other), np.random.default_rng(7)
    found: dict[str, list[Estimate]] = {}
    for _ in range(runs):
        drawn = r.random(len(y)) < pi
        answered = r.random(drawn.sum()) < share
        probability = answered_probability(pi[drawn], np.zeros(drawn.sum(), bool), answered)[answered]
        for e in estimates(Reviewed(y[drawn][answered], p.argmax(1)[drawn][answered], probability, np.ones(answered.sum())), CLASSES):
            found.setdefault(e.metric, []).append(e)
    return found


@pytest.mark.parametrize("n, share", [(400, 1.0), (600, 0.5)])
def test_intervals_cover_the_truth_and_values_are_right_on_average(n, share):
    """1,000 draws from 20,000 rows with one in ten positive: coverage near 95 %, bias small beside the spread."""
    y, p, other = population(20_000)
    true = truth(y, p)
    for metric, each in simulated(y, p, other, n, 1000, share).items():
        values = np.array([e.value for e in each])
        covered = np.mean([e.low <= true[metric] <= e.high for e in each])
        assert 0.92 <= covered <= 0.985, (metric, covered)
        assert abs(values.mean() - true[metric]) < 0.15 * values.std() + 3 * values.std() / 1000**0.5, metric


def test_small_reviews_are_covered_too():
    y, p, other = population(5000, 0.3)
    true = truth(y, p)
    for metric, each in simulated(y, p, other, 60, 600).items():
        assert np.mean([e.low <= true[metric] <= e.high for e in each if e.value is not None]) >= 0.91, metric


def test_the_draw_is_worth_more_than_a_random_one_where_positives_are_seldom():
    """Errors of recall and f1 beside those from as many random rows, with three rows in a hundred positive; accuracy loses nothing."""
    y, p, other = population(20_000, 0.03)
    weighted = simulated(y, p, other, 400, 400)
    r, plain = np.random.default_rng(3), {}
    for _ in range(400):
        drawn = r.random(20_000) < 400 / 20_000
        for e in estimates(Reviewed(y[drawn], p.argmax(1)[drawn], np.full(drawn.sum(), 0.02), np.ones(drawn.sum())), CLASSES):
            plain.setdefault(e.metric, []).append(e)
    true = truth(y, p)
    error = lambda found, metric: np.sqrt(np.mean([(e.value - true[metric]) ** 2 for e in found[metric]]))  # noqa: E731
    assert error(weighted, "recall") < 0.8 * error(plain, "recall") and error(weighted, "f1") < 0.8 * error(plain, "f1")
    assert error(weighted, "accuracy") < 1.05 * error(plain, "accuracy")
    assert sum(e.value is None for e in weighted["precision"]) < sum(e.value is None for e in plain["precision"]) / 3


def test_rows_known_before_are_answered_for_certain():
    found = answered_probability(np.full(6, 0.2), np.array([True, True, False, False, False, False]), np.array([True, True, True, False, False, True]))
    assert found.tolist() == pytest.approx([0.2, 0.2, 0.1, 0.1, 0.1, 0.1])


def test_what_no_row_tells_is_not_said_and_more_classes_have_names():
    rows = Reviewed(np.array([0, 0, 2]), np.array([0, 0, 0]), np.full(3, 0.5), np.ones(3))
    found = {e.metric: e for e in estimates(rows, ("a", "b", "c"))}
    assert found["precision b"].value is None and found["recall b"].low is None and found["recall c"].value == 0 and found["recall c"].high > 0.5
    assert found["positive_rate c"].value == pytest.approx(1 / 3) and len(found) == 13
