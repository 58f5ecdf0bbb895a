"""What every registered label model must do; a new model is picked up by its registration."""

import numpy as np
import pytest
from hypothesis import given, settings, strategies as st

from groundswell.errors import LabelModelError
from groundswell.label_models import VotePatterns, label_model, label_models, majority_posterior
from groundswell.label_models.trust import label_shares

from .simulated import class_names, names, one_sided, patterns_of, random_votes

MODELS = sorted(label_models())
WITHOUT_PRIOR = {"majority", "majority_soft"}
every_model = pytest.mark.parametrize("name", MODELS)


def same_bits(a, b):
    return np.array_equal(np.asarray(a), np.asarray(b), equal_nan=True)


def same_fit(a, b):
    """All fitted state equal, bit for bit."""
    return (
        same_bits(a.params_, b.params_)
        and same_bits(a.class_balance_, b.class_balance_)
        and same_bits(a.objective_, b.objective_)
        and (a.n_iterations_, a.converged_, a.chosen_) == (b.n_iterations_, b.converged_, b.chosen_)
    )


def check_posterior(posterior, shape):
    assert posterior.shape == shape and posterior.dtype == np.float64
    assert not np.isnan(posterior).any() and (posterior >= 0).all()
    assert np.abs(posterior.sum(axis=1) - 1).max(initial=0) <= 1e-12


def votes_of(seed, n=300, m=5, k=3):
    return random_votes(np.random.default_rng(seed), n, m, k)[1]


def test_the_registry_holds_the_models_of_this_package():
    assert {"auto", "dawid_skene", "factor_graph", "flying_squid", "majority", "majority_soft", "metal", "weighted"} <= set(MODELS)


@every_model
@settings(deadline=None, max_examples=6)
@given(seed=st.integers(0, 10**6), k=st.sampled_from([2, 3, 7, 20]), m=st.integers(1, 8), coverage=st.sampled_from([0.05, 0.5, 1.0]))
def test_rows_sum_to_one_for_any_votes(name, seed, k, m, coverage):
    _, votes = random_votes(np.random.default_rng(seed), 120, m, k, coverage)
    patterns, _ = patterns_of(votes, k)
    model = label_model(name).fit(patterns)
    check_posterior(model.predict(patterns), (len(patterns.counts), k))
    assert model.class_balance_.sum() == pytest.approx(1) and model.params_.shape == (m, k, k + 1)


@every_model
@settings(deadline=None, max_examples=6)
@given(seed=st.integers(0, 10**6))
def test_order_of_lfs_and_rows_changes_no_bit(name, seed):
    rng, votes = np.random.default_rng(seed), votes_of(seed)
    lfs, rows, columns = names(5), rng.permutation(300), rng.permutation(5)
    given_order = VotePatterns(votes, np.ones(300, int), lfs, class_names(3))
    shuffled = VotePatterns(votes[rows][:, columns], np.ones(300, int), tuple(lfs[j] for j in columns), class_names(3))
    a, b = label_model(name).fit(given_order), label_model(name).fit(shuffled)
    assert same_bits(a.predict(given_order)[rows], b.predict(shuffled))
    assert same_bits(a.predict(shuffled), b.predict(shuffled))
    assert same_bits(a.params_[columns], b.params_) and same_bits(a.class_balance_, b.class_balance_)
    assert same_bits(a.evidence().log_weight[columns], b.evidence().log_weight)
    assert sorted(a.warnings_) == sorted(b.warnings_)


@every_model
def test_rows_equal_patterns_times_counts(name):
    votes = votes_of(1)
    rows = VotePatterns(votes, np.ones(len(votes), int), names(5), class_names(3))
    patterns, inverse = patterns_of(votes, 3)
    a, b = label_model(name).fit(rows), label_model(name).fit(patterns)
    assert same_fit(a, b) and same_bits(a.predict(rows), b.predict(patterns)[inverse])


@every_model
def test_a_row_is_predicted_alike_alone_and_among_others(name):
    patterns, _ = patterns_of(votes_of(2), 3)
    model = label_model(name).fit(patterns)
    alone = VotePatterns(patterns.votes[17:18], np.array([1]), patterns.lfs, patterns.classes)
    assert same_bits(model.predict(alone)[0], model.predict(patterns)[17])


@every_model
def test_same_seed_same_bits_and_a_second_fit_starts_from_nothing(name):
    first, other = patterns_of(votes_of(3), 3)[0], patterns_of(votes_of(4, m=4), 3)[0]
    model = label_model(name).fit(other, seed=7)
    model.fit(first, seed=7)
    assert same_fit(model, label_model(name).fit(first, seed=7))


