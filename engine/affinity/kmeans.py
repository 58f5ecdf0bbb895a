"""k-means, the start of some methods and the end of others."""

from __future__ import annotations

import warnings

import numpy as np

STARTS = 10


def kmeans_labels(rows: np.ndarray, n_classes: int, seed: int, starts: int = STARTS) -> np.ndarray:
    """int (N,): k-means, the best of some starts."""
    from sklearn.cluster import KMeans
    from sklearn.exceptions import ConvergenceWarning
    from threadpoolctl import threadpool_limits

    with threadpool_limits(1), warnings.catch_warnings():  # the sums of a step depend on how many threads share them
        warnings.simplefilter("ignore", ConvergenceWarning)  # fewer different rows than classes: an empty cluster says so
        return KMeans(n_classes, n_init=starts, random_state=seed).fit(np.asarray(rows, dtype=np.float64)).labels_.astype(int)
