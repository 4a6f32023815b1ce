"""Folding against its slow twin: section 3 of docs/protocol.md in Python's own floats, one number at a time."""

from __future__ import annotations

import math

import numpy as np
import pytest

from verifier.formats.errors import BadOpening
from verifier.opening import folding
from verifier.opening.folding import Folding, quantize

Rows = list[list[float]]


def total(values: list[float]) -> float:
    """`v[:h] + v[h:]` with `h = ceil(n/2)`, until one is left."""
    while len(values) > 1:
        h = (len(values) + 1) // 2
        values = [v + values[h + i] if h + i < len(values) else v for i, v in enumerate(values[:h])]
    return values[0]


def centre(values: list[float]) -> list[float]:
    mean = total(values) / len(values)
    return [v - mean for v in values]


def slow(rows: Rows, how: Folding) -> list[list[int]]:
    d = len(rows[0])
    if how.own_norm:
        rows = [centre(x) for x in rows]
        rows = [[v / (math.sqrt(total([v * v for v in x]) / d) or 1.0) for v in x] for x in rows]
    if how.columns is not None:
        rows = [[v * float(n) for v, n in zip(x, how.columns, strict=True)] for x in rows]
    if how.centred:
        rows = [centre(x) for x in rows]
    if how.head_dim:
        folded: Rows = []
        for begin in range(0, len(rows), how.head_dim):
            w = rows[begin : begin + how.head_dim]
            if how.centred:
                w = [list(x) for x in zip(*(centre(list(column)) for column in zip(*w, strict=True)), strict=True)]
            r = math.sqrt(total([total([v * v for v in x]) for x in w]) / (how.head_dim * d)) or 1.0
            folded += [[v / r for v in x] for x in w]
        rows = folded
    if how.row_factors is not None:
        rows = [[v * float(f) for v in x] for x, f in zip(rows, how.row_factors, strict=True)]
    rms = math.sqrt(total([total([v * v for v in x]) for x in rows]) / (len(rows) * d))
    return [[max(-127, min(127, round(v * (16.0 / rms)))) for v in x] for x in rows]


RANDOM = np.random.default_rng(11)
COLUMNS, FACTORS = RANDOM.normal(1, 0.5, 13), RANDOM.normal(1, 0.5, 21)
FOLDINGS = {
    "nothing": Folding(),
    "columns": Folding(columns=COLUMNS),
    "LayerNorm": Folding(columns=COLUMNS, centred=True),
    "embeddings behind a LayerNorm": Folding(own_norm=True, columns=COLUMNS, centred=True),
    "norm of each head": Folding(columns=COLUMNS, head_dim=7, row_factors=FACTORS),
    "LayerNorm of each head": Folding(columns=COLUMNS, centred=True, head_dim=7, row_factors=FACTORS),
    "norm over all heads": Folding(row_factors=FACTORS),
}


@pytest.mark.parametrize("block", [1, 100, 1 << 21])
@pytest.mark.parametrize("name", FOLDINGS)
def test_folding_is_its_slow_twin(name, block, monkeypatch):
    monkeypatch.setattr(folding, "_BLOCK", block)
    stored = RANDOM.normal(0.2, 1, (21, 13)).astype(np.float32)
    assert quantize(stored, FOLDINGS[name], "m").tolist() == slow(stored.astype(float).tolist(), FOLDINGS[name])


@pytest.mark.parametrize("name", [name for name in FOLDINGS if "norm" in name.lower()])
def test_a_head_or_row_of_zeros_stays_zero(name):
    stored = RANDOM.normal(0.2, 1, (21, 13)).astype(np.float32)
    stored[7:14] = 0
    result = quantize(stored, FOLDINGS[name], "m")
    assert not result[7:14].any()
    assert result[:7].any()
    assert result.tolist() == slow(stored.astype(float).tolist(), FOLDINGS[name])


def test_what_folding_takes_away_leaves_nothing_to_quantize():
    same = np.ones((6, 4), np.float32)
    assert quantize(same, Folding(), "m").tolist() == [[16] * 4] * 6
    for how in (Folding(centred=True), Folding(own_norm=True), Folding(centred=True, head_dim=3)):
        with pytest.raises(BadOpening, match="matrix m cannot be scaled"):
            quantize(same, how, "m")
