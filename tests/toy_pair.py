"""The toy pair: two models under the toy profile (k = 9), their bundles and circuits, read as a prover does.

All of it lies in tests/verifier/assets, made by make_assets.py and make_comparison_assets.py. A proof takes a second.
"""

from __future__ import annotations

import hashlib
from dataclasses import dataclass
from pathlib import Path

from circuits import size_classes
from circuits.comparisons import THRESHOLD, SimilarityCircuit, load_similarity_circuit
from circuits.profiles import Profile, load_profile
from prover.comparison.prove import Request, Side
from prover.fingerprint.reader import read_rows
from prover.terms.terms import TermRules, load_fingerprint_input

ASSETS = Path(__file__).parent / "verifier" / "assets"
TOY = size_classes.SizeClass("toy", 9, 4, 4, 2**7, 6, 4)
NAME = "toy-dev"
AT_LEAST = Request(850_000, hashlib.sha256(b"toy challenge: public, for tests").digest())
"""What tests/verifier/assets/comparison_at_least was asked for. The ICS is 0.8917 under that challenge."""
SEEDS = (b"toy seed: public, only for tests", b"toy seed: public, only for test2")


@dataclass(frozen=True)
class ToyPair:
    """Two toy sides, a first."""

    profile: Profile
    circuit: SimilarityCircuit
    threshold: SimilarityCircuit
    sides: tuple[Side, Side]


def toy_profile() -> Profile:
    """The toy profile; its size class is known from now on."""
    size_classes.SIZE_CLASSES["toy"] = TOY
    return load_profile(ASSETS / "profiles" / NAME)


def toy_side(profile: Profile, model: Path, bundle: Path, seed: bytes) -> Side:
    """One side as the prover reads it."""
    return Side(load_fingerprint_input(model, TermRules.of_profile(profile.document)), seed, read_rows(bundle))


def toy_pair() -> ToyPair:
    """Both sides, from the assets."""
    profile = toy_profile()
    circuit = load_similarity_circuit(profile, ASSETS / "comparisons")
    a = toy_side(profile, ASSETS / "model", ASSETS / "bundle", SEEDS[0])
    b = toy_side(profile, ASSETS / "model_b", ASSETS / "bundle_b", SEEDS[1])
    threshold = load_similarity_circuit(profile, ASSETS / "comparisons", THRESHOLD)
    return ToyPair(profile, circuit, threshold, (a, b))
