"""Dependencies by sparse plus low-rank inverse covariance: what is left of it when the class's share, of low rank, is taken out.

min_{S, L} 1/2 tr(R Sigma R) - tr(R) + lam (gamma |S|_1 + tr L), R = S - L positive definite, L positive semidefinite.
Source: Varma et al. 2019; the splitting is that of Ma, Xue & Zou 2013.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

MOST_LFS = 200
"""Each step decomposes an m x m matrix."""


@dataclass(frozen=True)
class Decomposition:
    """sparse float (m, m), low_rank float (m, m) >= 0, their objective, steps, and whether they settled."""

    sparse: np.ndarray
    low_rank: np.ndarray
    objective: float
    n_steps: int
    converged: bool


def decompose(sigma: np.ndarray, lam: float, gamma: float, *, tolerance: float = 1e-6, max_steps: int = 3000) -> Decomposition:
    """S and L of a covariance sigma (m, m), by alternating directions with eigen-decompositions."""
    m = len(sigma)
    spectrum, basis = np.linalg.eigh(sigma)
    rho = 1.0
    halves = (spectrum[:, None] + spectrum[None, :]) / 2
    sparse, low, dual, off_diagonal = np.eye(m), np.zeros((m, m)), np.zeros((m, m)), ~np.eye(m, dtype=bool)
    for step in range(1, max_steps + 1):
        right = basis.T @ (np.eye(m) + rho * (sparse - low - dual)) @ basis
        joint = _floored(basis @ (right / (halves + rho)) @ basis.T, 1e-8)
        before = sparse, low
        sparse, low = _shrunk(joint + dual, sparse, low, lam * gamma / rho, lam / rho, off_diagonal)
        gap = joint - sparse + low
        dual = dual + gap
        moved = max(np.abs(sparse - before[0]).max(), np.abs(low - before[1]).max(), np.abs(gap).max())
        if moved < tolerance:
            break
    return Decomposition(sparse, low, objective(sparse, low, sigma, lam, gamma), step, bool(moved < tolerance))


def objective(sparse: np.ndarray, low: np.ndarray, sigma: np.ndarray, lam: float, gamma: float) -> float:
    """The value that is minimised; the diagonal of S is not penalised."""
    joint = sparse - low
    off_diagonal = np.abs(sparse).sum() - np.abs(np.diag(sparse)).sum()
    return float(0.5 * np.trace(joint @ sigma @ joint) - np.trace(joint) + lam * (gamma * off_diagonal + np.trace(low)))


def _shrunk(target: np.ndarray, sparse: np.ndarray, low: np.ndarray, soft: float, trace: float, off_diagonal: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """One proximal step of S and L towards S - L = target."""
    gap = (target - sparse + low) / 2
    moved = sparse + gap
    sparse = np.where(off_diagonal, np.sign(moved) * np.maximum(np.abs(moved) - soft / 2, 0.0), moved)
    values, vectors = np.linalg.eigh(low - gap - trace / 2 * np.eye(len(low)))
    kept = values > 0
    return sparse, (vectors[:, kept] * values[kept]) @ vectors[:, kept].T


def _floored(matrix: np.ndarray, least: float) -> np.ndarray:
    """The matrix with eigenvalues of at least `least`."""
    symmetric = (matrix + matrix.T) / 2
    values, vectors = np.linalg.eigh(symmetric)
    return symmetric if values[0] >= least else (vectors * np.maximum(values, least)) @ vectors.T
