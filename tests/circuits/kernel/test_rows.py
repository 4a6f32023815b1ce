"""Commitments by every kernel of this machine, beside py_ecc and ezkl."""

from __future__ import annotations

from concurrent.futures import ThreadPoolExecutor

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from circuits.curve_files import read_curve_file, scalars, write_bases
from circuits.errors import KernelError
from circuits.kernel import kernels, row_plan
from circuits.kernel.rows import RowPlan, row_points
from circuits.points import IDENTITY
from circuits.row_bases import make_row_bases
from circuits.size_classes import FIELD_MODULUS as P
from circuits.size_classes import SALT_LENGTH
from tests.circuits.kernel.cases import REFERENCE_ROWS, Case, hostile_rows, hostile_salts, multiple


def plan_of(case: Case) -> RowPlan:
    return RowPlan(case.points, len(case.logs) - case.rows.shape[1], case.bits)


def test_hostile_rows_equal_the_slow_way(kernel, hostile):
    points, redone = plan_of(hostile).commit_counting(hostile.rows, hostile.salt_bytes, kernel=kernel)
    assert points == hostile.expected()
    assert points[:64] == IDENTITY
    assert redone >= 1  # the row of zeros ends with an exceptional addition


@pytest.mark.parametrize("bits", [12, 16])
def test_wider_entries_equal_the_slow_way(kernel, bits, hostile):
    case = Case(hostile.logs, hostile_rows(5, bits), hostile.salts, bits)
    assert plan_of(case).commit(case.rows, case.salt_bytes, kernel=kernel) == case.expected()


@settings(max_examples=25)
@given(st.integers(1, 40), st.integers(0, 3), st.integers(1, 70), st.integers(2, 16), st.integers(0, 2**32 - 1))
def test_any_shape_equals_the_slow_way(width, salts, rows, bits, seed):
    case = Case.random(width, salts, rows, bits, seed)
    plan, last = plan_of(case), slice(max(0, rows - 4), rows)
    expected = Case(case.logs, case.rows[last], case.salts[last], bits).expected()
    answers = {plan.commit(case.rows, case.salt_bytes, kernel=kernel) for kernel in kernels()}
    assert len(answers) == 1
    assert answers.pop()[64 * last.start :] == expected


