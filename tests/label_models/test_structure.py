"""Detectors of dependencies against populations with known ones, loops, and the failures they are known to have."""

import warnings
from itertools import product

import numpy as np
import pytest

from groundswell.errors import GroundswellWarning, LabelModelError
from groundswell.label_models import VotePatterns, label_model, learned_accuracy
from groundswell.label_models.copies import residual_correlation
from groundswell.label_models.factors import SYMMETRIC
from groundswell.label_models.pseudolikelihood import _oriented, _Pseudolikelihood, pair_weights
from groundswell.label_models.sparse_low_rank import decompose, objective
from groundswell.label_models.structure import MOST_ENTITIES, _sampled, dependencies, factor_values, vote_correlation

from .simulated import class_names, names, patterns_of, random_votes
from .test_factor_graph import SIGN, brute_force, phi, population


def similar_population():
    """Four LFs, accuracy weights (1, .9, .8, .8), propensities -.4, the last two similar with .7."""
    return population(brute_force([1, 0.9, 0.8, 0.8], [-0.4] * 4, [("similar", 2, 3, 0.7)]))


def copied_population(accuracies, rate=0.9, source=1):
    """Patterns of two classes, LFs that always vote, and a copy of LF `source` at `rate` that is as accurate on its own."""
    votes, p = copied_joint(accuracies, rate, source)
    return VotePatterns(votes, np.round(p.sum(axis=1) * 1e12).astype(int), names(votes.shape[1]), class_names(2))


def copied_joint(accuracies, rate, source):
    """(votes (2^m, m), p(votes, y) (2^m, 2))."""
    m = len(accuracies) + 1
    votes = np.array(list(product(range(2), repeat=m)))
    p = np.zeros((len(votes), 2))
    for y in range(2):
        alone = np.where(votes[:, :-1] == y, accuracies, 1 - np.array(accuracies)).prod(axis=1)
        own = np.where(votes[:, -1] == y, accuracies[source], 1 - accuracies[source])
        p[:, y] = 0.5 * alone * (rate * (votes[:, -1] == votes[:, source]) + (1 - rate) * own)
    return votes, p


def with_copies(seed=0, n=20_000):
    """Votes of ten LFs: 3 repeats 2 on .6 of the entities, 7 repeats 6 on .5."""
    rng = np.random.default_rng(seed)
    gold, votes = random_votes(rng, n, 10, 2, coverage=0.8, accuracy=0.75)
    for copy, source, rate in ((3, 2, 0.6), (7, 6, 0.5)):
        repeats = rng.random(n) < rate
        votes[repeats, copy] = votes[repeats, source]
    return gold, votes


def pairs(found):
    return [(d.lf_j, d.lf_k) for d in found]


@pytest.mark.parametrize(("penalty", "weight"), [(0.0, 0.700), (0.005, 0.669), (0.02, 0.576)])
def test_pseudolikelihood_of_the_worked_example(penalty, weight):
    u = pair_weights(similar_population(), ["similar"], penalty, tolerance=1e-13)["similar"]
    assert u[2, 3] == u[3, 2] == pytest.approx(weight, abs=6e-4)
    u[2, 3] = u[3, 2] = 0
    assert np.abs(u).max() < 1e-3


def test_pseudolikelihood_tells_types_and_directions():
    patterns = population(brute_force([1, 0.9, 0.8, 0.8], [-0.4] * 4, [("fixing", 2, 3, 0.9)]))
    found = dependencies(patterns, "pseudolikelihood", types=["similar", "fixing", "reinforcing"], penalty=0.005)
    assert (found[0].type, found[0].lf_j, found[0].lf_k) == ("fixing", "lf_002", "lf_003") and found[0].weight > 0.5
    assert all(set(pair) == {"lf_002", "lf_003"} for pair in pairs(found))


