"""Malicious provers of "the ICS is at least t", and of comparisons under a challenge, against the real verifier.

On the toy pair, whose ICS is 0.8917 under the challenge. The names carry the step of docs/comparison.md, section 7.
"""

from __future__ import annotations

import hashlib
from dataclasses import replace

import numpy as np
import onnx
import pytest

from circuits import keys, proofs
from circuits.comparisons import THRESHOLD, load_similarity_circuit
from circuits.errors import UsageError
from circuits.size_classes import FIELD_MODULUS as P
from circuits.threshold_circuit import threshold_graph
from prover.comparison.prove import Request
from prover.fingerprint.artefact import Proof
from prover.fingerprint.proving import prove_part
from tests.adversarial.comparison_cheats import (
    CheatingComparison,
    expect_rejected,
    honest_run,
    proof_of,
    prove_with_graph,
    relabelled,
    verify,
)
from tests.circuits.small import ezkl_accepts, proof_file
from tests.conftest import alone
from tests.toy_pair import ASSETS, AT_LEAST

pytestmark = [pytest.mark.long, pytest.mark.usefixtures("toy_pair_trusted")]

TOO_MUCH = Request(950_000, AT_LEAST.challenge)


@pytest.fixture(scope="module")
def honest(pair, tmp_path_factory):
    with alone(tmp_path_factory, "honest-threshold") as folder:
        return honest_run(pair, folder, AT_LEAST)


class Cheating(CheatingComparison):
    """One that goes on when the threshold is not reached; `fed`: what it gives the circuit as the threshold."""

    wanted = AT_LEAST
    fed: int | None = None

    def similarity_proof(self, s_vectors):
        threshold = self.threshold(self.request.at_least) if self.fed is None else self.fed
        inputs = [*s_vectors, [threshold]]
        return prove_part(self.job, "similarity-proof", self.circuit.circuit, inputs, self.size, self.progress)


def test_the_honest_one_is_accepted_and_hides_the_ics(pair, honest, tmp_path):
    """The control. Public are twelve norms and a 0: nothing that another pair of terms would not have shown."""
    report = verify(honest.files, tmp_path)
    assert report.verdict == "accepted", report.failure
    assert honest.ics is None and report.ics is None
    assert report.at_least.at_least == 0.85 and report.at_least.error < 1e-2
    assert report.challenge == AT_LEAST.challenge
    *norms, missing = proof_of(honest.files, "similarity.json").instances
    assert missing == 0 and len(norms) == 12
    assert np.abs(np.array(norms, dtype=float) / (pair.profile.g**2 << 16) - 1).max() < 1e-3


