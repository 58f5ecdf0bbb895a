"""The factor graph against scalar definitions of its factors, full enumeration, and weights that made the votes."""

from itertools import product

import numpy as np
import pytest

from groundswell.errors import LabelModelError
from groundswell.label_models import VotePatterns, label_model
from groundswell.label_models.factor_likelihood import Data, ExactNormalizer, Factor, Graph, Likelihood
from groundswell.label_models.factors import (
    DEPENDENCIES,
    Dependency,
    accuracy_table,
    class_propensity_tables,
    dependency_table,
    propensity_table,
    read_dependencies,
)

from .simulated import accuracy, class_names, names, one_sided, patterns_of, random_votes

SIGN = {0: -1, 1: 1, 2: 0, -1: 0}


def phi(kind, vote_j, vote_k, y):
    """The factors as the papers list them: votes -1, 0 (abstain), +1; y -1 or +1."""
    if kind == "similar":
        return int(vote_j == vote_k)
    if kind == "exclusive":
        return -int(vote_j != 0 and vote_k != 0)
    if kind == "fixing":
        return 1 if vote_j == -y and vote_k == y else -1 if vote_j == 0 and vote_k != 0 else 0
    if kind == "reinforcing":
        return 1 if vote_j == vote_k == y else -1 if vote_j == 0 and vote_k != 0 else 0
    if kind == "priority":
        return 1 if vote_j == -y and vote_k == y else -1 if vote_j == y and vote_k == -y else 0
    if kind == "bolstering":
        if vote_j == vote_k == y:
            return 1
        return -1 if (vote_j == vote_k == -y) or (vote_j == -vote_k != 0) else 0
    if vote_j == -y and vote_k == y:  # negated
        return 1
    return -1 if (vote_j == y and vote_k == -y) or vote_j == vote_k != 0 else 0


def graph_of(accuracies, propensities, dependencies=(), class_propensities=(), k=2):
    """(Graph, weights) with dependencies (type, j, k, weight)."""
    factors, weights = [], []
    for j, (a, b) in enumerate(zip(accuracies, propensities)):
        factors += [Factor("accuracy", (j,), accuracy_table(k), 0, None), Factor("propensity", (j,), propensity_table(k), 0, None)]
        weights += [a, b]
    for j, c in enumerate(class_propensities):
        factors.append(Factor("class_propensity", (j,), class_propensity_tables(2)[0], 0, None))
        weights.append(c)
    for kind, a, b, w in dependencies:
        factors.append(Factor(kind, (a, b), dependency_table(kind, k), 0, None))
        weights.append(w)
    return Graph(len(accuracies), k, factors), np.array(weights, float)


def all_votes(m, k=2):
    return np.array(list(product(range(-1, k), repeat=m)))


def brute_force(accuracies, propensities, dependencies, class_propensities=()):
    """exp(w . phi) of every joint vote and class, float (3^m, 2), one Python sum per cell."""
    table = []
    for votes in all_votes(len(accuracies)):
        v = [SIGN[int(x)] for x in votes]
        row = []
        for y in (-1, 1):
            total = sum(a * x * y for a, x in zip(accuracies, v)) + sum(b for b, x in zip(propensities, v) if x)
            total += sum(c * y for c, x in zip(class_propensities, v) if x)
            row.append(np.exp(total + sum(w * phi(kind, v[a], v[b], y) for kind, a, b, w in dependencies)))
        table.append(row)
    return np.array(table)


@pytest.mark.parametrize("kind", DEPENDENCIES)
def test_tables_follow_the_definitions(kind):
    table = dependency_table(kind, 2)
    for v, u, y in product(range(3), range(3), range(2)):
        assert table[v, u, y] == phi(kind, SIGN[v], SIGN[u], SIGN[y]), (v, u, y)


def test_more_classes_read_the_opposite_as_any_other_class():
    table = dependency_table("fixing", 4)
    assert table[2, 1, 1] == 1 and table[3, 1, 1] == 1 and table[1, 1, 1] == 0 and table[2, 1, 0] == 0
    assert (table[4, :4] == -1).all() and not table[4, 4].any()
    assert dependency_table("negated", 3)[0, 1].tolist() == [-1, 1, 0]


