"""Commitments to rows and vectors: multi-scalar multiplications over the SRS's Lagrange points, by ezkl.

Source: docs/protocol.md, section 2. `C(v) = sum_i v_i L_i`, salt included, without ezkl's constant B.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Iterator, Mapping, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

from circuits.curve_files import Bases, read_curve_file, scalars, write_bases
from circuits.ezkl_worker import SCALAR_BYTES
from circuits.kernel.check import CommittedRows, RowChecker
from circuits.kernel.library import EZKL
from circuits.kernel.rows import row_points
from circuits.profiles import Profile
from circuits.row_bases import SALT_BYTES, RowBases, make_row_bases
from circuits.row_work import RowWork
from circuits.size_classes import FIELD_MODULUS as FIELD
from circuits.size_classes import SizeClass
from prover.checkpoint.spill import byte_array
from prover.commitments.field import FieldVector, transposed_product
from prover.commitments.salts import row_salt
from prover.commitments.workers import Pool, Work

SHARD_ROWS = 1 << 12  # at least: a kernel's tables pay from about so many rows on
SHARD_SCALARS = 1 << 24  # a shard: a second of work for a kernel, 12 s for ezkl; 19 MB to send to another machine
CHECK_ROWS = 1 << 15  # a kernel's answers that ezkl looks at together: a second and a half, lost when a run is killed


@dataclass(frozen=True)
class SaltedMatrix:
    """A secret integer matrix [n, width] and its rows' salts: uint8 [n, 512], 16 field elements little-endian."""

    name: str
    entries: npt.NDArray[Any]
    salts: npt.NDArray[np.uint8]

    @classmethod
    def of(cls, name: str, entries: npt.NDArray[Any], seed: bytes, k: int) -> SaltedMatrix:
        """Derive the rows' salts from the seed."""
        salts = byte_array((len(entries), SALT_BYTES), np.uint8)
        for i, row in enumerate(np.asarray(entries)):
            salts[i] = np.frombuffer(scalars(row_salt(seed, k, name, i, row.tobytes())), dtype=np.uint8)
        return cls(name, entries, salts)

    def combine(self, weights: Sequence[int], size: SizeClass) -> FieldVector:
        """`sum_j weights_j row_j` as a committed vector of length N: entries, zeros, combined salt."""
        entries = transposed_product(self.entries, weights)
        # salt = sum_b byte_b 256^b, so that of the sum is sum_b (sum_j weights_j byte_jb) 256^b
        digits = transposed_product(self.salts, weights)
        salt = [
            sum(digit << (8 * b) for b, digit in enumerate(digits[i : i + SCALAR_BYTES])) % FIELD
            for i in range(0, SALT_BYTES, SCALAR_BYTES)
        ]
        return pad(entries, salt, size)


def pad(entries: Sequence[int], salt: Sequence[int], size: SizeClass) -> FieldVector:
    """Entries, zeros to M, then the salt: a committed vector of length N."""
    filled = list(entries) + [0] * (size.data_length - len(entries)) + list(salt)
    return [x % FIELD for x in filled]


@dataclass(frozen=True)
class Shard:
    """Rows `begin` to `end` of the matrix with this index, which are committed in one go and kept as one part."""

    matrix: SaltedMatrix
    index: int
    begin: int
    end: int

    @property
    def part(self) -> str:
        """Its part in a job."""
        return f"rows-{self.index}-{self.begin}-{self.end}"

    @property
    def rows(self) -> int:
        """How many rows it has."""
        return self.end - self.begin


def cut(matrices: Mapping[str, SaltedMatrix]) -> list[Shard]:
    """All rows in order, in shards. The cut depends on shapes alone: a run with other workers resumes this one."""
    shards = []
    for index, matrix in enumerate(matrices.values()):
        count, width = matrix.entries.shape
        step = max(SHARD_ROWS, SHARD_SCALARS // (width + SALT_BYTES))
        shards += [Shard(matrix, index, begin, min(begin + step, count)) for begin in range(0, count, step)]
    return shards


class Committer:
    """Commits rows and vectors under one profile's SRS. Bases files live in `scratch`.

    `kernels`: who committed to rows so far, by name.
    """

    def __init__(self, profile: Profile, scratch: Path) -> None:
        link = profile.circuit("link")
        self.size = profile.size
        self._vk, self._settings, self._scratch = link.vk, link.settings, scratch
        self._tail = 2**self.size.k - link.usable_rows
        self._srs = read_curve_file(profile.srs)
        self.kernels: set[str] = set()
        self._rows: dict[int, RowWork] = {}
        self._checker = RowChecker(self._srs, self.size, self._tail, self._vk, self._settings)
        self._vectors: Bases | None = None

    def vectors(self, vectors: Sequence[FieldVector]) -> list[bytes]:
        """C(v) of full vectors of length N."""
        if self._vectors is None:
            points = self._srs.lagrange_at(range(self.size.length))
            path = self._scratch / "vector-bases"
            self._vectors = write_bases(path, points, self._srs.g2, self._tail, self._vk, self._settings)
        return self._vectors.multiply([scalars(v) for v in vectors])

    def shards(self, shards: Sequence[Shard], pool: Pool) -> Iterator[tuple[Shard, bytes]]:
        """Each shard with C of its rows, 64 bytes each, as it gets done; of a native kernel's, when ezkl has agreed.

        Raises:
            KernelError: ezkl does not agree. What was yielded before is right.
            CircuitError: ezkl or a cluster failed.
        """

        def work() -> Iterator[Work]:
            for key, shard in enumerate(shards):
                rows = np.ascontiguousarray(shard.matrix.entries[shard.begin : shard.end], dtype=np.int8)
                yield Work(key, self.row_work(rows.shape[1]), rows, shard.matrix.salts[shard.begin : shard.end])

        with ThreadPoolExecutor(1) as beside:  # ezkl looks at some while the kernel goes on
            unchecked: list[CommittedRows] = []
            checks: deque[tuple[Future[None], list[CommittedRows]]] = deque()
            by_part = {shard.part: shard for shard in shards}

            def begin_check() -> None:
                if unchecked:
                    checks.append((beside.submit(self._checker.check, list(unchecked)), list(unchecked)))
                    unchecked.clear()

            def checked() -> Iterator[tuple[Shard, bytes]]:
                future, parts = checks.popleft()
                future.result()
                for part in parts:
                    yield by_part[part.name], part.points

            for key, answer in pool.commit(work()):
                shard = shards[key]
                self.kernels.add(answer.kernel)
                if answer.kernel == EZKL:
                    yield shard, answer.points
                    continue
                entries = shard.matrix.entries[shard.begin : shard.end]
                salts = shard.matrix.salts[shard.begin : shard.end]
                if unchecked and unchecked[0].rows.shape[1] != entries.shape[1]:
                    begin_check()
                unchecked.append(CommittedRows(shard.part, entries, salts, answer.points))
                if sum(len(one.rows) for one in unchecked) >= CHECK_ROWS:
                    begin_check()
                while checks and checks[0][0].done():
                    yield from checked()
            begin_check()
            while checks:
                yield from checked()

    def row_work(self, width: int) -> RowWork:
        """What rows of `width` weights are multiplied with."""
        if width not in self._rows:

            def make_files() -> RowBases:
                return make_row_bases(self._srs, self.size, width, self._scratch, self._tail, self._vk, self._settings)

            self._rows[width] = RowWork(width, row_points(self._srs, self.size, width), make_files)
        return self._rows[width]
