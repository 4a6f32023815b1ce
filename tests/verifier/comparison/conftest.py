"""Fixtures: the toy circuits for comparisons, trusted, and the two toy bundles, verified once for all tests."""

from __future__ import annotations

import hashlib

import pytest

import verifier.comparison.circuit
import verifier.comparison.verify
import verifier.trust.profile
from tests.verifier.conftest import ASSETS, TOY
from verifier.children.workers import Deadline, Workers
from verifier.comparison.circuit import load_circuit
from verifier.fingerprint.options import Options
from verifier.fingerprint.verify import verify_with

PAIR = (ASSETS / "bundle", ASSETS / "bundle_b")


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
