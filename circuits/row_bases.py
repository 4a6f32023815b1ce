"""Commitments to rows of bytes: a row's multi-scalar multiplication cut so that ezkl does it fast.

Two habits of ezkl 23.0.5 decide the form (measured in docs/scale.md). One full-size scalar makes a whole multiplication
walk all 254 bits: so a salt is committed as its 32 bytes, over bases 256^b L, and every scalar is a byte. And over more
than 2^12 bases another method takes over that costs the same for bytes as for full-size scalars: so a row is cut into
runs of fewer, whose points are added. The sum is the same point as ever.
"""

from __future__ import annotations

import tempfile
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from circuits import ezkl_worker
from circuits.curve_files import Bases, CurveFile, scalars, to_file_form, write_bases
from circuits.errors import CircuitError
from circuits.ezkl_worker import BYTE_OFFSET, SCALAR_BYTES
from circuits.points import POINT_BYTES, negate
from circuits.size_classes import SALT_LENGTH, SizeClass

SALT_BYTES = SALT_LENGTH * SCALAR_BYTES
RUN_K = (
    12  # bases files no larger than 2^12: beyond, ezkl's method for long ones makes a byte as dear as a field element
)
SHARD_TIME_LIMIT_S = 900.0  # a shard takes 4 s of processor time
THREADS = 1  # a process; with several, ezkl cuts each multiplication up and every piece costs more


@dataclass(frozen=True)
class RowBases:
    """What a row of `width` bytes is multiplied with: `runs` one after the other, in the order of its scalars.

    Scalars: `width` weights plus 128, the salt's 512 bytes, and 1 for the base that takes the 128s away again.
    """

    width: int
    runs: tuple[Bases, ...]

    def commit(self, rows: bytes, salts: bytes) -> bytes:
        """C of n rows: int8 [n, width] and salts [n, 16] of 32 bytes little-endian -> 64 n bytes.

        One ezkl process with one thread. Raises CircuitError when ezkl refuses.
        """
        count = len(rows) // self.width
        if len(rows) != count * self.width or len(salts) != count * SALT_BYTES:
            raise CircuitError(f"{len(rows)} bytes of rows, {len(salts)} of salts do not fit", step="commit")
        with tempfile.TemporaryDirectory(prefix="huref-commit-") as folder:
            stored, salted, out = Path(folder, "rows"), Path(folder, "salts"), Path(folder, "points")
            stored.write_bytes(rows)
            salted.write_bytes(salts)
            ezkl_worker.call(
                "commit_rows",
                time_limit_s=SHARD_TIME_LIMIT_S,
                threads=THREADS,
                rows=stored,
                salts=salted,
                out=out,
                width=self.width,
                runs=[[str(run.path.absolute()), run.capacity] for run in self.runs],
                vk=self.runs[0].vk,
                settings=self.runs[0].settings,
            )
            points = out.read_bytes()
        if len(points) != count * POINT_BYTES:
            raise CircuitError(f"ezkl gave {len(points)} bytes for {count} rows", step="commit")
        return points

    def packed(self) -> PackedBases:
        """The same as bytes, for another machine."""
        first = self.runs[0]
        return PackedBases(
            self.width,
            tuple(run.path.read_bytes() for run in self.runs),
            tuple(run.capacity for run in self.runs),
            first.vk.read_bytes(),
            first.settings.read_bytes(),
        )


@dataclass(frozen=True)
class PackedBases:
    """A `RowBases` that can travel: its files' bytes. All of it is public."""

    width: int
    runs: tuple[bytes, ...]
    capacities: tuple[int, ...]
    vk: bytes
    settings: bytes

    def unpack(self, folder: Path) -> RowBases:
        """Write the files into `folder`."""
        vk, settings = folder / "vk.key", folder / "settings.json"
        vk.write_bytes(self.vk)
        settings.write_bytes(self.settings)
        runs = []
        for index, (data, capacity) in enumerate(zip(self.runs, self.capacities, strict=True)):
            path = folder / f"run-{index}"
            path.write_bytes(data)
            runs.append(Bases(path, capacity, vk, settings))
        return RowBases(self.width, tuple(runs))


def make_row_bases(
    srs: CurveFile, size: SizeClass, width: int, folder: Path, tail: int, vk: Path, settings: Path
) -> RowBases:
    """Bases for rows of `width` bytes with their salts at the end of a vector of `size`; files go into `folder`.

    `tail` is the number of unusable rows of the circuit that `vk` and `settings` belong to.
    """

    def write(name: str, points: Sequence[bytes]) -> Bases:
        return write_bases(folder / f"row-{width}-{name}", points, srs.g2, tail, vk, settings)

    weights = srs.lagrange_at(range(width))
    # salt = sum_b byte_b 256^b, so byte_b's base is 256^b L_{M+j}
    salts = write("salts", srs.lagrange_at(range(size.data_length, size.length)))
    powers = [scalars([0] * j + [256**b]) for j in range(SALT_LENGTH) for b in range(SCALAR_BYTES)]
    digits = [to_file_form(point) for point in salts.multiply(powers)]
    # the last base: -(128 (L_0 + ... + L_{width-1}))
    offset = write("offset", weights).multiply([scalars([BYTE_OFFSET] * width)])[0]
    points = [*weights, *digits, to_file_form(negate(offset))]
    step = (1 << RUN_K) - tail
    runs = [write(f"run-{begin}", points[begin : begin + step]) for begin in range(0, len(points), step)]
    return RowBases(width, tuple(runs))