def test_pseudolikelihood_against_loops():
    """Value by Python sums over the states of one LF; gradient by differences."""
    rng = np.random.default_rng(0)
    votes = rng.integers(-1, 2, (30, 3))
    patterns = VotePatterns(votes, rng.integers(1, 9, 30), names(3), class_names(2))
    problem = _Pseudolikelihood(patterns, np.stack([_oriented("similar", True, 2), _oriented("fixing", False, 2)]), 0.01)
    at, j = np.abs(rng.normal(size=4 + 2 * 6)), 1
    at[[4 + 2 * j, 5 + 2 * j, 10 + 2 * j, 11 + 2 * j]] = 0  # an LF does not depend on itself
    w, b, u = at[:3], at[3], (at[4:10] - at[10:]).reshape(3, 2)
    total = 0.0
    for row, n in zip(votes, patterns.counts):
        score = {}
        for v, y in product((-1, 0, 1), (-1, 1)):
            others = [(k, SIGN[int(row[k])]) for k in range(3) if k != j]
            score[v, y] = sum(w[k] * x * y for k, x in others) + w[j] * v * y + b * (v != 0)
            score[v, y] += sum(u[k, 0] * phi("similar", v, x, y) + u[k, 1] * phi("fixing", x, v, y) for k, x in others)
        given = [score[SIGN[int(row[j])], y] for y in (-1, 1)]
        total += n * (np.logaddexp.reduce(given) - np.logaddexp.reduce(list(score.values())))
    value, gradient = problem.loss(at, j)
    assert value == pytest.approx(-total / patterns.n_entities + 0.01 * at[4:].sum(), abs=1e-9)
    for i, step in enumerate(1e-6 * np.eye(len(at))):
        assert gradient[i] == pytest.approx((problem.loss(at + step, j)[0] - problem.loss(at - step, j)[0]) / 2e-6, abs=1e-7)


def test_three_classes_have_dependencies_too():
    rng = np.random.default_rng(1)
    _, votes = random_votes(rng, 8000, 5, 3, coverage=0.7, accuracy=0.7)
    repeats = rng.random(8000) < 0.6
    votes[repeats, 4] = votes[repeats, 1]
    patterns, _ = patterns_of(votes, 3)
    for method in ("pseudolikelihood", "low_rank", "residual"):
        assert pairs(dependencies(patterns, method, at_most=1)) == [("lf_001", "lf_004")], method


@pytest.mark.parametrize("method", ["pseudolikelihood", "low_rank", "residual"])
def test_copies_are_found_and_nothing_else(method):
    patterns, _ = patterns_of(with_copies()[1])
    found = dependencies(patterns, method)
    assert pairs(found) == [("lf_002", "lf_003"), ("lf_006", "lf_007")]
    assert all(d.method == method and d.type == "similar" and d.support > 10_000 for d in found)


@pytest.mark.parametrize("method", ["duplicates", "pseudolikelihood", "residual"])
def test_independent_lfs_have_none(method):
    patterns, _ = patterns_of(random_votes(np.random.default_rng(3), 20_000, 8, 2)[1])
    assert dependencies(patterns, method) == []


def test_low_rank_says_when_nothing_stands_out():
    patterns, _ = patterns_of(random_votes(np.random.default_rng(4), 20_000, 8, 2, coverage=0.8)[1])
    with pytest.warns(GroundswellWarning, match="LM226"):
        assert dependencies(patterns, "low_rank") == []


def test_the_residual_of_worked_copies():
    """Six LFs: the copies become the class and hide; seven: they are found. Accuracies as learned by EM."""
    options = dict(smoothing=1e-9, smoothing_right=1e-9, prior_smoothing=1e-9, tolerance=1e-14, max_iterations=100_000)
    for accuracies, learned, residual, others in (
        ([0.8, 0.7, 0.75, 0.7, 0.75], [0.628, 0.978, 0.607, 0.586, 0.607, 0.978], 0.007, 0.26),
        ([0.9, 0.7, 0.85, 0.8, 0.85, 0.8], [0.894, 0.723, 0.846, 0.797, 0.846, 0.797, 0.723], 0.895, 0.06),
    ):
        patterns = copied_population(accuracies)
        posterior = label_model("dawid_skene", **options).fit(patterns).predict(patterns)
        assert learned_accuracy(patterns, posterior) == pytest.approx(learned, abs=6e-4)
        found, last = residual_correlation(patterns, posterior), len(accuracies)
        assert found[1, last] == pytest.approx(residual, abs=6e-4)
        found[1, last] = found[last, 1] = 0
        assert np.abs(found - np.diag(np.diag(found))).max() <= others + 6e-4


