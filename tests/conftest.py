"""Fixtures shared by the tests that make real proofs. Keys are built once into the user's cache directory."""

from __future__ import annotations

import fcntl
import os
from contextlib import contextmanager
from pathlib import Path

import pytest
from hypothesis import HealthCheck, settings

ROOT = Path(__file__).resolve().parent.parent
MODELS = ROOT / "artifacts" / "models"
EXAMPLE = ROOT / "artifacts" / "bundles" / "base"
EXAMPLE_LARGE = ROOT / "artifacts" / "bundles" / "base-large.huref"  # the same model under profile large-dev


LONGEST = (
    "adversarial/test_cheating_published.py",
    "adversarial/test_cheating_comparison.py",
    "adversarial/test_cheating_inference.py",
    "adversarial/test_cheating_threshold.py",
    "adversarial/test_cheating_prover.py",
    "test_release_quickstart.py",
    "test_quickstarts.py",
    "adversarial/test_tampered_bundle.py",
    "adversarial/test_directionless.py",
    "prover/inference/test_prove.py",
    "prover/fingerprint/test_killed_run.py",
    "test_ceremony.py",
    "fpm/test_evidence_run.py",
    "fpm/test_figures.py",
    "fpm/test_generator.py",
    "prover/comparison/test_prove.py",
    "fpm/test_encoder.py",
)
"""Files that take longest, longest first: at the end one of them would keep one core at work and the other idle."""


def pytest_configure():
    """Hypothesis draws the same examples in every run, and does not judge by the clock, as its own profile for CI does.

    Others are drawn by tests/fuzz, and here with `pytest --hypothesis-profile=default`, which comes after this.
    """
    quiet = {"deadline": None, "database": None, "suppress_health_check": [HealthCheck.too_slow]}
    settings.register_profile("the same each time", derandomize=True, **quiet)
    settings.load_profile("the same each time")


def pytest_collection_modifyitems(items):
    """A file stays on one worker, and workers take files in this order."""
    places = {name: place for place, name in enumerate(LONGEST)}
    items.sort(key=lambda item: places.get(item.path.relative_to(ROOT / "tests").as_posix(), len(places)))


@pytest.fixture(scope="session")
def profile():
    """The published profile."""
    from circuits.profiles import load_profile

    return load_profile()


@pytest.fixture(scope="session")
def source(profile):
    """The shipped base model, read, quantized and projected."""
    from prover.terms.terms import TermRules, load_fingerprint_input

    return load_fingerprint_input(MODELS / "base", TermRules.of_profile(profile.document))


@pytest.fixture(scope="session")
def world(profile, source, tmp_path_factory):
    """One honest run, its parts kept: attacks take over what they leave as it is.

    Made once for all of pytest-xdist's workers: the others find its parts finished.
    """
    from prover.commitments.jobs import Job
    from prover.fingerprint.prove import FingerprintProver
    from tests.adversarial.cheats import SEED, SESSION, World

    with alone(tmp_path_factory, "honest-job") as folder:
        honest = FingerprintProver(profile, source, SEED, SESSION, Job(folder)).run()
    return World(profile, source, folder, honest)


@contextmanager
def alone(tmp_path_factory, name: str):
    """A folder that all workers of this run share, one at a time."""
    base = tmp_path_factory.getbasetemp()
    folder = (base.parent if "PYTEST_XDIST_WORKER" in os.environ else base) / name
    folder.mkdir(exist_ok=True)
    with (folder / ".lock").open("w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        yield folder
