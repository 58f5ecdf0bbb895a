"""Fixtures all rooms share."""

from __future__ import annotations

from pathlib import Path

import pytest
from support import project, workspace


@pytest.fixture(scope="session")
def published_shop(tmp_path_factory) -> Path:
    """The tickets project after one run; tests only look at it."""
    folder = project(tmp_path_factory.mktemp("published") / "shop")
    workspace(folder).run()
    return folder
