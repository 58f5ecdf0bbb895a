"""Triplets: populations they must return exactly, raw moments as the paper has them, and where they mislead."""

import numpy as np
import pytest

from groundswell.errors import LabelModelError
from groundswell.label_models import VotePatterns, label_model
from groundswell.label_models.flying_squid import separations

from .simulated import accuracy, class_names, names, one_sided, patterns_of, random_votes
from .test_class_balance import TABLES, population

MANY = 10**12


@pytest.mark.parametrize("aggregate", ["median", "mean"])
def test_tables_of_two_classes_come_back(aggregate):
    model = label_model("flying_squid", aggregate=aggregate).fit(population(TABLES, [0.7, 0.3]), class_balance=[0.7, 0.3])
    assert model.params_ == pytest.approx(TABLES, abs=1e-9)
    seen = VotePatterns(np.array([[0, 1, -1], [-1, -1, -1]]), np.ones(2, int), names(3), class_names(2))
    assert model.predict(seen)[:, 1] == pytest.approx([0.17647, 0.3], abs=5e-6)
    assert model.warnings_ == []


def test_raw_moments_of_the_paper():
    """a_i = E[vote_i Y]: E[vote_i vote_j] = a_i a_j gives them back, and accuracies (cov + a) / 2 / cov with abstentions."""
    assert separations(np.array([[1, 0.48, 0.32], [0.48, 1, 0.24], [0.32, 0.24, 1]]), MANY, "median") == pytest.approx([0.8, 0.6, 0.4])
    coverage, right = np.array([0.5, 0.8, 1.0]), np.array([0.9, 0.8, 0.7])
    a = coverage * (2 * right - 1)
    assert a == pytest.approx([0.4, 0.48, 0.4])
    found = separations(np.outer(a, a), MANY, "mean")
    assert (1 + found / coverage) / 2 == pytest.approx(right)


def test_raw_moments_are_off_where_errors_are_not_symmetric():
    """Why covariances are used: on the worked example, E[vote_i Y] of the paper's form is .4345 .2324 .4948, not .43 .23 .50."""
    patterns = population(TABLES, [0.7, 0.3])
    code = np.array([-1.0, 1.0, 0.0])[patterns.votes]
    raw = code.T @ (patterns.counts[:, None] * code) / patterns.n_entities
    assert separations(raw, MANY, "median") == pytest.approx([0.4345, 0.2324, 0.4948], abs=5e-5)
    params = label_model("flying_squid").fit(patterns, class_balance=[0.7, 0.3]).params_
    right_less_wrong = [(p[0, 0] - p[0, 1]) * 0.7 + (p[1, 1] - p[1, 0]) * 0.3 for p in params]
    assert right_less_wrong == pytest.approx([0.43, 0.23, 0.50])


def test_a_copy_looks_excellent_and_the_good_lf_poor():
    """Accuracies .8 .7 .7, the third repeating the second at correlation .9 given the class: (.251, .957, .957), not (.6, .4, .4)."""
    moments = np.array([[1, 0.24, 0.24], [0.24, 1, 0.16 + 0.9 * (1 - 0.16)], [0.24, 0.916, 1]])
    assert separations(moments, MANY, "median") == pytest.approx([0.251, 0.957, 0.957], abs=5e-4)


def test_separations_against_loops():
    rng = np.random.default_rng(0)
    votes = rng.normal(size=(500, 7)) + rng.normal(size=(500, 1))
    c, n = np.cov(votes, rowvar=False), 500
    for aggregate in ("median", "mean"):
        for i in range(7):
            triplets = [
                (abs(c[i, j] * c[i, k] / c[j, k]), abs(c[j, k]))
                for j in range(7) for k in range(j + 1, 7)
                if i not in (j, k) and abs(c[j, k]) > 3 * np.sqrt(c[j, j] * c[k, k] / n)
            ]  # fmt: skip
            ratio, weight = np.array(triplets).T
            expected = np.median(ratio) if aggregate == "median" else (ratio * weight).sum() / weight.sum()
            assert separations(c, n, aggregate)[i] == pytest.approx(np.sqrt(expected))