def test_worked_example_of_two_lfs():
    """Accuracy (1, .5), propensity (-.5, -.2), the second LF fixes the first with .8."""
    graph, weights = graph_of([1.0, 0.5], [-0.5, -0.2], [("fixing", 0, 1, 0.8)])
    log_z, _ = ExactNormalizer(graph)(graph.scores(weights))
    assert np.exp(log_z).sum() == pytest.approx(15.053814, abs=5e-7)
    votes = np.array([(0, 1), (1, 0), (-1, 1), (1, 1), (-1, -1)])
    score = graph.events(votes) @ graph.scores(weights)
    argument = score[:, 1] - score[:, 0]
    assert argument == pytest.approx([-0.2, 0.2, 1.0, 3.0, 0.0])
    assert 1 / (1 + np.exp(-argument)) == pytest.approx([0.450166, 0.549834, 0.731059, 0.952574, 0.5], abs=5e-7)


def test_independent_lfs_have_a_closed_form():
    graph, weights = graph_of([1.0, 0.5], [-0.5, -0.2])
    log_z, _ = ExactNormalizer(graph)(graph.scores(weights))
    assert log_z == pytest.approx([1.05496 + 1.04607] * 2, abs=1e-5)
    log_p = graph.events(all_votes(2)) @ graph.scores(weights) - log_z + np.log(0.5)
    p = np.exp(log_p).sum(axis=1)
    assert p.sum() == pytest.approx(1, abs=1e-12)
    assert -np.log(p[all_votes(2).tolist().index([0, 1])]) == pytest.approx(2.68091, abs=5e-6)


FIVE = dict(
    accuracies=[1.0, 0.8, 0.6, 0.9, 0.7],
    propensities=[-0.5, -0.2, 0.1, -0.3, -0.4],
    dependencies=[("fixing", 0, 1, 0.8), ("priority", 3, 4, 0.4), ("reinforcing", 2, 1, 0.5)],
)
GIVEN = [(kind, names(5)[a], names(5)[b]) for kind, a, b, _ in FIVE["dependencies"]]


def population(table, pi=(0.5, 0.5), n=10**12):
    """Patterns in the proportions of p(votes, y) = pi_y table[votes, y] / sum."""
    p = (table / table.sum(axis=0) * pi).sum(axis=1)
    votes = all_votes(round(np.log(len(table)) / np.log(3)))
    return VotePatterns(votes, np.round(p * n).astype(int), names(votes.shape[1]), class_names(2))


def test_components_normalise_as_full_enumeration_does():
    """Components {0, 1, 2} and {3, 4} against 2 * 3^5 states."""
    graph, weights = graph_of(**FIVE)
    log_z, expected = ExactNormalizer(graph)(graph.scores(weights))
    table = brute_force(**FIVE)
    assert [lfs for lfs, _ in graph.components] == [[0, 1, 2], [3, 4]]
    assert np.exp(log_z) == pytest.approx(table.sum(axis=0), rel=1e-9)
    assert expected == pytest.approx(graph.events(all_votes(5)).T @ (table / table.sum(axis=0)), abs=1e-12)


def test_thirteen_weights_come_back_from_population_patterns():
    patterns = population(brute_force(**FIVE))
    model = label_model("factor_graph", dependencies=GIVEN, regularization=0.0, tolerance=0.0).fit(patterns, class_balance=[0.5, 0.5])
    _, weights = graph_of(**FIVE)
    assert len(weights) == 13 and list(model.weights_.values()) == pytest.approx(weights, abs=1e-6)
    table = brute_force(**FIVE)
    assert model.predict(patterns)[1:] == pytest.approx((table / table.sum(axis=1, keepdims=True))[1:], abs=1e-6)


