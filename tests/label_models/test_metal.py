"""Matrix completion: populations it must return exactly, Snorkel's converged answer, and what second moments cannot tell."""

from itertools import product

import numpy as np
import pytest

from groundswell.errors import LabelModelError
from groundswell.label_models import VotePatterns, label_model
from groundswell.label_models.inverse_moments import independent_events, rank_one
from groundswell.label_models.metal import direct_tables
from groundswell.label_models.moments import moments, one_hot, second_moments, vote_events

from .simulated import accuracy, class_names, copied, names, one_sided, patterns_of, random_votes
from .test_class_balance import TABLES, population

PI = [0.7, 0.3]
SIMULATED = 7


def ladder():
    """Gold (4000,) and votes of six LFs with accuracies .55 to .9, coverage .5."""
    rng = np.random.default_rng(SIMULATED)
    gold, quality = rng.integers(0, 2, 4000), np.linspace(0.55, 0.9, 6)
    votes = np.where(rng.random((4000, 6)) < quality, gold[:, None], 1 - gold[:, None])
    return gold, np.where(rng.random((4000, 6)) < 0.5, votes, -1)


def worked():
    return population(TABLES, PI)


def test_moments_of_the_worked_example():
    patterns = worked()
    found = moments(vote_events(patterns), patterns.counts)
    assert found.mean == pytest.approx([0.38, 0.25, 0.34, 0.29, 0.48, 0.28], abs=1e-9)
    assert found.second[:2, 2:4] == pytest.approx(np.array([[0.146, 0.085], [0.064, 0.104]]), abs=1e-9)
    assert not found.second[[0, 2, 4], [1, 3, 5]].any()


@pytest.mark.parametrize("form", ["direct", "inverse"])
def test_the_worked_example_comes_back(form):
    model = label_model("metal", form=form).fit(worked(), class_balance=PI)
    assert model.params_ == pytest.approx(TABLES, abs=1e-8)
    assert model.warnings_ == [] and model.converged_
    seen = VotePatterns(np.array([[0, 1, -1], [-1, -1, -1]]), np.ones(2, int), names(3), class_names(2))
    assert model.predict(seen)[:, 1] == pytest.approx([0.17647, 0.3], abs=5e-6)
    mass = sum(TABLES[:, y, y] * PI[y] for y in (0, 1)) / (1 - TABLES[:, :, 2] @ PI)
    assert mass == pytest.approx([0.84127, 0.68254, 0.82895], abs=5e-6)


def test_the_inverse_covariance_of_the_worked_example_has_rank_one_off_its_blocks():
    patterns = worked()
    events = vote_events(patterns)
    sigma = moments(events, patterns.counts).covariance
    spread = np.sqrt(np.diag(sigma))
    z = rank_one(-np.linalg.inv(sigma / np.outer(spread, spread)), events.foreign) / spread
    assert np.abs(z) == pytest.approx([0.35196, 1.02133, 0.11006, 0.45163, 0, 1.49079], abs=1e-5)
    assert np.sign(z[1]) * z == pytest.approx([-0.35196, 1.02133, -0.11006, 0.45163, 0, 1.49079], abs=1e-5)
    assert (1 + z @ sigma @ z) / 0.21 == pytest.approx(10.2030, abs=5e-5)


@pytest.mark.parametrize("form", ["direct", "inverse"])
def test_lfs_that_always_vote_are_no_trouble(form):
    """Their indicators sum to one, so that the covariance is singular."""
    tables = TABLES.copy()
    tables[0] = [[0.9, 0.1, 0.0], [0.3, 0.7, 0.0]]
    tables[1] = [[0.8, 0.2, 0.0], [0.1, 0.9, 0.0]]
    model = label_model("metal", form=form).fit(population(tables, PI), class_balance=PI)
    assert model.params_ == pytest.approx(tables, abs=1e-6)


def dependent_population():
    """Four LFs; the fourth repeats the first on half of the entities: (patterns, p(vote_0, vote_3 | y) float (2, 3, 3), abstain last)."""
    first, own = TABLES[0], np.array([[0.3, 0.3, 0.4], [0.3, 0.3, 0.4]])
    joint = np.array([[[first[y, a] * (0.5 * (a == b) + 0.5 * own[y, b]) for b in range(3)] for a in range(3)] for y in range(2)])
    votes = np.array(list(product(range(-1, 2), repeat=4)))
    p = sum(PI[y] * TABLES[1][y, votes[:, 1]] * TABLES[2][y, votes[:, 2]] * joint[y, votes[:, 0], votes[:, 3]] for y in range(2))
    return VotePatterns(votes, np.round(p * 1e12).astype(int), names(4), class_names(2)), joint


