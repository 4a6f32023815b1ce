"""Commitments to rows and vectors: multi-scalar multiplications over the SRS's Lagrange points, by ezkl.

Source: docs/protocol.md, section 2. `C(v) = sum_i v_i L_i`, salt included, without ezkl's constant B.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

from circuits.curve_files import Bases, negate, read_curve_file, scalars, to_file_form, write_bases
from circuits.ezkl_worker import SCALAR_BYTES
from circuits.profiles import Profile
from circuits.size_classes import FIELD_MODULUS as FIELD
from circuits.size_classes import SALT_LENGTH, SizeClass
from prover.field import FieldVector, transposed_product
from prover.salts import row_salt

BYTE_OFFSET = 128  # unsigned bytes cost half of signed ones: negatives are 254-bit scalars
BATCH_SCALARS = 1 << 19  # scalars a call; enough to spread the cost of loading files, 100 MB of memory


@dataclass(frozen=True)
class SaltedMatrix:
    """A secret integer matrix [n, width] and the salts of its n rows, 16 field elements each."""

    name: str
    entries: npt.NDArray[Any]
    salts: list[list[int]]

    @classmethod
    def of(cls, name: str, entries: npt.NDArray[Any], seed: bytes, k: int) -> SaltedMatrix:
        """Derive the rows' salts from the seed."""
        salts = [row_salt(seed, k, name, i, row.tobytes()) for i, row in enumerate(entries)]
        return cls(name, entries, salts)

    def combine(self, weights: Sequence[int], size: SizeClass) -> FieldVector:
        """`sum_j weights_j row_j` as a committed vector of length N: entries, zeros, combined salt."""
        entries = transposed_product(self.entries, weights)
        salts = np.array(self.salts, dtype=object)
        salt = [int(x) for x in (np.array(weights, dtype=object) @ salts)]
        return pad(entries, salt, size)


def pad(entries: Sequence[int], salt: Sequence[int], size: SizeClass) -> FieldVector:
    """Entries, zeros to M, then the salt: a committed vector of length N."""
    filled = list(entries) + [0] * (size.data_length - len(entries)) + list(salt)
    return [x % FIELD for x in filled]


class Committer:
    """Commits rows and vectors under one profile's SRS. Bases files live in `scratch`."""

    def __init__(self, profile: Profile, scratch: Path) -> None:
        link = profile.circuit("link")
        self.size = profile.size
        self._vk, self._settings, self._scratch = link.vk, link.settings, scratch
        self._tail = 2**self.size.k - link.usable_rows
        self._srs = read_curve_file(profile.srs)
        self._rows: dict[int, Bases] = {}
        self._vectors: Bases | None = None

    def vectors(self, vectors: Sequence[FieldVector]) -> list[bytes]:
        """C(v) of full vectors of length N."""
        if self._vectors is None:
            points = self._srs.lagrange_at(range(self.size.length))
            self._vectors = self._write("vector-bases", points)
        return self._vectors.multiply([scalars(v) for v in vectors])

    def rows(self, matrix: SaltedMatrix, progress: Callable[[int], None] = lambda _: None) -> bytes:
        """C of every row: 64 bytes each, concatenated. `progress` is told how many rows each batch did.

        Only the Lagrange points that rows touch are sent: width, salt, and one base for the offset.
        """
        width = matrix.entries.shape[1]
        if width not in self._rows:
            self._rows[width] = self._row_bases(width)
        bases = self._rows[width]
        step = max(1, BATCH_SCALARS // bases.capacity)
        points: list[bytes] = []
        for begin in range(0, len(matrix.entries), step):
            block = matrix.entries[begin : begin + step]
            message = np.zeros((len(block), width + SALT_LENGTH + 1, SCALAR_BYTES), dtype=np.uint8)
            message[:, :width, 0] = (block.astype(np.int16) + BYTE_OFFSET).astype(np.uint8)
            for i, salt in enumerate(matrix.salts[begin : begin + step]):
                message[i, width:-1] = np.frombuffer(scalars(salt), dtype=np.uint8).reshape(-1, SCALAR_BYTES)
            message[:, -1, 0] = 1
            points += bases.multiply([row.tobytes() for row in message])
            progress(len(block))
        return b"".join(points)

    def _row_bases(self, width: int) -> Bases:
        positions = [*range(width), *range(self.size.data_length, self.size.length)]
        points = self._srs.lagrange_at(positions)
        plain = self._write(f"row-bases-{width}-plain", points)
        # the last base takes the offset away again: -(128 (L_0 + ... + L_{width-1}))
        offset = plain.multiply([scalars([BYTE_OFFSET] * width)])[0]
        return self._write(f"row-bases-{width}", [*points, to_file_form(negate(offset))])

    def _write(self, name: str, points: list[bytes]) -> Bases:
        path = self._scratch / name
        return write_bases(path, points, self._srs.g2, self._tail, self._vk, self._settings)
