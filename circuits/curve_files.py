"""SRS files as lists of bases: reading, writing, and multi-scalar multiplication over bases of one's own.

A file is: k (u32 little-endian), 2^k monomial G1 points, 2^k Lagrange G1 points, two G2 points (256 bytes).
A G1 point is x then y, 32 bytes each, little-endian, in Montgomery form; zeros are the identity. `kzg_commit` uses
the Lagrange list only, so a file with other points there makes it a fast multi-scalar multiplication. Every public
function takes and returns points as 64 bytes big-endian, x then y, as proofs carry them.

Source: ezkl 23.0.5 and halo2's `ParamsKZG`; docs/protocol.md, section 2.
"""

from __future__ import annotations

import struct
import tempfile
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from circuits import ezkl_worker
from circuits.errors import CircuitError, SrsError
from circuits.ezkl_worker import SCALAR_BYTES
from circuits.points import POINT_BYTES
from circuits.size_classes import BASE_FIELD_MODULUS as Q
from circuits.size_classes import FIELD_MODULUS

G2_BYTES = 256
MAX_K = 26
_MONTGOMERY = pow(2, 256, Q)
_MONTGOMERY_INVERSE = pow(_MONTGOMERY, -1, Q)
COMMIT_TIME_LIMIT_S = 600.0


@dataclass(frozen=True)
class CurveFile:
    """An SRS file in memory; points still in the file's own (Montgomery, little-endian) form."""

    k: int
    monomial: bytes
    lagrange: bytes
    g2: bytes

    def to_bytes(self) -> bytes:
        """The file's bytes."""
        return struct.pack("<I", self.k) + self.monomial + self.lagrange + self.g2

    def lagrange_at(self, positions: Sequence[int]) -> list[bytes]:
        """Raw Lagrange points at `positions`."""
        return [self.lagrange[POINT_BYTES * i : POINT_BYTES * (i + 1)] for i in positions]


def file_size(k: int) -> int:
    """Bytes of an SRS file for domain 2^k."""
    return 4 + 2 * (POINT_BYTES << k) + G2_BYTES


def read_curve_file(path: Path) -> CurveFile:
    """Read an SRS file; SrsError when it is missing or its size is not the one its first four bytes announce."""
    try:
        data = path.read_bytes()
    except OSError as error:
        raise SrsError(f"{path}: {error.strerror}", step="srs", hint="huref srs dev, or huref srs fetch") from None
    k = struct.unpack("<I", data[:4])[0] if len(data) >= 4 else 0
    if not 1 <= k <= MAX_K or len(data) != file_size(k):
        raise SrsError(
            f"{path}: {len(data)} bytes is not the size of an SRS file (k={k})",
            step="srs",
            hint="the file is damaged or something else; fetch it again",
        )
    block = POINT_BYTES << k
    return CurveFile(k, data[4 : 4 + block], data[4 + block : 4 + 2 * block], data[4 + 2 * block :])


def to_file_form(point: bytes) -> bytes:
    """64 bytes big-endian -> the file's little-endian Montgomery form."""
    x, y = int.from_bytes(point[:32], "big"), int.from_bytes(point[32:], "big")
    return (x * _MONTGOMERY % Q).to_bytes(32, "little") + (y * _MONTGOMERY % Q).to_bytes(32, "little")


def from_file_form(raw: bytes) -> bytes:
    """The file's little-endian Montgomery form -> 64 bytes big-endian."""
    x, y = int.from_bytes(raw[:32], "little"), int.from_bytes(raw[32:], "little")
    return (x * _MONTGOMERY_INVERSE % Q).to_bytes(32, "big") + (y * _MONTGOMERY_INVERSE % Q).to_bytes(32, "big")


@dataclass(frozen=True)
class Bases:
    """A bases file on disk and what a `kzg_commit` over it needs.

    `capacity` scalars make one message; shorter ones are filled up with zeros.
    """

    path: Path
    capacity: int
    vk: Path
    settings: Path

    def multiply(self, messages: Sequence[bytes]) -> list[bytes]:
        """`sum_i m_i base_i` for each message (32-byte little-endian scalars, at most `capacity` of them).

        Returns 64-byte points. Messages go in one call each ezkl process: what costs is loading the files.
        """
        if not messages:
            return []
        full = self.capacity * SCALAR_BYTES
        if any(len(m) > full or len(m) % SCALAR_BYTES for m in messages):
            raise CircuitError("a message is longer than its bases", step="commit")
        with tempfile.TemporaryDirectory(prefix="huref-commit-") as folder:
            data, out = Path(folder, "messages"), Path(folder, "points")
            with data.open("wb") as stream:
                for message in messages:
                    stream.write(message.ljust(full, b"\0"))
            count = ezkl_worker.call(
                "commit",
                time_limit_s=COMMIT_TIME_LIMIT_S,
                messages=data,
                out=out,
                vk=self.vk,
                settings=self.settings,
                srs=self.path,
            )
            points = out.read_bytes()
        # A message of R * capacity scalars gives R points and one more, of nothing.
        if count not in (len(messages), len(messages) + 1):
            raise CircuitError(f"ezkl gave {count} points for {len(messages)} messages", step="commit")
        return [points[POINT_BYTES * i : POINT_BYTES * (i + 1)] for i in range(len(messages))]


def write_bases(path: Path, raw_points: Sequence[bytes], g2: bytes, tail: int, vk: Path, settings: Path) -> Bases:
    """Write a bases file holding `raw_points` (the file's form), padded with the identity.

    `tail` is the circuit's count of unusable rows: they hold the constant 1, so their bases must be the identity.
    """
    k = max(4, (len(raw_points) + tail - 1).bit_length())
    lagrange = b"".join(raw_points).ljust(POINT_BYTES << k, b"\0")
    path.write_bytes(CurveFile(k, bytes(POINT_BYTES << k), lagrange, g2).to_bytes())
    return Bases(path, 2**k - tail, vk, settings)


def scalars(values: Sequence[int]) -> bytes:
    """Integers -> 32-byte little-endian field elements; negatives become `p - |x|`."""
    return b"".join((v % FIELD_MODULUS).to_bytes(SCALAR_BYTES, "little") for v in values)
