"""Feed-forward proofs with something edited, exchanged or sent again for another bundle, on the toy block.

The names carry the step of docs/inference-proof.md, section 7, that rejects.
"""

from __future__ import annotations

import hashlib
from dataclasses import replace

import pytest

from circuits.size_classes import FIELD_MODULUS as P
from prover.commitments.jobs import Job
from prover.fingerprint.prove import FingerprintProver
from tests.adversarial.cheats import edit, expect_rejected, put, undecided
from tests.adversarial.inference_cheats import BUNDLE, CheatingFeedForward, verify
from tests.toy_inference import LAYER
from tests.toy_pair import ASSETS


@pytest.fixture(scope="module")
def world(feedforward_world):
    return feedforward_world


@pytest.mark.parametrize(
    ("change", "words"),
    [
        (put("bundle", "cm", "0" * 64), "bundle.cm"),
        (put("bundle", "statement", "0" * 64), "bundle.statement"),
        (put("profile", "sha256", "0" * 64), "profile.sha256"),
        (put("profile", "name", "other"), "profile.name"),
        (put("circuit", "sha256", "0" * 64), "circuit.sha256"),
        (put("layer", 0), "layer"),
        (put("activations", 5), "activations"),
        (put("activations", 3), "activations.bin"),
        (put("scale", "gate", "0"), "scale"),
        (put("scale", "up", str(P - 700)), "scale"),
        (put("scale", "down", "-1"), "scale"),
        (put("scale", "gate", str(1 << 32)), "scale"),
        (put("epsilon", "0"), "epsilon"),
    ],
)
def test_step_3_the_statement(world, tmp_path, change, words):
    expect_rejected(verify(edit(world.files, "feedforward.json", change), tmp_path), 3, words)


@pytest.mark.parametrize(
    "change", [put("scale", "gate", "35"), put("scale", "down", "1"), put("epsilon", "1"), put("layer", LAYER - 1)]
)
def test_step_6_an_edited_statement(world, tmp_path, change):
    """Other numbers in range, or the other committed block: the challenges are others."""
    expect_rejected(verify(edit(world.files, "feedforward.json", change), tmp_path), 6, "instances")


def test_step_6_edited_activations(world, tmp_path):
    data = bytearray(world.files["activations.bin"])
    data[7] ^= 1
    expect_rejected(verify({**world.files, "activations.bin": bytes(data)}, tmp_path), 6, "instances")
    data[7] ^= 1
    data[-1] ^= 1
    expect_rejected(verify({**world.files, "activations.bin": bytes(data)}, tmp_path), 6, "instances")


@pytest.mark.parametrize(("where", "value"), [(0, 1 << 40), (0, -(1 << 40)), (128, 1 << 62), (255, -(1 << 62))])
def test_step_3_integers_that_are_too_large(world, tmp_path, where, value):
    data = bytearray(world.files["activations.bin"])
    data[8 * where : 8 * where + 8] = value.to_bytes(8, "big", signed=True)
    expect_rejected(verify({**world.files, "activations.bin": bytes(data)}, tmp_path), 3, "activations.bin")


@pytest.mark.parametrize(
    ("point", "words"),
    [
        (bytes(64), "identity"),
        (b"\xff" * 64, "canonical"),
        ((1).to_bytes(32, "big") + (3).to_bytes(32, "big"), "curve"),
    ],
)
@pytest.mark.parametrize("index", [0, 47, 48, 52])
def test_step_4_bad_points(world, tmp_path, point, words, index):
    data = bytearray(world.files["points.bin"])
    data[64 * index : 64 * index + 64] = point
    expect_rejected(verify({**world.files, "points.bin": bytes(data)}, tmp_path), 4, words)


def test_step_6_another_gate_row(world, tmp_path):
    """A gate row that is another's: a point on the curve, absorbed."""
    data = bytearray(world.files["points.bin"])
    data[:64], data[64:128] = data[64:128], data[:64]
    expect_rejected(verify({**world.files, "points.bin": bytes(data)}, tmp_path), 6, "instances")


def test_extra_instances(world, tmp_path):
    more = edit(world.files, "activation.json", lambda document: document["instances"].append("0" * 64))
    expect_rejected(verify(more, tmp_path), 6, "instances")
    more = edit(world.files, "link.json", lambda document: document["instances"].append("0" * 64))
    expect_rejected(verify(more, tmp_path), 8, "instances")


def test_replay_for_another_bundle(world, tmp_path):
    """The same weights under another seed are another bundle; so is the offspring."""
    expect_rejected(verify(world.files, tmp_path, ASSETS / "bundle_b"), 3, "bundle.cm")
    (tmp_path / "job").mkdir()
    again = FingerprintProver(world.profile, world.side.source, b"4" * 32, b"5" * 32, Job(tmp_path / "job")).run()
    other = tmp_path / "again"
    other.mkdir()
    for name, data in again.files.items():
        (other / name).write_bytes(data)
    expect_rejected(verify(world.files, tmp_path, other), 3, "bundle.cm")

    def change(document):
        document["bundle"] = {"cm": again.cm, "statement": hashlib.sha256(again.files["statement.json"]).hexdigest()}

    expect_rejected(verify(edit(world.files, "feedforward.json", change), tmp_path, other), 6, "instances")


def test_step_2_a_rejected_or_undecided_bundle(world, tmp_path):
    """Step 2: what the bundle is, the proof about it is too."""
    broken = tmp_path / "broken"
    broken.mkdir()
    for file in BUNDLE.iterdir():
        data = bytearray(file.read_bytes())
        if file.name == "commitments.bin":
            data[:64], data[64:128] = data[64:128], data[:64]
        (broken / file.name).write_bytes(data)
    expect_rejected(verify(world.files, tmp_path, broken), 2, "bundle is rejected")
    undecided(verify(world.files, tmp_path, tmp_path / "nothing"), "bundle")


def test_the_same_gate_under_one_seed_has_one_commitment(world, tmp_path):
    """What a maker can publish with the bundle: it depends on the gate, block, cm and seed alone."""

    class Other(CheatingFeedForward):
        linked = active = False

    first = verify(world.files, tmp_path).outcome.gate_commitment
    cheat = Other(world, tmp_path, 3)
    cheat.session = b"h" * 32
    assert cheat.run().gate_sha256 == first
    cheat = Other(world, tmp_path, 3)
    gate = world.block.matrices["gate"].copy()
    gate[0, 0] += 1
    cheat.block = replace(world.block, matrices={**world.block.matrices, "gate": gate})
    assert cheat.run().gate_sha256 != first
