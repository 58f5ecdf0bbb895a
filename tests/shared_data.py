"""Where the shared data sets lie, for tests and benchmarks."""

from __future__ import annotations

import os
from pathlib import Path

ROOT = Path(__file__).resolve().parent.parent


def shared(name: str) -> Path:
    """The folder ../shared/data/<name> beside the project. Raises FileNotFoundError if it is missing; with
    GROUNDSWELL_NO_SHARED_DATA=1 the calling test is skipped instead."""
    folder = ROOT.parent / "shared" / "data" / name
    if folder.is_dir():
        return folder
    if os.environ.get("GROUNDSWELL_NO_SHARED_DATA") == "1":
        import pytest

        pytest.skip(f"shared data set {name} is absent and GROUNDSWELL_NO_SHARED_DATA=1")
    raise FileNotFoundError(f"../shared/data/{name} is missing (set GROUNDSWELL_NO_SHARED_DATA=1 to skip tests that need it)")
