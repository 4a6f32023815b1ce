"""The transcript against a slow twin written from the page, golden vectors, and every absorbed item one by one."""

from __future__ import annotations

import dataclasses
import hashlib
import json
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from verifier.algebra.transcript import Transcript
from verifier.fingerprint.artefact import read_bundle
from verifier.formats.encoding import FIELD_MODULUS, split_points
from verifier.statement.rows import arrange_points, commitment_digest, draw_challenges

VECTORS = Path(__file__).with_name("vectors") / "transcript"
ASSETS = Path(__file__).resolve().parents[1] / "assets"


def slow(operations: list[dict]) -> list[list[str]]:
    """Section 4, literally."""
    s = hashlib.sha3_256(b"huref-zk/v1/transcript").digest()
    drawn = []
    for operation in operations:
        label = operation["label"].encode()
        head = len(label).to_bytes(4, "big") + label
        if "data" in operation:
            data = bytes.fromhex(operation["data"])
            s = hashlib.sha3_256(s + bytes([1]) + head + len(data).to_bytes(8, "big") + data).digest()
        else:
            n = operation["count"]
            h = head + n.to_bytes(4, "big")
            stream = hashlib.shake_256(s + bytes([2]) + h).digest(64 * n)
            drawn.append(
                [f"{int.from_bytes(stream[64 * i : 64 * i + 64], 'big') % FIELD_MODULUS:064x}" for i in range(n)]
            )
            s = hashlib.sha3_256(s + bytes([3]) + h).digest()
    return drawn


def fast(operations: list[dict]) -> list[list[str]]:
    transcript, drawn = Transcript(), []
    for operation in operations:
        if "data" in operation:
            transcript.absorb(operation["label"], bytes.fromhex(operation["data"]))
        else:
            drawn.append([f"{v:064x}" for v in transcript.challenge(operation["label"], operation["count"])])
    return drawn


labels = st.text(st.characters(min_codepoint=32, max_codepoint=126), max_size=12)
absorbs = st.builds(lambda label, data: {"label": label, "data": data.hex()}, labels, st.binary(max_size=80))
draws = st.builds(lambda label, count: {"label": label, "count": count}, labels, st.integers(0, 5))


@given(st.lists(absorbs | draws, max_size=8))
def test_fast_is_slow(operations):
    assert fast(operations) == slow(operations)


@pytest.mark.parametrize("case", sorted(p.name for p in VECTORS.iterdir() if p.is_dir()))
def test_vectors(case):
    operations = json.loads((VECTORS / case / "input.json").read_text())
    assert fast(operations) == json.loads((VECTORS / case / "expected.json").read_text())


# ---------------------------------------- every item of the table


@pytest.fixture(scope="module")
def good():
    bundle = read_bundle(ASSETS / "bundle")
    checked = split_points(bundle.commitments, 0, len(bundle.commitments) // 64, "p")
    return bundle, checked


def draw(bundle, checked, *, statement_bytes=None, proof=None, instances=None):
    return draw_challenges(
        bundle.statement,
        bundle.statement_bytes if statement_bytes is None else statement_bytes,
        arrange_points(bundle.statement, checked),
        bundle.encoder.proof if proof is None else proof,
        bundle.encoder.instances if instances is None else instances,
    )


def different(left, right, names) -> bool:
    return all(getattr(left, name) != getattr(right, name) for name in names)


BEFORE_Y = ("sigma", "tau", "rho", "rho_prime", "kappa", "xi", "delta", "eps", "eta", "theta")
AFTER_Y = BEFORE_Y[2:]


def test_statement_proof_and_instances_change_every_challenge(good):
    bundle, checked = good
    first = draw(bundle, checked)
    assert different(first, draw(bundle, checked, statement_bytes=bundle.statement_bytes + b" "), BEFORE_Y)
    assert different(first, draw(bundle, checked, proof=bundle.encoder.proof + b"\0"), BEFORE_Y)
    other = (*bundle.encoder.instances[:-1], bundle.encoder.instances[-1] ^ 1)
    assert different(first, draw(bundle, checked, instances=other), BEFORE_Y)


def test_every_point_changes_what_is_drawn_after_it(good):
    bundle, checked = good
    first = draw(bundle, checked)
    for index in range(0, len(checked), 7 if len(checked) > 100 else 1):
        spoilt = list(checked)
        spoilt[index] = bytes(64)
        later = AFTER_Y if index > bundle.statement.total_rows else BEFORE_Y
        assert different(first, draw(bundle, spoilt), later), index
    for index in range(len(checked) - 12, len(checked)):
        spoilt = list(checked)
        spoilt[index] = bytes(64)
        assert different(first, draw(bundle, spoilt), AFTER_Y), index


def test_lengths(good):
    bundle, checked = good
    drawn = draw(bundle, checked)
    found = {field.name: len(getattr(drawn, field.name)) for field in dataclasses.fields(drawn)}
    m, d, k = 432, 32, bundle.statement.tokens.k
    assert found == {
        "sigma": 4, "tau": 4, "rho": m, "rho_prime": m, "kappa": m - d, "xi": k,
        "delta": 6, "eps": 6, "eta": 3, "theta": 4,
    }  # fmt: skip


def test_cm_is_what_the_prover_wrote(good):
    bundle, checked = good
    secret = json.loads((ASSETS / "secret.json").read_text())
    assert commitment_digest(bundle.statement, arrange_points(bundle.statement, checked)).hex() == secret["cm"]