def test_the_bit_turns_exactly_at_the_sum(pair, honest):
    """The circuit's sum of products is the exact one, rounded; a threshold one unit above it is not reached."""
    circuit, count = pair.threshold.circuit, 6 * pair.profile.g**2
    key = keys.key_of(circuit)

    def missing(threshold: int) -> int:
        answer = proofs.prove(
            [*honest.s_vectors, [threshold]],
            compiled=key.compiled,
            pk=key.pk,
            vk=circuit.files.vk,
            settings=circuit.files.settings,
            srs=circuit.srs,
            time_limit_s=600,
        )
        return Proof.from_worker(answer).instances[-1]

    high = 6 * pair.profile.g**2 << 16
    total = high - missing(high)
    a, b = ([x - P if x > P // 2 else x for x in vector[:count]] for vector in honest.s_vectors)
    exact = sum(x * y for x, y in zip(a, b, strict=True)) / 2 ** (2 * pair.profile.shift - 16)
    assert abs(total - exact) < count, "rounding an entry to the nearest moves the sum by less than a unit"
    assert (missing(total), missing(total + 1)) == (0, 1)


def test_an_honest_prover_refuses_what_is_not_so(pair, honest, tmp_path):
    class Honest(CheatingComparison):
        wanted = TOO_MUCH

    with pytest.raises(UsageError, match=r"about \+0.89.*below 0.95"):
        Honest(pair, tmp_path, honest).run()


def test_step_8_the_threshold_is_not_reached(pair, honest, tmp_path):
    """The circuit's true answer: something is missing."""

    class Liar(Cheating):
        wanted = TOO_MUCH

    made = Liar(pair, tmp_path, honest).run()
    assert proof_of(made.files, "similarity.json").instances[-1] > 0
    expect_rejected(verify(made.files, tmp_path), 8, "does not reach the threshold")


def test_step_7_a_false_bit(pair, honest, tmp_path):
    """The same, and the last value is called 0."""

    class Liar(Cheating):
        wanted = TOO_MUCH

        def similarity_proof(self, s_vectors):
            proof = super().similarity_proof(s_vectors)
            return replace(proof, instances=(*proof.instances[:-1], 0))

    expect_rejected(verify(Liar(pair, tmp_path, honest).run().files, tmp_path), 7, "proof")


@pytest.mark.parametrize("threshold", ["half", "zero", "negative"])
def test_step_6_another_threshold_than_stated(pair, honest, tmp_path, threshold):
    """A true proof about a threshold of one's own: a lower one, none, or -t modulo p, which every sum reaches."""

    class Liar(Cheating):
        wanted = TOO_MUCH

    cheat = Liar(pair, tmp_path, honest)
    stated = cheat.threshold(TOO_MUCH.at_least)
    cheat.fed = {"half": stated // 2, "zero": 0, "negative": P - stated}[threshold]
    made = cheat.run()
    assert proof_of(made.files, "similarity.json").instances[-1] == 0, "its own claim is true"
    expect_rejected(verify(made.files, tmp_path), 6, "another threshold")


@pytest.mark.parametrize("at_least", [849_999, 850_001, 1, 1_000_000])
def test_step_6_the_stated_threshold_edited(honest, tmp_path, at_least):
    files = relabelled(honest.files, lambda document: document.update(at_least=at_least))
    expect_rejected(verify(files, tmp_path), 6, "another threshold")


@pytest.mark.parametrize("at_least", [0, -850_000, 1_000_001, "850000", True, P - 850_000, 2**64])
def test_step_1_no_threshold_at_all(honest, tmp_path, at_least):
    files = relabelled(honest.files, lambda document: document.update(at_least=at_least))
    expect_rejected(verify(files, tmp_path), 1, "integer")


GRAPHS = {
    "the difference turned round": lambda nodes: nodes["short"].input.reverse(),
    "a's squares for the products": lambda nodes: nodes["products"].input.__setitem__(1, "a_row"),
    "the threshold subtracted from itself": lambda nodes: nodes["short"].input.__setitem__(1, "least"),
}


def other_graph(profile, what: str) -> onnx.ModelProto:
    model = threshold_graph(profile.size, profile.g, profile.shift)
    GRAPHS[what]({node.output[0]: node for node in model.graph.node})
    onnx.checker.check_model(model)
    return model


@pytest.mark.parametrize("what", GRAPHS)
def test_step_7_threshold_graph_with_other_arithmetic(pair, honest, tmp_path, what):
    """Another graph with the published proving key, for which the bit is 0."""

    class Liar(Cheating):
        wanted = TOO_MUCH

        def similarity_proof(self, s_vectors):
            model = other_graph(pair.profile, what)
            inputs = [*s_vectors, [self.threshold(self.request.at_least)]]
            return prove_with_graph(self.circuit.circuit, model, inputs, tmp_path)

    made = Liar(pair, tmp_path, honest).run()
    assert proof_of(made.files, "similarity.json").instances[-1] == 0
    expect_rejected(verify(made.files, tmp_path), 7, "proof")


def test_step_8_scale_integers_leave_no_freedom(pair, honest, tmp_path):
    """c_t of one side 3% up in every term: the products grow, and so do the norms, which are public."""

    class Liar(Cheating):
        wanted = Request(900_000, AT_LEAST.challenge)

        def scale_integers(self, terms):
            return tuple(round(1.03 * c) for c in super().scale_integers(terms))

    made = Liar(pair, tmp_path, honest).run()
    assert proof_of(made.files, "similarity.json").instances[-1] == 0
    expect_rejected(verify(made.files, tmp_path), 8, "norm of term 0 of side a")


def test_step_6_a_pair_of_ones_own(pair, honest, tmp_path):
    """A true proof that a is like a."""

    class Liar(Cheating):
        wanted = TOO_MUCH

        def similarity_proof(self, s_vectors):
            return super().similarity_proof([s_vectors[0], s_vectors[0]])

    expect_rejected(verify(Liar(pair, tmp_path, honest).run().files, tmp_path), 6, "input b")


# ---------------------------------------- the challenge


def test_step_9_projection_without_the_challenge(pair, honest, tmp_path):
    """The projection of a comparison without a challenge, which could be drawn again and again before it was named."""

    class Liar(Cheating):
        def late_projection(self):
            asked, self.request = self.request, Request(self.request.at_least)
            projection = super().late_projection()
            self.request = asked
            return projection

    cheat = Liar(pair, tmp_path, honest)
    made = cheat.run()
    assert cheat.relations == {"a": 0, "b": 0}
    expect_rejected(verify(made.files, tmp_path), 9, "side a: input")


@pytest.mark.parametrize("challenge", [hashlib.sha256(b"another").hexdigest(), None])
def test_step_9_replay_under_another_challenge(honest, tmp_path, challenge):
    files = relabelled(honest.files, lambda document: document.update(challenge=challenge))
    expect_rejected(verify(files, tmp_path), 9, "input")


def test_step_9_link_proofs_of_the_comparison_without_either(honest, tmp_path):
    """The same pair's other comparison: its link proofs do not serve here."""
    other = {name: (ASSETS / "comparison" / name).read_bytes() for name in ("link-a.json", "link-b.json")}
    expect_rejected(verify({**honest.files, **other}, tmp_path), 9, "side a: input")


# ---------------------------------------- the published circuit


def test_the_published_circuit_rejects_another_graph(profile, tmp_path):
    """tiny-dev's own threshold circuit: the difference turned round, with its proving key."""
    circuit = load_similarity_circuit(profile, kind=THRESHOLD).circuit
    rng = np.random.default_rng(9)
    vectors = [[int(x * 2.0**profile.shift) for x in rng.normal(size=profile.size.length)] for _ in range(2)]
    model = other_graph(profile, "the difference turned round")
    proof = prove_with_graph(circuit, model, [*vectors, [6 * 2**23]], tmp_path)
    assert proof.instances[-1] == 0, "unrelated terms, called alike by at least 0.5"
    answer = {"proof": proof.data.hex(), "instances": [[x.to_bytes(32, "little").hex() for x in proof.instances]]}
    file = tmp_path / "evil-proof"
    proof_file(file, answer)
    assert ezkl_accepts([(file, circuit.files.settings, circuit.files.vk, circuit.srs)]) == [False]
