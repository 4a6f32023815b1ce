"""Rows, salts and bases with known logarithms, and what they commit to by py_ecc."""

from __future__ import annotations

from dataclasses import dataclass
from functools import lru_cache

import numpy as np
from py_ecc import optimized_bn128 as curve

from circuits.curve_files import scalars
from circuits.size_classes import FIELD_MODULUS as P
from tests.circuits.slow_curve import from_ecc

REFERENCE_ROWS = 9


@lru_cache(maxsize=4096)
def multiple(log: int) -> bytes:
    """`log G`, the slow and obvious way."""
    return from_ecc(curve.multiply(curve.G1, log % P))


@dataclass(frozen=True)
class Case:
    """`logs[j] G` is the base of scalar j; rows [n, width], salts as integers [n][salts]."""

    logs: tuple[int, ...]
    rows: np.ndarray
    salts: list[list[int]]
    bits: int = 8

    @classmethod
    def random(cls, width: int, salts: int, rows: int, bits: int = 8, seed: int = 0) -> Case:
        random = np.random.default_rng([seed, width, salts, rows, bits])
        logs = tuple(int.from_bytes(random.bytes(32), "big") % P for _ in range(width + salts))
        limit = 1 << (bits - 1)
        entries = random.integers(-limit, limit, (rows, width)).astype(np.int8 if bits <= 8 else np.int16)
        drawn = [[int.from_bytes(random.bytes(32), "big") % P for _ in range(salts)] for _ in range(rows)]
        return cls(logs, entries, drawn, bits)

    @property
    def points(self) -> bytes:
        """The bases."""
        return b"".join(map(multiple, self.logs))

    @property
    def salt_bytes(self) -> np.ndarray:
        count = len(self.salts[0]) if self.salts else 0
        return np.frombuffer(b"".join(map(scalars, self.salts)), np.uint8).reshape(len(self.salts), 32 * count)

    def expected(self) -> bytes:
        """sum_j scalar_j log_j, times G."""
        result = []
        for row, salt in zip(self.rows.tolist(), self.salts, strict=True):
            result.append(multiple(sum(x * log for x, log in zip([*row, *salt], self.logs, strict=True)) % P))
        return b"".join(result)


def hostile_rows(width: int, bits: int = 8) -> np.ndarray:
    """All zero, all smallest, all largest, equal to that, one entry alone (first, last), smallest alone, -1, mixed."""
    low, high = -(1 << (bits - 1)), (1 << (bits - 1)) - 1
    rows = np.zeros((REFERENCE_ROWS, width), np.int8 if bits <= 8 else np.int16)
    rows[1], rows[2], rows[3] = low, high, high
    rows[4, 0], rows[5, -1], rows[6, 0], rows[7] = 1, -1, low, -1
    rows[8] = np.arange(width) % 2 * high
    return rows


def hostile_salts(count: int) -> list[list[int]]:
    """0, 1 and p - 1, and everything of one bit less than p: for as many rows as `hostile_rows` has."""
    values = (0, P - 1, 1, 1, 0, 0, 2**253, P - 2, (1 << 253) - 1)
    return [[value] * count for value in values]
