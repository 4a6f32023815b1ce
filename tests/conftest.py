"""Fixtures shared by the tests that make real proofs. Keys are built once into the user's cache directory."""

from __future__ import annotations

from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parent.parent
MODELS = ROOT / "artifacts" / "models"
EXAMPLE = ROOT / "artifacts" / "bundles" / "base"


@pytest.fixture(scope="session")
def profile():
    """The published profile."""
    from circuits.profiles import load_profile

    return load_profile()


@pytest.fixture(scope="session")
def source(profile):
    """The shipped base model, read, quantized and projected."""
    from prover.terms import TermRules, load_fingerprint_input

    return load_fingerprint_input(MODELS / "base", TermRules.of_profile(profile.document))


@pytest.fixture(scope="session")
def world(profile, source, tmp_path_factory):
    """One honest run, its parts kept: attacks take over what they leave as it is."""
    from prover.jobs import Job
    from prover.prove import FingerprintProver
    from tests.adversarial.cheats import SEED, SESSION, World

    folder = tmp_path_factory.mktemp("honest-job")
    honest = FingerprintProver(profile, source, SEED, SESSION, Job(folder)).run()
    return World(profile, source, folder, honest)
