"""Fixtures: the toy profile pinned in place of the published ones, and copies of its bundle to spoil."""

from __future__ import annotations

import hashlib
import json
import shutil
from collections.abc import Callable
from pathlib import Path

import pytest

import verifier.trust.profile
from verifier.fingerprint.options import Options
from verifier.fingerprint.report import Report
from verifier.fingerprint.verify import verify_bundle

ASSETS = Path(__file__).with_name("assets")
TOY = "toy-dev"


@pytest.fixture
def toy(monkeypatch: pytest.MonkeyPatch) -> Path:
    """The toy profile's folder, trusted by this test."""
    folder = ASSETS / "profiles"
    digest = hashlib.sha256((folder / TOY / "profile.json").read_bytes()).digest()
    monkeypatch.setattr(verifier.trust.profile, "trusted", lambda: {TOY: digest})
    monkeypatch.setattr(verifier.trust.profile, "profiles_folder", lambda: folder)
    return folder / TOY


@pytest.fixture
def bundle(toy: Path, tmp_path: Path) -> Path:
    """A good bundle, to be spoilt."""
    target = tmp_path / "bundle"
    shutil.copytree(ASSETS / "bundle", target)
    return target


@pytest.fixture
def verify() -> Callable[..., Report]:
    """Verify with the development SRS allowed."""

    def run(path: Path, **options: object) -> Report:
        return verify_bundle(path, Options(**({"allow_development_srs": True, "time_limit_s": 300.0} | options)))

    return run


def canonical(value: object) -> bytes:
    return json.dumps(value, sort_keys=True, separators=(",", ":"), ensure_ascii=False).encode()


@pytest.fixture
def edit() -> Callable[[Path, Callable[[dict], object]], None]:
    """Change a JSON file and write it back in canonical form."""

    def change(path: Path, how: Callable[[dict], object]) -> None:
        value = json.loads(path.read_bytes())
        how(value)
        path.write_bytes(canonical(value))

    return change
