"""Malicious provers of comparisons against the real verifier, on the toy pair: a proof takes a second there.

The names carry the step of docs/comparison.md, section 7, that rejects.
"""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import onnx
import pytest

from circuits.comparisons import load_similarity_circuit
from circuits.errors import BundleError
from circuits.similarity_circuit import similarity_graph
from circuits.size_classes import FIELD_MODULUS as P
from prover.commitments.jobs import Job
from prover.comparison.prove import ComparisonProver, ics_of
from prover.fingerprint.artefact import Proof
from prover.fingerprint.prove import FingerprintProver
from prover.terms.terms import cosine, standardised
from tests.adversarial.comparison_cheats import (
    BUNDLES,
    SESSION,
    CheatingComparison,
    DeafComparison,
    expect_rejected,
    honest_run,
    proof_of,
    prove_with_graph,
    relabelled,
    swapped,
    verify,
)
from tests.circuits.small import ezkl_accepts, proof_file
from tests.conftest import alone
from tests.toy_pair import ASSETS, toy_side

pytestmark = pytest.mark.usefixtures("toy_pair_trusted")


@pytest.fixture(scope="module")
def honest(pair, tmp_path_factory):
    """One honest run, its parts kept."""
    with alone(tmp_path_factory, "honest-comparison") as folder:
        return honest_run(pair, folder)


def test_the_honest_comparison_is_accepted(pair, honest, tmp_path):
    """The control: everything below differs from this in one step. The ICS is that of the exact integer terms."""
    report = verify(honest.files, tmp_path)
    assert report.verdict == "accepted", report.failure
    prover = ComparisonProver(pair.profile, pair.circuit, pair.sides, SESSION, Job(tmp_path))
    prover.by = prover.late_projection()
    exact = cosine(*(standardised(prover.terms(side)) for side in pair.sides))
    assert abs(report.ics.ics - exact) <= report.ics.error
    assert abs(honest.ics - report.ics.ics) < 1e-9
    assert 0.3 < exact < 0.99


def test_wrong_bundle_checkpoint_or_secret_is_refused_before_proving(pair, tmp_path):
    a, b = pair.sides
    for sides in (
        (replace(a, seed=b.seed), b),
        (replace(a, source=b.source), b),
        (a, replace(b, committed=a.committed)),
    ):
        with pytest.raises(BundleError, match="its rows are not"):
            ComparisonProver(pair.profile, pair.circuit, sides, SESSION, Job(tmp_path)).run()


# ---------------------------------------- the similarity proof


@pytest.mark.parametrize("what", ["norm for product", "reads entries behind the terms"])
def test_step_7_similarity_graph_with_other_arithmetic(pair, honest, tmp_path, what):
    """Another graph with the published proving key: a's squares for the products, or b read where a's terms hide."""
    model = similarity_graph(pair.profile.size, pair.profile.g, pair.profile.shift)
    count = 6 * pair.profile.g**2
    if what == "norm for product":
        next(node for node in model.graph.node if node.output[0] == "sums_ab").input[1] = "a_rows"
    else:
        for name, value in (("late_start", count), ("late_end", 2 * count)):
            model.graph.initializer.append(onnx.helper.make_tensor(name, onnx.TensorProto.INT64, [1], [value]))
        node = next(node for node in model.graph.node if node.output[0] == "b_entries")
        node.input[1], node.input[2] = "late_start", "late_end"
    onnx.checker.check_model(model)

    class Liar(CheatingComparison):
        def s_vector(self, index, terms):
            vector = super().s_vector(index, terms)
            if what != "norm for product":
                if index == 0:
                    self.victim = vector[:count]
                else:
                    vector[count : 2 * count] = self.victim  # its link relation is broken, but step 7 comes first
            return vector

        def similarity_proof(self, s_vectors):
            return prove_with_graph(self.circuit.circuit, model, s_vectors, tmp_path)

    made = Liar(pair, tmp_path, honest).run()
    assert made.ics == pytest.approx(1.0, abs=1e-3)
    expect_rejected(verify(made.files, tmp_path), 7, "proof")


