"""The paper's EM: the worked example, an oracle in linear space, planted classes, bad starts."""

from __future__ import annotations

import numpy as np
import pytest
from scipy.stats import norm

from groundswell.affinity import Evidence, infer, inference
from groundswell.affinity.em import fit_columns, log_likelihood, posterior
from groundswell.affinity.inference import agree
from groundswell.errors import AffinityError

S = np.array([[1, 0.8, 0.3, 0.2], [0.8, 1, 0.2, 0.4], [0.3, 0.2, 1, 0.7], [0.4, 0.3, 0.7, 1]])
HARD = np.array([[0, 1], [0, 1], [1, 0], [1, 0]], float)
Z = np.array([1, 1, 0, 0])


def evidence(s: np.ndarray, source: np.ndarray | None = None) -> Evidence:
    """Evidence of one affinity function."""
    source = np.arange(s.shape[1]) if source is None else source
    return Evidence(s, source, np.zeros(s.shape[1], int), np.zeros(s.shape[1], int))


def test_the_worked_example_of_four_images():
    columns = fit_columns(S, HARD, floor=0.05)
    assert columns.mean[1] == pytest.approx([0.9, 0.9, 0.25, 0.3])
    assert columns.mean[0] == pytest.approx([0.35, 0.25, 0.85, 0.85])
    assert columns.sd[1] == pytest.approx([0.1, 0.1, 0.05, 0.1])
    assert columns.sd[0] == pytest.approx([0.05, 0.05, 0.15, 0.15])
    log_a = log_likelihood(S, columns, Z)
    assert log_a[:, 1] == pytest.approx([-4.0275, -4.0275, -174.6126, -106.8142], abs=1e-4)
    assert log_a[:, 0] == pytest.approx([-172.6408, -178.1890, -2.3593, -5.6958], abs=1e-4)
    assert posterior(log_a, columns.prior)[0][:, 1] == pytest.approx([1, 1, 0, 0], abs=1e-12)
    new = log_likelihood(np.array([[0.7, 0.5, 0.5, 0.3]]), columns, Z)[0]
    assert new == pytest.approx([-56.0775, -29.9014], abs=1e-4)


def test_likelihoods_are_products_of_distribution_functions():
    random = np.random.default_rng(0)
    s, weight, z = random.random((6, 5)), random.dirichlet([1, 1, 1], 6), random.integers(3, size=5)
    columns = fit_columns(s, weight)
    for i in range(6):
        for k in range(3):
            cdf = norm.cdf(s[i], columns.mean[k], columns.sd[k])
            product = np.prod(np.where(z == k, cdf, 1 - cdf))
            assert np.exp(log_likelihood(s, columns, z)[i, k]) == pytest.approx(product, rel=1e-8)


def test_weighted_moments_are_those_of_numpy():
    random = np.random.default_rng(1)
    s, weight = random.random((40, 3)), random.dirichlet([1, 1], 40)
    columns = fit_columns(s, weight)
    for k in range(2):
        mean = np.average(s, axis=0, weights=weight[:, k])
        assert columns.mean[k] == pytest.approx(mean)
        assert columns.sd[k] == pytest.approx(np.sqrt(np.average((s - mean) ** 2, axis=0, weights=weight[:, k])))


def planted(n_per_class: int, n_classes: int, seed: int, gap: float = 0.12) -> tuple[Evidence, np.ndarray]:
    """Affinities that are `gap` higher between entities of one class, one prototype each."""
    random = np.random.default_rng(seed)
    y = np.repeat(np.arange(n_classes), n_per_class)
    s = 0.5 + gap * (y[:, None] == y[None, :]) + random.normal(0, 0.1, (len(y), len(y)))
    return evidence(np.clip(s, 0, 1).astype(np.float32)), y


@pytest.mark.parametrize("n_classes", [2, 3, 5])
@pytest.mark.parametrize("mstep", ["soft", "sample"])
def test_both_m_steps_find_planted_classes(n_classes, mstep):
    found, y = planted(40, n_classes, seed=n_classes)
    answer = infer(inference("em", mstep=mstep), found, n_classes)
    assert agree(answer.labels, y, n_classes) > 0.97
    assert answer.converged and answer.trace[-1][1] == 0
    assert answer.p.sum(axis=1) == pytest.approx(1)


def test_a_random_start_finds_them_too():
    found, y = planted(60, 2, seed=7, gap=0.2)
    assert agree(infer(inference("em", start="random"), found, 2).labels, y, 2) > 0.97


def test_a_class_that_loses_its_rows_is_seeded_again():
    from groundswell.affinity.em import _reseeded

    p = np.tile([0.6, 0.4], (40, 1))
    p[3], p[9] = [0.5, 0.5], [0.51, 0.49]
    labels = _reseeded(np.zeros(40, int), p, np.array([1]))
    assert np.flatnonzero(labels == 1).tolist() == [3, 9]


def test_the_same_seed_gives_the_same_bits():
    found, _ = planted(30, 2, seed=3)
    first, second = (infer(inference("em", mstep="sample"), found, 2, seed=5) for _ in range(2))
    assert np.array_equal(first.p, second.p) and first.trace == second.trace


def test_order_of_rows_does_not_matter():
    found, _ = planted(30, 2, seed=4)
    order = np.random.default_rng(0).permutation(60)
    moved = evidence(found.affinity[order], np.argsort(order)[found.source])
    assert agree(infer(inference("em"), found, 2).labels[order], infer(inference("em"), moved, 2).labels, 2) == 1


def test_what_cannot_be_told_apart_is_an_error():
    with pytest.raises(AffinityError, match="look|same") as error:
        infer(inference("em"), evidence(np.ones((5, 5), np.float32)), 2)
    assert error.value.code == "AF107"
    with pytest.raises(AffinityError) as error:
        infer(inference("em"), evidence(np.ones((1, 1), np.float32)), 2)
    assert error.value.code == "AF106"


def test_unknown_methods_and_options_name_the_nearest():
    with pytest.raises(AffinityError, match="spectrl") as error:
        inference("spectrl")
    assert error.value.code == "AF108" and "spectral" in str(error.value)
    with pytest.raises(AffinityError) as error:
        inference("em", mstp="soft")
    assert "mstep" in str(error.value)
