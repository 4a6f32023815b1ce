"""Folding norms into matrices, and rule `rms16-int8-v1` (docs/protocol.md section 3). Pure.

All of it is float64, summed in a fixed order, so that every machine gets the same bytes.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from circuits.errors import CheckpointError
from prover.families import FloatArray

Int8Array = npt.NDArray[np.int8]
Float64Array = npt.NDArray[np.float64]

QUANTIZATION_RULE = "rms16-int8-v1"
TARGET_RMS = 16.0
INT8_MAX = 127

_BLOCK_ENTRIES = 1 << 22  # entries handled at a time: 32 MB of float64


def fold(rows: FloatArray, column_scale: Float64Array | None, *, centred: bool = False) -> Float64Array:
    """Rows [n, d] as float64, times the weight of the norm that feeds them; centred: `W (I - 1 1^T / d)`."""
    folded = rows.astype(np.float64)
    if column_scale is not None:
        folded *= column_scale
    if centred:
        folded -= tree_sum(folded)[:, None] / folded.shape[1]
    return folded


def tree_sum(values: Float64Array) -> Float64Array:
    """Sum over the last axis by halving. Only elementwise additions: the same bits on every machine."""
    while values.shape[-1] > 1:
        half = (values.shape[-1] + 1) // 2
        upper = values[..., half:]
        total = values[..., :half].copy()
        total[..., : upper.shape[-1]] += upper
        values = total
    return values[..., 0]


@dataclass(frozen=True)
class FoldedMatrix:
    """A stored matrix [rows, d] and what folding does to it; `blocks` gives the folded rows in pieces."""

    name: str
    stored: FloatArray
    column_scale: Float64Array | None = None
    centred: bool = False

    def blocks(self) -> Iterator[tuple[slice, Float64Array]]:
        """Pairs of (which rows, folded rows), a few megabytes each."""
        step = max(1, _BLOCK_ENTRIES // self.stored.shape[1])
        for begin in range(0, self.stored.shape[0], step):
            rows = slice(begin, min(begin + step, self.stored.shape[0]))
            yield rows, fold(self.stored[rows], self.column_scale, centred=self.centred)

    def rms(self) -> float:
        """Root mean square of all folded entries."""
        squares = np.concatenate([tree_sum(block * block) for _, block in self.blocks()])
        return float(np.sqrt(tree_sum(squares) / np.float64(self.stored.size)))

    def full(self) -> Float64Array:
        """All folded rows, float64 [rows, d]."""
        return np.concatenate([block for _, block in self.blocks()])


def quantize(matrix: FoldedMatrix) -> tuple[Int8Array, float]:
    """Rule `rms16-int8-v1`: times 16 / rms, rounded half to even, clipped; and the share that was clipped.

    Raises:
        CheckpointError: the matrix is all zero, or so large or small that float64 cannot scale it.
    """
    rms = matrix.rms()
    factor = TARGET_RMS / rms if rms > 0 else float("inf")
    if not np.isfinite(rms) or not np.isfinite(factor):
        raise CheckpointError(
            f"matrix {matrix.name}: root mean square {rms} cannot be scaled to {TARGET_RMS:g}",
            step="quantize",
            hint="the tensor is all zero or out of range: the model is not trained or damaged",
        )
    result = np.empty(matrix.stored.shape, dtype=np.int8)
    clipped = 0
    for rows, block in matrix.blocks():
        rounded = np.rint(block * factor)
        clipped += int(np.count_nonzero(np.abs(rounded) > INT8_MAX))
        result[rows] = np.clip(rounded, -INT8_MAX, INT8_MAX).astype(np.int8)
    return result, clipped / matrix.stored.size
