"""Prototypes and affinities against loops over images, channels and positions."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from groundswell.affinity import affinities, affinity_matrix, bags, pooled, prototypes, sampled, usable
from groundswell.affinity import scores
from groundswell.affinity.parts import ArrayParts, grid_positions, selected
from groundswell.errors import AffinityError


def slow_prototypes(maps: np.ndarray, k: int) -> list[tuple[int, int]]:
    """(image, position) as the paper says it, one image and channel after the other; maps (N, P, C)."""
    found = []
    for i, image in enumerate(maps):
        strongest = sorted(range(image.shape[1]), key=lambda c: (-image[:, c].max(), c))[:k]
        for c in strongest:
            place = (i, next(p for p in range(len(image)) if image[p, c] == image[:, c].max()))
            if place not in found:
                found.append(place)
    return found


def slow_affinity(maps: np.ndarray, prototype: np.ndarray, image: int) -> float:
    """max over positions of the cosine."""
    best = -np.inf
    for v in maps[image]:
        norm = np.linalg.norm(v) * np.linalg.norm(prototype)
        best = max(best, float(v @ prototype / norm) if norm else 0.0)
    return best


@settings(max_examples=40, deadline=None)
@given(st.integers(1, 6), st.integers(1, 9), st.integers(1, 7), st.integers(1, 8), st.integers(0, 10**6))
def test_prototypes_and_affinities_are_those_of_a_loop(n, p, c, k, seed):
    random = np.random.default_rng(seed)
    maps = np.maximum(random.integers(-2, 3, (n, p, c)), 0).astype(np.float32)  # many ties and zero vectors
    found = prototypes(ArrayParts(maps), k)
    assert list(zip(found.entity.tolist(), found.position.tolist())) == slow_prototypes(maps, k)
    s = affinity_matrix(ArrayParts(maps), found.vectors)
    expected = [[slow_affinity(maps, v, i) for v in found.vectors] for i in range(n)]
    assert s == pytest.approx(np.array(expected), abs=1e-6)
    assert s.min() >= 0 and s.max() <= 1 + 1e-6


def test_an_image_is_nearest_to_its_own_prototypes():
    maps = np.random.default_rng(0).random((5, 9, 6)).astype(np.float32)
    found = prototypes(ArrayParts(maps), 3)
    assert affinity_matrix(ArrayParts(maps), found.vectors)[found.entity, np.arange(len(found))] == pytest.approx(1, abs=1e-6)


def test_blocks_of_any_size_give_the_same(monkeypatch):
    maps = np.random.default_rng(1).random((30, 9, 8)).astype(np.float32)
    found = prototypes(ArrayParts(maps), 4)
    whole = affinity_matrix(ArrayParts(maps), found.vectors)
    monkeypatch.setattr(scores, "BLOCK_BYTES", 1)
    assert [len(b) for b in affinities(ArrayParts(maps), found.vectors)] == [1] * 30
    assert affinity_matrix(ArrayParts(maps), found.vectors) == pytest.approx(whole, abs=1e-6)


def test_bags_of_different_sizes_ignore_what_is_not_there():
    rows = [np.array([[-1.0, 0.0]]), np.array([[1.0, 0.0], [0.0, 1.0]]), None]
    parts = bags(rows)
    assert parts.present.tolist() == [[True, False], [True, True], [False, False]]
    assert usable(parts).tolist() == [True, True, False]
    kept = selected(parts, usable(parts))
    s = affinity_matrix(kept, np.array([[1.0, 0.0], [0.0, 1.0]], np.float32))
    assert s == pytest.approx(np.array([[-1, 0], [1, 1]]))  # the padding, a zero vector, would have given 0
    assert pooled(kept) == pytest.approx(np.array([[-1, 0], [0.5, 0.5]]))


def test_vectors_of_different_lengths_are_refused():
    with pytest.raises(AffinityError) as error:
        bags([[1.0, 2.0], [1.0]])
    assert error.value.code == "AF110"
    with pytest.raises(AffinityError):
        bags([None, None])


def test_rows_with_nan_are_found():
    vectors = np.ones((3, 2, 2), np.float32)
    vectors[1, 0, 1] = np.nan
    vectors[2, 1, 0] = np.inf
    assert usable(ArrayParts(vectors)).tolist() == [True, False, False]


def test_the_gaussian_function_against_a_loop():
    random = np.random.default_rng(2)
    x, q = random.normal(size=(4, 3, 5)).astype(np.float32), random.normal(size=(2, 5)).astype(np.float32)
    expected = [[max(np.exp(-((v - p) ** 2).sum() / 5) for v in entity) for p in q] for entity in x]
    assert affinity_matrix(ArrayParts(x), q, "gaussian") == pytest.approx(np.array(expected), rel=1e-4)


def test_an_affinity_function_of_ones_own():
    scores.register(scores.AffinityFunction("product", lambda v: v, lambda v, q: v @ q))
    assert affinity_matrix(ArrayParts(np.array([[[2.0, 1.0]]], np.float32)), np.array([[3.0, 1.0]], np.float32), "product").tolist() == [[7.0]]
    scores._FUNCTIONS.pop("product")
    with pytest.raises(AffinityError) as error:
        scores.affinity_function("cosin")
    assert error.value.code == "AF109" and "cosine" in str(error.value)


def test_a_sample_keeps_the_order_and_follows_the_seed():
    found = prototypes(ArrayParts(np.random.default_rng(3).random((40, 9, 8)).astype(np.float32)), 4)
    some = sampled(found, 20, 0)
    assert len(some) == 20 and (np.diff(some.entity) >= 0).all()
    assert np.array_equal(some.vectors, sampled(found, 20, 0).vectors) and not np.array_equal(some.vectors, sampled(found, 20, 1).vectors)
    assert sampled(found, None, 0) is found


def test_grids_are_evenly_spaced_positions():
    positions, shape = grid_positions(13, 13, 7)
    assert shape == (7, 7) and positions[:7].tolist() == [0, 2, 4, 6, 8, 10, 12] and positions[7] == 26
    assert grid_positions(7, 5, 7)[1] == (7, 5) and grid_positions(3, 3, None)[0].tolist() == list(range(9))
