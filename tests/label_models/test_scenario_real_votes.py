"""Real labeling functions, all of which vote a single class: YouTube comments (10 LFs), SMS spam (73). No gold in the fit."""

import numpy as np
import pyarrow.parquet as pq
import pytest
from shared_data import shared

from groundswell.label_models import VotePatterns, label_model

from .simulated import accuracy


def loaded(name):
    """(patterns of the train split, patterns of the test split, their row index, gold of the test rows)."""
    frame = pq.read_table(shared(name) / "data.parquet").to_pandas()
    lfs = [c for c in frame.columns if c.startswith("lf_")]
    train, test = frame[frame.split == "train"], frame[frame.split == "test"]
    patterns, _ = VotePatterns.from_matrix(train[lfs].to_numpy(), lfs, ("HAM", "SPAM"))
    seen, inverse = VotePatterns.from_matrix(test[lfs].to_numpy(), lfs, ("HAM", "SPAM"))
    return patterns, seen, inverse, test.label.to_numpy()


@pytest.fixture(scope="module")
def youtube():
    return loaded("wrench_youtube")


def score(model, youtube):
    patterns, seen, inverse, gold = youtube
    return accuracy(model.fit(patterns).predict(seen)[inverse], gold, seen.covered[inverse])


def f1(model, votes):
    """F1 of SPAM on all rows, ties at half credit."""
    patterns, seen, inverse, gold = votes
    p = model.fit(patterns).predict(seen)[inverse, 1]
    called = np.where(np.abs(p - 0.5) < 1e-5, 0.5, p > 0.5)
    return 2 * called[gold == 1].sum() / (called.sum() + (gold == 1).sum())


def test_majority_vote_is_the_published_one(youtube):
    assert score(label_model("majority"), youtube) == pytest.approx(0.841, abs=0.0006)


def test_plain_em_gets_the_published_score(youtube):
    assert score(label_model("dawid_skene"), youtube) == pytest.approx(0.862, abs=0.0006)


def test_auto_is_not_below_majority_vote(youtube):
    auto = label_model("auto")
    assert score(auto, youtube) >= score(label_model("majority"), youtube)
    assert auto.chosen_ == "anchored" and "50% of each entity" in auto.reason_


def test_abstain_as_missing_collapses_and_says_so(youtube):
    model = label_model("dawid_skene", abstain="missing")
    assert score(model, youtube) < 0.6
    assert any(w.startswith(("LM206", "LM207")) for w in model.warnings_)
    assert np.isfinite(model.objective_)


def test_em_loses_the_rare_class_of_sms_and_auto_does_not():
    sms = loaded("wrench_sms")
    plain, auto = label_model("dawid_skene"), label_model("auto")
    assert score(plain, sms) < 0.9 and any(w.startswith("LM207") for w in plain.warnings_)
    assert f1(auto, sms) > f1(label_model("majority"), sms) + 0.03
    assert score(auto, sms) > score(label_model("majority"), sms) - 0.01  # one row of 192
    assert auto.chosen_ == "anchored"
