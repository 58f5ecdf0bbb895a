"""Encoded rows on disk: what memory does not hold need not be encoded again."""

from __future__ import annotations

import shutil
import tempfile
import weakref
from typing import IO, Iterator

import numpy as np
import scipy.sparse as sp

from .encode import EncodedRows


class Spool:
    """Blocks of encoded rows in a temporary file without a name, at most `size` bytes and half of the free space; same bits back."""

    def __init__(self, size: int):
        self._left, self._file, self._blocks = size, None, 0

    def __len__(self) -> int:
        """Blocks kept."""
        return self._blocks

    def append(self, rows: EncodedRows) -> bool:
        """Whether there was room; the block is kept then."""
        if rows.nbytes > self._left:
            return False
        file = self._opened()
        if rows.nbytes > self._left:
            return False
        s = rows.sparse
        for array in (rows.dense, s.data, s.indices, s.indptr, np.array(s.shape), rows.p, rows.weight):
            np.lib.format.write_array(file, np.ascontiguousarray(array), allow_pickle=False)
        self._left -= rows.nbytes
        self._blocks += 1
        return True

    def _opened(self) -> IO[bytes]:
        if self._file is None:
            self._left = min(self._left, shutil.disk_usage(tempfile.gettempdir()).free // 2)
            self._file = tempfile.TemporaryFile(prefix="groundswell-")
            weakref.finalize(self, self._file.close)
        return self._file

    def __iter__(self) -> Iterator[EncodedRows]:
        """The blocks in the order in which they came; one reader at a time."""
        if self._file is None:
            return
        self._file.seek(0)
        for _ in range(self._blocks):
            dense, data, indices, indptr, shape, p, weight = (np.lib.format.read_array(self._file, allow_pickle=False) for _ in range(7))
            yield EncodedRows(dense, sp.csr_matrix((data, indices, indptr), tuple(shape)), p, weight)
