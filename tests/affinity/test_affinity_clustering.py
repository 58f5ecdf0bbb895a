"""The other methods against worked examples, loops and scikit-learn; degenerate data are reported."""

from __future__ import annotations

import numpy as np
import pytest

from groundswell.affinity import ArrayParts, Evidence, affinity_matrix, infer, inference, methods, prototypes
from groundswell.affinity.graph import centred_rows, neighbour_graph, neighbour_shares, neighbours, normalised, propagated, similarity, views
from groundswell.affinity.hierarchical import bernoulli_mixture, bernoulli_posterior
from groundswell.affinity.inference import agree
from groundswell.affinity.kmeans import kmeans_labels
from groundswell.affinity.spectral import Spectral, accumulated, spectral_rows, without_density
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

    assert connected_components(graph)[0] >= 8
    assert agree(kmeans_labels(spectral_rows(graph, [rows], 2), 2, 0, 20), y, 2) == 1


def test_a_graph_without_density_is_that_of_a_loop():
    random = np.random.default_rng(7)
    rows = random.normal(size=(25, 4)).astype(np.float32)
    graph = neighbour_graph(similarity([rows / np.linalg.norm(rows, axis=1, keepdims=True)]), 3)
    dense = graph.toarray()
    expected = [[dense[i, j] / (dense[i].sum() * dense[j].sum()) for j in range(25)] for i in range(25)]
    assert without_density(graph).toarray() == pytest.approx(np.array(expected), rel=1e-9)


def clutter(n: int, n_classes: int, seed: int) -> tuple[Evidence, np.ndarray]:
    """Classes of three kinds each, and one direction in which every entity strays: those that stray least become hubs."""
    random = np.random.default_rng(seed)
    y, kind = random.integers(n_classes, size=n), random.integers(3, size=n)
    centres = random.normal(size=(n_classes, 3, 60)) * 0.5 + random.normal(size=(n_classes, 1, 60)) * 0.8
    x = (centres[y, kind] + random.normal(size=(n, 60)) * 1.1 + np.outer(random.normal(size=n), random.normal(size=60)) * 0.8).astype(np.float32)
    unit = x / np.linalg.norm(x, axis=1, keepdims=True)
    none = np.zeros(n, int)
    return Evidence(unit @ unit.T, np.arange(n), none, none, x), y


def test_hubs_and_kinds_do_not_hide_the_classes():
    found = {name: [] for name in ("ours", "k-means", "with density")}
    for seed in range(6):
        evidence, y = clutter(300, 3, seed)
        rows = views(evidence)
        with_density = spectral_rows(neighbour_graph(similarity(rows), neighbours(300, 3)), rows, 3)
        for name, labels in (
            ("ours", infer(inference("spectral"), evidence, 3).labels), ("k-means", infer(inference("kmeans", features=True), evidence, 3).labels),
            ("with density", kmeans_labels(with_density, 3, 0, 20)),
        ):  # fmt: skip
            found[name].append(agree(labels, y, 3))
    assert min(found["ours"]) > 0.97 and np.mean(found["k-means"]) < 0.9 and np.mean(found["with density"]) < 0.95, found


@pytest.mark.parametrize("n_classes", [2, 3])
def test_classes_that_are_rings_are_followed_round(n_classes):
    random = np.random.default_rng(n_classes)
    n = 60 * n_classes
    y, t, axes = np.arange(n) % n_classes, random.uniform(0, 2 * np.pi, n), np.linalg.qr(random.normal(size=(40, 40)))[0]
    x = 0.6 * y[:, None] * axes[0] + np.cos(t)[:, None] * (axes[1 + 2 * y] + 0.5 * axes[20]) + np.sin(t)[:, None] * axes[2 + 2 * y] + 0.06 * random.normal(size=(n, 40))
    unit = (x / np.linalg.norm(x, axis=1, keepdims=True)).astype(np.float32)
    none = np.zeros(n, int)
    assert agree(infer(inference("spectral"), Evidence(unit @ unit.T, np.arange(n), none, none, x.astype(np.float32)), n_classes).labels, y, n_classes) == 1


