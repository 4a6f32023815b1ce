"""Sums of points, computed by `ezkl.kzg_commit` over bases files (docs/protocol.md section 2).

An SRS file is a list of bases: u32 little-endian k, 2^k monomial points, 2^k Lagrange points, two G2 points (256
bytes). A G1 point is x then y, 32 bytes each, little-endian, in Montgomery form; zeros are the identity. `kzg_commit`
reads the Lagrange list only, so a file with other points there makes it a multi-scalar multiplication over those.

B, the commitment of the empty message, is the sum of the Lagrange points of a circuit's unusable rows,
which hold the constant 1.
"""

from __future__ import annotations

import struct
from collections.abc import Iterable, Sequence
from dataclasses import dataclass

from verifier.formats.encoding import BASE_MODULUS, FIELD_MODULUS, POINT_BYTES, SCALAR_BYTES
from verifier.formats.errors import BadInstallation

G2_BYTES = 256
MIN_BASES_K = 5
IDENTITY = bytes(POINT_BYTES)
_MONTGOMERY = (1 << 256) % BASE_MODULUS


@dataclass(frozen=True)
class Srs:
    """A profile's SRS file, its Lagrange points still in the file's form."""

    k: int
    lagrange: bytes
    g2: bytes

    def lagrange_points(self, positions: Iterable[int]) -> list[bytes]:
        """L_i for i in `positions`, in the file's form."""
        return [self.lagrange[POINT_BYTES * i : POINT_BYTES * (i + 1)] for i in positions]

    def unusable_rows(self, usable_rows: int) -> list[bytes]:
        """The points that sum up to B of a circuit with `usable_rows`."""
        return self.lagrange_points(range(usable_rows, 1 << self.k))


def parse_srs(data: bytes, k: int) -> Srs:
    """An SRS file's parts.

    Raises:
        BadInstallation: it is not a file for `k`.
    """
    block = POINT_BYTES << k
    if len(data) != 4 + 2 * block + G2_BYTES or struct.unpack_from("<I", data)[0] != k:
        raise BadInstallation(f"the SRS file is not one for k = {k}")
    return Srs(k, data[4 + block : 4 + 2 * block], data[4 + 2 * block :])


def to_file_form(point: bytes) -> bytes:
    """64 bytes big-endian -> the file's form. The identity (zeros) stays zeros."""
    x, y = int.from_bytes(point[:32], "big"), int.from_bytes(point[32:], "big")
    return (x * _MONTGOMERY % BASE_MODULUS).to_bytes(32, "little") + (y * _MONTGOMERY % BASE_MODULUS).to_bytes(
        32, "little"
    )


@dataclass(frozen=True)
class Bases:
    """A bases file's bytes; `capacity` scalars make one message."""

    data: bytes
    capacity: int


def make_bases(points: Sequence[bytes], g2: bytes, unusable: int) -> Bases:
    """A bases file for `points` (the file's form), for a circuit with `unusable` blinding rows.

    The bases at the unusable rows are the identity: their scalars are 1.
    """
    k = max(MIN_BASES_K, (len(points) + unusable - 1).bit_length())
    lagrange = b"".join(points).ljust(POINT_BYTES << k, b"\0")
    return Bases(struct.pack("<I", k) + bytes(POINT_BYTES << k) + lagrange + g2, (1 << k) - unusable)


def messages(vectors: Sequence[Sequence[int]], capacity: int) -> bytes:
    """Vectors of scalars as one message for `kzg_commit`: each filled up with zeros to exactly `capacity`
    scalars.

    ezkl answers with one point for each, and then one of nothing.
    """
    return b"".join(
        b"".join((value % FIELD_MODULUS).to_bytes(SCALAR_BYTES, "little") for value in vector).ljust(
            capacity * SCALAR_BYTES, b"\0"
        )
        for vector in vectors
    )


def negate(point: bytes) -> bytes:
    """-P of 64 bytes big-endian: the same x, the other y."""
    y = int.from_bytes(point[32:], "big")
    return point[:32] + (-y % BASE_MODULUS).to_bytes(32, "big")
