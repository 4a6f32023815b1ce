"""Rows to points by what the machine has: the native kernel, or ezkl. The points are the same.

A kernel's points are not to be kept before ezkl has agreed with them (`circuits.kernel.check`).
"""

from __future__ import annotations

import tempfile
from collections.abc import Callable
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

from circuits.errors import CircuitError
from circuits.kernel.library import EZKL, chosen
from circuits.kernel.rows import row_plan
from circuits.row_bases import SALT_BYTES, PackedBases, RowBases
from circuits.size_classes import SALT_LENGTH

Int8Array = npt.NDArray[np.int8]


@dataclass(frozen=True)
class Answer:
    """C of some rows, 64 bytes each, and who computed it: a kernel's name, or `ezkl`."""

    points: bytes
    kernel: str


@dataclass(frozen=True)
class RowWork:
    """What rows of `width` bytes are multiplied with.

    `points`: 64 bytes big-endian for each entry and each salt, for a kernel. `make_files`: the same for ezkl; it takes
    seconds, and is called when ezkl is first needed.
    """

    width: int
    points: bytes
    make_files: Callable[[], RowBases]

    @cached_property
    def files(self) -> RowBases:
        """For ezkl."""
        return self.make_files()

    def commit(self, rows: Int8Array, salts: npt.NDArray[np.uint8]) -> Answer:
        """C of n rows: int8 [n, width] and salts uint8 [n, 512], 16 field elements little-endian each. One thread.

        Raises:
            CircuitError: shapes that do not fit; ezkl refuses.
            KernelError: the native kernel refuses.
        """
        if rows.shape != (len(rows), self.width) or salts.shape != (len(rows), SALT_BYTES):
            raise CircuitError(f"rows {rows.shape}, salts {salts.shape} do not fit", step="commit")
        kernel = chosen()
        if kernel is None:
            return Answer(self.files.commit(rows.tobytes(), salts.tobytes()), EZKL)
        return Answer(row_plan(self.points, SALT_LENGTH).commit(rows, salts, kernel=kernel), kernel)

    def packed(self) -> PackedWork:
        """The same as bytes, for another machine, which may have another kernel, or none. All of it is public."""
        return PackedWork(self.width, self.points, self.files.packed())


@dataclass(frozen=True)
class PackedWork:
    """A `RowWork` that can travel."""

    width: int
    points: bytes
    files: PackedBases

    def commit(self, rows: npt.NDArray[Any], salts: npt.NDArray[np.uint8]) -> Answer:
        """`RowWork.commit` on whatever machine this runs on; nothing stays there."""
        with tempfile.TemporaryDirectory(prefix="huref-bases-") as folder:
            return RowWork(self.width, self.points, lambda: self.files.unpack(Path(folder))).commit(rows, salts)
