"""One thread: the machine that runs the tests may be busy, and two threads that wait for each other are slower than one."""

from __future__ import annotations

from pathlib import Path
from typing import Any, Callable, Iterator

import pyarrow as pa
import pytest

from groundswell.services.base import Answering, Preparation
from groundswell.services.declare import DeclaredService
from groundswell.services.load import built_in


@pytest.fixture(scope="session", autouse=True)
def one_thread():
    """PyTorch on one thread for these tests."""
    import torch

    before = torch.get_num_threads()
    torch.set_num_threads(1)
    yield
    torch.set_num_threads(before)


@pytest.fixture
def ready(tmp_path) -> Callable[..., Answering]:
    """Makes a built-in service ready: kind, what it is fitted on (Arrow arrays), settings; notes of the last one in `ready.notes`."""

    def make(kind: str, fit: list[pa.Array] | None = None, root: Path = tmp_path, **settings: Any) -> Answering:
        def rows(most: int) -> Iterator[pa.RecordBatch]:
            yield pa.record_batch([column.slice(0, most) for column in fit or []], names=[f"c{i}" for i in range(len(fit or []))])

        state = tmp_path / f"{kind}-{abs(hash(str(settings)))}.npz"
        state.unlink(missing_ok=True)
        service = built_in(kind, DeclaredService(kind, "SELECT 1" if fit else None, 1, settings, 1), None, root)
        preparation = Preparation(root, state, rows)
        make.notes, make.service = preparation.notes, service
        return service.prepare(preparation)

    return make
