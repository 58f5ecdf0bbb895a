"""The other methods against worked examples, loops and scikit-learn; degenerate data are reported."""

from __future__ import annotations

import numpy as np
import pytest

from groundswell.affinity import ArrayParts, Evidence, affinity_matrix, infer, inference, methods, prototypes
from groundswell.affinity.graph import centred_rows, neighbour_graph, neighbour_shares, neighbours, normalised, propagated, similarity, spectral_rows
from groundswell.affinity.hierarchical import bernoulli_mixture, bernoulli_posterior
from groundswell.affinity.inference import agree
from groundswell.errors import AffinityError


def bagged(n_per_class: int, n_classes: int, seed: int) -> tuple[Evidence, np.ndarray]:
    """Bags of 6 vectors of which 2 are of the entity's class, the others background; affinities as the paper makes them."""
    random = np.random.default_rng(seed)
    y = np.repeat(np.arange(n_classes), n_per_class)
    centres = np.maximum(random.normal(size=(n_classes, 24)), 0) * 3
    maps = np.maximum(random.normal(0, 0.4, (len(y), 6, 24)), 0)
    maps[:, :2] += centres[y][:, None]
    parts = ArrayParts(maps.astype(np.float32))
    found = prototypes(parts, 3)
    return Evidence(affinity_matrix(parts, found.vectors), found.entity, found.rank, np.zeros(len(found), int), maps.mean(axis=1).astype(np.float32)), y


@pytest.mark.parametrize("name", [m for m in methods() if m != "propagation"])
@pytest.mark.parametrize("n_classes", [2, 4])
def test_every_method_finds_clear_classes(name, n_classes):
    evidence, y = bagged(40, n_classes, seed=n_classes)
    found = infer(inference(name), evidence, n_classes)
    assert agree(found.labels, y, n_classes) > (0.7 if (name, n_classes) == ("coclustering", 4) else 0.97)  # it reads three singular vectors only
    assert found.p.shape == (len(y), n_classes) and found.p.sum(axis=1) == pytest.approx(1) and np.isfinite(found.p).all()
    again = infer(inference(name), evidence, n_classes)
    assert np.array_equal(found.p, again.p)


def test_the_worked_example_of_a_bernoulli_mixture():
    m = np.array([[0.9, 0.2, 0.8], [0.1, 0.7, 0.3]])
    p, _ = bernoulli_posterior(np.array([[0.8, 0.1, 0.6]]), np.array([0.5, 0.5]), m)
    assert p[0] == pytest.approx([0.8969, 0.1031], abs=5e-5)


def test_a_bernoulli_mixture_of_many_functions_does_not_underflow():
    random = np.random.default_rng(0)
    y = np.repeat([0, 1], 30)
    x = np.clip(np.where(random.random((60, 5000)) < 0.6, y[:, None], 1 - y[:, None]) + random.normal(0, 0.01, (60, 5000)), 0, 1)
    p, log_p, trace = bernoulli_mixture(x, np.where(random.random(60) < 0.2, 1 - y, y), 2, 200)
    assert np.isfinite(p).all() and agree(log_p.argmax(axis=1), y, 2) == 1 and trace[-1][1] == 0


def test_a_bernoulli_mixture_climbs():
    """The likelihood never falls: an independent check of both steps."""
    random = np.random.default_rng(1)
    x, start = random.random((40, 6)), random.integers(2, size=40)
    found = []
    for iterations in (1, 2, 4, 8, 16):
        p, _, _ = bernoulli_mixture(x, start, 2, iterations)
        prior, m = p.mean(axis=0), (p.T @ x) / p.sum(axis=0)[:, None]
        found.append(np.logaddexp.reduce(np.log(prior) + x @ np.log(m).T + (1 - x) @ np.log(1 - m).T, axis=1).sum())
    assert all(b >= a - 1e-9 for a, b in zip(found, found[1:]))


def test_the_graph_is_that_of_a_loop():
    random = np.random.default_rng(2)
    rows = random.normal(size=(30, 5)).astype(np.float32)
    rows /= np.linalg.norm(rows, axis=1, keepdims=True)
    graph = neighbour_graph(similarity([rows]), 4).toarray()
    cosine = rows @ rows.T
    expected = np.zeros((30, 30))
    for i in range(30):
        near = [j for j in np.argsort(-cosine[i]) if j != i][:4]
        for j in near:
            expected[i, j] = expected[j, i] = max(cosine[i, j], 1e-6)
    assert graph == pytest.approx(expected, abs=1e-6)


def test_centred_rows_have_no_mean_and_length_one():
    s = np.random.default_rng(3).random((20, 50)).astype(np.float32)
    rows = centred_rows(s)
    assert np.linalg.norm(rows, axis=1) == pytest.approx(1, abs=1e-5) and rows.mean(axis=1) == pytest.approx(0, abs=1e-6)
    assert centred_rows(s + 0.1 * np.arange(50, dtype=np.float32)) == pytest.approx(rows, abs=1e-4), "a prototype's own level does not count"


