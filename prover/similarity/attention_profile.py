"""The intrinsic fingerprint of arXiv 2507.03014: how spread out each block's attention matrices are.

For Q, K, V and O: the standard deviation of every block's matrix, in the order of the blocks, then less their mean and
divided by their standard deviation. Two models are compared by the Pearson correlation of these sequences, each matrix
on its own; the score is the mean of the four. The shorter sequence is stretched to the longer by linear interpolation
over depth. Matrices are taken as stored: no norm is folded, which is the paper's definition, not this project's.
(The paper was withdrawn from arXiv in 2026; the method is compared here because it is widely quoted.)
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from circuits.errors import UsageError
from prover.checkpoint.families import FAMILIES
from prover.checkpoint.folded_matrix import Float64Array, widen
from prover.checkpoint.folding import map_source
from prover.checkpoint.tensors import Checkpoint, open_checkpoint

ROLES = ("q", "k", "v", "o")
LEAST_BLOCKS = 3  # a correlation of two points is always 1 or -1
_BLOCK_ENTRIES = 1 << 22  # entries handled at a time: 32 MB of float64


@dataclass(frozen=True)
class Likeness:
    """Correlations by role, from -1 to 1; None where one of the two does not vary. `blocks`: of A, of B."""

    by_role: dict[str, float | None]
    blocks: tuple[int, int]

    @property
    def score(self) -> float:
        """Mean of the correlations that exist; 0 if there is none."""
        found = [value for value in self.by_role.values() if value is not None]
        return float(np.mean(found)) if found else 0.0


def deviations(checkpoint: Checkpoint) -> dict[str, Float64Array]:
    """Standard deviation of each block's matrix, by role: float64 [blocks].

    Raises:
        CheckpointError: a damaged or missing tensor.
        UsageError: fewer than 3 blocks.
    """
    blocks = checkpoint.shape.num_layers
    if blocks < LEAST_BLOCKS:
        raise UsageError(
            f"{checkpoint.directory}: {blocks} blocks; a profile needs at least {LEAST_BLOCKS}",
            step="profile",
            hint="huref ics compares models of any depth",
        )
    return {role: np.array([_deviation(checkpoint, block, role) for block in range(blocks)]) for role in ROLES}


def _deviation(checkpoint: Checkpoint, block: int, role: str) -> float:
    """Standard deviation of all entries of one matrix, read some rows at a time."""
    rows = map_source(checkpoint, block, role, checkpoint.family.roles[role])
    step = max(1, _BLOCK_ENTRIES // rows.shape[1])
    total = squares = 0.0
    for begin in range(0, len(rows), step):
        values = widen(rows[begin : begin + step]).astype(np.float64)
        total, squares = total + float(values.sum()), squares + float((values**2).sum())
    mean = total / rows.size
    return math.sqrt(max(0.0, squares / rows.size - mean**2))


def normalised(sequence: Float64Array) -> Float64Array:
    """Mean 0 and standard deviation 1 over the blocks; zeros if the sequence is constant."""
    spread = float(np.std(sequence))
    centred: Float64Array = sequence - np.mean(sequence)
    return centred / spread if spread > 1e-12 * float(np.abs(sequence).max(initial=0.0)) else np.zeros_like(sequence)


def stretched(sequence: Float64Array, length: int) -> Float64Array:
    """The sequence at `length` places, evenly spread over the same depth."""
    places = np.linspace(0.0, 1.0, length)
    out: Float64Array = np.interp(places, np.linspace(0.0, 1.0, len(sequence)), sequence)
    return out


def correlation(left: Float64Array, right: Float64Array) -> float | None:
    """Pearson's, of two sequences after stretching the shorter one; None if one is constant."""
    length = max(len(left), len(right))
    a, b = (normalised(stretched(normalised(side), length)) for side in (left, right))
    if not a.any() or not b.any():
        return None
    return float(a @ b) / math.sqrt(float(a @ a) * float(b @ b))


def compare_profiles(left: dict[str, Float64Array], right: dict[str, Float64Array]) -> Likeness:
    """Correlations of two models' profiles."""
    by_role = {role: correlation(left[role], right[role]) for role in ROLES}
    return Likeness(by_role, (len(left["q"]), len(right["q"])))


def profile_of(path: Path) -> dict[str, Float64Array]:
    """`deviations` of a checkpoint directory. Raises what that and `open_checkpoint` raise."""
    return deviations(open_checkpoint(path, FAMILIES))
