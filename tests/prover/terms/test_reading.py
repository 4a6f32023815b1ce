"""Reading a checkpoint on several cores, by the library or without it, gives the same bytes, counts and terms."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from circuits import threads
from circuits.errors import CheckpointError
from circuits.kernel import library
from circuits.profiles import load_profile
from prover.checkpoint import folded_matrix
from prover.checkpoint.folded_matrix import FoldedMatrix, RowNorm, tree_sum
from prover.terms.quantization import INT8_MAX, Lefts, Quantized, quantize, quantize_and_multiply
from prover.terms.terms import FingerprintInput, TermRules, load_fingerprint_input, projected_terms

MODELS = Path(__file__).resolve().parents[3] / "artifacts" / "models"
ROWS, WIDTH, HEAD = 90, 48, 6

needs_library = pytest.mark.skipif(library.load() is None, reason="the native library was not built here")


def without_library(patch: pytest.MonkeyPatch) -> None:
    """As where it was not built."""
    patch.setattr(library, "load", lambda: None)


def on_cores(patch: pytest.MonkeyPatch, count: int) -> None:
    patch.setattr(threads, "cores", lambda: count)
    patch.setattr(folded_matrix, "cores", lambda: count)


def matrices() -> dict[str, FoldedMatrix]:
    """Every way of folding, in small pieces."""
    random = np.random.default_rng(4)
    rows = (random.normal(size=(ROWS, WIDTH)) * 0.02).astype(np.float32)
    rows[3] *= 40  # some are clipped
    half = rows.astype(np.float16)
    upper = (rows.view(np.uint32) >> 16).astype(np.uint16)
    scale, weight = random.normal(size=WIDTH) + 1, random.normal(size=ROWS) + 1
    return {
        "plain": FoldedMatrix("m", rows),
        "transposed": FoldedMatrix("m", np.ascontiguousarray(half.T).T, scale),
        "centred": FoldedMatrix("m", upper, scale, True),
        "heads": FoldedMatrix("m", half, scale, False, RowNorm(weight, HEAD)),
        "centred heads": FoldedMatrix("m", rows, None, True, RowNorm(weight, HEAD, True)),
        "one norm": FoldedMatrix("m", rows, scale, False, RowNorm(weight, 0)),
        "unit rows": FoldedMatrix("m", upper, scale, True, unit_rows=True),
    }


def lefts() -> Lefts:
    random = np.random.default_rng(5)
    return Lefts(random.normal(size=(4, WIDTH)), random.integers(-100_000, 100_000, (4, WIDTH)))


def same(left: Quantized, right: Quantized) -> None:
    assert np.array_equal(left.entries, right.entries)
    assert left.clipped == right.clipped
    assert left.products.tolist() == right.products.tolist()
    assert np.allclose(left.folded_products, right.folded_products, rtol=1e-12, atol=1e-12)


@needs_library
@pytest.mark.parametrize("name", matrices())
@pytest.mark.parametrize("cores", [1, 2, 5])
def test_library_and_numpy_give_the_same(name: str, cores: int, monkeypatch: pytest.MonkeyPatch) -> None:
    matrix = matrices()[name]
    monkeypatch.setattr(folded_matrix, "_NATIVE_ENTRIES", 32 * WIDTH)
    monkeypatch.setattr(folded_matrix, "_BLOCK_ENTRIES", 32 * WIDTH)
    with monkeypatch.context() as patch:
        on_cores(patch, 1)
        without_library(patch)
        slow, rms = quantize_and_multiply(matrix, lefts()), matrix.rms()
        blocks = matrix.full()
        obvious = np.clip(np.rint(blocks * (16 / rms)), -INT8_MAX, INT8_MAX)
        assert np.array_equal(slow.entries, obvious)
        assert (slow.clipped > 0) == (name not in ("centred heads", "unit rows"))
        assert rms == float(np.sqrt(tree_sum(tree_sum(blocks * blocks)) / np.float64(blocks.size)))
    on_cores(monkeypatch, cores)
    assert matrix.full().tobytes() == blocks.tobytes()
    assert matrix.rms() == rms
    fast = quantize_and_multiply(matrix, lefts())
    same(fast, slow)
    assert quantize(matrix)[0].tobytes() == slow.entries.tobytes()
    with monkeypatch.context() as patch:
        without_library(patch)
        same(quantize_and_multiply(matrix, lefts()), slow)
    again = quantize_and_multiply(matrix, lefts())
    assert fast.folded_products.tobytes() == again.folded_products.tobytes()


@needs_library
@settings(max_examples=60, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(
    rows=st.integers(1, 80),
    width=st.integers(1, 50),
    dtype=st.sampled_from([np.float32, np.float16, np.uint16]),
    seed=st.integers(0, 1 << 32),
    centred=st.booleans(),
    exponent=st.integers(-20, 3),
)
def test_any_matrix(monkeypatch, rows, width, dtype, seed, centred, exponent) -> None:
    random = np.random.default_rng(seed)
    values = (random.standard_t(3, size=(rows, width)) * 2.0**exponent).astype(np.float32)
    stored = (values.view(np.uint32) >> 16).astype(np.uint16) if dtype == np.uint16 else values.astype(dtype)
    matrix = FoldedMatrix("m", stored, random.normal(size=width), centred)
    results = []
    for native in (True, False):
        with monkeypatch.context() as patch:
            if not native:
                without_library(patch)
            try:
                entries, clipped = quantize(matrix)
                results.append((entries.tolist(), clipped))
            except CheckpointError as error:
                results.append(str(error))
    assert results[0] == results[1]


@needs_library
@pytest.mark.parametrize("value", [0.0, np.inf, np.nan, 1e200, 1e-320])
def test_the_same_matrices_are_refused(value: float, monkeypatch: pytest.MonkeyPatch) -> None:
    stored = np.full((4, 5), 0.0 if np.isfinite(value) and abs(value) < 1 else 1.0)
    stored[1, 2] = value
    words = []
    for native in (True, False):
        with monkeypatch.context() as patch, np.errstate(over="ignore"):
            if not native:
                without_library(patch)
            with pytest.raises(CheckpointError, match=r"matrix layers\.3\.q") as caught:
                quantize(FoldedMatrix("layers.3.q", stored))
            words.append(str(caught.value))
    assert words[0] == words[1]


def test_products_beyond_float64_are_exact() -> None:
    matrix = matrices()["plain"]
    large = replace(lefts(), quantized=lefts().quantized * (1 << 36))
    made = quantize_and_multiply(matrix, large)
    expected = large.quantized.astype(object) @ made.entries.T.astype(object)
    assert made.products.tolist() == expected.tolist()
    assert np.abs(expected).max() > 1 << 53


def everything(source: FingerprintInput) -> tuple[object, ...]:
    matrices = source.matrices
    return (
        source.weights_sha256,
        dict(matrices.clipped),
        {name: matrix.tobytes() for name, matrix in matrices.by_name.items()},
        source.terms.tolist(),
    )


@pytest.mark.parametrize("name", ["base", "offspring", "independent"])
def test_shipped_models(name: str, monkeypatch: pytest.MonkeyPatch) -> None:
    rules = TermRules.of_profile(load_profile("tiny-dev").document)
    fast = load_fingerprint_input(MODELS / name, rules)
    assert fast.weights_sha256 == fast.matrices.sha256()
    terms = projected_terms(fast.matrices.by_name, fast.shape, fast.projection)
    assert terms.tolist() == fast.terms.tolist()
    on_cores(monkeypatch, 3)
    several = load_fingerprint_input(MODELS / name, rules)
    assert everything(several) == everything(fast)
    assert several.float_terms.tobytes() == fast.float_terms.tobytes() or library.load() is None
    without_library(monkeypatch)
    slow = load_fingerprint_input(MODELS / name, rules)
    assert everything(slow) == everything(fast)
    assert np.allclose(slow.float_terms, fast.float_terms, rtol=1e-9, atol=1e-9 * np.abs(slow.float_terms).max())
