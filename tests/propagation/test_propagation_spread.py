"""Propagation on small graphs: worked numbers, the linear system, SQL, scikit-learn."""

from __future__ import annotations

import duckdb
import numpy as np
import pytest
import scipy.sparse as sp
from hypothesis import given, settings
from hypothesis import strategies as st

from groundswell.intervals import wilson
from groundswell.intervals import wilson_lower
from groundswell.propagation import Expander, class_mass_weights, components, expander, harmonic, normalised, threshold
from groundswell.propagation.spread import _Kept
from groundswell.store.queries import text

CHAIN = sp.csr_array(np.array([[0, 1, 0, 0], [1, 0, 2, 0], [0, 2, 0, 1], [0, 0, 1, 0.0]]))
ENDS = np.array([1, -1, -1, 0])


def test_the_chain_harmonic():
    assert harmonic(CHAIN, ENDS, 2, 1000, 1e-12).score[:, 1] == pytest.approx([1, 0.6, 0.4, 0])
    first, second = (harmonic(CHAIN, ENDS, 2, rounds, 0, start=0).score[:, 1] for rounds in (1, 2))
    assert first[1] == pytest.approx(1 / 3) and second[2] == pytest.approx(2 / 9)
    stopped = harmonic(CHAIN, ENDS, 2, start=0)
    assert len(stopped.trace) == 22 and stopped.converged
    assert harmonic(CHAIN, ENDS, 2).n_hops.tolist() == [0, 1, 1, 0]


def test_the_chain_of_expander():
    found = expander(CHAIN, ENDS, 2, rounds=1000, tolerance=1e-12)
    assert found.score[:, 1] == pytest.approx([0.9910, 0.5818, 0.4182, 0.0090], abs=5e-5)
    assert expander(CHAIN, ENDS, 2, tolerance=0).score[1:3, 1] == pytest.approx([0.5820, 0.4180], abs=5e-5)
    assert expander(CHAIN, ENDS, 2, Expander(mu2=0.02), 1000, 1e-12).score[:, 1] == pytest.approx([0.9872, 0.5886, 0.4114, 0.0128], abs=5e-5)
    ratio = np.array(found.trace[6:12]) / np.array(found.trace[5:11])
    assert ratio.max() <= 0.75 + 1e-9, "changes shrink at least by the contraction factor"


def test_what_is_not_kept_is_shared_evenly():
    kept = _Kept(5, 1, 2)
    kept.label, kept.p = np.array([[0, 3]], np.int32), np.array([[0.5, 0.2]])
    assert kept.delta == pytest.approx([0.1])


def random_graph(n: int, density: float, seed: int) -> sp.csr_array:
    rng = np.random.default_rng(seed)
    dense = np.triu(rng.random((n, n)) * (rng.random((n, n)) < density), 1)
    return sp.csr_array(dense + dense.T)


def seeds_of(n: int, k: int, n_seeds: int, seed: int) -> np.ndarray:
    rng = np.random.default_rng(seed)
    found = np.full(n, -1)
    found[rng.choice(n, n_seeds, replace=False)] = np.arange(n_seeds) % k
    return found


@settings(max_examples=40, deadline=None)
@given(n=st.integers(5, 40), k=st.integers(2, 4), seed=st.integers(0, 10_000), density=st.floats(0.05, 0.6))
def test_harmonic_is_the_linear_system(n, k, seed, density):
    """Each reached row is the mean of its neighbours; each other row has no score; a permutation of rows permutes scores."""
    graph, seeds = random_graph(n, density, seed), seeds_of(n, k, k, seed)
    found = harmonic(graph, seeds, k, 200_000, 1e-13)
    which = components(graph)
    reached = np.isin(which, which[seeds >= 0])
    assert ((found.n_hops >= 0) == reached).all() and (np.isfinite(found.score).all(axis=1) == reached).all()
    u = np.flatnonzero(reached & (seeds < 0))
    dense, degree = graph.toarray(), np.asarray(graph.sum(axis=1)).ravel()
    hot = np.eye(k)[np.maximum(seeds, 0)] * (seeds >= 0)[:, None]
    wanted = np.linalg.solve(np.diag(degree[u]) - dense[np.ix_(u, u)], dense[u] @ hot) if len(u) else np.zeros((0, k))
    assert found.score[u] == pytest.approx(wanted, abs=1e-6)
    assert found.score[reached].sum(axis=1) == pytest.approx(1) and np.nanmin(found.score) >= 0
    turned = np.random.default_rng(seed).permutation(n)
    assert harmonic(graph[turned][:, turned], seeds[turned], k, 200_000, 1e-13).score == pytest.approx(found.score[turned], abs=1e-6, nan_ok=True)


