"""Malicious provers against the published circuits: real weights, the published proving keys, the real verifier.

The names carry the step of docs/protocol.md, section 9, that rejects. The other malicious provers are in
test_cheating_prover.py, on the toy profile.
"""

from __future__ import annotations

import onnx
import pytest

from circuits.encoder_circuit import encoder_circuit_graph
from circuits.link_circuit import link_graph
from tests.adversarial.cheats import (
    CheatingProver,
    edit,
    expect_rejected,
    other_weights,
    other_wiring,
    proof_of,
    prove_with_graph,
    reading_late,
    relation,
    verify,
)
from tests.conftest import EXAMPLE

pytestmark = pytest.mark.long


def test_honest_bundle_is_accepted(world, tmp_path):
    """The control: everything below differs from this in one step."""
    report = verify(world.honest.files, tmp_path)
    assert report.verdict == "accepted", report.failure
    assert all(check.status.value == "passed" for check in report.checks if check.step != 12)  # nobody signed it


def test_step_8_link_proof_of_another_graph_with_the_published_key(world, tmp_path):
    """False terms where the encoder reads, the true ones behind them, and a graph that reads those: its output is 0."""
    count = 6 * world.profile.g**2
    model = reading_late(link_graph(world.profile.size), count, world.profile.size.data_length)

    class Liar(CheatingProver):
        def s_prime(self):
            vector = super().s_prime()
            vector[count : 2 * count] = vector[:count]
            vector[0], vector[1] = vector[1], vector[0]
            return vector

        def link_proof(self, vectors):
            assert relation(vectors, self.size.data_length) != 0
            proof = prove_with_graph(self.profile, "link", model, vectors, tmp_path)
            assert proof.instances == (0,)
            return proof

    files = Liar(world, tmp_path, *world.row_parts).run().files
    expect_rejected(verify(files, tmp_path), 8, "proof")


@pytest.mark.parametrize("bend", [other_wiring, other_weights])
def test_step_5_encoder_proof_of_another_graph_with_the_published_key(world, tmp_path, bend):
    """Another encoder than the published one, everything else as the protocol says."""
    profile = world.profile
    encoder = onnx.load(str(profile.fpm("encoder.onnx")))
    model = encoder_circuit_graph(profile.size, profile.g, profile.shift, encoder)
    bend(model)
    onnx.checker.check_model(model)

    class Liar(CheatingProver):
        def encoder_proof(self, s_prime):
            return prove_with_graph(profile, "encoder", model, [s_prime], tmp_path)

    cheat = Liar(world, tmp_path, *world.row_parts)
    cheat.graft_from = proof_of(world.honest.files, "link.json")
    files = cheat.run().files
    honest = proof_of(world.honest.files, "encoder.json").instances
    mine = proof_of(files, "encoder.json").instances
    assert mine[:6] == honest[:6]  # the same norms: only the features are false
    assert mine[6:] != honest[6:]
    expect_rejected(verify(files, tmp_path), 5, "proof")


def test_step_4_encoder_proof_of_another_bundle(world, tmp_path):
    """The encoder proof of the example bundle: honest, of the same model, but of another S' commitment."""
    other = (EXAMPLE / "encoder.json").read_bytes()
    assert proof_of({"encoder.json": other}, "encoder.json").instances[:6]
    expect_rejected(verify({**world.honest.files, "encoder.json": other}, tmp_path), 4, "S'")


def test_step_5_features_of_ones_own_choice(world, tmp_path):
    """The honest encoder proof with another public feature."""

    def change(document):
        document["instances"][10] = f"{int(document['instances'][10], 16) ^ 1:064x}"

    expect_rejected(verify(edit(world.honest.files, "encoder.json", change), tmp_path), 5, "proof")
