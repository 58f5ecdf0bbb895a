"""VotePatterns: what is refused, and that matrix and patterns say the same."""

import numpy as np
import pytest
from hypothesis import given, settings, strategies as st

from groundswell.codes import CODES
from groundswell.errors import LabelModelError
from groundswell.label_models import VotePatterns
from groundswell.label_models.patterns import canonical, distinct_rows

GOOD = dict(votes=np.array([[0, -1], [1, 1]]), counts=np.array([2, 3]), lfs=("a", "b"), classes=("n", "p"))


def test_good_patterns_are_read_only_and_small():
    patterns = VotePatterns(**GOOD)
    assert patterns.votes.dtype == np.int8 and patterns.counts.dtype == np.int64
    assert patterns.n_entities == 5 and patterns.covered.tolist() == [True, True]
    with pytest.raises(ValueError):
        patterns.votes[0, 0] = 1


@pytest.mark.parametrize(
    ("change", "code", "says"),
    [
        (dict(votes=np.array([[0], [1]])), "LM101", "one column for each of 2 LFs"),
        (dict(votes=np.array([[0, np.nan], [1, 1]])), "LM101", "integers"),
        (dict(votes=np.array([[0, -1], [1, 2]])), "LM102", 'LF "b" votes 2 in row 1'),
        (dict(votes=np.array([[-2, -1], [1, 1]])), "LM102", 'LF "a" votes -2 in row 0'),
        (dict(counts=np.array([2])), "LM101", "2 integers"),
        (dict(counts=np.array([2.5, 1])), "LM101", "integers"),
        (dict(counts=np.array([2, 0])), "LM103", "pattern 1 has 0"),
        (dict(lfs=("a", "a")), "LM104", "twice: a"),
        (dict(lfs=("a", 7)), "LM101", "text"),
        (dict(classes=("n", "n")), "LM104", "twice: n"),
        (dict(classes=("n",), votes=np.array([[0, -1], [0, 0]])), "LM112", "at least two"),
    ],
)
def test_bad_patterns_are_refused(change, code, says):
    with pytest.raises(LabelModelError, match=says) as caught:
        VotePatterns(**{**GOOD, **change})
    assert caught.value.code == code and code in CODES


def test_more_than_127_classes_need_int16():
    patterns = VotePatterns(np.array([[199]]), np.array([1]), ("a",), tuple(map(str, range(200))))
    assert patterns.votes.dtype == np.int16 and patterns.votes[0, 0] == 199


@settings(deadline=None, max_examples=40)
@given(st.integers(0, 2**32 - 1), st.integers(2, 30), st.integers(0, 70), st.integers(0, 60))
def test_distinct_rows_equal_numpy_unique(seed, k, m, n):
    votes = np.random.default_rng(seed).integers(-1, min(k, 3), (n, m)).astype(np.int8)
    first, inverse = distinct_rows(votes, k)
    rows = np.unique(votes, axis=0) if n and m else votes[: min(n, 1)]
    assert np.array_equal(votes[first], rows)
    assert np.array_equal(votes[first][inverse], votes)


def test_from_matrix_counts_rows():
    matrix = np.array([[1, 0], [-1, 0], [1, 0]])
    patterns, inverse = VotePatterns.from_matrix(matrix, ("a", "b"), ("n", "p"))
    assert patterns.votes.tolist() == [[-1, 0], [1, 0]] and patterns.counts.tolist() == [1, 2]
    assert inverse.tolist() == [1, 0, 1]


def test_canonical_merges_and_sorts_with_gold():
    patterns = VotePatterns(np.array([[1, 0], [0, 1], [1, 0]]), np.array([2, 3, 4]), ("b", "a"), ("n", "p"))
    merged, gold = canonical(patterns, np.array([[1, 0], [0, 3], [0, 1]]))
    assert merged.lfs == ("a", "b") and merged.votes.tolist() == [[0, 1], [1, 0]]
    assert merged.counts.tolist() == [6, 3] and gold.tolist() == [[1, 1], [0, 3]]


def test_aligned_matches_columns_by_name_and_refuses_others():
    patterns = VotePatterns(**GOOD)
    assert patterns.aligned(("b", "a")).tolist() == [[-1, 0], [1, 1]]
    with pytest.raises(LabelModelError, match="c.*missing") as caught:
        patterns.aligned(("a", "c"))
    assert caught.value.code == "LM110"
