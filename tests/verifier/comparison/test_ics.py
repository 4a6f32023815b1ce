"""A comparison's challenges, its public sums, and the bounds that are stated for the ICS."""

from __future__ import annotations

import json
import math
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

import verifier.comparison.verify
from tests.verifier.comparison.conftest import PAIR as BUNDLES
from tests.verifier.conftest import ASSETS
from verifier.comparison.artefact import draw_challenges, read_artefact
from verifier.comparison.ics import NULL, ProvenIcs, check_sums, late_seed, proven_ics
from verifier.comparison.report import MEANING
from verifier.fingerprint.null_distribution import p_value
from verifier.formats.errors import Rejected

P = 21888242871839275222246405745257275088548364400416034343698204186575808495617


def test_every_absorbed_item_moves_every_challenge_after_it(accepted_once):
    """Rows of both sides, statement, both S'', the similarity proof and its instances; a side's own y; nothing else."""
    artefact = read_artefact(ASSETS / "comparison")
    sides = [accepted_once[path][1] for path in BUNDLES]
    statements = [side.bundle.statement for side in sides]
    points = verifier.comparison.verify.check_points(artefact.points, [side.points.rows for side in sides])
    honest = draw_challenges(artefact, statements, points)
    assert honest[0].sigma != honest[1].sigma, "the sides draw for themselves"

    def moved(artefact=artefact, points=points):
        drawn = draw_challenges(artefact, statements, points)
        return [one.sigma != other.sigma for one, other in zip(drawn, honest, strict=True)]

    proof = artefact.similarity
    assert moved(replace(artefact, statement_bytes=artefact.statement_bytes + b" ")) == [True, True]
    assert moved(replace(artefact, similarity=replace(proof, proof=proof.proof[:-1] + b"x"))) == [True, True]
    instances = (*proof.instances[:-1], proof.instances[-1] + 1)
    assert moved(replace(artefact, similarity=replace(proof, instances=instances))) == [True, True]
    for side in (0, 1):

        def changed(side=side, **fields):
            return tuple(replace(p, **fields) if i == side else p for i, p in enumerate(points))

        assert moved(points=changed(s=b"s" * 64)) == [True, True]
        for matrix in range(13):
            rows = [list(one) for one in points[side].rows]
            rows[matrix][-1] = b"r" * 64
            assert moved(points=changed(rows=tuple(map(tuple, rows)))) == [True, True]
        for name in ("y", "y_prime"):
            ys = (*getattr(points[side], name)[:-1], b"y" * 64)
            drawn = draw_challenges(artefact, statements, changed(**{name: ys}))
            assert drawn[side].sigma == honest[side].sigma
            assert drawn[side].rho != honest[side].rho and drawn[side].theta != honest[side].theta
            assert drawn[1 - side] == honest[1 - side]


def test_late_seed_needs_both_and_no_order():
    a, b, c = (bytes([i]) * 32 for i in range(3))
    assert late_seed(a, b) == late_seed(b, a)
    assert len({late_seed(a, b), late_seed(a, c), late_seed(b, c), late_seed(a, a)}) == 4


def test_step_8_norms_and_products_within_bounds(circuit):
    target = circuit.g**2 << circuit.scale
    good = [target] * 12 + [target // 2] * 6
    c = [[1 << 20] * 6] * 2
    assert check_sums(good, c, circuit) == 0
    for index, value, words in (
        (3, round(target * 1.01), "side a"),
        (11, round(target * 0.99), "side b"),
        (0, P - target, "side a"),
        (12, target + 10, "product"),
        (17, P - target - 10, "product"),
        (14, 2**62, "product"),
    ):
        with pytest.raises(Rejected, match=words):
            check_sums([*good[:index], value, *good[index + 1 :]], c, circuit)
    assert proven_ics([*good[:12], *[P - target // 2] * 6], circuit, 4096).ics == -0.5


@settings(max_examples=40, deadline=None)
@given(st.integers(0, 2**32 - 1))
def test_the_stated_error_covers_every_rounding(seed):
    """Terms of the prescribed size, each entry and sum rounded up or down: the true cosine is within the error."""
    rng = np.random.default_rng(seed)
    g, scale = 4, 16
    circuit = type("Circuit", (), {"g": g, "scale": scale})
    x, y = rng.normal(size=(2, 6, g * g))
    y = rng.uniform(-1, 1) * x + rng.uniform(0, 1) * y + 1e-3
    x, y = (v / np.sqrt((v**2).mean(axis=1, keepdims=True)) * 2.0**scale for v in (x, y))
    true = (x * y).sum(axis=1) / np.sqrt((x**2).sum(axis=1) * (y**2).sum(axis=1))
    worst = rng.integers(0, 2)  # push towards likeness, or at random
    q, r = (np.floor(v) + (rng.integers(0, 2, v.shape) if worst else (w > 0)) for v, w in ((x, y), (y, x)))
    sums = [*(q * q).sum(axis=1), *(r * r).sum(axis=1), *(q * r).sum(axis=1)]
    instances = [(math.floor(s / 2**scale) + int(rng.integers(0, 2))) % P for s in sums]
    found = proven_ics(instances, circuit, 4096)
    assert np.abs(np.array(found.cosines) - true).max() <= found.error


def test_words_follow_the_p_value():
    assert ProvenIcs(0.97, (), 1e-4, 1e-12).likeness == "derived"
    assert ProvenIcs(0.3, (), 1e-4, 1e-3).likeness == "inconclusive"
    assert ProvenIcs(0.0, (), 1e-4, 0.5).likeness == "independent"
    assert ProvenIcs(0.97, (), 1e-4, None).likeness == "inconclusive"
    assert set(MEANING) == {"derived", "inconclusive", "independent"}


def test_the_bound_covers_what_was_measured():
    """`python -m fpm.late_null`: unrelated synthetic models' terms."""
    figures = json.loads((Path(__file__).parents[3] / "fpm" / "runs" / "late_null.json").read_text())
    groups = [figures[name] for name in figures if isinstance(figures[name], dict)]
    assert len(groups) == 3
    for group in groups:
        for threshold, above in group["above"].items():
            both = (above + group["below_negative"][threshold]) / 2 / group["pairs"]
            assert both <= p_value(float(threshold), NULL, 16, 6), (threshold, group["models"])