def test_the_correlation_of_a_copy_given_the_class():
    patterns = copied_population([0.8, 0.7])
    _, p = copied_joint([0.8, 0.7], 0.9, 1)
    residual = residual_correlation(patterns, p / p.sum(axis=1, keepdims=True))
    assert residual[1, 2] == pytest.approx(0.9, abs=1e-6) and residual[0, 1:] == pytest.approx([0, 0], abs=1e-6)


def test_a_copy_merged_gives_the_vote_to_the_better_lf():
    """Votes (+, -, -) of accuracies .8 .7 .7: naive .4235, the copy merged .6316."""
    odds = lambda a: a / (1 - a)  # noqa: E731
    naive, merged = odds(0.8) / odds(0.7) ** 2, odds(0.8) / odds(0.7)
    votes = VotePatterns(np.array([[1, 0, 0]]), np.array([1]), names(3), class_names(2))
    told = dict(zip(names(3), (0.8, 0.7, 0.7)))
    assert label_model("weighted", accuracies=told).fit(votes).predict(votes)[0, 1] == pytest.approx(0.4235, abs=5e-5) == pytest.approx(naive / (1 + naive), abs=1e-4)
    assert merged / (1 + merged) == pytest.approx(0.6316, abs=5e-5)


def test_duplicates_need_support_and_several_classes_or_a_common_firing_set():
    rng = np.random.default_rng(5)
    gold, votes = random_votes(rng, 5000, 4, 2, coverage=0.6, accuracy=0.8)
    copy = np.where(rng.random(5000) < 0.5, votes[:, 0], -1)  # says the same where it votes
    one_sided = np.where(rng.random((5000, 2)) < 0.3, 1, -1)  # cannot disagree, fire apart
    same_firing = np.where(rng.random(5000) < 0.99, one_sided[:, 0], -1)
    patterns, _ = patterns_of(np.column_stack([votes, copy, one_sided, same_firing]))
    found = dependencies(patterns, "duplicates")
    assert sorted(pairs(found)) == [("lf_000", "lf_004"), ("lf_005", "lf_007")]
    by_pair = {(d.lf_j, d.lf_k): d for d in found}
    assert by_pair["lf_000", "lf_004"].weight == 1 and by_pair["lf_000", "lf_004"].evidence == pytest.approx(0.5, abs=0.03)
    few = VotePatterns(patterns.votes[:20], np.ones(20, int), patterns.lfs, patterns.classes)
    assert dependencies(few, "duplicates") == []


WORKED = [  # votes of LF j and LF k (-1, 0 = abstain, 1), class, entities
    (1, -1, -1, 12), (1, -1, 1, 3), (1, 0, 1, 40), (1, 0, -1, 6), (0, 0, -1, 20), (0, -1, -1, 5), (0, 0, 1, 14),
]  # fmt: skip


@pytest.mark.parametrize(("kind", "value"), [("fixing", 7), ("reinforcing", -5), ("priority", 9), ("bolstering", -15), ("negated", 9)])
def test_factor_values_of_the_worked_example(kind, value):
    index = {-1: 0, 1: 1, 0: -1}
    votes = np.array([[index[j], index[k]] for j, k, _, _ in WORKED])
    counts = np.array([n for *_, n in WORKED])
    gold = np.zeros((len(WORKED), 2), int)
    gold[np.arange(len(WORKED)), [index[y] for _, _, y, _ in WORKED]] = counts
    patterns = VotePatterns(votes, counts, ("worth", "not worth"), ("negative", "positive"))
    assert factor_values(patterns, gold, kind)[0, 1] == value
    with warnings.catch_warnings():
        warnings.filterwarnings("ignore", message="LM225")  # 15 common votes
        found = dependencies(patterns, "gold", types=[kind], gold=gold)
    named = [d for d in found if (d.lf_j, d.lf_k) == (("not worth", "worth") if kind in SYMMETRIC else ("worth", "not worth"))]
    assert [d.weight for d in named] == ([value] if value > 0 else [])


