"""Neighbours without all pairs, against all pairs; the graph made of them."""

from __future__ import annotations

import numpy as np
import pytest
import scipy.sparse as sp

from groundswell.errors import PropagationError
from groundswell.propagation import Search, Similarity, components, find_neighbours, harmonic, hops, one_class_components, symmetric_graph
from groundswell.propagation import passes
from groundswell.propagation.features import Rows
from groundswell.propagation.neighbours import Nearest, windows
from groundswell.propagation.orders import joined_sets, token_order

from .mixed_rows import numbers_of, sets_of, topical_rows


def all_pairs(similar: Similarity) -> np.ndarray:
    """float (n, n): all similarities, -1 on the diagonal."""
    every = np.arange(len(similar.rows))[None, :]
    found = similar(every, every)[0].numpy().copy()
    np.fill_diagonal(found, -1)
    return found


@pytest.fixture(scope="module")
def few():
    """300 rows: every row is compared with every other."""
    rows, _ = topical_rows(300, 12, own=True)
    return Similarity(rows)


def test_few_rows_get_their_true_neighbours(few):
    found, w = find_neighbours(few, Search(k=5, cross=3)), all_pairs(few)
    assert found.recall == found.cross_recall == 1
    assert found.near.weight == pytest.approx(np.sort(w, axis=1)[:, ::-1][:, :5], abs=3e-5)
    other = np.where(few.rows.modality[:, None] == few.rows.modality, -1, w)
    assert found.cross.weight == pytest.approx(np.sort(other, axis=1)[:, ::-1][:, :3], abs=3e-5)
    row = np.arange(300)[:, None]
    assert w[row, found.near.index] == pytest.approx(found.near.weight, abs=1e-6)
    assert (few.rows.modality[found.cross.index] != few.rows.modality[:, None]).all()


def test_the_graph_is_symmetric_with_the_larger_weight(few):
    found = find_neighbours(few, Search(k=5, cross=3))
    graph, w = symmetric_graph(found.near, found.cross, 0.3), all_pairs(few)
    dense = graph.toarray()
    assert (dense == dense.T).all() and not dense.diagonal().any() and graph.data.min() >= 0.3
    chosen = np.zeros_like(w, dtype=bool)
    for part in (found.near, found.cross):
        chosen[np.arange(300)[:, None], part.index] = True
    chosen = (chosen | chosen.T) & (w >= 0.3)
    assert dense == pytest.approx(np.where(chosen, w, 0), abs=1e-6)


@pytest.fixture
def by_blocks(monkeypatch):
    """Blocks and windows, however few the rows."""
    monkeypatch.setattr(passes, "FEW", 0)


@pytest.mark.parametrize("own", [False, True])
def test_recall_reaches_its_aim_on_many_rows(own):
    rows, _ = topical_rows(8000, 16, own=own)
    found = find_neighbours(Similarity(rows), Search())
    assert found.recall >= 0.93 and found.cross_recall >= 0.93, (found.recall, found.cross_recall, found.passes)
    sample = np.arange(0, 8000, 400)
    w = Similarity(rows)(sample[None, :], np.arange(8000)[None, :])[0].numpy().copy()
    w[np.arange(20), sample] = -1
    last = np.sort(w, axis=1)[:, -20]
    assert (found.near.weight[sample] >= last[:, None] - 1e-5).mean() >= 0.9


def test_without_forced_neighbours_modalities_part():
    """Rows are most like those of their own modality: one half of what the others say they never say."""
    values = [["a", "title"] if i % 2 else ["a"] for i in range(600)]
    rows = Rows(np.arange(600) % 2, (sets_of("t", values, [True, True]),))
    mixed = []
    for cross in (0, 10):
        found = find_neighbours(Similarity(rows), Search(cross=cross))
        graph = symmetric_graph(found.near, found.cross, 0.1)
        mixed.append((graph.toarray() * (rows.modality[:, None] != rows.modality) > 0).sum(axis=1).min())
    assert mixed[0] == 0 and mixed[1] >= 10


def test_equal_rows_do_not_all_choose_the_same_few(by_blocks):
    rows = Rows(np.zeros(400, int), (numbers_of("x", [1, 2] * 200, 1.0, [True]),))
    found = find_neighbours(Similarity(rows), Search(k=5, candidates=800))
    graph = symmetric_graph(found.near, None, 0.1)
    assert found.near.weight.min() == 1 and len(np.unique(components(graph))) == 2, "both halves hold together"
    assert np.diff(graph.indptr).max() < 40