def test_class_balance_and_class_propensity_come_back_too():
    world = FIVE | dict(class_propensities=[0.3, -0.2, 0.0, 0.5, -0.4])
    patterns = population(brute_force(**world), pi=(0.3, 0.7))
    model = label_model("factor_graph", dependencies=GIVEN, class_propensity=True, regularization=0.0, tolerance=0.0).fit(patterns)
    found = model.weights_
    assert model.class_balance_ == pytest.approx([0.3, 0.7], abs=1e-4)
    assert [found["class_propensity", lf] for lf in names(5)] == pytest.approx(world["class_propensities"], abs=1e-3)
    assert [found[key] for key in GIVEN] == pytest.approx([0.8, 0.4, 0.5], abs=1e-3)


def test_tables_are_the_margins_of_the_joint_distribution():
    patterns = population(brute_force(**FIVE))
    model = label_model("factor_graph", dependencies=GIVEN, regularization=0.0, tolerance=0.0).fit(patterns, class_balance=[0.5, 0.5])
    p, votes = brute_force(**FIVE), all_votes(5)
    p /= p.sum(axis=0)
    for j, y, v in product(range(5), range(2), (0, 1, -1)):
        assert model.params_[j, y, v] == pytest.approx(p[votes[:, j] == v, y].sum(), abs=1e-6)


def test_three_classes_come_back():
    k = 3
    graph, weights = graph_of([1.5, 2.0, 1.0, 1.2], [-0.5, 0.2, -1.0, 0.0], [("bolstering", 0, 1, 0.6), ("fixing", 2, 3, 0.9)], k=k)
    votes = all_votes(4, k)
    log_z, _ = ExactNormalizer(graph)(graph.scores(weights))
    p = np.exp(graph.events(votes) @ graph.scores(weights) - log_z) @ [0.2, 0.3, 0.5]
    patterns = VotePatterns(votes, np.round(p * 1e12).astype(int), names(4), class_names(k))
    given = [("bolstering", "lf_000", "lf_001"), ("fixing", "lf_002", "lf_003")]
    model = label_model("factor_graph", dependencies=given, regularization=0.0, tolerance=0.0).fit(patterns)
    assert model.class_balance_ == pytest.approx([0.2, 0.3, 0.5], abs=1e-3)
    assert list(model.weights_.values()) == pytest.approx(weights, abs=5e-3)


def test_the_gradient_is_the_slope():
    rng = np.random.default_rng(3)
    graph, weights = graph_of(**FIVE)
    votes = rng.integers(-1, 2, (40, 5))
    gold = np.zeros((40, 2))
    gold[:10, 1] = 0.01
    likelihood = Likelihood(graph, Data(graph.events(votes), np.full(40, 1 / 40) - gold.sum(axis=1), gold, 400.0), None, 0.05)
    at, normalizer = np.append(weights, 0.4), ExactNormalizer(graph)
    _, gradient = likelihood.negative(at, normalizer)
    for f in range(len(at)):
        step = np.zeros(len(at))
        step[f] = 1e-5
        slope = (likelihood.negative(at + step, normalizer)[0] - likelihood.negative(at - step, normalizer)[0]) / 2e-5
        assert gradient[f] == pytest.approx(slope, abs=1e-7)


def test_gibbs_chains_agree_with_enumeration():
    """max_states=9 sends the component of three LFs (27 states) to the chains; reported errors are below .01 and bounds are five of them."""
    patterns = population(brute_force(**FIVE), pi=(0.4, 0.6))
    options = dict(dependencies=GIVEN, regularization=0.0)
    exact = label_model("factor_graph", **options).fit(patterns, class_balance=[0.4, 0.6])
    sampled = label_model("factor_graph", max_states=9, **options).fit(patterns, class_balance=[0.4, 0.6], seed=5)
    warning = next(w for w in sampled.warnings_ if w.startswith("LM219"))
    assert "3 dependent LFs" in warning and "standard errors of up to 0.0" in warning
    assert list(sampled.weights_.values()) == pytest.approx(list(exact.weights_.values()), abs=0.05)
    assert sampled.predict(patterns) == pytest.approx(exact.predict(patterns), abs=0.02)
    assert sampled.params_ == pytest.approx(exact.params_, abs=0.05)