@settings(max_examples=40)
@given(st.lists(st.sampled_from([1, 2, 3, 4, 128, P - 1, P - 2, (P + 1) // 2]), min_size=1, max_size=9), st.data())
def test_bases_that_are_related_are_refused_or_give_the_right_points(logs, data):
    """Equal bases, opposite bases, small multiples of one another: most additions are exceptional."""
    rows = data.draw(st.lists(st.lists(st.integers(-128, 127), min_size=len(logs), max_size=len(logs)), min_size=3))
    case = Case(tuple(logs), np.array(rows, np.int8), [[] for _ in rows])
    try:
        plan = plan_of(case)
    except KernelError as error:
        assert "bases cancel" in str(error)
        return
    for kernel in kernels():
        assert plan.commit(case.rows, case.salt_bytes, kernel=kernel) == case.expected()


def test_an_exceptional_row_spoils_no_other(kernel):
    """5,000 rows, of which rows of zeros lie in every batch: two batches of every kernel."""
    case = Case.random(width=6, salts=1, rows=5000, seed=3)
    plan = plan_of(case)
    honest = plan.commit(case.rows, case.salt_bytes, kernel=kernel)
    zero = [0, 1, 31, 32, 1023, 2048, 4095, 4096, 4999]
    rows, salts = case.rows.copy(), case.salt_bytes.copy()
    rows[zero], salts[zero] = 0, 0
    points, redone = plan.commit_counting(rows, salts, kernel=kernel)
    assert redone == len(zero)
    changed = [r for r in range(5000) if points[64 * r : 64 * r + 64] != honest[64 * r : 64 * r + 64]]
    assert changed == zero
    assert all(points[64 * r : 64 * r + 64] == IDENTITY for r in zero)


def test_threads_share_a_plan(kernel):
    case = Case.random(width=20, salts=2, rows=300, seed=4)
    plan = plan_of(case)
    alone = plan.commit(case.rows, case.salt_bytes, kernel=kernel)
    with ThreadPoolExecutor(4) as executor:
        answers = [executor.submit(plan.commit, case.rows, case.salt_bytes, kernel=kernel) for _ in range(12)]
    assert {answer.result() for answer in answers} == {alone}


# ---------------------------------------- beside ezkl, under the published SRS


@pytest.fixture(scope="module")
def published(profile):
    """(SRS, size class, unusable rows, verification key, settings) as row bases take them."""
    link = profile.circuit("link")
    return read_curve_file(profile.srs), profile.size, 2**profile.size.k - link.usable_rows, link.vk, link.settings


@pytest.fixture(scope="module", params=["one", "some", "all"])
def beside_ezkl(request, published, tmp_path_factory):
    """(plan, hostile rows and their salts, ezkl's points) for d = 1, d = 40 and the longest rows."""
    srs, size, tail, vk, settings = published
    width = {"one": 1, "some": 40, "all": size.data_length}[request.param]
    bases = make_row_bases(srs, size, width, tmp_path_factory.mktemp("bases"), tail, vk, settings)
    case = Case((), hostile_rows(width), hostile_salts(SALT_LENGTH))
    expected = bases.commit(case.rows.tobytes(), case.salt_bytes.tobytes())
    return row_plan(row_points(srs, size, width), SALT_LENGTH), case, expected


def test_hostile_rows_equal_ezkl(kernel, beside_ezkl):
    plan, case, expected = beside_ezkl
    assert plan.commit(case.rows, case.salt_bytes, kernel=kernel) == expected


def test_rows_as_long_as_a_vector_equal_ezkl(kernel, published, tmp_path):
    """d = N: no salt, and entries of 16 bits."""
    srs, size, tail, vk, settings = published
    rows = hostile_rows(size.length, 16)
    bases = write_bases(tmp_path / "bases", srs.lagrange_at(range(size.length)), srs.g2, tail, vk, settings)
    expected = b"".join(bases.multiply([scalars(row) for row in rows.tolist()]))
    points = row_points(srs, size, size.data_length)  # the salts' bases are the last entries' here
    plan = RowPlan(points, 0, 16)
    assert plan.commit(rows, np.zeros((len(rows), 0), np.uint8), kernel=kernel) == expected


# ---------------------------------------- what is refused


def test_entries_that_do_not_fit_their_bits(kernel):
    case = Case.random(width=3, salts=0, rows=40, bits=12)
    plan = plan_of(case)
    for value in (-2049, 2048):
        rows = case.rows.copy()
        rows[39, 2] = value
        with pytest.raises(KernelError, match="does not fit its bits"):
            plan.commit(rows, case.salt_bytes, kernel=kernel)


@pytest.mark.parametrize("salt", [P, P + 1, 2**254 - 1, 2**254, 2**256 - 1], ids=str)
def test_salts_that_are_no_field_elements(kernel, salt, hostile):
    salts = hostile.salt_bytes.copy()
    salts[REFERENCE_ROWS - 1, 32:] = np.frombuffer(salt.to_bytes(32, "little"), np.uint8)
    with pytest.raises(KernelError, match="not below the group's order"):
        plan_of(hostile).commit(hostile.rows, salts, kernel=kernel)


@pytest.mark.parametrize("rows", [np.zeros((9, 4), np.int8), np.zeros((9, 5), np.int16), np.zeros((8, 5), np.int8)])
def test_rows_of_another_shape(rows, hostile):
    with pytest.raises(KernelError, match="rows"):
        plan_of(hostile).commit(rows, hostile.salt_bytes)


def test_no_rows_give_no_points(kernel, hostile):
    nothing = np.zeros((0, 5), np.int8), np.zeros((0, 64), np.uint8)
    assert plan_of(hostile).commit_counting(*nothing, kernel=kernel) == (b"", 0)


Q = 21888242871839275222246405745257275088696311157297823662689037894645226208583


@pytest.mark.parametrize(
    "base",
    [
        IDENTITY,
        multiple(5)[:63] + bytes([multiple(5)[63] ^ 1]),
        (1 + Q).to_bytes(32, "big") + (2).to_bytes(32, "big"),
        (1).to_bytes(32, "big") + (2 + Q).to_bytes(32, "big"),
        bytes([255]) * 64,
    ],
    ids=["identity", "off the curve", "x + q", "y + q", "large"],
)
def test_bases_that_are_no_points(base):
    with pytest.raises(KernelError, match="not a point of the curve"):
        RowPlan(multiple(7) + base, 1)


@pytest.mark.parametrize("bits", [0, 1, 17])
def test_entries_of_so_many_bits_are_not_taken(bits):
    with pytest.raises(KernelError, match="sizes"):
        RowPlan(multiple(7), 0, bits)


@pytest.mark.parametrize("salts", [-1, 2])
def test_more_salts_than_bases(salts):
    with pytest.raises(KernelError, match="salts"):
        RowPlan(multiple(7), salts)


def test_half_a_base():
    with pytest.raises(KernelError, match="bytes of bases"):
        RowPlan(multiple(7)[:-1], 0)
