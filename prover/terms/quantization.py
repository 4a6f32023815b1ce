"""Rule `rms16-int8-v1` (docs/protocol.md section 3), and what is taken along while a matrix is in the cache. Pure.

All of it is float64, summed in a fixed order, so that every machine gets the same bytes. Rows are worked on by all
cores, by the native library (`circuits.kernel.fold`) where it was built, otherwise by numpy: the bytes are the same.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt

from circuits.errors import CheckpointError
from circuits.kernel.fold import padded
from circuits.threads import in_threads
from prover.checkpoint.folded_matrix import Float64Array, FoldedMatrix
from prover.checkpoint.spill import byte_array
from prover.terms.products import EXACT_FLOAT, EXACT_INT64, exact_product, largest

Int8Array = npt.NDArray[np.int8]
Int64Array = npt.NDArray[np.int64]

QUANTIZATION_RULE = "rms16-int8-v1"
TARGET_RMS = 16.0
INT8_MAX = 127


@dataclass(frozen=True)
class Lefts:
    """What a matrix W is multiplied with while it is read: `folded` float64 [g, d], `quantized` int64 [g, d]."""

    folded: Float64Array
    quantized: Int64Array


@dataclass(frozen=True)
class Quantized:
    """A quantized matrix W, int8 [rows, d], the share of its entries that was clipped, and both products [g, rows].

    `folded_products`: of `Lefts.folded` and W^T before quantizing, for reports: float64, last bits differ between numpy
    and the library. `products`: of `Lefts.quantized` and W^T, exact integers.
    """

    entries: Int8Array
    clipped: float
    folded_products: Float64Array
    products: npt.NDArray[Any]


def quantize(matrix: FoldedMatrix) -> tuple[Int8Array, float]:
    """Rule `rms16-int8-v1`: times 16 / rms, rounded half to even, clipped; and the share that was clipped.

    Raises:
        CheckpointError: the matrix is all zero, or so large or small that float64 cannot scale it.
    """
    d = matrix.stored.shape[1]
    made = quantize_and_multiply(matrix, Lefts(np.zeros((0, d)), np.zeros((0, d), np.int64)))
    return made.entries, made.clipped


def quantize_and_multiply(matrix: FoldedMatrix, lefts: Lefts) -> Quantized:
    """`quantize`, and the products with `lefts` in the same pass over the stored matrix.

    Raises:
        CheckpointError: as `quantize`.
    """
    rms = matrix.rms()
    factor = TARGET_RMS / rms if rms > 0 else float("inf")
    if not np.isfinite(rms) or not np.isfinite(factor):
        raise CheckpointError(
            f"matrix {matrix.name}: root mean square {rms} cannot be scaled to {TARGET_RMS:g}",
            step="quantize",
            hint="the tensor is all zero or out of range: the model is not trained or damaged",
        )
    count, d = matrix.stored.shape
    entries = byte_array((count, d), np.int8)
    bound = d * INT8_MAX * largest(lefts.quantized)
    folded_products = np.empty((len(lefts.folded), count))
    products = np.empty((len(lefts.quantized), count), np.int64 if bound < EXACT_INT64 else object)
    both = padded(lefts.folded), padded(lefts.quantized)

    def work(rows: slice) -> int:
        native = matrix.native(rows) if bound < EXACT_FLOAT else None
        if native is None:
            return _quantize_rows(
                matrix.block(rows), factor, lefts, entries[rows], folded_products[:, rows], products[:, rows]
            )
        there, where = native
        clipped, folded_products[:, rows], products[:, rows] = there.quantize(
            where.start, where.stop, factor, entries[rows], both
        )
        return clipped

    clipped = sum(in_threads(work, matrix.pieces()))
    return Quantized(entries, clipped / matrix.stored.size, folded_products, products)


def _quantize_rows(
    block: Float64Array,
    factor: float,
    lefts: Lefts,
    entries: Int8Array,
    folded_products: Float64Array,
    products: npt.NDArray[Any],
) -> int:
    """The slow, obvious twin of `circuits.kernel.fold`: the same bytes and counts, and the same exact products."""
    rounded = np.rint(block * factor)
    entries[:] = np.clip(rounded, -INT8_MAX, INT8_MAX).astype(np.int8)
    folded_products[:] = lefts.folded @ block.T
    products[:] = exact_product(lefts.quantized, entries.T)
    return int(np.count_nonzero(np.abs(rounded) > INT8_MAX))
