"""Likeness of two rows: the worked examples, and plain Python beside it."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from groundswell.propagation import Rows, Similarity, bandwidth
from groundswell.propagation.read import _apart, kind_of

from .mixed_rows import likeness, numbers_of, sets_of, vectors_of

ONE, BOTH = [True], [True, True]


def pair(*columns, modality=(0, 0), both_only=False) -> float:
    """w of row 0 and row 1."""
    rows = Rows(np.array(modality), columns)
    return float(Similarity(rows, both_only).pairs(np.array([0]), np.array([1]))[0])


def test_the_example_of_the_paper():
    """Profanity differs, setting is the same: one of two, unnormalised 1."""
    found = pair(sets_of("profanity", [["true"], ["false"]], BOTH), sets_of("setting", [["outdoor"], ["outdoor"]], BOTH), modality=(0, 1))
    assert 2 * found == pytest.approx(1.0)
    assert pair(sets_of("objects", [["dog", "ball", "tree"], ["dog", "park"]], BOTH), modality=(0, 1)) == pytest.approx(0.25)


def test_numbers_sets_and_an_embedding_on_one_side():
    x = numbers_of("x", [0, 3], 2.0, ONE)
    topic = sets_of("topic", [["a", "b"], ["a"]], ONE)
    assert pair(x) == pytest.approx(0.22313, abs=5e-6)
    embedding = vectors_of("e", [[1.0, 2.0], None], ONE)
    assert pair(x, topic, embedding) == pytest.approx(0.24104, abs=5e-6)
    assert pair(x, topic, embedding, both_only=True) == pytest.approx(0.36157, abs=5e-6)
    assert pair(x, embedding, both_only=True) == 0, "one feature in both is not enough"


def test_null_is_absent_and_an_empty_set_is_not():
    same = numbers_of("x", [1, 1], 1.0, ONE)
    assert pair(same, sets_of("t", [None, None], ONE)) == pytest.approx(1)
    assert pair(same, sets_of("t", [[], []], ONE)) == pytest.approx(0.5)
    assert pair(same, sets_of("t", [[], None], ONE)) == pytest.approx(0.5)
    assert pair(same, sets_of("t", [[], ["a"]], ONE)) == pytest.approx(0.5)


def test_a_feature_of_one_modality_does_not_part_it_from_another():
    same, own = numbers_of("x", [1, 1], 1.0, BOTH), vectors_of("e", [None, [1.0, 0.0]], [False, True])
    assert pair(same, own, modality=(0, 1)) == pytest.approx(1)
    assert pair(same, vectors_of("e", [[0.0, 1.0], [1.0, 0.0]], [False, True]), modality=(1, 1)) == pytest.approx(0.5)


def test_bandwidth_is_the_median_difference():
    assert bandwidth(np.array([0.0, 1.0, 3.0])) == 2
    assert bandwidth(np.zeros(5)) == 0
    assert bandwidth(np.array([0.0] * 9 + [1.0])) > 0


VALUE = {
    "x": st.none() | st.floats(-5, 5, width=32), "t": st.none() | st.lists(st.sampled_from("abcde"), max_size=4),
    "c": st.none() | st.sampled_from("pqr").map(lambda c: [c]), "e": st.none() | st.tuples(*[st.integers(-3, 3)] * 3).filter(any),
}  # fmt: skip
KINDS = {"x": ("number", 1.5), "t": ("set", 0), "c": ("set", 0), "e": ("vector", 0)}


@settings(max_examples=60, deadline=None)
@given(rows=st.lists(st.tuples(st.integers(0, 1), st.fixed_dictionaries(VALUE)), min_size=2, max_size=7), both_only=st.booleans(), heavy=st.floats(0.25, 4))
def test_the_formula_in_plain_python_agrees(rows, both_only, heavy):
    """All pairs at once, c only among rows of modality 1."""
    modality = np.array([m for m, _ in rows])
    table = [{k: v for k, v in values.items() if k != "c" or m == 1} for m, values in rows]
    column = {k: [r.get(k) for r in table] for k in VALUE}
    if all(v is None for v in column["e"]):
        column["e"][0] = table[0]["e"] = (1, 2, 3)
    columns = (
        numbers_of("x", column["x"], 1.5, BOTH), sets_of("t", column["t"], BOTH, heavy), sets_of("c", column["c"], [False, True]), vectors_of("e", column["e"], BOTH),
    )  # fmt: skip
    every = np.arange(len(rows))[None, :]
    found = Similarity(Rows(modality, columns), both_only)(every, every)[0].numpy()
    wanted = np.array([[likeness(a, b, KINDS, {"t": heavy}, both_only) for b in table] for a in table])
    assert found == pytest.approx(wanted, abs=2e-5)
    assert found == pytest.approx(found.T, abs=1e-6) and found.min() >= 0 and found.max() <= 1


@pytest.mark.parametrize(
    ("type_name", "kind"),
    [
        ("DOUBLE", "number"), ("DECIMAL(10,2)", "number"), ("TIMESTAMP WITH TIME ZONE", "time"), ("DATE", "time"), ("BOOLEAN", "category"), ("ENUM('a', 'b')", "category"),
        ("VARCHAR[]", "set"), ("INTEGER[]", "set"), ("FLOAT[64]", "vector"), ("DOUBLE[]", "vector"), ("FLOAT[][]", None), ("BLOB", None), ("STRUCT(a INTEGER)", None), ("STRUCT(a INTEGER)[]", None),
    ],
)  # fmt: skip
def test_columns_are_compared_by_their_type(type_name, kind):
    assert kind_of(type_name) == kind


def test_a_modality_apart_is_told():
    rows = Rows(np.array([0, 1, 2]), (sets_of("t", [["a"], ["b"], None], [True, True, False]), numbers_of("x", [None, None, 1.0], 1.0, [False, False, True])))
    (said,) = _apart(rows, ("text", "image", "video"))
    assert said.code == "PR210" and said.message.startswith("video")
