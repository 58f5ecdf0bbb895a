"""EM on patterns: an example worked by hand, a row-level brute force, and what the objective must do."""

import numpy as np
import pytest
from .simulated import class_names, names, one_sided, patterns_of, random_votes

from groundswell.errors import LabelModelError
from groundswell.label_models.one_hot import one_hot
from groundswell.label_models import VotePatterns, label_model, majority_posterior
from groundswell.label_models.dawid_skene import treats_abstain_as_value
from groundswell.label_models.em import Parameters, PatternEM, Smoothing, best_permutation

A = -1
WORKED = VotePatterns(
    np.array([(1, 1, 1), (1, 1, 0), (1, 0, 1), (0, 0, 0), (0, 0, 1), (0, 1, 0), (1, A, A), (A, A, A)]),
    np.array([30, 8, 4, 40, 6, 2, 5, 5]),
    ("L1", "L2", "L3"),
    ("n", "p"),
)
FLAT = dict(abstain="missing", smoothing=1.0, smoothing_right=1.0, prior_smoothing=1.0)


def brute_force(rows, k, value, smoothing, iterations):
    """Row-level EM, written from the equations: one Python loop per sum."""
    n, m = rows.shape
    r = np.array([[(row == y).sum() for y in range(k)] for row in rows], float)
    r = (r == r.max(axis=1, keepdims=True)) / (r == r.max(axis=1, keepdims=True)).sum(axis=1, keepdims=True)
    for _ in range(iterations):
        pi = (1 + r.sum(axis=0)) / (k + n)
        theta = np.zeros((m, k, k + 1))
        for j in range(m):
            for y in range(k):
                for v in range(k + 1 if value[j] else k):
                    pseudo = smoothing[1] if v == y else smoothing[0]
                    theta[j, y, v] = pseudo + r[rows[:, j] == (v if v < k else A), y].sum()
                theta[j, y] /= theta[j, y].sum()
        for i, row in enumerate(rows):
            p = pi.copy()
            for j, v in enumerate(row):
                if v != A or value[j]:
                    p *= theta[j, :, v]
            r[i] = p / p.sum()
    return pi, theta, r


def worked_em():
    covered = WORKED.covered
    return PatternEM(
        one_hot(WORKED.votes[covered], 2), WORKED.counts[covered], 2, value=np.zeros(3, bool), smoothing=Smoothing(1, 1, 1)
    )


def test_worked_majority_vote():
    assert majority_posterior(WORKED)[:, 1].tolist() == [1, 1, 1, 0, 0, 0, 1, 0.5]


def test_worked_one_m_step_from_majority_vote():
    em = worked_em()
    parameters = em.maximise(majority_posterior(WORKED)[:7])
    assert parameters.pi == pytest.approx([0.5052, 0.4948], abs=5e-5)
    assert parameters.theta[:, :, :2] == pytest.approx(
        np.array([[[0.98, 0.02], [0.0204, 0.9796]], [[0.94, 0.06], [0.1136, 0.8864]], [[0.86, 0.14], [0.2045, 0.7955]]]),
        abs=5e-5,
    )
    posterior, _ = em.expect(parameters)
    assert posterior[[1, 2, 5], 1] == pytest.approx([0.9941, 0.9706, 0.0669], abs=5e-5)


def test_worked_converged():
    model = label_model("dawid_skene", **FLAT).fit(WORKED)
    assert model.converged_ and model.n_iterations_ <= 20
    assert model.class_balance_ == pytest.approx([0.5057, 0.4943], abs=5e-5)
    assert model.params_[0, :, :2] == pytest.approx(np.array([[0.9725, 0.0275], [0.0270, 0.9730]]), abs=5e-5)
    assert np.isnan(model.params_[:, :, 2]).all()
    p = model.predict(WORKED)[:, 1]
    assert p[:7] == pytest.approx([0.9997, 0.9922, 0.9586, 0.0008, 0.0179, 0.0914, 0.9719], abs=5e-5)
    assert p[7] == model.class_balance_[1]


def test_worked_log_likelihood_and_that_it_falls_while_the_objective_rises():
    em, covered = worked_em(), WORKED.covered
    n = WORKED.counts[covered]
    first = em.maximise(majority_posterior(WORKED)[covered])
    outcome = em.run(majority_posterior(WORKED)[covered], tolerance=1e-8, max_iterations=1000)

    def likelihood(parameters):
        return (n * np.logaddexp.reduce(em.log_joint(parameters), axis=1)).sum()

    assert likelihood(outcome.parameters) == pytest.approx(-128.103, abs=5e-4)
    assert likelihood(first) == pytest.approx(-127.62, abs=5e-3)
    assert np.all(np.diff(outcome.trace) >= 0)


def test_worked_abstention_as_evidence():
    """With every LF `value` the all-abstain pattern scores P(1) = .998; the prediction stays the class balance."""
    model = label_model("dawid_skene", **{**FLAT, "abstain": "value"}).fit(WORKED)
    assert model.evidence().posterior(WORKED.votes)[7, 1] == pytest.approx(0.998, abs=5e-4)
    assert model.predict(WORKED)[7] == pytest.approx(model.class_balance_)


