"""Norms of queries, keys and embeddings, beside a slow and obvious twin (docs/protocol.md section 3)."""

import math

import numpy as np
import pytest

from prover.checkpoint.folded_matrix import FoldedMatrix, RowNorm, unit_rows
from prover.terms.quantization import quantize

HEADS, DIM, WIDTH = 5, 6, 20


def random(*shape: int, seed: int = 0) -> np.ndarray:
    return np.random.default_rng(seed).normal(size=shape)


def slow_head_norm(rows: list[list[float]], weight: list[float], head_dim: int, centred: bool) -> list[list[float]]:
    result = []
    for begin in range(0, len(rows), head_dim):
        head = rows[begin : begin + head_dim]
        if centred:
            means = [math.fsum(column) / head_dim for column in zip(*head, strict=True)]
            head = [[value - mean for value, mean in zip(row, means, strict=True)] for row in head]
        rms = math.sqrt(math.fsum(value**2 for row in head for value in row) / (head_dim * len(head[0])))
        result += [[weight[begin + i] * value / rms for value in row] for i, row in enumerate(head)]
    return result


@pytest.mark.parametrize("centred", [False, True])
def test_norms_of_heads(centred: bool) -> None:
    stored, scale = random(HEADS * DIM, WIDTH), np.linspace(0.5, 2, WIDTH)
    norm = RowNorm(random(HEADS * DIM, seed=1), DIM, centred)
    folded = FoldedMatrix("q", stored, scale, row_norm=norm).full()
    expected = slow_head_norm((stored * scale).tolist(), norm.weight.tolist(), DIM, centred)
    assert np.allclose(folded, expected, rtol=1e-12)


def test_a_norm_over_all_heads_only_weighs_rows() -> None:
    stored, norm = random(HEADS * DIM, WIDTH), RowNorm(random(HEADS * DIM, seed=1), 0)
    assert np.array_equal(FoldedMatrix("q", stored, row_norm=norm).full(), stored * norm.weight[:, None])


def test_norms_act_after_the_mean_is_taken_out() -> None:
    stored, norm = random(HEADS * DIM, WIDTH) + 3, RowNorm(np.ones(HEADS * DIM), DIM)
    expected = slow_head_norm((stored - stored.mean(1, keepdims=True)).tolist(), [1.0] * HEADS * DIM, DIM, False)
    assert np.allclose(FoldedMatrix("q", stored, None, True, norm).full(), expected, rtol=1e-11, atol=1e-13)


@pytest.mark.parametrize("entries", [1, 7 * WIDTH, 13 * WIDTH, 1 << 20])
@pytest.mark.parametrize("head_dim", [0, DIM])
def test_blocks_hold_whole_heads(entries: int, head_dim: int, monkeypatch: pytest.MonkeyPatch) -> None:
    matrix = FoldedMatrix("q", random(HEADS * DIM, WIDTH), None, True, RowNorm(random(HEADS * DIM), head_dim))
    whole, rms = quantize(matrix)[0], matrix.rms()
    monkeypatch.setattr("prover.checkpoint.folded_matrix._BLOCK_ENTRIES", entries)
    assert np.array_equal(quantize(matrix)[0], whole)
    assert matrix.rms() == rms


def test_a_head_of_zeros_stays_zero() -> None:
    stored = random(HEADS * DIM, WIDTH)
    stored[DIM : 2 * DIM] = 0
    folded = FoldedMatrix("q", stored, row_norm=RowNorm(np.ones(HEADS * DIM), DIM, True)).full()
    assert not folded[DIM : 2 * DIM].any()
    assert np.isfinite(folded).all()


def test_embeddings_behind_their_own_norm() -> None:
    rows, weight = random(30, WIDTH).astype(np.float32), np.linspace(0.5, 2, WIDTH)
    rows[4] = 7
    folded = FoldedMatrix("embedding", rows, weight, True, unit_rows=True).full()
    for i, row in enumerate(rows.astype(np.float64).tolist()):
        mean = math.fsum(row) / WIDTH
        rms = math.sqrt(math.fsum((value - mean) ** 2 for value in row) / WIDTH) or 1.0
        weighed = [w * (value - mean) / rms for w, value in zip(weight.tolist(), row, strict=True)]
        assert np.allclose(folded[i], np.array(weighed) - math.fsum(weighed) / WIDTH, rtol=1e-9, atol=1e-12)
    assert not folded[4].any()
    assert np.allclose((unit_rows(rows)[:4] ** 2).mean(axis=1), 1)
