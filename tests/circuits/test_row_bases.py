"""Committing rows of bytes, beside the slow, obvious way."""

from __future__ import annotations

import numpy as np
import pytest
from py_ecc import optimized_bn128 as curve

from circuits import row_bases
from circuits.curve_files import from_file_form, read_curve_file, scalars
from circuits.errors import CircuitError
from circuits.points import IDENTITY, add, negate, on_curve
from circuits.row_bases import make_row_bases
from circuits.size_classes import BASE_FIELD_MODULUS as Q
from circuits.size_classes import FIELD_MODULUS as P
from circuits.size_classes import SALT_LENGTH
from tests.circuits.slow_curve import from_ecc, sum_of_products, to_ecc

ROWS = 3


def some_points() -> list[bytes]:
    points = [from_ecc(curve.multiply(curve.G1, x)) for x in (1, 2, 3, 12345)]
    return [IDENTITY, *points, negate(points[1])]


def test_adding_points_equals_the_slow_way():
    """Every pair, so also P + P, P - P and the identity on either side."""
    for left in some_points():
        for right in some_points():
            assert add(left, right) == from_ecc(curve.add(to_ecc(left), to_ecc(right)))


def test_points_are_told_from_other_bytes():
    assert all(map(on_curve, some_points()))
    x, y = 1, 2  # the generator
    others = [(x, y + 1), (x + 1, y), (x + Q, y), (x, y + Q), (0, 1), (Q, 0)]
    assert not any(on_curve(x.to_bytes(32, "big") + y.to_bytes(32, "big")) for x, y in others)


@pytest.fixture(scope="module", params=[(5, 12), (40, 6), (58, 6), (130, 7)], ids=str)
def case(request, profile, tmp_path_factory):
    """(bases of rows of some width, in runs of at most 2^run_k, rows, salts, slow commitments)."""
    width, run_k = request.param
    srs, link, size = read_curve_file(profile.srs), profile.circuit("link"), profile.size
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(row_bases, "RUN_K", run_k)
        folder, tail = tmp_path_factory.mktemp("bases"), 2**size.k - link.usable_rows
        bases = make_row_bases(srs, size, width, folder, tail, link.vk, link.settings)
    rng = np.random.default_rng(width)
    rows = rng.integers(-128, 128, (ROWS, width)).astype(np.int8)
    rows[0] = 0
    salts = [[int.from_bytes(rng.bytes(32), "big") % P for _ in range(SALT_LENGTH)] for _ in range(ROWS)]
    salts[1][:2] = [0, P - 1]
    positions = [*range(width), *range(size.data_length, size.length)]
    points = [from_file_form(raw) for raw in srs.lagrange_at(positions)]
    slow = [sum_of_products([*map(int, row), *salt], points) for row, salt in zip(rows.tolist(), salts, strict=True)]
    return bases, rows.tobytes(), b"".join(map(scalars, salts)), b"".join(slow)


def test_rows_equal_the_slow_way(case):
    bases, rows, salts, slow = case
    assert bases.commit(rows, salts) == slow


def test_rows_on_another_machine_are_the_same(case, tmp_path):
    bases, rows, salts, slow = case
    assert bases.packed().unpack(tmp_path).commit(rows, salts) == slow


def test_how_many_rows_go_together_changes_nothing(case):
    bases, rows, salts, slow = case
    each = [
        bases.commit(rows[i * bases.width : (i + 1) * bases.width], salts[512 * i : 512 * (i + 1)]) for i in range(ROWS)
    ]
    assert b"".join(each) == slow


@pytest.mark.parametrize("cut", [1, 512])
def test_salts_that_do_not_fit(case, cut):
    bases, rows, salts, _ = case
    with pytest.raises(CircuitError, match="do not fit"):
        bases.commit(rows, salts[:-cut])


def test_no_run_is_longer_than_ezkl_does_fast(profile, tmp_path):
    """Rows as wide as the class allows: several runs, each with a file of at most 2^12 points."""
    srs, link, size = read_curve_file(profile.srs), profile.circuit("link"), profile.size
    tail = 2**size.k - link.usable_rows
    bases = make_row_bases(srs, size, size.data_length, tmp_path, tail, link.vk, link.settings)
    assert len(bases.runs) == 2
    assert all(read_curve_file(run.path).k <= row_bases.RUN_K for run in bases.runs)
    assert sum(run.capacity for run in bases.runs) >= size.data_length + row_bases.SALT_BYTES + 1
