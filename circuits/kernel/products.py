"""Exact products of matrices of bytes with field vectors, by the native library: what `prover.field` does with numpy.

Four times faster with AVX-512 IFMA; elsewhere there is nothing here, plain C does no better than numpy. A product is
part of what the link proof is about: a wrong one costs a run, and no soundness.
"""

from __future__ import annotations

import ctypes
from collections.abc import Sequence

import numpy as np
import numpy.typing as npt

from circuits.errors import KernelError
from circuits.ezkl_worker import SCALAR_BYTES
from circuits.kernel import library
from circuits.kernel.library import chosen, kernels, require, require_success
from circuits.size_classes import FIELD_MODULUS

SUM_BYTES = 40
BYTE_OFFSET = 128  # the library reads an entry e as e + 128


def available() -> bool:
    """Whether this machine has these products, and HUREF_KERNEL does not choose another kernel than the fastest."""
    native = library.load()
    return native is not None and chosen() == kernels()[0] and bool(native.huref_has_products())


def product(matrix: npt.NDArray[np.int8], vector: Sequence[int]) -> list[int]:
    """`matrix @ vector` modulo the group's order: int8 [n, m], m integers in [0, 2^256) -> length n. One thread.

    Raises KernelError where it is not available, or shapes or types do not fit.
    """
    return _product(matrix, vector, transposed=False)


def transposed_product(matrix: npt.NDArray[np.int8], weights: Sequence[int]) -> list[int]:
    """`matrix^T @ weights`: int8 [n, m], n weights -> length m. As `product`."""
    return _product(matrix, weights, transposed=True)


def _product(matrix: npt.NDArray[np.int8], vector: Sequence[int], *, transposed: bool) -> list[int]:
    if matrix.ndim != 2 or matrix.dtype != np.int8 or matrix.shape[0 if transposed else 1] != len(vector):
        raise KernelError(f"{matrix.dtype} {matrix.shape} and {len(vector)} field elements", step="multiply")
    entries = np.ascontiguousarray(matrix)
    elements = b"".join(value.to_bytes(SCALAR_BYTES, "little") for value in vector)
    count = matrix.shape[1 if transposed else 0]
    sums = ctypes.create_string_buffer(max(1, count * SUM_BYTES))
    result = require().huref_product(entries.ctypes.data, *matrix.shape, transposed, elements, sums)
    require_success(result, f"a matrix {matrix.shape}")
    offset, raw = BYTE_OFFSET * sum(vector), sums.raw
    return [
        (int.from_bytes(raw[i : i + SUM_BYTES], "little") - offset) % FIELD_MODULUS
        for i in range(0, count * SUM_BYTES, SUM_BYTES)
    ]
