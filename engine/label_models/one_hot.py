"""Votes as sparse indicators."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

if TYPE_CHECKING:
    from scipy.sparse import csr_array

ABSTAIN = -1
CHUNK = 8192
"""Patterns made dense at a time."""


def one_hot(votes: np.ndarray, n_classes: int, dtype: type = np.float64) -> csr_array:
    """Sparse 0/1 (P, m K): column j K + v is 1 where LF j votes v; rows without abstentions, in order of LFs.

    votes  integers (P, m), -1 = abstain; works on blocks of rows, so that nothing of the size (P, m) is made but the result
    """
    from scipy.sparse import csr_array

    n, m = votes.shape
    starts = np.zeros(n + 1, np.int64)
    blocks = [slice(i, min(i + CHUNK, n)) for i in range(0, n, CHUNK)]
    for rows in blocks:
        starts[rows.start + 1 : rows.stop + 1] = (votes[rows] != ABSTAIN).sum(axis=1)
    np.cumsum(starts, out=starts)
    columns, first = np.empty(starts[-1], np.int32), np.arange(m, dtype=np.int32) * n_classes
    for rows in blocks:
        block = votes[rows]
        columns[starts[rows.start] : starts[rows.stop]] = (block + first)[block != ABSTAIN]
    small = starts[-1] < 2**31
    return csr_array((np.ones(len(columns), dtype), columns, starts.astype(np.int32) if small else starts), shape=(n, m * n_classes))
