"""The honest bundle that the tampering tests start from."""

from __future__ import annotations

import hashlib
from pathlib import Path

import pytest

import verifier.inference.circuit
import verifier.inference.verify
import verifier.trust.profile
from prover.commitments.jobs import Job
from prover.fingerprint.prove import FingerprintProver
from prover.terms.terms import TermRules, load_fingerprint_input
from tests.adversarial.cheats import SEED, SESSION, World
from tests.adversarial.comparison_cheats import trusted_toys
from tests.adversarial.inference_cheats import honest_world
from tests.conftest import alone
from tests.toy_pair import ASSETS, NAME, toy_pair, toy_profile
from verifier.fingerprint.verify import verify_with


@pytest.fixture(scope="session")
def files(world):
    """The honest bundle, by file name."""
    return world.honest.files


@pytest.fixture(scope="session")
def rows(world):
    """How many rows are committed; S' has this index, the y follow."""
    return sum(len(matrix) for matrix in world.source.matrices.by_name.values())


@pytest.fixture(scope="module")
def toy_bundle_world(tmp_path_factory):
    """The toy model, honestly proven; its profile is trusted."""
    patch, profile = pytest.MonkeyPatch(), toy_profile()
    patch.setattr(verifier.trust.profile, "trusted", lambda: {NAME: bytes.fromhex(profile.sha256)})
    patch.setattr(verifier.trust.profile, "profiles_folder", lambda: ASSETS / "profiles")
    source = load_fingerprint_input(ASSETS / "model", TermRules.of_profile(profile.document))
    with alone(tmp_path_factory, "honest-toy") as folder:
        honest = FingerprintProver(profile, source, SEED, SESSION, Job(folder)).run()
    yield World(profile, source, folder, honest)
    patch.undo()


@pytest.fixture(scope="session")
def pair():
    """The two toy models whose comparisons are attacked."""
    return toy_pair()


@pytest.fixture(scope="module")
def toy_pair_trusted():
    """Their profile and similarity circuits are trusted."""
    with trusted_toys():
        yield


@pytest.fixture(scope="module")
def feedforward_world(tmp_path_factory):
    """The toy block, honestly proven; toy profile and circuit are trusted, each untouched bundle is verified once."""
    patch, known = pytest.MonkeyPatch(), {}

    def digest(path: Path) -> bytes:
        return hashlib.sha256(path.read_bytes()).digest()

    profiles, activations = ASSETS / "profiles", ASSETS / "activations"
    patch.setattr(verifier.trust.profile, "trusted", lambda: {NAME: digest(profiles / NAME / "profile.json")})
    patch.setattr(verifier.trust.profile, "profiles_folder", lambda: profiles)
    patch.setattr(verifier.inference.circuit, "trusted", lambda: {NAME: digest(activations / NAME / "circuit.json")})
    patch.setattr(verifier.inference.circuit, "circuits_folder", lambda: activations)

    def verify_once(workers, path, options):
        if (path, options) not in known:
            known[path, options] = verify_with(workers, path, options)
        return known[path, options]

    patch.setattr(verifier.inference.verify, "verify_with", verify_once)
    with alone(tmp_path_factory, "honest-feedforward") as folder:
        made = honest_world(folder)
    yield made
    patch.undo()
