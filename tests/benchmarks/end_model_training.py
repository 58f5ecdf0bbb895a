"""Training throughput against a plain in-memory PyTorch loop, and peak memory as rows grow.

    python -m tests.benchmarks.end_model_training [--rows 40000] [--grow 50000 100000 200000]

Both arms train the same linear network on the same encoded minibatches with the same optimiser, for the same epochs, in one
process. The plain arm keeps every row as tensors behind a DataLoader; ours streams Arrow, encodes, shuffles through a buffer.
Memory is measured in a fresh process per size, on a source that is generated, never held.
"""

from __future__ import annotations

import argparse
import subprocess
import sys
from pathlib import Path
from time import perf_counter
from typing import Iterator

import numpy as np
import pyarrow as pa
from rich.console import Console
from rich.table import Table

from groundswell.end_models import Feature, FeatureSpec, end_model

SPEC = FeatureSpec((Feature("x", "numeric"), Feature("z", "numeric"), Feature("c", "categorical"), Feature("t", "text")))
WORDS = np.array([f"word{i}" for i in range(20_000)])
CHUNK = 10_000
OPTIONS = {"batch_size": 1024, "max_epochs": 3, "text_buckets": 2**16, "char_ngrams": 0}


def source(rows: int):
    """Generated batches: two numbers, a category, a text of 12 words, p; the same on every pass, never all in memory."""

    def batches() -> Iterator[pa.RecordBatch]:
        for start in range(0, rows, CHUNK):
            yield _chunk(start, min(CHUNK, rows - start))

    return batches


def _chunk(start: int, n: int) -> pa.RecordBatch:
    r = np.random.default_rng(start)
    y = r.integers(0, 2, n)
    words = WORDS[np.minimum(r.zipf(1.3, (n, 12)), 9_999) + 10_000 * (y[:, None] * (r.random((n, 12)) < 0.2))]
    p = np.where(y[:, None] == [0, 1], 0.9, 0.1)
    texts, categories = [" ".join(row) for row in words], [f"v{i}" for i in r.integers(0, 50, n)]
    columns = {"x": y + r.normal(size=n), "z": r.normal(size=n), "c": categories, "t": texts}
    return pa.record_batch({**columns, "p": pa.FixedSizeListArray.from_arrays(pa.array(p.ravel()), 2)})


def ours(batches, cache_bytes: int, spool_bytes: int) -> list[float]:
    """Rows a second of each epoch; the first one includes encoding."""
    stamps = []
    model = end_model(**OPTIONS, cache_bytes=cache_bytes, spool_bytes=spool_bytes)
    clock = lambda event: stamps.append(event["rows_per_second"]) if event["event"] == "epoch" else None  # noqa: E731
    model.fit(batches, SPEC, ("a", "b"), on_event=clock)
    return stamps


def plain(batches) -> list[float]:
    """Rows a second of each epoch of a DataLoader over rows held in memory; encoding is not counted."""
    import torch
    from torch.utils.data import BatchSampler, DataLoader, RandomSampler

    from groundswell.end_models.batches import soft_labels
    from groundswell.end_models.encode import stacked
    from groundswell.end_models.training_data import TensorRows

    model = end_model(**OPTIONS)
    model.prepare(batches, SPEC, ("a", "b"))
    rows = stacked([model.encoder_.encode(b, soft_labels(b, 2)) for b in batches()])
    sampler = BatchSampler(RandomSampler(range(len(rows)), generator=torch.Generator().manual_seed(0)), OPTIONS["batch_size"], False)
    loader = DataLoader(_Rows(rows), sampler=sampler, batch_size=None)
    network, optimiser = model.network_, torch.optim.AdamW(model.network_.parameters(), lr=0.03, eps=1e-3, fused=True)
    speeds = []
    for _ in range(OPTIONS["max_epochs"]):
        started = perf_counter()
        for batch in loader:
            batch = TensorRows.of(batch, torch.device("cpu"))
            optimiser.zero_grad()
            torch.nn.functional.cross_entropy(network(batch), batch.p).backward()
            optimiser.step()
        speeds.append(len(rows) / (perf_counter() - started))
    return speeds


class _Rows:
    """A map-style data set that gives one minibatch per list of indices."""

    def __init__(self, rows):
        self.rows = rows

    def __len__(self) -> int:
        return len(self.rows)

    def __getitem__(self, indices):
        return self.rows.take(np.array(indices))


def peak_mib(rows: int, cache_bytes: int) -> float:
    """Peak resident MiB of a fresh process that trains one epoch on generated rows."""
    command = [sys.executable, "-m", "tests.benchmarks.end_model_training", "--peak", str(rows), str(cache_bytes)]
    return float(subprocess.run(command, capture_output=True, text=True, check=True).stdout)


def _high_water_mib() -> float:
    """VmHWM of this process: unlike ru_maxrss, which a child inherits from the process that forked it, it starts anew on exec."""
    status = Path("/proc/self/status").read_text(encoding="ascii")
    return int(next(line for line in status.splitlines() if line.startswith("VmHWM")).split()[1]) / 1024


def _print_peak(rows: int, cache_bytes: int) -> None:
    end_model(**OPTIONS | {"max_epochs": 2}, cache_bytes=cache_bytes, shuffle_rows=16_384).fit(source(rows), SPEC, ("a", "b"))
    print(_high_water_mib())


def throughput(rows: int) -> Table:
    table = Table("arm", "first epoch, rows/s", "later epochs, rows/s", title=f"{rows:,} rows, {OPTIONS}")
    held = list(source(rows)())
    arms = {
        "groundswell, rows kept in memory": ours(lambda: iter(held), 2**34, 0),
        "groundswell, rows kept on disk (memory bounded)": ours(lambda: iter(held), 0, 2**36),
        "groundswell, encoded anew every epoch": ours(lambda: iter(held), 0, 0),
        "plain DataLoader, encoded in memory beforehand": plain(lambda: iter(held)),
    }
    for name, speeds in arms.items():
        table.add_row(name, f"{speeds[0]:,.0f}", f"{np.median(speeds[1:]):,.0f}")
    return table


def memory(sizes: list[int]) -> Table:
    table = Table("rows", "rows on disk, MiB", "rows in memory, MiB", title="peak resident memory, two epochs")
    for rows in sizes:
        table.add_row(f"{rows:,}", f"{peak_mib(rows, 0):,.0f}", f"{peak_mib(rows, 2**34):,.0f}")
    return table


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--rows", type=int, default=40_000)
    parser.add_argument("--grow", type=int, nargs="+", default=[50_000, 100_000, 400_000])
    parser.add_argument("--peak", type=int, nargs=2, help=argparse.SUPPRESS)
    arguments = parser.parse_args()
    if arguments.peak:
        _print_peak(*arguments.peak)
        return
    console = Console()
    console.print(throughput(arguments.rows))
    console.print(memory(arguments.grow))


if __name__ == "__main__":
    main()
