"""No kernel is trusted: whatever goes wrong in one, ezkl says so before anything is kept."""

from __future__ import annotations

import numpy as np
import pytest

from circuits.curve_files import read_curve_file
from circuits.errors import KernelError
from circuits.kernel import CommittedRows, RowChecker
from circuits.kernel.check import combine
from circuits.kernel.rows import RowPlan, row_points
from circuits.points import IDENTITY
from circuits.size_classes import FIELD_MODULUS as P
from circuits.size_classes import SALT_LENGTH
from tests.circuits.kernel.cases import Case, hostile_rows, hostile_salts

WIDTH, ROWS = 24, 40


@pytest.fixture(scope="module")
def checker(profile) -> RowChecker:
    link, size = profile.circuit("link"), profile.size
    return RowChecker(read_curve_file(profile.srs), size, 2**size.k - link.usable_rows, link.vk, link.settings)


@pytest.fixture(scope="module")
def case() -> Case:
    return Case.random(WIDTH, SALT_LENGTH, ROWS, seed=5)


def committed(checker: RowChecker, case: Case, name: str = "embedding", **options) -> CommittedRows:
    plan = RowPlan(row_points(checker.srs, checker.size, case.rows.shape[1]), SALT_LENGTH, case.bits)
    points = plan.commit(case.rows, case.salt_bytes, **options)
    return CommittedRows(name, case.rows, case.salt_bytes, points)


def with_points(part: CommittedRows, points: bytes) -> CommittedRows:
    return CommittedRows(part.name, part.rows, part.salts, points)


def test_every_kernel_is_confirmed(checker, case, kernel):
    checker.check([committed(checker, case, kernel=kernel)])


def test_hostile_rows_and_wide_entries_are_confirmed(checker):
    """All zero with salts of zero commit to the identity."""
    parts = [committed(checker, Case((), hostile_rows(WIDTH), hostile_salts(SALT_LENGTH)), "hostile")]
    assert parts[0].points[:64] == IDENTITY
    checker.check(parts)
    checker.check([committed(checker, Case((), hostile_rows(WIDTH, 16), hostile_salts(SALT_LENGTH), 16), "wide")])


def test_one_flipped_bit_of_a_table_is_seen(checker, case, kernel):
    honest = committed(checker, case).points
    for bit in (1, 300, 511):  # of a table's first point
        part = committed(checker, case, kernel=kernel, fault=bit)
        assert part.points != honest
        with pytest.raises(KernelError, match="embedding: the native kernel's commitment") as caught:
            checker.check([part])
        assert caught.value.code == "kernel"
        assert "HUREF_KERNEL=ezkl" in caught.value.hint


def test_one_wrong_base_is_seen(checker, case):
    """Every point is one of the curve, and wrong."""
    points = row_points(checker.srs, checker.size, WIDTH)
    spoilt = RowPlan(points[64:128] + points[:64] + points[128:], SALT_LENGTH)
    part = with_points(committed(checker, case), spoilt.commit(case.rows, case.salt_bytes))
    with pytest.raises(KernelError, match="are not ezkl's"):
        checker.check([part])


def test_one_wrong_row_of_many_is_seen_and_named(checker, case):
    part = committed(checker, case, "layers.0.q")
    points = part.points
    for wrong in (
        points[64:128] + points[64:],  # another row's
        points[64:128] + points[:64] + points[128:],  # two rows exchanged
        points[:-64] + IDENTITY,
    ):
        with pytest.raises(KernelError, match="other, layers.0.q: .* are not ezkl's"):
            checker.check([committed(checker, case, "other"), with_points(part, wrong)])


def test_a_changed_weight_or_salt_is_seen(checker, case):
    part = committed(checker, case)
    rows, salts = case.rows.copy(), case.salt_bytes.copy()
    rows[ROWS - 1, WIDTH - 1] ^= 1
    salts[0, 0] ^= 1
    for changed in (
        CommittedRows("rows", rows, part.salts, part.points),
        CommittedRows("salts", part.rows, salts, part.points),
    ):
        with pytest.raises(KernelError, match="are not ezkl's"):
            checker.check([changed])


def test_points_off_the_curve_are_named(checker, case):
    part = committed(checker, case)
    wrong = bytearray(part.points)
    wrong[64 * 7 + 63] ^= 1
    with pytest.raises(KernelError, match="row 7 is not a point"):
        checker.check([with_points(part, bytes(wrong))])


@pytest.mark.parametrize("cut", [1, 64])
def test_a_point_for_each_row(checker, case, cut):
    part = committed(checker, case)
    with pytest.raises(KernelError, match="bytes of points"):
        checker.check([with_points(part, part.points[:-cut])])


def test_widths_that_do_not_go_together(checker, case):
    other = committed(checker, Case.random(3, SALT_LENGTH, 2))
    with pytest.raises(KernelError, match="do not go together"):
        checker.check([committed(checker, case), other])


@pytest.mark.parametrize("dtype", [np.int8, np.int16, np.uint8])
def test_combinations_equal_those_of_python_integers(dtype):
    """The largest entries in more rows than are handled at a time."""
    limits, random = np.iinfo(dtype), np.random.default_rng(0)
    rows = random.integers(limits.min, limits.max + 1, (9000, 3)).astype(dtype)
    rows[:, 0], rows[:, 1] = limits.min, limits.max
    coefficients = [(1 << 128) - 1 - int(r) for r in random.integers(0, 1000, len(rows))]
    expected = [sum(r * x for r, x in zip(coefficients, column, strict=True)) % P for column in rows.T.tolist()]
    assert combine(rows, coefficients) == expected
