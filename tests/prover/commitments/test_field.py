"""Products modulo p: by the native library, by limbs in floating point, and by Python's integers, all the same."""

from __future__ import annotations

import numpy as np
import pytest

from circuits.size_classes import FIELD_MODULUS as P
from prover.commitments import field


@pytest.fixture(params=["as it comes", "without the library"])
def way(request, monkeypatch):
    if request.param == "without the library":
        monkeypatch.setattr(field.products, "available", lambda: False)


def matrices():
    rng = np.random.default_rng(5)
    yield rng.integers(-128, 128, (7, 5)).astype(np.int8)
    yield np.full((300, 129), -128, np.int8)
    yield np.full((1, 1), 127, np.int8)
    yield np.zeros((0, 3), np.int8)
    yield rng.integers(0, 256, (40, 512)).astype(np.uint8)  # salts
    yield rng.integers(-(1 << 40), 1 << 40, (6, 4))


@pytest.mark.parametrize("blocks", [1, 64, 1 << 22])
@pytest.mark.parametrize("matrix", list(matrices()), ids=lambda matrix: f"{matrix.dtype} {matrix.shape}")
def test_products_are_exact(way, monkeypatch, matrix, blocks):
    monkeypatch.setattr(field, "_BLOCK_ENTRIES", blocks)
    rng = np.random.default_rng(9)
    right = [int.from_bytes(rng.bytes(32), "big") % P for _ in range(matrix.shape[1])]
    left = [P - 1 - i for i in range(matrix.shape[0])]
    rows = matrix.tolist()
    assert field.product(matrix, right) == [sum(x * y for x, y in zip(row, right, strict=True)) % P for row in rows]
    columns = [[row[j] for row in rows] for j in range(matrix.shape[1])]
    by_hand = [sum(x * y for x, y in zip(column, left, strict=True)) % P for column in columns]
    assert field.transposed_product(matrix, left) == by_hand


@pytest.mark.parametrize(("multiply", "count"), [(field.product, 4), (field.transposed_product, 3)])
def test_lengths_must_fit(way, multiply, count):
    with pytest.raises(ValueError, match=r"columns|rows"):
        multiply(np.zeros((3, 4), np.int8), [1] * (count + 1))