def test_step_7_sums_of_ones_own_choice(pair, honest, tmp_path):
    """Products as large as the norms: an ICS of 1; everything after is made for these instances."""

    class Liar(CheatingComparison):
        def similarity_proof(self, s_vectors):
            proof = super().similarity_proof(s_vectors)
            return replace(proof, instances=(*proof.instances[:12], *proof.instances[:6]))

    made = Liar(pair, tmp_path, honest, "similarity-proof").run()
    assert made.ics > 0.999
    expect_rejected(verify(made.files, tmp_path), 7, "proof")


def test_step_6_similarity_of_one_side_with_itself(pair, honest, tmp_path):
    """A valid proof that a is like a, for the pair (a, b)."""

    class Liar(CheatingComparison):
        def similarity_proof(self, s_vectors):
            return super().similarity_proof([s_vectors[0], s_vectors[0]])

    made = Liar(pair, tmp_path, honest).run()
    assert made.ics == pytest.approx(1.0, abs=1e-6)
    expect_rejected(verify(made.files, tmp_path), 6, "input b")


@pytest.mark.parametrize(("factor", "step"), [(1.05, 8), (-1, 4)])
def test_scale_integers_leave_no_freedom(pair, honest, tmp_path, factor, step):
    """c_0 of side b off by 5% fails its norm; negative modulo p, which would flip a term's sign, is out of range."""

    class Liar(CheatingComparison):
        def scale_integers(self, terms):
            c = super().scale_integers(terms)
            if not self.scale_seen:
                self.scale_seen = True
                return c
            return (P - c[0] if factor == -1 else round(c[0] * factor), *c[1:])

        scale_seen = False

        def similarity_proof(self, s_vectors):
            if factor == -1:  # what the published circuit would say of the flipped term is beside the point
                return proof_of(self.honest.files, "similarity.json")
            return super().similarity_proof(s_vectors)

    made = Liar(pair, tmp_path, honest).run()
    expect_rejected(verify(made.files, tmp_path), step, "b.c[0]" if factor == -1 else "side b")


# ---------------------------------------- the link proofs


def test_step_10_terms_of_another_model(pair, honest, tmp_path):
    """The victim's S'' under a commitment of one's own: every column is as expected, the relation is not zero."""

    class Liar(CheatingComparison):
        proven, forged = ("a", "b"), ("b",)

        def s_vector(self, index, terms):
            vector = super().s_vector(index, terms)
            if index == 0:
                self.victim = vector[: self.size.data_length]
                return vector
            return self.victim + vector[self.size.data_length :]

    cheat = Liar(pair, tmp_path, honest)
    made = cheat.run()
    assert made.ics == pytest.approx(1.0, abs=1e-6)
    assert cheat.relations["a"] == 0 != cheat.relations["b"]
    expect_rejected(verify(made.files, tmp_path), 10, "side b", "proof")


def test_step_9_rows_of_another_model(pair, honest, tmp_path):
    """Bundle b is named and absorbed, but b's link argument is made with a's rows, salts and terms: it holds."""

    class Liar(CheatingComparison):
        def check_committed(self):
            """It would refuse."""

    cheat = Liar(pair, tmp_path, honest)
    a, b = pair.sides
    cheat.sides = (a, replace(a, committed=b.committed))
    made = cheat.run()
    assert cheat.relations == {"a": 0, "b": 0}
    assert made.ics == pytest.approx(1.0, abs=1e-6)
    expect_rejected(verify(made.files, tmp_path), 9, "side b: input")


def test_step_9_projection_known_before_the_commitments(pair, honest, tmp_path):
    """The profile's P, for which weights can be built, in place of P': every relation holds."""

    class Liar(CheatingComparison):
        def late_projection(self):
            return self.sides[0].source.projection

    cheat = Liar(pair, tmp_path, honest)
    made = cheat.run()
    assert cheat.relations == {"a": 0, "b": 0}
    expect_rejected(verify(made.files, tmp_path), 9, "side a: input")


@pytest.mark.parametrize(
    "label", ["comparison", "rows/a/embedding", "rows/b/layers.2.down", "S''/b", "similarity-proof", "side", "y/5/v"]
)
def test_step_9_what_is_absorbed_binds_the_challenges(pair, honest, tmp_path, label):
    """A prover that chooses one absorbed item late; tests/verifier/comparison/test_verify.py goes through all."""

    class Liar(CheatingComparison):
        def s_vector(self, index, terms):
            return self.honest.s_vectors[index]  # with its salt, so that the honest similarity proof serves

    cheat = Liar(pair, tmp_path, honest, "similarity-proof")
    cheat.transcript = DeafComparison(label)
    made = cheat.run()
    assert cheat.relations == {"a": 0, "b": 0}
    expect_rejected(verify(made.files, tmp_path), 9, "input")


