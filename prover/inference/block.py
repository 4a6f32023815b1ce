"""Reads what `huref feedforward` proves: a block's feed-forward part from a checkpoint, activations from a file."""

from __future__ import annotations

import io
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

from circuits.activation_circuit import ActivationScale
from circuits.errors import UsageError
from prover.checkpoint.families import families_named
from prover.checkpoint.folding import read_matrix
from prover.checkpoint.tensors import MAX_CONFIG_BYTES, open_checkpoint
from prover.formats.bounded_files import fault, read_bytes, read_json, short
from prover.inference.fixed_point import epsilon_integer, scale_integers
from prover.inference.prove import ROLES, Block
from prover.terms.quantization import quantize

FAMILIES = ("llama",)
"""Families whose part is W_down (silu(W_gate n) * (W_up n)) behind an RMS norm, as far as the verifier knows them."""

MAX_INPUT_BYTES = 64 << 20
LARGEST_EPSILON = 1.0
_MAGIC = b"\x93NUMPY"  # numpy would take a zip of arrays too


def read_block(checkpoint_path: Path, layer: int | None, scale: ActivationScale) -> Block:
    """The feed-forward part of block `layer`, one of the last two; None: the last one.

    Raises:
        CheckpointError: anything wrong with the checkpoint, or a block that computes something else.
        UsageError: a block that bundles do not commit to.
    """
    checkpoint = open_checkpoint(checkpoint_path, families_named(FAMILIES))
    config_file = checkpoint_path / "config.json"
    config = read_json(config_file, MAX_CONFIG_BYTES)
    for key, wanted in (("hidden_act", "silu"), ("mlp_bias", False)):
        found = config.get(key, wanted)
        if found != wanted or type(found) is not type(wanted):  # 0 is no false: the verifier asks the same
            raise fault(config_file, f"field {key}: {short(found)}, a block is proven with {short(wanted)} only")
    layers = checkpoint.shape.layers
    chosen = layers[-1] if layer is None else layer
    if chosen not in layers:
        raise UsageError(f"--layer {chosen}: a bundle commits to blocks {layers}", step="feed-forward")
    folded = [read_matrix(checkpoint, chosen, role) for role in ROLES]
    matrices = {role: quantize(matrix)[0] for role, matrix in zip(ROLES, folded, strict=True)}
    return Block(
        chosen,
        matrices,
        scale_integers([matrix.rms() for matrix in folded], scale),
        epsilon_integer(_epsilon(config, config_file)),
    )


def _epsilon(config: Mapping[str, Any], file: Path) -> float:
    value = config.get("rms_norm_eps", 1e-6)  # transformers' own default
    if not isinstance(value, int | float) or isinstance(value, bool) or not 0 < value <= LARGEST_EPSILON:
        raise fault(file, f"field rms_norm_eps: {short(value)} is not a number from 0 to {LARGEST_EPSILON:g}")
    return float(value)


def read_inputs(path: Path) -> npt.NDArray[np.float64]:
    """Activations [T, d] from a file in numpy's format; no pickles.

    Raises:
        CheckpointError: missing, too long, damaged, or not a table of floating-point numbers.
    """
    data = read_bytes(path, MAX_INPUT_BYTES, "write it with numpy.save(FILE, array)")
    try:
        if not data.startswith(_MAGIC):
            raise ValueError("it does not begin as such a file does")
        values = np.load(io.BytesIO(data), allow_pickle=False)
    except (ValueError, OSError, EOFError, MemoryError) as error:
        raise fault(path, f"not an array in numpy's format: {short(str(error))}") from None
    if not isinstance(values, np.ndarray) or values.ndim != 2 or values.size == 0 or values.dtype.kind != "f":
        raise fault(path, "not a table [activations, width] of floating-point numbers")
    return values.astype(np.float64)
