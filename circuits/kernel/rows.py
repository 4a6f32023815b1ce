"""Commitments to rows of small integers with salts at their end, by the native library.

`C(row) = sum_j row_j L_j + sum_i salt_i L_(M+i)`: the same point as ezkl gives (`circuits.row_bases`). Whoever keeps it
has it checked first (`circuits.kernel.check`).
"""

from __future__ import annotations

import ctypes
import weakref
from functools import lru_cache
from typing import Any

import numpy as np
import numpy.typing as npt

from circuits.curve_files import CurveFile, from_file_form
from circuits.errors import KernelError
from circuits.ezkl_worker import SCALAR_BYTES
from circuits.kernel.library import STEP, number, require, require_success
from circuits.points import POINT_BYTES
from circuits.size_classes import SizeClass

BYTE_BITS = 8
ENTRY_BITS = (2, 16)  # smallest and largest
BEST_ROWS = 4096  # a call's tables pay from about this many rows on; with 900 half the gain is lost


class RowPlan:
    """Bases prepared for rows of one width. Several threads may commit with one plan at the same time.

    Making one takes 80 us a base; it holds 128 bytes for each bit of a row.
    """

    def __init__(self, points: bytes, salts: int, bits: int = BYTE_BITS) -> None:
        """`points`: 64 bytes big-endian for each entry of a row, then for each of its `salts` salts.

        `bits` of an entry, 2 to 16. Raises KernelError without a library, or for bases that are none.
        """
        library, made = require(), ctypes.c_void_p()
        count = len(points) // POINT_BYTES
        if len(points) != count * POINT_BYTES or not 0 <= salts <= count:
            raise KernelError(f"{len(points)} bytes of bases, {salts} salts", step=STEP)
        self.width, self.salts, self.bits = count - salts, salts, bits
        self.dtype = np.dtype(np.int8 if bits <= BYTE_BITS else np.int16)
        result = library.huref_plan_new(points, self.width, salts, bits, ctypes.byref(made))
        require_success(result, f"bases of {count} scalars")
        self._plan, self._library = made, library
        weakref.finalize(self, library.huref_plan_free, made)

    def commit(
        self, rows: npt.NDArray[Any], salts: npt.NDArray[np.uint8], *, kernel: str | None = None, fault: int = 0
    ) -> bytes:
        """C of n rows, 64 bytes big-endian each: see `commit_counting`, without its count."""
        return self.commit_counting(rows, salts, kernel=kernel, fault=fault)[0]

    def commit_counting(
        self, rows: npt.NDArray[Any], salts: npt.NDArray[np.uint8], *, kernel: str | None = None, fault: int = 0
    ) -> tuple[bytes, int]:
        """C of n rows, and how many of them met an exceptional addition and were computed again.

        Args:
            rows: int8 [n, width], or int16 where an entry has more than 8 bits.
            salts: uint8 [n, 32 * salts], field elements little-endian.
            kernel: by name; the fastest of this machine unless given.
            fault: for tests: bit `fault` - 1 of each table is flipped. 0 for none.

        Raises:
            KernelError: shapes or types do not fit, an entry has too many bits, a salt is not below the group's order.
        """
        count = len(rows)
        if rows.dtype != self.dtype or rows.shape != (count, self.width):
            raise KernelError(f"rows {rows.dtype} {rows.shape}, not {self.dtype} [n, {self.width}]", step=STEP)
        if salts.dtype != np.uint8 or salts.shape != (count, self.salts * SCALAR_BYTES):
            raise KernelError(f"salts {salts.dtype} {salts.shape} for {count} rows of {self.salts} salts", step=STEP)
        rows, salts = np.ascontiguousarray(rows), np.ascontiguousarray(salts)
        points, redone = ctypes.create_string_buffer(max(1, count * POINT_BYTES)), ctypes.c_size_t()
        result = self._library.huref_commit(
            self._plan,
            number(kernel),
            rows.ctypes.data,
            salts.ctypes.data,
            count,
            fault,
            points,
            ctypes.byref(redone),
        )
        require_success(result, f"{count} rows of {self.width}")
        return points.raw[: count * POINT_BYTES], redone.value


@lru_cache(maxsize=4)
def row_plan(points: bytes, salts: int, bits: int = BYTE_BITS) -> RowPlan:
    """The plan for these bases, one for all who ask: a worker gets many pieces of one width."""
    return RowPlan(points, salts, bits)


def row_points(srs: CurveFile, size: SizeClass, width: int) -> bytes:
    """What `RowPlan` wants for rows of `width` entries under `srs`: L_0 ..., then the bases of the salts. Public."""
    positions = [*range(width), *range(size.data_length, size.length)]
    return b"".join(map(from_file_form, srs.lagrange_at(positions)))
