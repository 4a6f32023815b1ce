"""The toy feed-forward block: the toy model's up and down rows, a gate of its own, the toy activation circuit (k = 9).

Made by make_feedforward_assets.py. The toy checkpoint has no gate, so the gate and the scale integers are made up here.
"""

from __future__ import annotations

import numpy as np

from circuits.activations import ActivationCircuit, load_activation_circuit
from circuits.profiles import Profile
from prover.comparison.prove import Side
from prover.fingerprint.reader import read_rows
from prover.inference.prove import Block
from prover.terms.terms import TermRules, load_fingerprint_input
from tests.toy_pair import ASSETS, SEEDS, toy_profile

LAYER, COUNT, EPSILON = 2, 4, 4295
SCALE = (34, 700, 1 << 20)  # gate entries of about 1.5, up entries of about an eighth of what is admitted
ENTRIES = COUNT * 48


def toy_block(source) -> Block:
    """The feed-forward part of the toy model's last block."""
    gate = np.clip(np.rint(16 * np.random.default_rng(5).normal(size=(48, 32))), -127, 127).astype(np.int8)
    rows = source.matrices.by_name
    matrices = {"gate": gate, "up": rows[f"layers.{LAYER}.up"], "down": rows[f"layers.{LAYER}.down"]}
    return Block(LAYER, {role: np.asarray(matrix) for role, matrix in matrices.items()}, SCALE, EPSILON)


def toy_inputs(count: int = COUNT) -> list[list[int]]:
    """Activations in units of 2^-16."""
    return [[int(x) for x in row] for row in np.rint(65536 * np.random.default_rng(6).normal(size=(count, 32)))]


def toy_world() -> tuple[Profile, ActivationCircuit, Side]:
    """Profile, activation circuit, and the toy model with its bundle and seed."""
    profile = toy_profile()
    circuit = load_activation_circuit(profile, ASSETS / "activations")
    source = load_fingerprint_input(ASSETS / "model", TermRules.of_profile(profile.document))
    return profile, circuit, Side(source, SEEDS[0], read_rows(ASSETS / "bundle"))