@pytest.mark.parametrize("rounds", [1, 2, 7])
def test_sql_says_the_same_round_by_round(rounds):
    graph, seeds = random_graph(30, 0.15, 5), seeds_of(30, 3, 6, 5)
    with duckdb.connect() as connection:
        src, dst = graph.nonzero()
        edges = [(int(i), int(j), float(graph[i, j])) for i, j in zip(src, dst)]
        far = harmonic(graph, seeds, 3, 1, 0).n_hops
        rows = [(i, f"c{k}", float(seeds[i] == k) if seeds[i] >= 0 else float((seeds[seeds >= 0] == k).mean()), int(far[i])) for i in range(30) for k in range(3) if far[i] >= 0]
        connection.execute("CREATE TABLE edge (src INTEGER, dst INTEGER, weight DOUBLE); CREATE TABLE propagation_score (entity_id INTEGER, label VARCHAR, score DOUBLE, n_hops INTEGER)")
        connection.executemany("INSERT INTO edge VALUES (?, ?, ?)", edges)
        connection.executemany("INSERT INTO propagation_score VALUES (?, ?, ?, ?)", rows)
        for _ in range(rounds):
            connection.execute(f"CREATE OR REPLACE TABLE propagation_score AS {text('propagation_round')}")
        found = connection.execute("SELECT entity_id, label, score FROM propagation_score").fetchall()
    score = harmonic(graph, seeds, 3, rounds, 0).score
    assert len(found) == 3 * np.isfinite(score[:, 0]).sum()
    for i, label, value in found:
        assert score[i, int(label[1])] == pytest.approx(value, abs=1e-12)


def blocks(seed: int) -> tuple[sp.csr_array, np.ndarray, np.ndarray]:
    """(connected graph of three communities, seeds, community)."""
    rng = np.random.default_rng(seed)
    truth = np.repeat(np.arange(3), 40)
    dense = np.triu(rng.random((120, 120)) * (rng.random((120, 120)) < np.where(truth[:, None] == truth, 0.3, 0.01)), 1)
    seeds = np.full(120, -1)
    seeds[[0, 1, 40, 41, 80, 81]] = truth[[0, 1, 40, 41, 80, 81]]
    return sp.csr_array(dense + dense.T), seeds, truth


@pytest.mark.parametrize("seed", range(3))
def test_scikit_learn_gives_the_same_labels(seed):
    from sklearn.semi_supervised import LabelPropagation, LabelSpreading

    graph, seeds, truth = blocks(seed)
    dense = graph.toarray()
    peer = LabelPropagation(kernel=lambda a, b=None: dense.copy(), max_iter=20_000, tol=1e-9).fit(np.arange(120)[:, None], seeds)
    found = harmonic(graph, seeds, 3, 20_000, 1e-12).score
    assert found == pytest.approx(peer.label_distributions_, abs=1e-5)
    spreading = LabelSpreading(kernel=lambda a, b=None: dense.copy(), alpha=0.9, max_iter=1000).fit(np.arange(120)[:, None], seeds)
    by_expander = expander(graph, seeds, 3, Expander(1, 0.05, 0.001), 500, 1e-10).score.argmax(axis=1)
    assert (spreading.transduction_ == by_expander).mean() > 0.97 and (by_expander == truth).mean() > 0.9


def test_expander_with_all_labels_kept_is_expander():
    graph, seeds = random_graph(50, 0.1, 1), seeds_of(50, 6, 12, 1)
    whole, kept = (expander(graph, seeds, 6, Expander(top_labels=k), 200, 1e-12) for k in (None, 5))
    order = np.argsort(-whole.score, axis=1)[:, :5]
    reached = whole.n_hops >= 0
    for i in np.flatnonzero(reached):
        best = dict(zip(kept.label[i].tolist(), kept.score[i].tolist()))
        assert [best[k] for k in order[i][:2]] == pytest.approx(whole.score[i, order[i][:2]].tolist(), abs=2e-3)


