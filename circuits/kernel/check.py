"""ezkl's word on what a kernel gave: one random linear combination of all rows.

For fresh random r_j below 2^128, `sum_j r_j C_j = C(sum_j r_j row_j)`, salts included. Both sides are ezkl's, over points
of the SRS that no kernel has touched; the rows are combined by numpy. If one C_j is wrong, the two are equal with
probability at most 2^-128. A kernel is never trusted: a fault costs a run, and is not written into a bundle.
"""

from __future__ import annotations

import secrets
import tempfile
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

from circuits.curve_files import CurveFile, scalars, to_file_form, write_bases
from circuits.errors import KernelError
from circuits.ezkl_worker import SCALAR_BYTES
from circuits.points import POINT_BYTES, on_curve
from circuits.size_classes import FIELD_MODULUS, SALT_LENGTH, SizeClass

COEFFICIENT_BITS = 128
_LIMB_BITS = 24
_BLOCK_ENTRIES = 1 << 22  # handled at a time: 32 MB of float64
_EXACT_ROWS = 1 << 13  # of 16 bits, times limbs of 24: sums below 2^53


@dataclass(frozen=True)
class CommittedRows:
    """Rows int8 or int16 [n, width], salts uint8 [n, 512], and what a kernel says that C of them is: 64 bytes each."""

    name: str
    rows: npt.NDArray[Any]
    salts: npt.NDArray[np.uint8]
    points: bytes


@dataclass(frozen=True)
class RowChecker:
    """Checks rows of any width under one SRS. `tail`, `vk`, `settings`: as in `row_bases.make_row_bases`."""

    srs: CurveFile
    size: SizeClass
    tail: int
    vk: Path
    settings: Path

    def check(self, parts: Sequence[CommittedRows]) -> None:
        """All rows of all parts, which have one width, at once: a second for an ezkl process, 5 us a row, 2 ns a weight.

        Raises KernelError, which names the parts, when a point is not what ezkl says; CircuitError when ezkl refuses.
        """
        names = ", ".join(part.name for part in parts)
        for part in parts:
            _require_points(part)
        widths = {part.rows.shape[1] for part in parts}
        if len(widths) != 1:
            raise KernelError(f"{names}: rows of widths {sorted(widths)} do not go together", step="check rows")
        (width,) = widths
        coefficients: list[int] = []
        combined = [0] * (width + SALT_LENGTH)
        for part in parts:
            mine = [secrets.randbits(COEFFICIENT_BITS) for _ in range(len(part.rows))]
            coefficients += mine
            # sum_j r_j row_j; a salt is its 32 bytes, and so is the sum of the salts
            entries, digits = combine(part.rows, mine), combine(part.salts, mine)
            for i, value in enumerate(entries):
                combined[i] += value
            for i, value in enumerate(digits):
                combined[width + i // SCALAR_BYTES] += value << (8 * (i % SCALAR_BYTES))
        given = b"".join(part.points for part in parts)
        left, right = self._both_sides(given, coefficients, width, combined)
        if left != right:
            raise KernelError(
                f"{names}: the native kernel's commitments to rows are not ezkl's",
                step="check rows",
                hint="nothing was kept; HUREF_KERNEL=ezkl commits without it; please report this, and what processor it is",
            )

    def _both_sides(
        self, points: bytes, coefficients: Sequence[int], width: int, combined: Sequence[int]
    ) -> tuple[bytes, bytes]:
        """`sum_j r_j C_j` and `C(combined)`, by one ezkl process over one list of bases."""
        given = [to_file_form(points[i : i + POINT_BYTES]) for i in range(0, len(points), POINT_BYTES)]
        own = self.srs.lagrange_at([*range(width), *range(self.size.data_length, self.size.length)])
        with tempfile.TemporaryDirectory(prefix="huref-check-") as folder:
            path = Path(folder, "bases")
            bases = write_bases(path, given + own, self.srs.g2, self.tail, self.vk, self.settings)
            left, right = bases.multiply([scalars(coefficients), bytes(len(given) * SCALAR_BYTES) + scalars(combined)])
        return left, right


def _require_points(part: CommittedRows) -> None:
    """KernelError unless there is a point of the curve for each row. ezkl does not look at its bases."""
    count = len(part.rows)
    if len(part.points) != count * POINT_BYTES or part.salts.shape != (count, SALT_LENGTH * SCALAR_BYTES):
        raise KernelError(
            f"{part.name}: {len(part.points)} bytes of points, salts {part.salts.shape} for {count} rows",
            step="check rows",
        )
    for row in range(count):
        if not on_curve(part.points[row * POINT_BYTES : (row + 1) * POINT_BYTES]):
            raise KernelError(
                f"{part.name}: the native kernel's commitment to row {row} is not a point of the curve",
                step="check rows",
                hint="nothing was kept; HUREF_KERNEL=ezkl commits without it; please report this",
            )


def combine(rows: npt.NDArray[Any], coefficients: Sequence[int]) -> list[int]:
    """`sum_j r_j row_j` as integers modulo the group's order: rows of small integers [n, m] -> length m.

    Exact: r_j in limbs of 24 bits, in float64, at most so many rows at a time that no sum reaches 2^53.
    """
    count, width = rows.shape
    step = min(max(1, _BLOCK_ENTRIES // max(1, width)), _EXACT_ROWS)
    totals = [0] * width
    limb_count = -(-COEFFICIENT_BITS // _LIMB_BITS)
    mask = (1 << _LIMB_BITS) - 1
    for begin in range(0, count, step):
        block = coefficients[begin : begin + step]
        limbs = np.array([[r >> (_LIMB_BITS * i) & mask for i in range(limb_count)] for r in block], dtype=np.float64)
        sums = (rows[begin : begin + step].astype(np.float64).T @ limbs).astype(np.int64).tolist()
        for i, values in enumerate(sums):
            totals[i] += sum(value << (_LIMB_BITS * k) for k, value in enumerate(values))
    return [total % FIELD_MODULUS for total in totals]