def test_spectral_clustering_agrees_with_scikit_learn():
    from sklearn.cluster import SpectralClustering

    from groundswell.affinity.kmeans import kmeans_labels

    random = np.random.default_rng(4)
    rows = random.normal(size=(150, 6)) + np.repeat(3 * np.eye(6)[:3], 50, axis=0)
    rows /= np.linalg.norm(rows, axis=1, keepdims=True)
    graph = neighbour_graph(similarity([rows.astype(np.float32)]), 8)
    ours = kmeans_labels(spectral_rows(graph, [rows.astype(np.float32)], 3), 3, 0, 20)
    theirs = SpectralClustering(3, affinity="precomputed", random_state=0).fit(graph.toarray()).labels_
    assert agree(ours, theirs, 3) > 0.97


@pytest.mark.parametrize("n", [200, 900])
def test_a_class_in_several_pieces_is_put_together(n):
    """Two classes of four pieces each that share no edge: what is alike in the large decides."""
    random = np.random.default_rng(6)
    y, piece = np.repeat([0, 1], n // 2), np.tile(np.arange(4), n // 4)
    rows = np.concatenate([3 * np.eye(2)[y], 2 * np.eye(4)[piece], random.normal(0, 0.05, (n, 2))], axis=1)
    rows = (rows / np.linalg.norm(rows, axis=1, keepdims=True)).astype(np.float32)
    graph = neighbour_graph(similarity([rows]), 5)
    from scipy.sparse.csgraph import connected_components

    from groundswell.affinity.kmeans import kmeans_labels

    assert connected_components(graph)[0] >= 8
    assert agree(kmeans_labels(spectral_rows(graph, [rows], 2), 2, 0, 20), y, 2) == 1


def test_propagation_is_the_solution_of_its_equation():
    random = np.random.default_rng(5)
    rows = random.normal(size=(60, 4)) + np.repeat([[2, 0, 0, 0], [0, 2, 0, 0]], 30, axis=0)
    rows /= np.linalg.norm(rows, axis=1, keepdims=True)
    graph = neighbour_graph(similarity([rows.astype(np.float32)]), 5)
    gold = np.full(60, -1)
    gold[[0, 1, 2, 40]] = [0, 0, 0, 1]
    start = np.zeros((60, 2))
    start[[0, 1, 2], 0], start[40, 1] = 1 / 3, 1
    scores = np.linalg.solve(np.eye(60) - 0.99 * normalised(graph).toarray(), start)
    scores /= scores.sum(axis=0)
    expected = scores / scores.sum(axis=1, keepdims=True)
    p = propagated(graph, gold, np.array([3, 1]))
    unlabelled = gold < 0
    assert p[unlabelled] == pytest.approx(expected[unlabelled], abs=1e-6)
    assert p[~unlabelled].argmax(axis=1).tolist() == [0, 0, 0, 1]


def test_propagation_names_its_clusters_itself_and_needs_gold():
    evidence, y = bagged(30, 3, seed=9)
    gold = np.full(len(y), -1)
    gold[[0, 1, 30, 31, 60]] = y[[0, 1, 30, 31, 60]]
    with_gold = Evidence(evidence.affinity, evidence.source, evidence.family, evidence.layer, evidence.features, gold)
    assert (infer(inference("propagation"), with_gold, 3).labels == y).mean() > 0.97
    with pytest.raises(AffinityError) as error:
        infer(inference("propagation"), evidence, 3)
    assert error.value.code == "AF113"


def test_shares_keep_the_label_and_leave_doubt():
    graph = neighbour_graph(similarity([np.eye(4, dtype=np.float32)[[0, 0, 1, 1]]]), 1)
    p = neighbour_shares(graph, np.array([0, 0, 1, 0]), 2)
    assert p.argmax(axis=1).tolist() == [0, 0, 1, 0] and p.max() < 1 and p[0, 0] > p[3, 0]


def test_neighbours_grow_with_images_per_class():
    assert [neighbours(n, 2) for n in (8, 60, 200, 1400, 20_000)] == [5, 5, 10, 26, 100]
    assert neighbours(3, 2) == 2


def test_more_classes_than_there_are_is_reported():
    evidence, _ = bagged(30, 2, seed=11)
    two_points = Evidence(np.repeat([[1.0, 0.2], [0.2, 1.0]], 10, axis=0).astype(np.float32), np.array([0, 10]), np.zeros(2, int), np.zeros(2, int))
    codes = [d.code for d in infer(inference("kmeans"), two_points, 4).diagnostics]
    assert "AF207" in codes
    assert "AF209" in [d.code for d in infer(inference("kmeans"), Evidence(np.random.default_rng(0).random((200, 50)).astype(np.float32), evidence.source[:50], np.zeros(50, int), np.zeros(50, int)), 5).diagnostics]


def test_negative_affinities_are_no_problem():
    evidence, y = bagged(30, 2, seed=12)
    moved = Evidence(evidence.affinity - 0.7, evidence.source, evidence.family, evidence.layer, evidence.features)
    for name in ("spectral", "em", "coclustering"):
        assert agree(infer(inference(name), moved, 2).labels, y, 2) > 0.97
