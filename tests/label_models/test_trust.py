"""Every warning fires where it should, and is silent on healthy votes."""

import numpy as np
import pytest

from groundswell.codes import CODES
from groundswell.label_models import VotePatterns, label_model
from groundswell.label_models.trust import fit_warnings, lost_classes, near_duplicates, pair_statistics

from .simulated import names, patterns_of, random_votes

A = -1
HALF = np.array([0.5, 0.5])


def codes(patterns, posterior, balance=HALF):
    return {w[:5] for w in fit_warnings(patterns, posterior, balance)}


def soft(patterns):
    return label_model("majority_soft").fit(patterns).predict(patterns)


@pytest.fixture
def healthy():
    return patterns_of(random_votes(np.random.default_rng(0), 2000, 4, 2)[1])[0]


def test_healthy_votes_raise_no_warning(healthy):
    assert fit_warnings(healthy, soft(healthy), HALF) == []
    assert label_model("auto").fit(healthy).warnings_ == []


def test_fewer_than_three_lfs():
    patterns, _ = patterns_of(random_votes(np.random.default_rng(0), 900, 2, 2)[1])
    assert codes(patterns, soft(patterns)) == {"LM201"}


def test_no_overlap():
    votes = np.full((300, 3), A)
    votes[np.arange(300), np.arange(300) % 3] = np.arange(300) % 2
    patterns, _ = patterns_of(votes)
    assert codes(patterns, soft(patterns)) == {"LM202"}


def test_worse_than_chance_is_relative_to_the_votes_the_lf_casts(healthy):
    wrong = np.where(healthy.votes[:, :1] == 1, [[0.9, 0.1]], [[0.1, 0.9]])
    found = [w for w in fit_warnings(healthy, wrong, HALF) if w.startswith("LM203")]
    assert len(found) == 1 and "lf_000 (" in found[0]
    # a rare class: precision .2 where .05 is chance is useful
    rare = VotePatterns(np.array([[1, A, A], [A, 0, 0]]), np.array([100, 900]), names(3), ("n", "p"))
    posterior = np.array([[0.8, 0.2], [0.97, 0.03]])
    assert "LM203" not in codes(rare, posterior, np.array([0.95, 0.05]))
    assert "LM203" in codes(rare, posterior, np.array([0.7, 0.3]))


def test_a_class_nobody_votes_for():
    patterns, _ = patterns_of(random_votes(np.random.default_rng(0), 900, 4, 2)[1], 3)
    found = [w for w in fit_warnings(patterns, soft(patterns), np.full(3, 1 / 3)) if w.startswith("LM204")]
    assert len(found) == 1 and "class_02" in found[0]


def test_all_abstain_says_only_that():
    patterns, _ = patterns_of(np.full((5, 3), A))
    assert codes(patterns, np.array([[0.5, 0.5]])) == {"LM205"}


def test_drift_from_majority_vote(healthy):
    posterior = soft(healthy)
    assert "LM206" in codes(healthy, posterior[:, ::-1])
    assert "LM206" not in codes(healthy, posterior)


def test_collapse_and_a_lost_class(healthy):
    one = np.tile([0.9, 0.1], (len(healthy.counts), 1))
    found = [w for w in fit_warnings(healthy, one, HALF) if w.startswith("LM207")]
    assert len(found) == 1 and "same class" in found[0] and "class_01" in found[0]
    three, _ = patterns_of(random_votes(np.random.default_rng(0), 2000, 4, 3)[1], 3)
    without_last = soft(three) * [1, 1, 0] + [1e-3, 1e-3, 0]
    without_last /= without_last.sum(axis=1, keepdims=True)
    assert lost_classes(three, without_last) == [2]


def test_near_duplicates_need_the_same_votes_on_the_same_rows():
    rng = np.random.default_rng(0)
    _, votes = random_votes(rng, 2000, 3, 2)
    same_votes_elsewhere = np.where(rng.random(2000) < 0.5, votes[:, 0], A)
    same_rows_other_votes = np.where(votes[:, 1] == A, A, 1 - votes[:, 1])
    patterns, _ = patterns_of(np.column_stack([votes, same_votes_elsewhere, same_rows_other_votes]))
    assert near_duplicates(patterns) == []
    almost = np.where(rng.random(2000) < 0.01, A, votes[:, 0])
    patterns, _ = patterns_of(np.column_stack([votes, almost]))
    assert len(near_duplicates(patterns)) == 1 and "lf_000" in near_duplicates(patterns)[0]
    few, _ = patterns_of(np.array([[1, 1], [0, 0]] * 10))
    assert near_duplicates(few) == []


def test_pair_statistics_against_rows():
    _, votes = random_votes(np.random.default_rng(1), 400, 4, 3)
    votes[:, 3] = np.where(votes[:, 3] == A, 0, votes[:, 3])
    both, agree, correlation = pair_statistics(patterns_of(votes, 3)[0])
    fires = votes != A
    for a in range(4):
        for b in range(4):
            assert both[a, b] == (fires[:, a] & fires[:, b]).sum()
            assert agree[a, b] == (fires[:, a] & (votes[:, a] == votes[:, b])).sum()
    assert correlation[:3, :3] == pytest.approx(np.corrcoef(fires[:, :3].T))
    assert correlation[3, :3].tolist() == [0, 0, 0] and correlation[3, 3] == 1


def test_few_votes_and_silent_lfs():
    _, votes = random_votes(np.random.default_rng(0), 900, 4, 2)
    votes[29:, 3] = A
    votes[:, 2] = A
    patterns, _ = patterns_of(np.column_stack([votes, votes[::-1, 1]]))
    found = fit_warnings(patterns, soft(patterns), HALF)
    assert [w[:5] for w in found] == ["LM209", "LM211"]
    assert "lf_003" in found[0] and "lf_002" in found[1]


def test_every_code_that_can_be_raised_is_documented():
    from pathlib import Path
    from re import findall

    import groundswell.label_models as package

    used = {code for file in Path(package.__file__).parent.glob("*.py") for code in findall(r'"(LM\d{3})\b', file.read_text())}
    used |= {code for file in Path(package.__file__).parent.glob("*.py") for code in findall(r"[\"'](LM2\d\d):", file.read_text())}
    assert used <= {code for code in CODES if code.startswith("LM")}
