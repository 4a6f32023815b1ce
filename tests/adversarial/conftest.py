"""The honest bundle that the tampering tests start from."""

from __future__ import annotations

import pytest


@pytest.fixture(scope="session")
def files(world):
    """The honest bundle, by file name."""
    return world.honest.files


@pytest.fixture(scope="session")
def rows(world):
    """How many rows are committed; S' has this index, the y follow."""
    return sum(len(matrix) for matrix in world.source.matrices.by_name.values())
