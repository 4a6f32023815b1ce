"""Fixtures: the toy profile pinned in place of the published ones, and copies of its bundle to spoil."""

from __future__ import annotations

import hashlib
import json
import shutil
from collections.abc import Callable
from pathlib import Path

import pytest

import verifier.comparison.circuit
import verifier.comparison.verify
import verifier.trust.profile
from verifier.children.workers import Deadline, Workers
from verifier.comparison.circuit import load_circuit
from verifier.fingerprint.options import Options
from verifier.fingerprint.report import Report
from verifier.fingerprint.verify import verify_bundle, verify_with

ASSETS = Path(__file__).with_name("assets")
TOY = "toy-dev"
PAIR = (ASSETS / "bundle", ASSETS / "bundle_b")


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


@pytest.fixture
def circuit(toy, monkeypatch):
    """The toy similarity circuit, trusted by this test like the toy threshold circuit."""
    folder = ASSETS / "comparisons"
    digests = {path.parent.name: hashlib.sha256(path.read_bytes()).digest() for path in folder.glob("*/circuit.json")}
    monkeypatch.setattr(verifier.comparison.circuit, "trusted", lambda: digests)
    monkeypatch.setattr(verifier.comparison.circuit, "circuits_folder", lambda: folder)
    return load_circuit(TOY)


@pytest.fixture
def remembered(monkeypatch, accepted_once):
    """The two good bundles are verified once for all tests; others as ever."""

    def verify(workers, path, options):
        known = accepted_once.get(path) if options.allow_development_srs else None
        return known or verify_with(workers, path, options)

    monkeypatch.setattr(verifier.comparison.verify, "verify_with", verify)


@pytest.fixture(scope="session")
def accepted_once():
    patch = pytest.MonkeyPatch()
    folder = ASSETS / "profiles"
    digest = hashlib.sha256((folder / TOY / "profile.json").read_bytes()).digest()
    patch.setattr(verifier.trust.profile, "trusted", lambda: {TOY: digest})
    patch.setattr(verifier.trust.profile, "profiles_folder", lambda: folder)
    with patch.context(), Workers(Deadline(300.0)) as workers:
        options = Options(allow_development_srs=True)
        found = {path: verify_with(workers, path, options) for path in PAIR}
    patch.undo()
    assert all(accepted is not None for _, accepted in found.values())
    return found