def test_a_prover_that_hears_everything_is_accepted_with_these_hooks(pair, honest, tmp_path):
    """The control for the test above: the same transcript, deaf to nothing."""

    class Proving(CheatingComparison):
        proven = ("a", "b")

    cheat = Proving(pair, tmp_path, honest, "similarity-proof")
    cheat.transcript = DeafComparison("")
    assert verify(cheat.run().files, tmp_path).verdict == "accepted"


# ---------------------------------------- replay


@pytest.fixture(scope="module")
def third(pair, tmp_path_factory):
    """The model of bundle b again, under another seed: another commitment of the very same weights."""
    folder, target = tmp_path_factory.mktemp("third-job"), tmp_path_factory.mktemp("third") / "bundle"
    made = FingerprintProver(pair.profile, pair.sides[1].source, b"3" * 32, b"4" * 32, Job(folder)).run()
    target.mkdir()
    for name, data in made.files.items():
        (target / name).write_bytes(data)
    return target


def test_step_9_replay_for_another_pair(pair, honest, third, tmp_path):
    """The honest comparison of (a, b), relabelled for (a, c): even the same weights need a comparison of their own."""
    c = toy_side(pair.profile, ASSETS / "model_b", third, b"3" * 32)

    def change(document):
        document["b"].update(cm=c.committed.cm, statement=c.committed.statement_sha256)

    bundles = (BUNDLES[0], third)
    expect_rejected(verify(honest.files, tmp_path, bundles), 4, "b.cm")
    expect_rejected(verify(relabelled(honest.files, change), tmp_path, bundles), 9, "input")


def test_swapped_sides(pair, honest, tmp_path):
    """P' is the same for (b, a), so this is the nearest replay of all; columns and challenges still name the sides."""
    turned = swapped(honest.files)
    expect_rejected(verify(turned, tmp_path, BUNDLES[::-1]), 6, "input a")
    proof = proof_of(honest.files, "similarity.json")
    exchanged = Proof(proof.data[64:128] + proof.data[:64] + proof.data[128:], proof.instances)
    document = exchanged.document("application/vnd.huref-zk.similarity+json;version=1")
    expect_rejected(verify({**turned, "similarity.json": document}, tmp_path, BUNDLES[::-1]), 7, "proof")


def test_salts_are_fresh(pair, honest, tmp_path):
    """Another session: other points for S'' and every y, the same ICS."""

    class Other(CheatingComparison):
        def similarity_proof(self, s_vectors):
            return proof_of(self.honest.files, "similarity.json")

    cheat = Other(pair, tmp_path, honest)
    cheat.session = b"w" * 32
    points, before = cheat.run().files["points.bin"], honest.files["points.bin"]
    pieces = [{data[i : i + 64] for i in range(0, len(data), 64)} for data in (points, before)]
    assert len(pieces[0]) == 26 and not pieces[0] & pieces[1]


# ---------------------------------------- the published circuit


@pytest.mark.long
def test_the_published_circuit_rejects_another_graph(profile, tmp_path):
    """tiny-dev's own similarity circuit: a's squares for the products, with its proving key."""
    circuit = load_similarity_circuit(profile).circuit
    model = similarity_graph(profile.size, profile.g, profile.shift)
    next(node for node in model.graph.node if node.output[0] == "sums_ab").input[1] = "a_rows"
    rng = np.random.default_rng(8)
    vectors = [[int(x * 2.0**profile.shift) for x in rng.normal(size=profile.size.length)] for _ in range(2)]
    proof = prove_with_graph(circuit, model, vectors, tmp_path)
    assert ics_of(proof.instances) == pytest.approx(1.0, abs=0.2)
    answer = {"proof": proof.data.hex(), "instances": [[x.to_bytes(32, "little").hex() for x in proof.instances]]}
    file = tmp_path / "evil-proof"
    proof_file(file, answer)
    assert ezkl_accepts([(file, circuit.files.settings, circuit.files.vk, circuit.srs)]) == [False]
