"""The default model must never be silently worse than majority vote where the failure is a known one."""

import numpy as np
import pytest

from groundswell.label_models import label_model
from groundswell.label_models.copies import copy_weights, residual_correlation

from .simulated import accuracy, copied, one_sided, patterns_of, random_votes

A = -1


def compared(votes, gold, k=2):
    """(accuracy of auto, of majority vote, the auto model) on covered rows."""
    patterns, inverse = patterns_of(votes, k)
    covered = (votes != A).any(axis=1)
    auto, majority = label_model("auto").fit(patterns), label_model("majority").fit(patterns)
    scores = [accuracy(m.predict(patterns)[inverse], gold, covered) for m in (auto, majority)]
    return *scores, auto


@pytest.mark.parametrize("seed", range(4))
@pytest.mark.parametrize(("rho", "gain"), [(0.0, 0.01), (0.3, 0.02), (0.5, 0.03), (0.8, 0.05)])
def test_copied_lfs_are_survived(seed, rho, gain):
    """20,000 rows, about 19,800 covered: standard error .003. Plain EM is below majority vote for rho >= .3."""
    gold, votes = copied(20_000, rho, seed)
    auto, majority, model = compared(votes, gold)
    assert auto > majority + gain and model.chosen_ == "anchored"
    assert any(w[:5] in ("LM214", "LM230") for w in model.warnings_) == (rho > 0)


def test_plain_em_is_misled_by_copies():
    """The failure the discount is for: without it the copied group becomes the class."""
    gold, votes = copied(20_000, 0.5, 0)
    patterns, inverse = patterns_of(votes)
    covered = (votes != A).any(axis=1)
    plain = accuracy(label_model("dawid_skene").fit(patterns).predict(patterns)[inverse], gold, covered)
    assert plain < compared(votes, gold)[1] - 0.02


def one_sided_copies(seed, rho):
    """Gold (10,000,) and votes of four LFs per class, of which lf_002, lf_004, lf_006 repeat lf_000 with probability rho."""
    rng = np.random.default_rng(seed)
    gold = rng.choice(2, 10_000, p=[0.6, 0.4])
    side = np.arange(8) % 2
    rate = np.where(gold[:, None] == side, rng.uniform(0.1, 0.5, 8), rng.uniform(0.01, 0.08, 8))
    votes = np.where(rng.random((10_000, 8)) < rate, side, A)
    for lf in (2, 4, 6):
        copies = rng.random(10_000) < rho
        votes[copies, lf] = votes[copies, 0]
    return gold, votes


@pytest.mark.parametrize("seed", range(3))
def test_one_sided_copies_do_not_become_the_class(seed):
    """EM takes the copied votes for the class and loses .1 and more; auto stays within a standard error (.006) of majority vote."""
    gold, votes = one_sided_copies(seed, rho=0.6)
    auto, majority, model = compared(votes, gold)
    assert auto > majority - 0.006 and model.chosen_ == "anchored"
    assert any(w.startswith("LM215") and "lf_000" in w for w in model.warnings_)
    patterns, inverse = patterns_of(votes)
    plain = label_model("dawid_skene").fit(patterns)
    assert accuracy(plain.predict(patterns)[inverse], gold, (votes != A).any(axis=1)) < majority - 0.05
    assert any(w.startswith("LM215") and "lf_000" in w for w in plain.warnings_)


@pytest.mark.parametrize("seed", range(3))
def test_independent_one_sided_lfs_beat_majority_vote(seed):
    gold, votes = one_sided_copies(seed, rho=0.0)
    auto, majority, model = compared(votes, gold)
    assert auto > majority and model.chosen_ == "anchored" and model.warnings_ == []


@pytest.mark.parametrize("seed", range(5))
def test_long_rows_are_not_a_class(seed):
    """Keyword LFs fire more on long texts: abstentions say how long a row is, and EM that reads them learns length."""
    gold, votes = keywords_in_texts(seed)
    auto, majority, model = compared(votes, gold)
    patterns, inverse = patterns_of(votes)
    plain = accuracy(label_model("dawid_skene").fit(patterns).predict(patterns)[inverse], gold, (votes != A).any(axis=1))
    assert plain < majority - 0.05 and auto > majority - 0.005 and model.chosen_ == "anchored"


def keywords_in_texts(seed, length_spread=1.0):
    """Gold (5,000,) and votes of ten one-sided LFs whose firing rates grow with a row's length (log-normal)."""
    rng = np.random.default_rng(seed)
    gold = (rng.random(5000) < 0.4).astype(int)
    length = np.exp(length_spread * rng.standard_normal(5000) - length_spread**2 / 2)
    side = np.arange(10) % 2
    rate = rng.uniform(0.03, 0.3, 10) / np.where(gold[:, None] == side, 1.0, rng.uniform(2, 10, 10))
    return gold, np.where(rng.random((5000, 10)) < np.minimum(rate * length[:, None], 0.95), side, A)


