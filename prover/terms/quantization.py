"""Rule `rms16-int8-v1` (docs/protocol.md section 3). Pure.

All of it is float64, summed in a fixed order, so that every machine gets the same bytes.
"""

from __future__ import annotations

import numpy as np
import numpy.typing as npt

from circuits.errors import CheckpointError
from prover.checkpoint.folded_matrix import FoldedMatrix
from prover.checkpoint.spill import byte_array

Int8Array = npt.NDArray[np.int8]

QUANTIZATION_RULE = "rms16-int8-v1"
TARGET_RMS = 16.0
INT8_MAX = 127


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
    result = byte_array((matrix.stored.shape[0], matrix.stored.shape[1]), np.int8)
    clipped = 0
    for rows, block in matrix.blocks():
        rounded = np.rint(block * factor)
        clipped += int(np.count_nonzero(np.abs(rounded) > INT8_MAX))
        result[rows] = np.clip(rounded, -INT8_MAX, INT8_MAX).astype(np.int8)
    return result, clipped / matrix.stored.size