@every_model
def test_an_lf_that_never_votes_changes_nothing_else(name):
    votes = votes_of(5)
    more = np.insert(votes, 2, -1, axis=1)
    lfs = names(5)
    silent = VotePatterns(more, np.ones(300, int), (*lfs[:2], "aaa_silent", *lfs[2:]), class_names(3))
    plain = VotePatterns(votes, np.ones(300, int), lfs, class_names(3))
    a, b = label_model(name).fit(plain), label_model(name).fit(silent)
    assert same_bits(a.predict(plain), b.predict(silent))
    assert same_bits(a.params_, np.delete(b.params_, 2, axis=0)) and np.isnan(b.params_[2]).all()
    assert a.objective_ == b.objective_ or np.isnan(a.objective_)
    assert [w for w in b.warnings_ if w not in a.warnings_] == ["LM211: LFs that never vote: aaa_silent"]


@every_model
@pytest.mark.parametrize("k", [2, 3, 20])
def test_all_abstain(name, k):
    patterns, _ = patterns_of(np.full((9, 4), -1), k)
    model = label_model(name).fit(patterns)
    assert model.predict(patterns) == pytest.approx(np.full((1, k), 1 / k))
    assert any(w.startswith("LM205") for w in model.warnings_)


@every_model
def test_no_rows_and_no_lfs(name):
    for votes in (np.zeros((0, 3), int), np.zeros((4, 0), int)):
        patterns, _ = patterns_of(votes)
        model = label_model(name).fit(patterns)
        check_posterior(model.predict(patterns), (len(patterns.counts), 2))


def degenerate(case):
    """2,000 entities, 60 % of class 0, and LFs that teach little or mislead."""
    rng = np.random.default_rng(21)
    gold = (rng.random(2000) < 0.4).astype(int)
    honest = np.where(rng.random((2000, 4)) < 0.8, gold[:, None], 1 - gold[:, None])
    return {
        "two LFs": honest[:, :2],
        "an LF and its opposite": np.column_stack([honest[:, 0], 1 - honest[:, 0], honest[:, 1:3]]),
        "an LF and its opposite alone": np.column_stack([honest[:, 0], 1 - honest[:, 0]]),
        "a constant LF": np.column_stack([honest, np.zeros(2000, int)]),
        "only constant LFs": np.tile([0, 1, 1], (2000, 1)),
        "five copies": np.repeat(honest[:, :1], 5, axis=1),
        "LFs that never meet": np.where(np.arange(2000)[:, None] % 4 == np.arange(4), honest, -1),
        "noise": rng.integers(-1, 2, (2000, 4)),
        "one class only": np.where(honest == 1, 1, -1),
    }[case]


@every_model
@pytest.mark.parametrize(
    "case",
    ["two LFs", "an LF and its opposite", "an LF and its opposite alone", "a constant LF", "only constant LFs", "five copies",
     "LFs that never meet", "noise", "one class only"],
)  # fmt: skip
def test_degenerate_votes_give_no_nan_and_no_silent_collapse(name, case):
    patterns, inverse = patterns_of(degenerate(case))
    model = label_model(name).fit(patterns)
    posterior = model.predict(patterns)
    check_posterior(posterior, (len(patterns.counts), 2))
    warned = {w[:5] for w in model.warnings_}
    for k in range(2):
        of_majority, of_model = (label_shares(patterns, p)[k] for p in (majority_posterior(patterns), posterior))
        assert of_model > 0.1 * of_majority or of_majority < 0.01 or warned & {"LM206", "LM207", "LM213"}, case


@every_model
def test_one_lf_is_believed(name):
    patterns, inverse = patterns_of(np.array([[0], [1], [1], [-1]]))
    labels = label_model(name).fit(patterns).predict(patterns)[inverse]
    assert labels[0, 0] > 0.5 and labels[1, 1] > 0.5


@every_model
def test_one_sided_lfs_order_the_classes(name):
    gold, votes, *_ = one_sided(5000, 0, positives=0.3)
    patterns, inverse = patterns_of(votes)
    p = label_model(name).fit(patterns).predict(patterns)[inverse]
    covered = (votes >= 0).any(axis=1)
    assert p[covered & (gold == 1), 1].mean() > 0.75 > 0.25 > p[covered & (gold == 0), 1].mean()


@every_model
def test_an_lf_that_always_votes(name):
    rng = np.random.default_rng(6)
    gold, votes = random_votes(rng, 3000, 5, 3, accuracy=0.8)
    votes[:, 0] = np.where(rng.random(3000) < 0.8, gold, (gold + 1) % 3)
    patterns, inverse = patterns_of(votes, 3)
    p = label_model(name).fit(patterns).predict(patterns)[inverse]
    check_posterior(p, (3000, 3))
    assert (p.argmax(axis=1) == gold).mean() > 0.8