def test_copies_of_one_lf_are_sampled_as_they_are_enumerated():
    """Eight LFs repeat a ninth: 3^10 states. Unsaid, the group is taken for the class; said, three good LFs count again."""
    rng = np.random.default_rng(1)
    gold, votes = random_votes(rng, 3000, 12, 2, coverage=0.6, accuracy=0.75)
    for lf in range(1, 9):
        copies = rng.random(3000) < 0.7
        votes[copies, lf] = votes[copies, 0]
    patterns, inverse = patterns_of(votes)
    given = [("similar", "lf_000", lf) for lf in names(12)[1:9]] + [("fixing", "lf_009", "lf_008")]

    def fitted(**options):
        return label_model("factor_graph", **options).fit(patterns, class_balance=[0.5, 0.5], seed=3)

    plain, exact, sampled, again = fitted(), fitted(dependencies=given), *[fitted(dependencies=given, max_states=6561, steps=150, chains=500) for _ in "ab"]
    assert not exact.warnings_ and any(w.startswith("LM219: 10") for w in sampled.warnings_)
    assert sampled.predict(patterns) == pytest.approx(exact.predict(patterns), abs=0.15)
    assert np.abs(sampled.predict(patterns) - exact.predict(patterns)).mean() < 0.02
    assert plain.weights_["accuracy", "lf_010"] < plain.weights_["accuracy", "lf_001"] - 0.5
    assert exact.weights_["accuracy", "lf_010"] > exact.weights_["accuracy", "lf_001"] - 0.2
    assert sampled.weights_ == again.weights_ and np.array_equal(sampled.predict(patterns), again.predict(patterns))


def test_scores_are_single_votes_plus_what_groups_say_together():
    patterns = population(brute_force(**FIVE))
    evidence = label_model("factor_graph", dependencies=GIVEN).fit(patterns, class_balance=[0.5, 0.5]).evidence()
    votes = patterns.aligned(evidence.lfs)
    assert [set(i.lfs) for i in evidence.interactions] == [{"lf_000", "lf_001"}, {"lf_001", "lf_002"}, {"lf_003", "lf_004"}]
    expected = evidence.log_prior + sum(evidence.log_weight[j][votes[:, j]] for j in range(5))
    for interaction in evidence.interactions:
        a, b = (evidence.lfs.index(lf) for lf in interaction.lfs)
        expected = expected + interaction.log_weight[votes[:, a], votes[:, b]]
    assert evidence.scores(votes) == pytest.approx(expected)
    assert any(np.abs(i.log_weight).max() > 0.1 for i in evidence.interactions)


def test_interactions_follow_the_order_of_lfs():
    patterns = population(brute_force(**FIVE))
    columns = [3, 0, 4, 2, 1]
    other = VotePatterns(patterns.votes[:, columns], patterns.counts, tuple(names(5)[j] for j in columns), patterns.classes)
    a, b = (label_model("factor_graph", dependencies=GIVEN).fit(p) for p in (patterns, other))
    assert np.array_equal(a.predict(patterns), b.predict(other)) and np.array_equal(a.predict(other), b.predict(other))
    assert a.weights_ == b.weights_


def test_dependencies_nobody_shows_are_left_out():
    votes = random_votes(np.random.default_rng(0), 400, 5, 2)[1]
    votes[(votes[:, 0] >= 0), 1] = -1
    votes[:, 4] = -1
    given = [("bolstering", "lf_000", "lf_001"), ["similar", "lf_002", "lf_004"], ("fixing", "lf_002", "lf_003")]
    model = label_model("factor_graph", dependencies=given).fit(patterns_of(votes)[0])
    left_out = next(w for w in model.warnings_ if w.startswith("LM216"))
    assert "bolstering lf_000 lf_001, similar lf_002 lf_004" in left_out and "fixing" not in left_out
    assert [key for key in model.weights_ if key[0] in DEPENDENCIES] == [("fixing", "lf_002", "lf_003")]


def test_lfs_of_one_class_only_do_not_tell_the_class_balance():
    votes = np.where(random_votes(np.random.default_rng(0), 500, 4, 2)[1] == 1, 1, -1)
    model = label_model("factor_graph").fit(patterns_of(votes)[0])
    assert any(w.startswith("LM218") and "class_01" in w for w in model.warnings_)
    assert model.class_balance_.tolist() == [0.5, 0.5]
    given = label_model("factor_graph").fit(patterns_of(votes)[0], class_balance=[0.7, 0.3])
    assert not any(w.startswith("LM218") for w in given.warnings_)


