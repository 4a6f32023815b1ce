"""The integers that a proven feed-forward block computes with (docs/inference-proof.md, section 2). Pure.

Nothing here is rounded in floating point but the sigmoid's table and the three scale integers of a block.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from math import isqrt

import numpy as np
import numpy.typing as npt

from circuits.activation_circuit import PRODUCTS, ActivationScale
from circuits.errors import CheckpointError, UsageError
from prover.terms.quantization import TARGET_RMS

INPUT_BITS = 16  # fractional bits of x
NORM_BITS = 8  # of the normalised input
UP_BITS = 4  # by which an up entry is finer than a gate entry
DOWN_BITS = 32  # of the down matrix's scale
EPSILON_BITS = 2 * INPUT_BITS  # of the norm's epsilon, which is added to a mean of squares
SCALE_LIMIT = 1 << 32
INPUT_LIMIT = 1 << 40  # of an x in units of 2^-16

IntegerRows = list[list[int]]


def quantized_inputs(values: npt.NDArray[np.floating]) -> IntegerRows:
    """Real activations [T, d] in units of 2^-16. UsageError for NaN, inf, or magnitudes of 2^24 and more."""
    scaled = np.asarray(values, dtype=np.float64) * 2.0**INPUT_BITS
    if not bool(np.isfinite(scaled).all()) or bool((np.abs(scaled) >= INPUT_LIMIT).any()):
        raise UsageError("the activations: NaN, infinite, or of magnitude 2^24 and more", step="feed-forward")
    return [[int(x) for x in row] for row in np.rint(scaled)]


def epsilon_integer(epsilon: float) -> int:
    """A norm's epsilon in units of 2^-32. CheckpointError unless it is positive and below 1."""
    result = round(epsilon * (1 << EPSILON_BITS))
    if not 1 <= result < SCALE_LIMIT:
        raise CheckpointError(f"config.json: field rms_norm_eps: {epsilon} is not from 2^-32 to 1", step="feed-forward")
    return result


def normalised(x: Sequence[int], epsilon: int) -> list[int]:
    """`round(2^8 x_i / sqrt(mean x^2 + epsilon))`, computed in integers; halves away from zero.

    >>> normalised([65536, -65536], 4295)
    [256, -256]
    """
    # n^2 = 4^8 x^2 d / (sum x^2 + d epsilon); round(n) = floor((floor(2n) + 1) / 2)
    denominator = sum(value * value for value in x) + len(x) * epsilon
    result = []
    for value in x:
        magnitude = (isqrt((4 << (2 * NORM_BITS)) * value * value * len(x) // denominator) + 1) // 2
        result.append(magnitude if value >= 0 else -magnitude)
    return result


def scale_integers(rms: Sequence[float], scale: ActivationScale) -> tuple[int, int, int]:
    """c of gate, up and down, from the root mean squares of the three folded matrices.

    `c_gate (W N) = 2^rest_bits g + rest` with g in units of `2^-fraction`; the same for up, in units of
    `2^-(fraction + 4)`; `c_down / 2^32` is what an entry of the down matrix counts.
    """
    gate, up, down = (value / TARGET_RMS for value in rms)
    gate_bits = scale.rest_bits + scale.fraction - NORM_BITS
    result = (round(gate * 2**gate_bits), round(up * 2 ** (gate_bits + UP_BITS)), round(down * 2**DOWN_BITS))
    for name, c in zip(("gate", "up", "down"), result, strict=True):
        if not 1 <= c < SCALE_LIMIT:
            raise CheckpointError(
                f"scale integer of {name}: {c} is not from 1 to 2^32 - 1",
                step="feed-forward",
                hint="the matrix's entries are too large or too small for this circuit",
            )
    return result


def split(values: Sequence[int], c: int, scale: ActivationScale) -> tuple[list[int], list[int]]:
    """`c value = 2^rest_bits entry + rest` with rest in [-2^(rest_bits - 1), 2^(rest_bits - 1)): entries and rests."""
    half = 1 << (scale.rest_bits - 1)
    entries = [(c * value + half) >> scale.rest_bits for value in values]
    return entries, [c * value - (entry << scale.rest_bits) for value, entry in zip(values, entries, strict=True)]


def sigmoid(entry: int, scale: ActivationScale) -> int:
    """ezkl's table: `round(2^fraction / (1 + exp(-entry / 2^fraction)))`.

    >>> sigmoid(0, ActivationScale(8, 2040, 22)), sigmoid(-2040, ActivationScale(8, 2040, 22))
    (128, 0)
    """
    unit = 1 << scale.fraction
    return round(unit / (1.0 + math.exp(-entry / unit)))


def hidden(gate: Sequence[int], up: Sequence[int], scale: ActivationScale) -> list[int]:
    """`gate sigmoid(gate) up`, in units of `2^-(3 fraction + 4)`."""
    return [g * sigmoid(g, scale) * u for g, u in zip(gate, up, strict=True)]


def real_outputs(y: IntegerRows, c_down: int, scale: ActivationScale) -> npt.NDArray[np.float64]:
    """What the block adds to the residual stream, float64 [T, d]."""
    return np.array(y, dtype=np.float64) * c_down / 2.0 ** (DOWN_BITS + PRODUCTS * scale.fraction + UP_BITS)