@pytest.mark.parametrize(("k", "value"), [(2, [0, 0, 0, 0]), (2, [1, 1, 1, 1]), (3, [1, 0, 1, 0]), (5, [0, 0, 0, 1])])
def test_patterns_equal_rows(k, value):
    rng = np.random.default_rng(k)
    _, rows = random_votes(rng, 300, 4, k)
    value = np.array(value, bool)
    rows = rows if value.any() else rows[(rows != A).any(axis=1)]
    patterns, inverse = patterns_of(rows, k)
    em = PatternEM(patterns.events, patterns.counts, k, value=value)
    outcome = em.run(majority_posterior(patterns), tolerance=0.0, max_iterations=8)
    pi, theta, r = brute_force(rows, k, value, (1.0, 2.0), 8)
    assert outcome.parameters.pi == pytest.approx(pi, abs=1e-10)
    assert outcome.parameters.theta == pytest.approx(theta, abs=1e-10)
    assert em.expect(outcome.parameters)[0][inverse] == pytest.approx(r, abs=1e-10)


@pytest.mark.parametrize("one_coin", [False, True])
@pytest.mark.parametrize("k", [2, 4])
@pytest.mark.parametrize("fixed", [False, True])
def test_objective_never_decreases(k, one_coin, fixed):
    rng = np.random.default_rng(7 * k)
    gold, rows = random_votes(rng, 800, 6, k, accuracy=0.55)
    patterns, inverse = patterns_of(rows, k)
    known = np.zeros((len(patterns.counts), k))
    np.add.at(known, (inverse[:100], gold[:100]), 1)
    em = PatternEM(
        patterns.events,
        patterns.counts,
        k,
        value=np.arange(6) % 2 == 0,
        one_coin=one_coin,
        weight=np.array([1, 0.3, 0.5, 1, 0.9, 0.2]),
        pi=np.arange(1, k + 1) / (k * (k + 1) / 2) if fixed else None,
        gold=known,
    )
    trace = em.run(majority_posterior(patterns), tolerance=0.0, max_iterations=60).trace
    assert len(trace) == 60 and trace[-1] > trace[0] + 1
    assert np.diff(trace).min() >= -1e-9 * abs(trace[-1])


def test_one_coin_has_one_accuracy_per_lf():
    rng = np.random.default_rng(3)
    _, rows = random_votes(rng, 20_000, 5, 4, accuracy=0.7)
    params = label_model("dawid_skene", coin="one").fit(patterns_of(rows, 4)[0]).params_
    right = params[:, np.arange(4), np.arange(4)]
    assert np.ptp(right, axis=1).max() == 0
    # 20,000 x .5 votes: standard error of an accuracy .0046, twice that for the uncertain class
    assert right[:, 0] == pytest.approx(0.7, abs=0.03)
    assert params[:, :, :4].sum(axis=2) == pytest.approx(1)


def test_auto_treatment_follows_polarity():
    patterns, _ = patterns_of(np.repeat([[1, 1, A], [0, 1, A], [A, A, A]], 50, axis=0))
    assert treats_abstain_as_value(patterns, "auto").tolist() == [False, True, False]
    assert treats_abstain_as_value(patterns, {"lf_000": "value", "lf_001": "missing"}).tolist() == [True, False, False]


def test_few_votes_of_one_class_prove_nothing_beside_lfs_of_two():
    """A crowd worker with five answers of one class is not a rule for that class; without any LF of two classes it is."""
    rows = np.full((400, 3), A)
    rows[:, 0] = np.arange(400) % 2
    rows[:5, 1], rows[100:200, 2] = 1, 1
    assert treats_abstain_as_value(patterns_of(rows)[0], "auto").tolist() == [False, False, True]
    assert treats_abstain_as_value(patterns_of(rows[:, 1:])[0], "auto").tolist() == [True, True]


def auc(score, gold):
    from scipy.stats import rankdata

    ranks, positive = rankdata(score), gold == 1
    n1, n0 = positive.sum(), (~positive).sum()
    return (ranks[positive].sum() - n1 * (n1 + 1) / 2) / (n1 * n0)