@every_model
def test_a_duplicated_lf_is_named(name):
    _, votes = random_votes(np.random.default_rng(8), 2000, 4, 2)
    patterns, _ = patterns_of(np.concatenate([votes, votes[:, :1]], axis=1))
    model = label_model(name).fit(patterns)
    check_posterior(model.predict(patterns), (len(patterns.counts), 2))
    duplicates = [w for w in model.warnings_ if w.startswith("LM208")]
    assert len(duplicates) == 1 and "lf_000 and lf_004" in duplicates[0]


@every_model
def test_a_given_class_balance_is_kept(name):
    votes = np.concatenate([votes_of(9, k=2), np.full((20, 5), -1)])
    patterns, _ = patterns_of(votes)
    mapping = {"class_01": 0.05, "class_00": 0.95}
    model = label_model(name).fit(patterns, class_balance=mapping)
    assert model.class_balance_ == pytest.approx([0.95, 0.05])
    uncovered = model.predict(patterns)[~patterns.covered][0]
    assert uncovered == pytest.approx([0.5, 0.5] if name in WITHOUT_PRIOR else [0.95, 0.05])
    assert same_fit(model, label_model(name).fit(patterns, class_balance=[0.95, 0.05]))


@every_model
def test_300_lfs_neither_overflow_nor_underflow(name):
    rng = np.random.default_rng(10)
    gold, votes = random_votes(rng, 400, 300, 2, coverage=1.0, accuracy=0.95)
    patterns, inverse = patterns_of(votes)
    p = label_model(name).fit(patterns).predict(patterns)[inverse]
    check_posterior(p, (400, 2))
    assert (p.argmax(axis=1) == gold).all()


@every_model
def test_the_explanation_adds_up_to_the_prediction(name):
    patterns, _ = patterns_of(votes_of(11), 3)
    model = label_model(name).fit(patterns)
    evidence, covered = model.evidence(), patterns.covered
    score = np.tile(evidence.log_prior, (len(patterns.counts), 1))
    for j in range(5):
        score += evidence.log_weight[j][patterns.votes[:, j]]
    if evidence.unit == "nats":
        expected = np.exp(score) / np.exp(score).sum(axis=1, keepdims=True)
        assert model.predict(patterns)[covered] == pytest.approx(expected[covered], abs=1e-12)
    else:
        assert evidence.unit == "votes"
        assert score.sum(axis=1) == pytest.approx((patterns.votes >= 0).sum(axis=1))


@every_model
def test_tables_are_conditional_distributions(name):
    model = label_model(name).fit(patterns_of(votes_of(12), 3)[0])
    totals = np.nansum(model.params_, axis=2)
    defined = ~np.isnan(model.params_[:, :, 0])
    assert totals[defined] == pytest.approx(1)


@every_model
def test_misuse_is_refused(name):
    patterns, _ = patterns_of(votes_of(13), 3)
    codes = {}
    for case, call in {
        "not fitted": lambda: label_model(name).predict(patterns),
        "other LFs": lambda: label_model(name).fit(patterns).predict(patterns_of(votes_of(13, m=4), 3)[0]),
        "other classes": lambda: label_model(name).fit(patterns).predict(patterns_of(votes_of(13), 4)[0]),
        "sum": lambda: label_model(name).fit(patterns, class_balance=[0.5, 0.5, 0.5]),
        "length": lambda: label_model(name).fit(patterns, class_balance=[0.5, 0.5]),
        "unknown": lambda: label_model(name).fit(patterns, class_balance={"class_0": 1.0}),
        "absent": lambda: label_model(name).fit(patterns, class_balance={"class_00": 1.0}),
        "gold": lambda: label_model(name).fit(patterns, gold=np.full((len(patterns.counts), 3), 10**6)),
        "option": lambda: label_model(name, depth=3),
    }.items():
        with pytest.raises(LabelModelError) as caught:
            call()
        codes[case] = caught.value.code
    assert codes == {
        "not fitted": "LM109", "other LFs": "LM110", "other classes": "LM110", "sum": "LM108", "length": "LM108",
        "unknown": "LM108", "absent": "LM108", "gold": "LM111", "option": "LM106",
    }  # fmt: skip


def test_unknown_names_come_with_a_candidate():
    with pytest.raises(LabelModelError, match="no label model") as caught:
        label_model("dawid_sken")
    assert caught.value.code == "LM105" and 'did you mean "dawid_skene"' in str(caught.value)
    with pytest.raises(LabelModelError) as caught:
        label_model("dawid_skene", abstein="value")
    assert 'did you mean "abstain"' in str(caught.value)