@settings(max_examples=25, deadline=None)
@given(seed=st.integers(0, 10_000), k=st.integers(3, 30), kept=st.integers(1, 4))
def test_kept_labels_are_read_as_a_dense_round_would(seed, k, kept):
    """One round from a given state, against a dense matrix with delta written out."""
    graph, seeds = random_graph(25, 0.2, seed), seeds_of(25, k, 5, seed)
    state, weights, rng = _Kept(k, 25, min(kept, k - 1)), Expander(), np.random.default_rng(seed)
    state.label = np.argsort(rng.random((25, k)), axis=1)[:, : state.k].astype(np.int32)
    state.p = np.sort(rng.dirichlet(np.ones(k), 25), axis=1)[:, ::-1][:, : state.k].copy()
    dense = np.repeat(state.delta[:, None], k, axis=1)
    np.put_along_axis(dense, state.label.astype(int), state.p, axis=1)
    degree = np.asarray(graph.sum(axis=1)).ravel()
    below = weights.mu1 * (seeds >= 0) + weights.mu2 * degree + weights.mu3
    wanted = (weights.mu2 * (graph @ dense) + weights.mu3 / k + weights.mu1 * np.eye(k)[np.maximum(seeds, 0)] * (seeds >= 0)[:, None]) / below[:, None]
    change = state.round(graph, seeds, weights, below)
    assert np.sort(state.p, axis=1)[:, ::-1] == pytest.approx(np.sort(wanted, axis=1)[:, ::-1][:, : state.k], abs=1e-12)
    assert change == pytest.approx(np.abs(wanted - dense).max(), abs=1e-12)


def test_class_mass_normalisation():
    f = np.array([0.2, 0.35, 0.6])
    score = np.stack([1 - f, f], axis=1)
    found = normalised(score, class_mass_weights(score, np.array([0.9, 0.1])))
    assert found[:, 1] == pytest.approx([0.0428, 0.0878, 0.2114], abs=5e-5) and found.sum(axis=1) == pytest.approx(1)


def brute_threshold(score: np.ndarray, is_class: np.ndarray, target: float) -> tuple[float | None, bool]:
    options = []
    for t in sorted({s for s in score if s > 0}):
        n, right = int((score >= t).sum()), int((is_class & (score >= t)).sum())
        options.append((wilson(right, n)[0] >= target, 2 * right / (n + is_class.sum()), t))
    good = [t for meets, _, t in options if meets]
    return (min(good), True) if good else (max(options, key=lambda o: (o[1], o[2]))[2] if options else None, False)


@settings(max_examples=60, deadline=None)
@given(seed=st.integers(0, 10_000), n=st.integers(1, 200), target=st.sampled_from([0.3, 0.6, 0.9]))
def test_thresholds_are_those_of_trying_them_all(seed, n, target):
    rng = np.random.default_rng(seed)
    is_class = rng.random(n) < 0.4
    score = np.round(np.clip(0.5 * is_class + rng.random(n) * 0.6, 0, 1), 2)
    found = threshold(score, is_class, target)
    if is_class.any() and (score[is_class] > 0).any():
        wanted, meets = brute_threshold(score, is_class, target)
        assert ((score >= found.value) == (score >= wanted)).all() and found.meets == meets and 0 < found.value <= wanted
        assert found.precision == pytest.approx((is_class & (score >= found.value)).sum() / (score >= found.value).sum())
        assert found.lower == pytest.approx(wilson_lower(np.array([found.precision * found.n_labelled]), np.array([found.n_labelled]))[0])
    else:
        assert found.value is None


def test_a_threshold_lies_midway_to_the_next_score():
    score, is_class = np.array([1.0, 0.9, 0.1, 0.0]), np.array([True, True, False, False])
    assert threshold(score, is_class, 0.3).value == pytest.approx(0.5)
    assert threshold(score[[0, 1, 3]], is_class[[0, 1, 3]], 0.3).value == pytest.approx(0.45)
    assert threshold(score[:2], is_class[:2], 0.3).value == 0.9


def test_unreached_held_out_seeds_count_as_missed():
    found = threshold(np.array([0.9, np.nan]), np.array([True, True]), 0.1)
    assert found.recall == 0.5 and found.n_held_out == 2 and found.n_labelled == 1


def test_an_edge_of_weight_zero_is_none():
    graph = sp.csr_array((np.array([1.0, 1.0, 0.0, 0.0]), ([0, 1, 1, 2], [1, 0, 2, 1])), shape=(3, 3))
    found = harmonic(graph, np.array([0, -1, -1]), 2)
    assert found.n_hops.tolist() == [0, 1, -1] and np.isnan(found.score[2]).all() and found.score[1].tolist() == [1, 0]
