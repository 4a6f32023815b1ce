"""Small circuits, set up once a session."""

from __future__ import annotations

import pytest

from circuits import srs
from tests.circuits.graphs import (
    LEFT,
    RIGHT,
    inner_product,
)
from tests.circuits.small import (
    Circuit,
    K,
    compile_graph,
)


@pytest.fixture(scope="session")
def folder(tmp_path_factory):
    return tmp_path_factory.mktemp("small-circuits")


@pytest.fixture(scope="session")
def small_srs(folder):
    path = folder / "k8.srs"
    srs.generate_development(path, K)
    return path


@pytest.fixture(scope="session")
def inner(folder, small_srs) -> Circuit:
    return compile_graph(inner_product(), folder / "inner", small_srs, "link").set_up()


@pytest.fixture(scope="session")
def inner_proof(inner) -> dict:
    return inner.prove([LEFT, RIGHT])