def test_tables_of_simulated_votes_are_near_the_truth():
    rng = np.random.default_rng(1)
    gold = (rng.random(40_000) < 0.4).astype(int)
    quality = rng.uniform(0.6, 0.9, 10)
    votes = np.where(rng.random((40_000, 10)) < quality, gold[:, None], 1 - gold[:, None])
    votes = np.where(rng.random(votes.shape) < 0.5, votes, -1)
    patterns, inverse = patterns_of(votes)
    model = label_model("flying_squid").fit(patterns)
    assert model.class_balance_[1] == pytest.approx(gold.mean(), abs=0.03)
    assert model.params_[:, 1, 1] / (1 - model.params_[:, 1, 2]) == pytest.approx(quality, abs=0.04)
    em = label_model("dawid_skene").fit(patterns)
    covered = (votes >= 0).any(axis=1)
    scores = [accuracy(m.predict(patterns)[inverse], gold, covered) for m in (model, em)]
    assert scores[0] > scores[1] - 0.003


def test_three_classes_are_one_against_the_rest():
    gold, votes = random_votes(np.random.default_rng(2), 20_000, 8, 3, coverage=0.6, accuracy=0.7)
    patterns, inverse = patterns_of(votes, 3)
    model = label_model("flying_squid").fit(patterns)
    covered = (votes >= 0).any(axis=1)
    majority = label_model("majority").fit(patterns).predict(patterns)[inverse]
    assert any(w.startswith("LM223") for w in model.warnings_)
    assert accuracy(model.predict(patterns)[inverse], gold, covered) > accuracy(majority, gold, covered) - 0.005
    assert model.params_[:, range(3), range(3)] == pytest.approx(np.full((8, 3), 0.42), abs=0.03)


def test_abstention_of_one_sided_lfs_can_count():
    gold, votes, right, wrong = one_sided(50_000, 0)
    patterns, _ = patterns_of(votes)
    without, counted = (label_model("flying_squid", abstain=a).fit(patterns, class_balance=[0.9, 0.1]) for a in ("missing", "auto"))
    assert not without.evidence().log_weight[:, 2].any() and counted.evidence().log_weight[:, 2].any()
    assert counted.params_[range(3), 1, 1] == pytest.approx(right[:3], abs=0.05)
    assert counted.params_[range(3), 0, 1] == pytest.approx(wrong[:3], abs=0.01)


def test_votes_that_do_not_vary_together_are_majority_vote():
    rng = np.random.default_rng(3)
    patterns, _ = patterns_of(rng.integers(-1, 2, (400, 4)))
    model = label_model("flying_squid").fit(patterns)
    assert model.chosen_ == "majority" and any("vary together" in w for w in model.warnings_)


def test_an_lf_of_noise_is_named_and_weighs_little():
    gold, votes = random_votes(np.random.default_rng(4), 5000, 3, 2, coverage=0.9, accuracy=0.8)
    rng = np.random.default_rng(5)
    constant = np.where(rng.random(5000) < 0.5, 1, -1)
    patterns, _ = patterns_of(np.column_stack([votes, constant]))
    model = label_model("flying_squid").fit(patterns, class_balance=[0.5, 0.5])
    weight = model.evidence().log_weight[3, 1]
    assert abs(weight[1] - weight[0]) < 0.2
    assert model.params_[:3, 1, 1] == pytest.approx(np.full(3, 0.72), abs=0.04)


def test_lfs_without_triplets_are_named():
    """Three LFs vote on the first half of the entities, two independent coins on the rest."""
    rng = np.random.default_rng(6)
    gold, votes = random_votes(rng, 4000, 3, 2, coverage=0.9, accuracy=0.8)
    votes[:, 2] = rng.integers(0, 2, 4000)
    patterns, _ = patterns_of(np.column_stack([votes, rng.integers(0, 2, 4000)]))
    model = label_model("flying_squid").fit(patterns, class_balance=[0.5, 0.5])
    assert any(w.startswith(("LM224", "LM213")) for w in model.warnings_)
    assert not np.isnan(model.predict(patterns)).any()


@pytest.mark.parametrize(("options", "says"), [(dict(aggregate="medain"), 'did you mean "median"'), (dict(abstain="none"), "abstain cannot be")])
def test_options_that_cannot_be_are_refused(options, says):
    with pytest.raises(LabelModelError) as caught:
        label_model("flying_squid", **options).fit(patterns_of(random_votes(np.random.default_rng(0), 50, 3, 2)[1])[0])
    assert caught.value.code == "LM107" and says in str(caught.value)
