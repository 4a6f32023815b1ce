"""Folding and quantizing by the library: bit for bit what numpy gives, by every kernel of this machine."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from circuits.errors import KernelError
from circuits.kernel import library
from circuits.kernel.fold import LANES, StoredRows, all_finite, fold_kernels, folds, padded, reads
from prover.checkpoint.folded_matrix import fold, tree_sum, widen

TYPES = ("<f8", "<f4", "<f2", "<u2")
NAMES = ("avx512", "avx2", "portable")
SHAPES = [(1, 1), (1, 9), (3, 2), (8, 8), (9, 7), (33, 17), (70, 130), (40, 1027)]
PROPERTY = settings(max_examples=150, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])


@pytest.fixture(params=NAMES)
def fold_kernel(request) -> int:
    """Its number."""
    if request.param not in fold_kernels():
        pytest.skip(f"this processor does not run {request.param}")
    return fold_kernels().index(request.param)


def as_stored(values: np.ndarray, dtype: str, *, transposed: bool = False, shift: int = 0) -> np.ndarray:
    """`values` in this type (bfloat16 as uint16), maybe stored transposed, maybe at an odd address."""
    if dtype == "<u2":
        stored = (values.astype(np.float32).view(np.uint32) >> 16).astype("<u2")
    else:
        with np.errstate(over="ignore"):
            stored = values.astype(dtype)
    stored = np.ascontiguousarray(stored.T if transposed else stored)
    raw = np.empty(stored.nbytes + shift, np.uint8)
    raw[shift:] = stored.reshape(-1).view(np.uint8)
    moved = np.ndarray(stored.shape, stored.dtype, raw.data, shift)
    return moved.T if transposed else moved


def slow_products(left: np.ndarray, rows: np.ndarray) -> np.ndarray:
    """Entry j to sum j mod LANES, one after the other; then the sums by halving."""
    result = np.zeros((len(left), len(rows)))
    for i, factor in enumerate(left):
        for j, row in enumerate(rows):
            sums = np.zeros(LANES)
            for at in range(0, len(row), LANES):
                here = factor[at : at + LANES] * row[at : at + LANES]
                sums[: len(here)] += here
            result[i, j] = tree_sum(sums)
    return result


def check(stored: np.ndarray, scale: np.ndarray | None, centred: bool, factor: float, kernel: int) -> None:
    """All that the library gives beside numpy."""
    rows = StoredRows(stored, scale, centred, kernel)
    n, d = stored.shape
    folded = fold(widen(stored), scale, centred=centred)
    assert rows.fold(0, n).tobytes() == folded.tobytes()
    assert rows.squares(0, n).tobytes() == tree_sum(folded * folded).tobytes()
    rounded = np.rint(folded * factor)
    random = np.random.default_rng(n * d)
    left, integers = random.normal(size=(5, d)), random.integers(-(1 << 20), 1 << 20, (5, d))
    entries = np.full((n, d), 99, np.int8)
    clipped, products, exact = rows.quantize(0, n, factor, entries, (padded(left), padded(integers)))
    assert np.array_equal(entries, np.clip(rounded, -127, 127).astype(np.int8))
    assert clipped == np.count_nonzero(np.abs(rounded) > 127)
    assert exact.astype(np.int64).tolist() == (integers @ entries.T.astype(np.int64)).tolist()
    if n * d < 2000 and np.abs(folded).max() < 1e150:
        assert np.array_equal(products, slow_products(left, folded))


@pytest.mark.parametrize("dtype", TYPES)
@pytest.mark.parametrize("shape", SHAPES, ids=str)
@pytest.mark.parametrize("transposed", [False, True], ids=["rows", "columns"])
def test_the_library_gives_numpys_bits(fold_kernel, dtype, shape, transposed):
    random = np.random.default_rng(sum(shape))
    stored = as_stored(random.normal(size=shape) * 0.02, dtype, transposed=transposed, shift=1)
    for scale in (None, random.normal(size=shape[1])):
        for centred in (False, True):
            check(stored, scale, centred, 400.0 + random.random(), fold_kernel)


def test_every_half_precision_number_is_read(fold_kernel):
    """All 65,536 of both types, subnormals, infinities and NaNs too."""
    bits = np.arange(1 << 16, dtype="<u2").reshape(256, 256)
    for stored in (bits.view("<f2"), bits):
        folded = StoredRows(stored, kernel=fold_kernel).fold(0, 256)
        with np.errstate(invalid="ignore"):
            expected = widen(stored).astype(np.float64)
        assert np.array_equal(folded, expected, equal_nan=True)
        assert np.array_equal(np.signbit(folded), np.signbit(expected))


def test_halves_go_to_even_and_what_is_beyond_is_counted(fold_kernel):
    values = np.array([[0.5, 1.5, 2.5, -0.5, -1.5, -2.5, 126.5, 127.4, 127.5, -127.5, 128.0, 1e300, -1e300, -0.0]])
    entries = np.empty(values.shape, np.int8)
    clipped, *_ = StoredRows(values, kernel=fold_kernel).quantize(0, 1, 1.0, entries)
    assert entries.tolist() == [[0, 2, 2, 0, -2, -2, 126, 127, 127, -127, 127, 127, -127, 0]]
    assert clipped == 5
    below, above = np.nextafter(127.5, 0), np.nextafter(0.5, 1)
    assert StoredRows(np.array([[below, above]]), kernel=fold_kernel).quantize(0, 1, 1.0, entries[:, :2].copy())[0] == 0


def test_infinite_sums_are_numpys(fold_kernel):
    """Whoever asks for the root mean square sees that it is none."""
    for value in (np.inf, -np.inf, np.nan, 1e200):
        stored = np.ones((3, 11))
        stored[1, 4] = value
        with np.errstate(invalid="ignore", over="ignore"):
            folded = fold(stored, None, centred=True)
            expected = tree_sum(folded * folded)
        found = StoredRows(stored, None, True, fold_kernel).squares(0, 3)
        assert np.array_equal(found, expected, equal_nan=True)


@PROPERTY
@given(data=st.data())
def test_any_rows(fold_kernel, data):
    dtype = data.draw(st.sampled_from(TYPES))
    rows, columns = data.draw(st.integers(1, 40)), data.draw(st.integers(1, 40))
    width = {"<f8": 64, "<f4": 32, "<f2": 16, "<u2": 32}[dtype]
    number = st.one_of(
        st.sampled_from([0.0, -0.0, 0.5, 1.5, 2.0**-24, 2.0**-14, 127.5]),
        st.floats(-1000, 1000, width=width),
    )
    drawn = data.draw(st.lists(number, min_size=rows + columns, max_size=rows + columns))
    values = np.add.outer(drawn[:rows], drawn[rows:])
    stored = as_stored(
        values, dtype, transposed=data.draw(st.booleans()), shift=data.draw(st.sampled_from([0, 1, 2, 8]))
    )
    scale = np.array(drawn[rows:]) if data.draw(st.booleans()) else None
    check(stored, scale, data.draw(st.booleans()), data.draw(st.sampled_from([1.0, 0.37, 1e-3, 1e5])), fold_kernel)


def test_a_part_of_the_rows_is_that_part(fold_kernel):
    stored = as_stored(np.random.default_rng(5).normal(size=(100, 50)), "<f2", transposed=True)[3:90, ::2]
    assert stored.strides[1] == 2 * 2 * 100
    rows = StoredRows(stored, None, True, fold_kernel)
    whole, squares = rows.fold(0, 87), rows.squares(0, 87)
    for begin, end in ((0, 1), (31, 33), (40, 87), (87, 87)):
        assert rows.fold(begin, end).tobytes() == whole[begin:end].tobytes()
        assert rows.squares(begin, end).tobytes() == squares[begin:end].tobytes()


@pytest.mark.parametrize("dtype", TYPES)
def test_one_number_that_is_none_is_seen(fold_kernel, dtype):
    good = as_stored(np.linspace(-60000, 60000, 101)[None], dtype, shift=1)
    assert all_finite(good, fold_kernel)
    for value in (np.inf, -np.inf, np.nan):
        for place in (0, 64, 100):
            values = widen(good).astype(np.float64)
            values[0, place] = value
            assert not all_finite(as_stored(values, dtype, shift=1), fold_kernel)


def test_what_the_library_does_not_read_is_refused(monkeypatch):
    good = np.ones((4, 6))
    assert folds(good) and folds(good[::2, 1:]) and not folds(good[0]) and not folds(good.astype(np.int64))
    assert not reads(np.ndarray((2, 2), np.float32, bytes(15), 0, (6, 4)))
    with pytest.raises(KernelError, match="int64"):
        StoredRows(good.astype(np.int64))
    with pytest.raises(KernelError, match="scale"):
        StoredRows(good, np.ones(5))
    for begin, end in ((0, 5), (-1, 2), (5, 5)):
        with pytest.raises(KernelError, match="sizes"):
            StoredRows(good).squares(begin, end)
    with pytest.raises(KernelError, match="entries"):
        StoredRows(good).quantize(0, 4, 1.0, np.empty((3, 6), np.int8))
    with pytest.raises(KernelError, match="left factor"):
        StoredRows(good).quantize(0, 4, 1.0, np.empty((4, 6), np.int8), (np.ones((2, 6)), np.ones((2, 6))))
    with pytest.raises(KernelError, match="does not run"):
        StoredRows(good, kernel=len(fold_kernels())).squares(0, 4)
    with pytest.raises(KernelError, match="one piece"):
        all_finite(good.T)
    with pytest.raises(KernelError, match="no folding kernel"):
        all_finite(good, len(fold_kernels()))
    monkeypatch.setattr(library, "load", lambda: None)
    assert not folds(good) and fold_kernels() == ()


def test_portable_is_always_there():
    assert fold_kernels()[-1] == "portable"
    assert library.load() is not None
