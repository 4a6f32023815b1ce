"""Registries of the shipped examples."""

from __future__ import annotations

import json
import shutil
from pathlib import Path

import pytest

from prover.registry.add import accepted_report
from prover.registry.store import Registry
from tests.conftest import alone
from tests.prover.registry.registries import BUNDLES, NAMES, put


@pytest.fixture(scope="session")
def reports(tmp_path_factory) -> dict[str, dict]:
    """What huref-verify says about the examples; asked once for all of pytest-xdist's workers."""
    with alone(tmp_path_factory, "registry-reports") as folder:
        kept = folder / "reports.json"
        if not kept.exists():
            kept.write_text(json.dumps({name: accepted_report(BUNDLES / name, True) for name in NAMES}))
        return json.loads(kept.read_text())


@pytest.fixture(scope="session")
def made(tmp_path_factory, reports) -> Path:
    folder = tmp_path_factory.mktemp("made") / "registry"
    registry = Registry.open_or_create(folder)
    for name in ("base", "offspring"):
        put(registry, name, reports)
    return folder


@pytest.fixture
def registry(made, tmp_path) -> Registry:
    """Base and offspring, to be spoilt."""
    shutil.copytree(made, tmp_path / "registry")
    return Registry.open(tmp_path / "registry")