def test_sparse_and_low_rank_minimise_the_objective():
    rng = np.random.default_rng(6)
    sigma = vote_correlation(patterns_of(with_copies()[1])[0], 0)
    found = decompose(sigma, 0.1, 0.3, tolerance=1e-9)
    assert found.converged and np.linalg.eigvalsh(found.low_rank)[0] > -1e-9
    assert np.linalg.eigvalsh(found.sparse - found.low_rank)[0] > 0
    for _ in range(50):
        shift = rng.normal(0, 1e-3, sigma.shape)
        root = np.linalg.cholesky(found.low_rank + 1e-9 * np.eye(10)) + rng.normal(0, 1e-3, sigma.shape)
        sparse = found.sparse + (shift + shift.T) * (rng.random(sigma.shape) < 0.5)
        sparse = (sparse + sparse.T) / 2
        assert objective(sparse, root @ root.T, sigma, 0.1, 0.3) > found.objective - 1e-9
    everything = decompose(sigma, 0.1, 1e-8)
    assert everything.sparse == pytest.approx(np.linalg.inv(sigma), abs=1e-3) and np.abs(everything.low_rank).max() < 1e-6


def test_correlation_of_coded_votes():
    _, votes = with_copies(n=500)
    patterns, _ = patterns_of(votes)
    expected = np.corrcoef(np.array([-1.0, 1.0, 0.0])[votes], rowvar=False)
    assert vote_correlation(patterns, 0) == pytest.approx(expected)


def test_order_and_seed():
    _, votes = with_copies(n=6000)
    columns = np.random.default_rng(0).permutation(10)
    a, _ = patterns_of(votes)
    b = VotePatterns(votes[:, columns], np.ones(6000, int), tuple(names(10)[j] for j in columns), class_names(2))
    for method in ("duplicates", "residual", "pseudolikelihood", "low_rank"):
        assert dependencies(a, method, seed=3) == dependencies(b, method, seed=3)


def test_many_entities_are_sampled_alike_for_a_seed():
    patterns, _ = patterns_of(random_votes(np.random.default_rng(9), 30_000, 12, 2)[1])
    a, b, other = _sampled(patterns, 1), _sampled(patterns, 1), _sampled(patterns, 2)
    assert a.n_entities == MOST_ENTITIES and np.array_equal(a.counts, b.counts) and np.array_equal(a.votes, b.votes)
    assert not np.array_equal(a.votes[:5000], other.votes[:5000])


def test_degenerate_votes_have_no_dependencies():
    rng = np.random.default_rng(7)
    for votes in (np.zeros((0, 3), int), np.full((9, 3), -1), np.full((9, 3), 1), rng.integers(-1, 2, (50, 1))):
        for method in ("duplicates", "residual", "pseudolikelihood", "low_rank"):
            assert dependencies(patterns_of(votes)[0], method) == []


def test_few_common_votes_are_uncertain():
    votes = np.where(np.random.default_rng(8).random((60, 1)) < 0.5, 0, 1).repeat(3, axis=1)
    with pytest.warns(GroundswellWarning, match="LM225"):
        assert len(dependencies(patterns_of(votes)[0], "duplicates")) == 3


def test_exact_copies_are_singular():
    _, votes = with_copies()
    votes[:, 9] = votes[:, 8]
    with pytest.warns(GroundswellWarning, match="LM222"):
        found = dependencies(patterns_of(votes)[0], "low_rank")
    assert pairs(found)[0] == ("lf_008", "lf_009")


@pytest.mark.parametrize(
    ("options", "says"),
    [
        (dict(method="duplicate"), 'did you mean "duplicates"'),
        (dict(method="pseudolikelihood", types=["similr"]), 'did you mean "similar"'),
        (dict(method="gold"), "needs gold"),
        (dict(method="low_rank", gamma=-1), "negative"),
        (dict(threshold=-0.1), "negative"),
    ],
)
def test_options_that_cannot_be_are_refused(options, says):
    with pytest.raises(LabelModelError) as caught:
        dependencies(patterns_of(with_copies(n=100)[1])[0], **options)
    assert caught.value.code == "LM107" and says in str(caught.value)
