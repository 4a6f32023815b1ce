"""Exact products of bytes with field elements, beside Python's integers and numpy's."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from circuits.errors import KernelError
from circuits.kernel import kernels, library, products
from circuits.size_classes import FIELD_MODULUS as P

PRODUCTS = (products.product, products.transposed_product)


@pytest.fixture(autouse=True)
def here():
    if "ifma" not in kernels():
        pytest.skip("this processor does not run ifma")


def slowly(rows: list[list[int]], vector: list[int]) -> list[int]:
    return [sum(x * y for x, y in zip(row, vector, strict=True)) % P for row in rows]


def elements(random: np.random.Generator, count: int) -> list[int]:
    return [int.from_bytes(random.bytes(32), "big") for _ in range(count)]


@given(st.integers(1, 70), st.integers(1, 70), st.integers(0, 2**32 - 1))
def test_any_shape_equals_python_integers(rows, columns, seed):
    random = np.random.default_rng(seed)
    matrix = random.integers(-128, 128, (rows, columns)).astype(np.int8)
    vector, weights = elements(random, columns), elements(random, rows)
    assert products.product(matrix, vector) == slowly(matrix.tolist(), vector)
    assert products.transposed_product(matrix, weights) == slowly(matrix.T.tolist(), weights)


@pytest.mark.parametrize("value", [0, 1, P - 1, 2**256 - 1], ids=["0", "1", "p - 1", "2^256 - 1"])
@pytest.mark.parametrize("entry", [-128, -1, 0, 127])
def test_the_largest_sums_of_several_blocks(value, entry):
    """More columns, and more rows, than are added before limbs are carried."""
    matrix = np.full((3, 5001), entry, np.int8)
    assert products.product(matrix, [value] * 5001) == [5001 * entry * value % P] * 3
    assert products.transposed_product(matrix.T, [value] * 5001) == [5001 * entry * value % P] * 3


def test_matrices_that_are_views():
    matrix = np.arange(-60, 60, dtype=np.int8).reshape(10, 12)[::2, ::3]
    random = np.random.default_rng(0)
    vector = elements(random, 4)
    assert products.product(matrix, vector) == slowly(matrix.tolist(), vector)
    assert products.transposed_product(matrix.T, vector) == slowly(matrix.tolist(), vector)


@pytest.mark.parametrize("multiply", PRODUCTS)
@pytest.mark.parametrize(
    ("matrix", "length"),
    [(np.zeros((3, 3), np.int16), 3), (np.zeros((3, 3), np.int8), 2), (np.zeros(3, np.int8), 3)],
    ids=["int16", "length", "dimensions"],
)
def test_what_does_not_fit(multiply, matrix, length):
    with pytest.raises(KernelError, match="field elements"):
        multiply(matrix, [1] * length)


@pytest.mark.parametrize("multiply", PRODUCTS)
@pytest.mark.parametrize("shape", [(0, 3), (3, 0)], ids=str)
def test_empty_matrices(multiply, shape):
    count = shape[0] if multiply is products.transposed_product else shape[1]
    with pytest.raises(KernelError, match="sizes"):
        multiply(np.zeros(shape, np.int8), [1] * count)


def test_another_kernel_or_none_does_without(monkeypatch):
    assert products.available()
    monkeypatch.setenv("HUREF_KERNEL", "portable")
    assert not products.available()
    monkeypatch.setattr(library, "load", lambda: None)
    assert not products.available()