def test_one_sided_rates_come_back():
    gold, votes, right, wrong = one_sided(100_000, 0)
    model = label_model("factor_graph", regularization=0.0).fit(patterns_of(votes)[0])
    assert model.class_balance_[1] == pytest.approx(0.1, abs=0.02)
    assert model.params_[range(3), 1, 1] == pytest.approx(right[:3], abs=0.03)
    assert model.params_[range(3), 0, 1] == pytest.approx(wrong[:3], abs=0.01)


def test_an_lf_nobody_contradicts_stays_finite():
    votes = np.repeat([[0, 0, 0], [1, 1, 1], [0, 0, -1], [1, -1, 1]], 200, axis=0)
    model = label_model("factor_graph", regularization=0.0).fit(patterns_of(votes)[0])
    assert max(abs(w) for w in model.weights_.values()) <= 10
    assert any(w.startswith("LM217") for w in model.warnings_)
    assert not np.isnan(model.predict(patterns_of(votes)[0])).any()


def test_lfs_that_are_wrong_on_average_are_kept_at_chance():
    """Gold on a few rows turns accuracies negative; they stop at chance, with a warning."""
    gold, votes = random_votes(np.random.default_rng(2), 3000, 4, 2, accuracy=0.15)
    patterns, inverse = patterns_of(votes)
    known = np.zeros((len(patterns.counts), 2), int)
    np.add.at(known, (inverse[:1500], gold[:1500]), 1)
    model = label_model("factor_graph").fit(patterns, gold=known)
    assert any(w.startswith("LM221") for w in model.warnings_)
    assert min(w for key, w in model.weights_.items() if key[0] == "accuracy") >= 0


def test_gold_of_every_row_gives_the_counted_accuracy():
    gold, votes = random_votes(np.random.default_rng(4), 5000, 3, 2, accuracy=0.8)
    patterns, inverse = patterns_of(votes)
    known = np.zeros((len(patterns.counts), 2), int)
    np.add.at(known, (inverse, gold), 1)
    model = label_model("factor_graph", regularization=0.0, tolerance=0.0).fit(patterns, gold=known)
    for j, lf in enumerate(names(3)):
        fires = votes[:, j] >= 0
        counted = (votes[fires, j] == gold[fires]).mean()
        assert 1 / (1 + np.exp(-2 * model.weights_["accuracy", lf])) == pytest.approx(counted, abs=1e-5)


@pytest.mark.parametrize(
    ("options", "says"),
    [
        (dict(dependencies=[("fixin", "lf_000", "lf_001")]), 'did you mean "fixing"'),
        (dict(dependencies=[("fixing", "lf_000", "lf_01")]), "unknown LF"),
        (dict(dependencies=[("fixing", "lf_000", "lf_000")]), "itself"),
        (dict(dependencies=[("similar", "lf_000", "lf_001"), ("similar", "lf_001", "lf_000")]), "twice"),
        (dict(dependencies=[("lf_000", "lf_001")]), "(type, lf_j, lf_k)"),
        (dict(dependencies="fixing"), "a list"),
        (dict(regularization=-1), "negative"),
        (dict(steps=3), "steps must be at least 20"),
    ],
)
def test_options_that_cannot_be_are_refused(options, says):
    with pytest.raises(LabelModelError) as caught:
        label_model("factor_graph", **options).fit(patterns_of(random_votes(np.random.default_rng(0), 50, 3, 2)[1])[0])
    assert caught.value.code == "LM107" and says in str(caught.value)


def test_dependencies_may_be_objects():
    found = read_dependencies([Dependency("similar", "b", "a", weight=2.0)], ("a", "b"))
    assert (found[0].lf_j, found[0].lf_k) == ("a", "b")


def test_weights_ask_for_a_fit():
    with pytest.raises(LabelModelError) as caught:
        label_model("factor_graph").weights_  # noqa: B018
    assert caught.value.code == "LM109"