@pytest.mark.parametrize("seed", [0, 1])
def test_worked_one_sided_check(seed):
    """AUC on covered rows missing .166, majority vote .969, auto .981; rates within .003 and pi = .099.

    About 105,000 covered rows hold 16,000 positives: the standard error of an AUC near .97 is .0007, of a rate on 20,000
    positives .0035 at most, so tolerances are .004 and 3 x .0035.
    """
    gold, votes, right, wrong = one_sided(200_000, seed)
    patterns, inverse = patterns_of(votes)
    covered = (votes != A).any(axis=1)
    assert 62 <= len(patterns.counts) <= 64  # a pattern may be too rare for one sample

    def score(p):
        return auc(p[inverse][covered, 1], gold[covered])

    missing = label_model("dawid_skene", abstain="missing").fit(patterns)
    auto = label_model("dawid_skene").fit(patterns)
    assert score(majority_posterior(patterns)) == pytest.approx(0.969, abs=0.004)
    assert score(auto.predict(patterns)) == pytest.approx(0.981, abs=0.004)
    assert score(missing.predict(patterns)) < 0.5
    assert auto.class_balance_[1] == pytest.approx(0.1, abs=0.003)
    hits, alarms = auto.params_[:3, 1, 1], auto.params_[3:, 0, 0]
    assert np.concatenate([hits, alarms]) == pytest.approx(right, abs=0.0105)
    assert np.concatenate([auto.params_[:3, 0, 1], auto.params_[3:, 1, 0]]) == pytest.approx(wrong, abs=0.0105)


def test_flipped_classes_are_renamed():
    swapped = Parameters(np.array([0.3, 0.7]), np.array([[[0.2, 0.8, 0], [0.9, 0.1, 0]]] * 3))
    assert best_permutation(swapped, None).tolist() == [1, 0]
    assert best_permutation(swapped, np.array([0.5, 0.5])).tolist() == [1, 0]
    assert best_permutation(swapped, np.array([0.3, 0.7])).tolist() == [0, 1]


def test_doubling_every_row_changes_theta_only_through_smoothing():
    rng = np.random.default_rng(5)
    patterns, _ = patterns_of(random_votes(rng, 4000, 4, 2)[1])
    doubled = VotePatterns(patterns.votes, 2 * patterns.counts, patterns.lfs, patterns.classes)

    def gap(s):
        options = dict(smoothing=s, smoothing_right=s, prior_smoothing=s, tolerance=1e-12)
        once, twice = (label_model("dawid_skene", **options).fit(p).params_ for p in (patterns, doubled))
        return np.nanmax(np.abs(once - twice))

    assert gap(1e-9) < 1e-6 < gap(1.0)


def test_gold_anchors_classes_that_votes_alone_would_swap():
    """All LFs are mostly wrong; with 300 gold rows of 6,000 the tables turn the right way round."""
    rng = np.random.default_rng(2)
    gold, votes = random_votes(rng, 6000, 5, 2, accuracy=0.2)
    patterns, inverse = patterns_of(votes)
    known = np.zeros((len(patterns.counts), 2), int)
    np.add.at(known, (inverse[:300], gold[:300]), 1)
    alone = label_model("dawid_skene").fit(patterns)
    anchored = label_model("dawid_skene").fit(patterns, gold=known)
    assert alone.params_[:, 1, 1].min() > 0.7
    assert anchored.params_[:, 1, 1] == pytest.approx(0.2, abs=0.05)


def test_gold_of_every_row_gives_counted_tables():
    rng = np.random.default_rng(4)
    gold, votes = random_votes(rng, 500, 3, 2)
    patterns, inverse = patterns_of(votes)
    known = np.zeros((len(patterns.counts), 2), int)
    np.add.at(known, (inverse, gold), 1)
    params = label_model("dawid_skene", abstain="value").fit(patterns, gold=known).params_
    n = ((votes[:, 0] == 1) & (gold == 1)).sum()
    assert params[0, 1, 1] == pytest.approx((n + 2) / ((gold == 1).sum() + 4), abs=1e-12)


@pytest.mark.parametrize(
    ("options", "says"),
    [
        (dict(abstain="mising"), 'did you mean "missing"'),
        (dict(abstain={"lf_000": "values"}), 'did you mean "value"'),
        (dict(abstain={"lf_00": "value"}), "unknown LF"),
        (dict(coin="two"), "coin cannot be"),
        (dict(smoothing=0), "smoothing must be positive"),
        (dict(max_iterations=0), "max_iterations must be positive"),
    ],
)
def test_option_values_are_checked_in_fit(options, says):
    patterns, _ = patterns_of(random_votes(np.random.default_rng(0), 50, 3, 2)[1])
    with pytest.raises(LabelModelError) as caught:
        label_model("dawid_skene", **options).fit(patterns)
    assert says in str(caught.value) and caught.value.code == "LM107"


def test_a_single_pattern_is_majority_vote():
    patterns = VotePatterns(np.array([[1, 1, 0], [A, A, A]]), np.array([9, 3]), names(3), class_names(2))
    model = label_model("dawid_skene").fit(patterns)
    assert model.predict(patterns).tolist() == [[0, 1], [0.5, 0.5]]
    assert model.chosen_ == "majority" and any(w.startswith("LM213") for w in model.warnings_)


def test_em_that_is_cut_short_says_so():
    patterns, _ = patterns_of(random_votes(np.random.default_rng(0), 500, 4, 2)[1])
    model = label_model("dawid_skene", max_iterations=2).fit(patterns)
    assert not model.converged_ and model.n_iterations_ == 2
    assert any(w.startswith("LM210") for w in model.warnings_)
