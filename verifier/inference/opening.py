"""Step 9 of a feed-forward proof, opening: its gate and its integers computed again from a checkpoint.

The bundle's own opening (step 11 of its verification) comes first: it compares config.json, tokens and the rows of up
and down. Left are what the bundle does not hold: the gate, the scale integers and the norm's epsilon.

Source: docs/inference-proof.md sections 2 and 7.
"""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from verifier.children.workers import Workers
from verifier.fingerprint.verify import Accepted
from verifier.formats import limits
from verifier.formats.errors import Rejected
from verifier.inference.artefact import FeedForwardStatement
from verifier.inference.circuit import ActivationCircuit
from verifier.inference.relation import DOWN_BITS, EPSILON_BITS, NORM_BITS, UP_BITS
from verifier.opening.check import compare_rows, read_secret_of
from verifier.opening.checkpoint import Tensors, bad, json_object, read_file
from verifier.opening.folding import TARGET_RMS, feed_forward_block
from verifier.opening.model_config import describe

GATE = "mlp.gate_proj"
"""The gate's tensor in a block of the one family whose feed-forward part is verified, llama."""
SETTINGS = (("hidden_act", "silu"), ("mlp_bias", False))
"""What config.json must say, or leave out, for the block to be the one that is proven."""
DEFAULT_EPSILON = 1e-6  # transformers', when config.json has no rms_norm_eps


def check_feed_forward_opening(
    stated: FeedForwardStatement,
    gate: Sequence[bytes],
    circuit: ActivationCircuit,
    side: Accepted,
    weights: Path,
    secret: Path,
    workers: Workers,
) -> str:
    """Step 9, for a bundle that was opened with the same files. Gives what was compared.

    Raises:
        Rejected: naming the first difference.
        BadOpening: checkpoint or secret cannot be read.
    """
    opening, statement = read_secret_of(secret, side.cm), side.bundle.statement
    path = weights / "config.json"
    config = json_object(read_file(path, limits.MAX_CONFIG_BYTES), path)
    family, model = describe(config, path)
    if model != statement.model:  # compared when the bundle was opened: the file is another one since
        raise bad(path, "another model than when the bundle was opened with it")
    check_config(config, path, stated)
    rows, rms = feed_forward_block(Tensors(weights), family, statement.model, stated.layer, GATE)
    check_scale(rms, stated.scale, circuit)
    named = [(f"layers.{stated.layer}.gate", rows)]
    compare_rows(lambda: named, [gate], opening, statement, side.profile, workers)
    return f"{len(gate)} rows of the gate, three scale integers and epsilon computed again from {weights} are equal"


def check_config(config: Mapping[str, Any], path: Path, stated: FeedForwardStatement) -> None:
    """A parsed config.json describes such a block, with this epsilon; `path` is for messages.

    Raises:
        Rejected: it does not.
        BadOpening: its epsilon is no number from 0 to 1.
    """
    for key, wanted in SETTINGS:
        found = config.get(key, wanted)
        if found != wanted or type(found) is not type(wanted):
            raise Rejected(f"{path}: {key} is {ascii(found)[:40]}, the proof is about {wanted}", code="opening")
    epsilon = epsilon_integer(config.get("rms_norm_eps", DEFAULT_EPSILON), path)
    if epsilon != stated.epsilon:
        raise Rejected(f"feedforward.json.epsilon: {stated.epsilon}, {path} gives {epsilon}", code="opening")


def epsilon_integer(value: Any, path: Path) -> int:
    """A norm's epsilon in units of 2^-32.

    Raises:
        BadOpening: it is no number from 0 to 1.
    """
    if not isinstance(value, int | float) or isinstance(value, bool) or not 0 < value <= 1:
        raise bad(path, f"rms_norm_eps: {ascii(value)[:40]} is not a number from 0 to 1")
    return round(value * (1 << EPSILON_BITS))


def check_scale(rms: Sequence[float], stated: Sequence[int], circuit: ActivationCircuit) -> None:
    """The scale integers are those of the folded matrices' root mean squares: gate, up, down.

    Raises:
        Rejected: naming the first that is not.
    """
    gate_bits = circuit.rest_bits + circuit.fraction - NORM_BITS
    for role, value, bits, c in zip(
        ("gate", "up", "down"), rms, (gate_bits, gate_bits + UP_BITS, DOWN_BITS), stated, strict=True
    ):
        expected = round(math.ldexp(value / TARGET_RMS, bits))
        if c != expected:
            raise Rejected(f"feedforward.json.scale.{role}: {c}, the checkpoint gives {expected}", code="opening")
