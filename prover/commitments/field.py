"""Arithmetic modulo p, the scalar field of BN254, for vectors and integer matrices.

Field vectors are lists of Python integers in [0, p): at most a few tens of thousands of entries are ever alive.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
import numpy.typing as npt

from circuits.kernel import products
from circuits.size_classes import FIELD_MODULUS as P
from circuits.threads import in_threads

FieldVector = list[int]

LIMB_BITS = 24
LIMBS = 11  # 11 * 24 = 264 bits hold a field element
_BLOCK_ENTRIES = 1 << 22
_EXACT = 1 << 53


def product(matrix: npt.NDArray[Any], vector: Sequence[int]) -> FieldVector:
    """`matrix @ vector` modulo p: integer matrix [n, m], field vector of length m -> length n.

    Bytes go to the native library where that is faster. Otherwise the vector is cut into 24-bit limbs, so that float64
    matrix products are exact while `m * max|entry| * 2^24 < 2^53`; beyond (never for bytes), Python integers are used.
    """
    if matrix.shape[1] != len(vector):
        raise ValueError(f"{matrix.shape[1]} columns, {len(vector)} entries")
    if _native(matrix):
        parts = in_threads(lambda rows: products.product(matrix[rows], vector), _blocks(matrix))
        return [value for part in parts for value in part]
    if not _fits(matrix, matrix.shape[1]):
        return [sum(int(x) * v for x, v in zip(row, vector, strict=True)) % P for row in matrix]
    limbs = _limbs(vector)
    step = max(1, _BLOCK_ENTRIES // max(1, matrix.shape[1]))
    result: FieldVector = []
    for begin in range(0, matrix.shape[0], step):
        result += _join(matrix[begin : begin + step].astype(np.float64) @ limbs)
    return result


def transposed_product(matrix: npt.NDArray[Any], weights: Sequence[int]) -> FieldVector:
    """`matrix^T @ weights` modulo p: integer matrix [n, m], n weights -> length m. Exact as in `product`."""
    if matrix.shape[0] != len(weights):
        raise ValueError(f"{matrix.shape[0]} rows, {len(weights)} weights")
    if _native(matrix):
        sums = in_threads(lambda rows: products.transposed_product(matrix[rows], weights[rows]), _blocks(matrix))
        return [sum(column) % P for column in zip(*sums, strict=True)]
    if not _fits(matrix, matrix.shape[0]):
        return product(matrix.T, weights)
    limbs = _limbs(weights)
    step = max(1, _BLOCK_ENTRIES // max(1, matrix.shape[1]))
    total = np.zeros((matrix.shape[1], LIMBS))
    for begin in range(0, matrix.shape[0], step):
        total += matrix[begin : begin + step].astype(np.float64).T @ limbs[begin : begin + step]
    return _join(total)


def _native(matrix: npt.NDArray[Any]) -> bool:
    return matrix.dtype == np.int8 and matrix.size > 0 and products.available()


def _blocks(matrix: npt.NDArray[Any]) -> list[slice]:
    """Its rows in pieces for the threads, at least one."""
    step = max(1, _BLOCK_ENTRIES // max(1, matrix.shape[1]))
    return [slice(begin, begin + step) for begin in range(0, max(1, matrix.shape[0]), step)]


def inner(left: Sequence[int], right: Sequence[int]) -> int:
    """`<left, right>` modulo p."""
    return sum(x * y for x, y in zip(left, right, strict=True)) % P


def scaled(factor: int, vector: Sequence[int]) -> FieldVector:
    """`factor * vector` modulo p."""
    return [factor * x % P for x in vector]


def combination(factors: Sequence[int], vectors: Sequence[Sequence[int]]) -> FieldVector:
    """`sum_i factors_i vectors_i` modulo p, vectors of one length."""
    return [sum(f * x for f, x in zip(factors, entries, strict=True)) % P for entries in zip(*vectors, strict=True)]


def _fits(matrix: npt.NDArray[Any], terms: int) -> bool:
    if matrix.dtype == object:
        return False
    largest = 128 if matrix.dtype == np.int8 else int(np.abs(matrix).max(initial=0))
    return largest * terms << LIMB_BITS < _EXACT


def _limbs(vector: Sequence[int]) -> npt.NDArray[np.float64]:
    mask = (1 << LIMB_BITS) - 1
    return np.array([[x >> (LIMB_BITS * i) & mask for i in range(LIMBS)] for x in vector], dtype=np.float64)


def _join(limbs: npt.NDArray[np.float64]) -> FieldVector:
    rows = limbs.astype(np.int64).tolist()
    return [sum(value << (LIMB_BITS * i) for i, value in enumerate(row)) % P for row in rows]