def test_scales_are_octaves_of_neighbours():
    assert Spectral().sizes(300, 2) == [6, 12, 24] and Spectral().sizes(20_000, 2) == [50, 100, 200]
    assert Spectral().sizes(24, 2) == [3, 5, 6], "not more than half a class"
    assert Spectral().sizes(3, 2) == [2, 2, 2] and Spectral(k=8, scales=(1.0,)).sizes(20, 2) == [8]


def test_the_answer_is_what_most_scales_say():
    a, b = np.repeat([0, 1], 10), np.repeat([1, 0], 10)
    odd = np.tile([0, 1], 10)
    assert agree(accumulated([a, odd, b], 2, 0), a, 2) == 1, "clusters have no names: b says what a says"
    assert accumulated([odd], 2, 0) is odd


def test_scales_that_disagree_are_said():
    found = infer(inference("spectral"), Evidence(np.random.default_rng(1).random((200, 50)).astype(np.float32), np.arange(50), np.zeros(50, int), np.zeros(50, int)), 3)
    assert found.stability < 0.9 and "AF209" in [d.code for d in found.diagnostics]
    evidence, _ = bagged(40, 2, seed=1)
    assert infer(inference("spectral"), evidence, 2).stability > 0.98


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


@pytest.mark.parametrize("name", ["spectral", "kmeans", "em", "hierarchical"])
def test_fewer_different_rows_than_classes_is_reported(name):
    x = np.random.default_rng(0).random((3, 20)).astype(np.float32)
    none = np.zeros(20, int)
    few = Evidence(np.repeat(x, 30, axis=0), np.arange(20), none, none)
    said = [d.message for d in infer(inference(name), few, 4).diagnostics if d.code == "AF207"]
    assert "there are only 3 different rows for 4 classes" in said
    assert not any("different rows" in d.message for d in infer(inference(name), few, 3).diagnostics)


@pytest.mark.parametrize("n", range(2, 13))
def test_tiny_sets_have_an_answer(n):
    for seed in range(3):
        x = np.random.default_rng(seed).normal(size=(n, 6)).astype(np.float32)
        unit = x / np.linalg.norm(x, axis=1, keepdims=True)
        evidence = Evidence(unit @ unit.T, np.arange(n), np.zeros(n, int), np.zeros(n, int), x)
        for k in range(2, min(n, 4) + 1):
            p = infer(inference("spectral"), evidence, k).p
            assert np.isfinite(p).all() and p.sum(axis=1) == pytest.approx(1)


def test_rows_that_stray_together_are_no_class():
    random = np.random.default_rng(0)
    y, x = np.arange(200) % 2, random.normal(0, 0.4, (200, 30))
    x[:, 0] += 3
    x[:, 1] += np.where(y == 0, 1.5, -1.5)
    for j in range(3):
        x[2 * j : 2 * j + 2] = -4 * np.eye(30)[0] + np.array([[3], [-3]]) * np.eye(30)[5 + j]
    unit = (x / np.linalg.norm(x, axis=1, keepdims=True)).astype(np.float32)
    evidence = Evidence(unit @ unit.T, np.arange(200), np.zeros(200, int), np.zeros(200, int), x.astype(np.float32))
    assert agree(infer(inference("spectral"), evidence, 2).labels[6:], y[6:], 2) == 1


def test_negative_affinities_are_no_problem():
    evidence, y = bagged(30, 2, seed=12)
    moved = Evidence(evidence.affinity - 0.7, evidence.source, evidence.family, evidence.layer, evidence.features)
    for name in ("spectral", "em", "coclustering"):
        assert agree(infer(inference(name), moved, 2).labels, y, 2) > 0.97
