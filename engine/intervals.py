"""Intervals of shares."""

from __future__ import annotations

import numpy as np

Z95 = 1.959964


def wilson(right: np.ndarray | float, n: np.ndarray | float, z: float = Z95) -> tuple[np.ndarray, np.ndarray]:
    """(low, high) of the Wilson score interval of right / n, elementwise; (0, 1) where n is 0. Source: Wilson 1927."""
    right, n = np.asarray(right, float), np.asarray(n, float)
    safe = np.maximum(n, 1.0)
    share, slack = right / safe, z * z / safe
    centre, half = share + slack / 2, z * np.sqrt(share * (1 - share) / safe + slack / (4 * safe))
    return np.where(n > 0, np.maximum((centre - half) / (1 + slack), 0.0), 0.0), np.where(n > 0, np.minimum((centre + half) / (1 + slack), 1.0), 1.0)


def wilson_lower(right: np.ndarray | float, n: np.ndarray | float, z: float = Z95) -> np.ndarray:
    """The lower end of `wilson`."""
    return wilson(right, n, z)[0]