def test_the_same_seed_gives_the_same_graph(few, by_blocks):
    how = Search(k=5, cross=3, candidates=60)
    first, second = find_neighbours(few, how), find_neighbours(few, how)
    assert (first.near.index == second.near.index).all() and (first.cross.weight == second.cross.weight).all()


def test_a_killed_search_goes_on_where_it_was(few, by_blocks, tmp_path):
    """Interrupted in the third pass: the first two are not made again, and the result is that of an unbroken search."""
    how, said = Search(k=5, cross=3, candidates=60), []

    def interrupt(message: str) -> None:
        if message.endswith("pass 3"):
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        find_neighbours(few, how, tmp_path, interrupt)
    again, unbroken = find_neighbours(few, how, tmp_path, said.append), find_neighbours(few, how)
    assert any("after pass 2" in s for s in said) and not any(s.endswith("pass 2") for s in said)
    assert (again.near.index == unbroken.near.index).all() and (again.cross.index == unbroken.cross.index).all()


def test_windows_hold_every_source_and_its_surroundings():
    for n, m, width in ((1000, 1000, 200), (1000, 40, 200), (7, 1000, 50), (300, 300, 10)):
        rng = np.random.default_rng(n + m)
        places = rng.permutation(n + m)
        sources, targets = np.sort(places[:n]), np.sort(places[n:])
        seen = set()
        for a, b in windows(sources, targets, width):
            seen |= set(a.ravel().tolist())
            assert b.min() >= 0 and b.max() < m and b.shape[1] == min(width, m)
            for chunk, window in zip(a, b):
                middle = sources[chunk[len(chunk) // 2]]
                assert window[0] == 0 or window[-1] == m - 1 or targets[window[0]] < middle < targets[window[-1]]
        assert seen == set(range(n))


def test_a_hub_joins_nothing_and_the_rarest_token_does():
    values = [["hub", "a"], ["hub", "b"], ["hub", "a"], ["hub", "b"], ["hub"], ["hub", "c"]]
    joined = joined_sets([sets_of("t", values, [True])])
    order = token_order(joined, np.arange(6), 0.5).tolist()
    assert abs(order.index(0) - order.index(2)) == 1 and abs(order.index(1) - order.index(3)) == 1
    assert token_order(joined_sets([sets_of("t", [["hub"]] * 6, [True])]), np.arange(6), 0.5) is None


def test_hops_are_those_of_breadth_first_search():
    rng = np.random.default_rng(3)
    dense = (rng.random((60, 60)) < 0.03).astype(float)
    dense = np.maximum(dense, dense.T)
    np.fill_diagonal(dense, 0)
    seeds = np.zeros(60, bool)
    seeds[[3, 17]] = True
    far, front, step = np.where(seeds, 0, -1), set(np.flatnonzero(seeds)), 0
    while front:
        step += 1
        front = {j for i in front for j in np.flatnonzero(dense[i]) if far[j] < 0}
        far[list(front)] = step
    assert (hops(sp.csr_array(dense), seeds) == far).all()


def test_components_are_counted_by_their_seeds():
    """Three pairs and a lone row: one pair with both classes, one with one class, one without a seed."""
    graph = sp.csr_array((np.ones(6), ([0, 1, 2, 3, 4, 5], [1, 0, 3, 2, 5, 4])), shape=(7, 7))
    assert one_class_components(graph, np.array([0, 1, 1, -1, -1, -1, -1])) == (4, 2, 1, 1)


@pytest.mark.parametrize("weight", [-0.1, np.nan, np.inf])
def test_a_weight_that_cannot_be_is_refused(weight):
    with pytest.raises(PropagationError) as error:
        harmonic(sp.csr_array(np.array([[0, weight], [weight, 0]])), np.array([0, -1]), 2)
    assert error.value.code == "PR105"


def test_candidates_are_merged_without_repetition():
    found = Nearest.none(1, 3)
    found.add(np.array([0]), np.array([[4, 5]], np.int32), np.array([[0.5, 0.2]], np.float32))
    found.add(np.array([0]), np.array([[5, 4, 9, 7]], np.int32), np.array([[0.2, 0.5, 0.1, 0.9]], np.float32))
    assert found.index.tolist() == [[7, 4, 5]] and found.weight[0] == pytest.approx([0.9, 0.5, 0.2])
