"""BN254 by py_ecc, in pure Python: the slow, obvious twin of `circuits.curve_files`."""

from __future__ import annotations

from py_ecc import optimized_bn128 as curve

from circuits.curve_files import from_file_form, read_curve_file
from circuits.points import IDENTITY
from circuits.size_classes import FIELD_MODULUS as P


def to_ecc(point: bytes):
    x, y = int.from_bytes(point[:32], "big"), int.from_bytes(point[32:], "big")
    if (x, y) == (0, 0):
        return curve.Z1
    assert curve.is_on_curve((curve.FQ(x), curve.FQ(y), curve.FQ(1)), curve.b)
    return curve.FQ(x), curve.FQ(y), curve.FQ(1)


def from_ecc(point) -> bytes:
    if curve.is_inf(point):
        return IDENTITY
    x, y = curve.normalize(point)
    return int(x).to_bytes(32, "big") + int(y).to_bytes(32, "big")


def sum_of_products(values, points: list[bytes]) -> bytes:
    """sum_i v_i P_i, the slow and obvious way."""
    total = curve.Z1
    for value, point in zip(values, points, strict=True):
        total = curve.add(total, curve.multiply(to_ecc(point), value % P))
    return from_ecc(total)


def lagrange_points(path, count: int) -> list[bytes]:
    return [from_file_form(raw) for raw in read_curve_file(path).lagrange_at(range(count))]
