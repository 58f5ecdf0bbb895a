"""Small Arrow sources for end-model tests."""

from __future__ import annotations

import numpy as np
import pyarrow as pa
import pytest

from groundswell.end_models import Feature, FeatureSpec

WORDS = ["red", "green", "blue", "free", "money", "click", "song", "great", "voice", "love", "channel", "subscribe"]


class Mixed:
    """A K-class problem over a number, a category and a text that all depend on the class."""

    spec = FeatureSpec((Feature("x", "numeric", "double"), Feature("c", "categorical"), Feature("t", "text")))

    def table(self, n: int, k: int = 2, seed: int = 0) -> pa.Table:
        r = np.random.default_rng(seed)
        y = r.integers(0, k, n)
        x = [None if u < 0.1 else float(v) for u, v in zip(r.random(n), y + r.normal(0, 0.7, n))]
        c = [None if u < 0.1 else f"v{(a + (u > 0.8)) % k}" for u, a in zip(r.random(n), y)]
        t = [" ".join(r.choice(WORDS[a * 12 // k : (a + 1) * 12 // k + 2], 4)) for a in y]
        p = np.full((n, k), 0.2 / (k - 1))
        p[np.arange(n), y] = 0.8
        columns = {"entity_id": pa.array(range(n)), "x": pa.array(x, pa.float64()), "c": c, "t": t, "p": p.tolist(), "y": y}
        return pa.table(columns)

    @staticmethod
    def classes(k: int) -> tuple[str, ...]:
        return tuple("abcdefgh"[:k])

    @staticmethod
    def source(table: pa.Table, rows: int = 1000):
        return lambda: iter(table.to_batches(max_chunksize=rows))

    @staticmethod
    def batch(table: pa.Table) -> pa.RecordBatch:
        return table.combine_chunks().to_batches()[0]


@pytest.fixture(autouse=True)
def one_torch_thread():
    """Torch's own threads beside DuckDB's fight for the cores; bits are promised for a fixed thread count only."""
    import torch

    before = torch.get_num_threads()
    torch.set_num_threads(1)
    yield
    torch.set_num_threads(before)


@pytest.fixture(scope="session")
def mixed() -> Mixed:
    return Mixed()


SMALL = {"text_buckets": 2**10, "max_epochs": 6, "batch_size": 64}


@pytest.fixture
def small() -> dict:
    """Options that make a fit quick."""
    return dict(SMALL)
