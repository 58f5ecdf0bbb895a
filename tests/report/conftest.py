"""A world small enough to count by hand, random enough to be no accident."""

from __future__ import annotations

import pytest
from small_store import World, random_world, store_of

from groundswell.report.ask import Questions


@pytest.fixture(scope="session")
def world() -> World:
    return random_world()


@pytest.fixture(scope="session")
def questions(world) -> Questions:
    return Questions(store_of(world), world.task)