@pytest.mark.parametrize("form", ["inverse", "direct"])
def test_known_dependencies_are_modelled_together(form):
    patterns, joint = dependent_population()
    given = [("similar", "lf_000", "lf_003")]
    model = label_model("metal", form=form, dependencies=given).fit(patterns, class_balance=PI)
    blind = label_model("metal").fit(patterns, class_balance=PI)
    assert model.params_[:3] == pytest.approx(TABLES, abs=1e-5)
    assert np.abs(blind.params_[:3] - TABLES).max() > 0.05
    both = VotePatterns(np.array([[1, -1, -1, 1]]), np.array([1]), names(4), class_names(2))
    expected = np.array(PI) * joint[:, 1, 1]
    assert model.predict(both)[0] == pytest.approx(expected / expected.sum(), abs=1e-5)
    (interaction,) = model.evidence().interactions
    assert interaction.lfs == ("lf_000", "lf_003")


def test_three_dependent_lfs_are_one_source():
    rng = np.random.default_rng(0)
    gold, votes = random_votes(rng, 5000, 6, 2, coverage=0.7, accuracy=0.75)
    for lf in (4, 5):
        repeats = rng.random(5000) < 0.8
        votes[repeats, lf] = votes[repeats, 3]
    patterns, inverse = patterns_of(votes)
    covered = (votes >= 0).any(axis=1)
    given = [("similar", "lf_003", "lf_004"), ("similar", "lf_004", "lf_005")]
    told, blind = (label_model("metal", dependencies=d).fit(patterns, class_balance=[0.5, 0.5]) for d in (given, []))
    assert [i.lfs for i in told.evidence().interactions] == [("lf_003", "lf_004", "lf_005")]
    scores = [accuracy(m.predict(patterns)[inverse], gold, covered) for m in (told, blind)]
    assert scores[0] > scores[1] + 0.03


def test_snorkel_trained_to_convergence_gives_the_same_answer():
    """snorkel 0.10: LabelModel(cardinality=2).fit(votes, class_balance=[.5, .5], n_epochs=20000, lr=.01, seed=0), then
    get_weights() and predict_proba(votes)[:6, 1]; after its default 100 epochs the weights are still off by .03."""
    _, votes = ladder()
    patterns, inverse = patterns_of(votes)
    model = label_model("metal").fit(patterns, class_balance=[0.5, 0.5])
    right = (model.params_[:, 0, 0] + model.params_[:, 1, 1]) / 2 / (votes >= 0).mean(axis=0)
    assert right == pytest.approx([0.54267, 0.58621, 0.68142, 0.73368, 0.82197, 0.91305], abs=2e-5)
    assert model.predict(patterns)[inverse][:6, 1] == pytest.approx([0.31468, 0.92123, 0.87207, 0.92742, 0.8668, 0.41021], abs=3e-5)


def test_a_rotation_of_three_classes_has_the_same_second_moments():
    """Why EM refines more than two classes: another table, the same pairwise moments."""
    rng, pi = np.random.default_rng(0), np.array([0.5, 0.2, 0.3])
    mu = rng.dirichlet(np.full(4, 4.0), (4, 3))[:, :, :3].transpose(0, 2, 1).reshape(12, 3)
    axis, turn = np.sqrt(pi), 0.1
    cross = np.array([[0, -axis[2], axis[1]], [axis[2], 0, -axis[0]], [-axis[1], axis[0], 0]])
    rotation = np.eye(3) + np.sin(turn) * cross + (1 - np.cos(turn)) * cross @ cross
    other = mu * np.sqrt(pi) @ rotation / np.sqrt(pi)
    assert np.abs(other - mu).max() > 0.02
    assert (mu * pi) @ mu.T == pytest.approx((other * pi) @ other.T, abs=1e-12)
    assert mu @ pi == pytest.approx(other @ pi, abs=1e-12)


def test_three_classes_are_refined_by_em():
    gold, votes = random_votes(np.random.default_rng(3), 20_000, 6, 3, coverage=0.7, accuracy=0.7)
    patterns, inverse = patterns_of(votes, 3)
    model = label_model("metal").fit(patterns)
    assert any(w.startswith("LM220") for w in model.warnings_)
    assert model.params_[:, range(3), range(3)] == pytest.approx(np.full((6, 3), 0.7), abs=0.03)
    em = label_model("dawid_skene").fit(patterns)
    assert model.predict(patterns) == pytest.approx(em.predict(patterns), abs=0.01)


