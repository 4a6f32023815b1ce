"""Step 11 compares a matrix's rows by one random combination: what that must not let through."""

from __future__ import annotations

import json
from dataclasses import replace

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from py_ecc.optimized_bn128 import FQ, add, neg, normalize

from tests.verifier.conftest import ASSETS
from verifier.children.workers import Deadline, Workers
from verifier.fingerprint.artefact import read_bundle
from verifier.formats.encoding import split_points
from verifier.formats.errors import Rejected, ToolFailure
from verifier.opening import check as opening
from verifier.statement.rows import arrange_points
from verifier.trust.profile import load_profile

ROW_BYTES = st.lists(st.integers(-128, 127), min_size=3, max_size=3)


@settings(deadline=None)
@given(st.lists(st.tuples(ROW_BYTES, st.integers(0, (1 << opening.FACTOR_BITS) - 1)), min_size=1, max_size=9))
def test_sum_of_rows_is_exact(rows):
    matrix, factors = np.array([row for row, _ in rows], np.int8), [r for _, r in rows]
    slow = [sum(r * row[i] for row, r in rows) for i in range(3)]
    assert opening.sum_of_rows(matrix, factors) == slow


def test_sum_of_rows_is_exact_at_its_largest():
    """2^21 rows of the largest entries under the largest factors: more than a bundle may have."""
    count, factor = 1 << 21, (1 << opening.FACTOR_BITS) - 1
    matrix = np.full((count, 1), 127, np.int8)
    assert opening.sum_of_rows(matrix, [factor] * count) == [127 * count * factor]


@pytest.fixture
def open_with(bundle, toy):
    """The toy bundle's opening, with other row commitments than it has (which no verifier would get to: see step 7)."""
    read = read_bundle(bundle)
    count = len(read.commitments) // 64
    points = arrange_points(read.statement, split_points(read.commitments, 0, count, "commitments.bin"))
    cm = bytes.fromhex(json.loads((ASSETS / "secret.json").read_text())["cm"])

    def run(change=lambda rows: rows):
        with Workers(Deadline(300.0)) as workers:
            return opening.check_opening(
                read.statement,
                replace(points, rows=tuple(tuple(change(list(rows))) for rows in points.rows)),
                cm,
                load_profile(toy.name),
                ASSETS / "model",
                ASSETS / "secret.json",
                workers,
            )

    return run


def moved(point: bytes, by: bytes, back: bool) -> bytes:
    """P + Q, or P - Q."""
    (p, q) = ((FQ(int.from_bytes(x[:32], "big")), FQ(int.from_bytes(x[32:], "big")), FQ(1)) for x in (point, by))
    x, y = normalize(add(p, neg(q) if back else q))
    return int(x).to_bytes(32, "big") + int(y).to_bytes(32, "big")


CHANGES = {
    "one": (lambda r: [moved(r[0], r[2], False), *r[1:]], "embedding, row 0"),
    "the last": (lambda r: [*r[:-1], moved(r[-1], r[0], False)], r"embedding, row \d\d+"),
    "two that cancel": (lambda r: [moved(r[0], r[2], False), moved(r[1], r[2], True), *r[2:]], "embedding, row 0"),
    "two exchanged": (lambda r: [r[1], r[0], *r[2:]], "embedding, row 0"),
}


@pytest.mark.parametrize("what", CHANGES)
def test_other_commitments_are_found_and_named(open_with, what):
    change, named = CHANGES[what]
    with pytest.raises(Rejected, match=named):
        open_with(change)


def test_the_honest_commitments_open(open_with):
    assert "row commitments computed again" in open_with()


def test_factors_are_drawn_each_time_and_have_128_bits(open_with, monkeypatch):
    drawn: list[int] = []
    honest = opening.secrets.randbits
    monkeypatch.setattr(opening.secrets, "randbits", lambda bits: drawn.append(bits) or honest(bits))
    open_with()
    assert len(drawn) > 256 and set(drawn) == {128}


def test_a_checkpoint_that_changes_while_it_is_read_is_undecided(open_with, monkeypatch):
    """The sums differ, and then no row does."""
    monkeypatch.setattr(opening, "sum_of_rows", lambda matrix, _factors: [0] * matrix.shape[1])
    with pytest.raises(ToolFailure, match="no row does"):
        open_with()