@pytest.mark.parametrize("seed", range(3))
@pytest.mark.parametrize("kind", ["one-sided", "two-sided"])
def test_five_percent_positives(kind, seed):
    if kind == "one-sided":
        gold, votes, *_ = one_sided(20_000, seed, positives=0.05)
    else:
        rng = np.random.default_rng(seed)
        gold = (rng.random(20_000) < 0.05).astype(int)
        votes = np.where(rng.random((20_000, 6)) < 0.85, gold[:, None], 1 - gold[:, None])
        votes = np.where(rng.random((20_000, 6)) < 0.5, votes, A)
    auto, majority, model = compared(votes, gold)
    assert auto >= majority and model.chosen_ == "anchored"
    assert model.class_balance_[1] == pytest.approx(0.05, abs=0.06 if kind == "one-sided" else 0.01)


def test_independent_lfs_keep_their_weight_and_exact_copies_share_one():
    rng = np.random.default_rng(0)
    gold, votes = random_votes(rng, 20_000, 6, 3)
    patterns, inverse = patterns_of(votes, 3)
    truth = np.zeros((len(patterns.counts), 3))
    np.add.at(truth, (inverse, gold), 1)
    truth /= truth.sum(axis=1, keepdims=True)
    everyone = np.ones(6, bool)
    assert copy_weights(patterns, truth, everyone) == pytest.approx(np.ones(6), abs=0.06)
    votes[:, 4] = votes[:, 5] = votes[:, 3]
    patterns, inverse = patterns_of(votes, 3)
    posterior = label_model("majority_soft").fit(patterns).predict(patterns)
    residual = residual_correlation(patterns, posterior)
    assert residual[3:, 3:] == pytest.approx(np.ones((3, 3)), abs=1e-9)
    assert copy_weights(patterns, posterior, everyone)[3:] == pytest.approx(np.full(3, 1 / 3), abs=0.02)
    assert copy_weights(patterns, posterior, ~everyone).tolist() == [1] * 6


@pytest.mark.parametrize(
    ("votes", "reason"),
    [
        (np.array([[0, 1]] * 5 + [[1, 1]] * 9), "2 LFs vote"),
        (np.array([[0, A, A], [A, 1, A], [A, A, 0], [1, A, A]]), "no two LFs"),
        (np.array([[1, 1, 0]] * 7), "same votes"),
    ],
)
def test_votes_that_identify_nothing_get_the_vote_share(votes, reason):
    patterns, _ = patterns_of(votes)
    model = label_model("auto").fit(patterns)
    assert model.chosen_ == "majority_soft" and reason in model.reason_
    assert np.array_equal(model.predict(patterns), label_model("majority_soft").fit(patterns).predict(patterns))
    assert any(w.startswith("LM213") and reason in w for w in model.warnings_)


def test_a_class_balance_that_drowns_a_class_brings_back_the_vote_share():
    """The trap of a rare class: with P(p) = .0001 EM gives every entity "n", whatever three LFs say."""
    _, votes, *_ = one_sided(5000, 0, positives=0.3)
    patterns, _ = patterns_of(np.concatenate([votes, np.full((10, 6), A)]))
    balance = [0.9999, 0.0001]
    plain = label_model("dawid_skene").fit(patterns, class_balance=balance)
    auto = label_model("auto").fit(patterns, class_balance=balance)
    assert any(w.startswith(("LM206", "LM207")) for w in plain.warnings_)
    assert auto.chosen_ == "majority_soft" and any(w.startswith("LM213") for w in auto.warnings_)
    assert auto.predict(patterns)[~patterns.covered] == pytest.approx(np.array([balance]))


def test_with_gold_few_entities_get_one_coin_and_many_a_table():
    rng = np.random.default_rng(1)
    for n, words in ((300, "one coin"), (3000, "full table")):
        gold, votes = random_votes(rng, n, 4, 3)
        patterns, inverse = patterns_of(votes, 3)
        known = np.zeros((len(patterns.counts), 3), int)
        np.add.at(known, (inverse[:100], gold[:100]), 1)
        model = label_model("auto").fit(patterns, gold=known)
        assert model.chosen_ == "dawid_skene" and words in model.reason_


def test_a_crowd_gets_one_coin_per_worker():
    """600 workers, 5 of whom answer each of 3,000 questions; standard error .005."""
    rng = np.random.default_rng(0)
    gold, skill = rng.integers(0, 2, 3000), rng.beta(6, 2.5, 600)
    votes = np.full((3000, 600), A)
    for i in range(3000):
        workers = rng.choice(600, 5, replace=False)
        votes[i, workers] = np.where(rng.random(5) < skill[workers], gold[i], 1 - gold[i])
    auto, majority, model = compared(votes, gold)
    assert auto > majority + 0.01 and model.chosen_ == "dawid_skene" and "one coin" in model.reason_
