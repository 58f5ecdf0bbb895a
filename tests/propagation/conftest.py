"""One thread: the machine that runs the tests may be busy, and two threads that wait for each other are slower than one."""

from __future__ import annotations

import pytest


@pytest.fixture(scope="session", autouse=True)
def one_thread():
    """PyTorch on one thread for these tests."""
    import torch

    before = torch.get_num_threads()
    torch.set_num_threads(1)
    yield
    torch.set_num_threads(before)