def test_second_moments_agree_dense_and_sparse():
    rng = np.random.default_rng(1)
    for coverage in (0.05, 0.9):
        _, votes = random_votes(rng, 9000, 7, 3, coverage)
        counts = rng.integers(1, 50, 9000)
        x = np.stack([votes[:, j] == v for j in range(7) for v in range(3)], axis=1).astype(int)
        assert np.array_equal(second_moments(one_hot(votes, 3), counts), x.T @ (counts[:, None] * x))


def test_events_of_joint_votes_are_products():
    votes = random_votes(np.random.default_rng(2), 200, 4, 2)[1]
    patterns, _ = patterns_of(votes)
    events = vote_events(patterns, [[1, 3]])
    for column, what in zip(events.columns.toarray().T, events.what):
        assert np.array_equal(column, np.prod([patterns.votes[:, j] == v for j, v in what], axis=0))
    assert len(events.what) == 8 + 4 and set(events.source) == {0, 1, 2}


def test_linear_combinations_within_a_source_are_left_out():
    always = np.where(np.random.default_rng(0).random((500, 3)) < 0.5, 0, 1)
    patterns, _ = patterns_of(always)
    events = vote_events(patterns)
    sigma = moments(events, patterns.counts).covariance
    assert len(independent_events(sigma, events.source)) == 3


def test_copies_told_as_dependencies_cost_less():
    gold, votes = copied(10_000, 0.5, 0)
    patterns, inverse = patterns_of(votes)
    covered = (votes >= 0).any(axis=1)
    given = [("similar", "lf_004", lf) for lf in names(10)[5:]]
    told, blind = (accuracy(label_model("metal", dependencies=d).fit(patterns, class_balance=[0.5, 0.5]).predict(patterns)[inverse], gold, covered) for d in (given, []))
    assert told > blind + 0.1


def test_exact_copies_in_different_sources_are_reported():
    votes = random_votes(np.random.default_rng(5), 2000, 5, 2)[1]
    votes[:, 4] = votes[:, 3]
    model = label_model("metal", form="inverse").fit(patterns_of(votes)[0])
    assert any(w.startswith("LM222") for w in model.warnings_)
    assert not np.isnan(model.predict(patterns_of(votes)[0])).any()


def test_the_gradient_leads_to_a_minimum():
    patterns, _ = patterns_of(ladder()[1])
    events = vote_events(patterns)
    found = moments(events, patterns.counts)
    solved, pi = direct_tables(events, found, np.array([0.5, 0.5])), np.array([0.5, 0.5])

    def error(mu):
        return (np.where(events.foreign, (mu * pi) @ mu.T - found.second, 0) ** 2).sum() + ((mu @ pi - found.mean) ** 2).sum()

    rng = np.random.default_rng(0)
    assert error(solved.tables) == pytest.approx(-solved.objective, rel=1e-6)
    assert all(error(np.clip(solved.tables + rng.normal(0, 1e-3, solved.tables.shape), 0, 1)) > error(solved.tables) for _ in range(20))


def test_one_sided_votes_and_a_known_balance():
    gold, votes, *_ = one_sided(20_000, 0)
    patterns, inverse = patterns_of(votes)
    p = label_model("metal").fit(patterns, class_balance=[0.9, 0.1]).predict(patterns)[inverse]
    covered = (votes >= 0).any(axis=1)
    majority = label_model("majority").fit(patterns).predict(patterns)[inverse]
    assert accuracy(p, gold, covered) >= accuracy(majority, gold, covered)


@pytest.mark.parametrize(
    ("options", "k", "says"),
    [
        (dict(form="invers"), 2, 'did you mean "inverse"'),
        (dict(form="inverse"), 3, "need two classes"),
        (dict(dependencies=[("similar", "lf_000", "lf_001")]), 3, "need two classes"),
        (dict(dependencies=[("similar", a, b) for a, b in zip(names(9), names(9)[1:])]), 2, "join 9 LFs"),
        (dict(l2=-1.0), 2, "cannot be negative"),
    ],
)
def test_options_that_cannot_be_are_refused(options, k, says):
    with pytest.raises(LabelModelError) as caught:
        label_model("metal", **options).fit(patterns_of(random_votes(np.random.default_rng(0), 50, 9, k)[1], k)[0])
    assert caught.value.code == "LM107" and says in str(caught.value)
