"""Malicious provers of feed-forward proofs against the real verifier, on the toy block: a proof takes a second there.

The names carry the step of docs/inference-proof.md, section 7, that rejects.
"""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import onnx
import pytest

from circuits import ezkl_worker, keys
from circuits.activation_circuit import CIRCUIT, activation_graph
from circuits.errors import CheckpointError
from circuits.size_classes import FIELD_MODULUS as P
from prover.fingerprint.artefact import Proof
from prover.inference.fixed_point import hidden
from prover.inference.prove import ACTIVATION_TYPE
from tests.adversarial.cheats import edit, expect_rejected, put
from tests.adversarial.inference_cheats import CheatingFeedForward, DeafFeedForward, verify
from tests.circuits.small import compile_graph
from tests.toy_inference import COUNT, LAYER


@pytest.fixture(scope="module")
def world(feedforward_world):
    return feedforward_world


def test_the_honest_proof_is_accepted(world, tmp_path):
    """The control: everything below differs from this in one step."""
    report = verify(world.files, tmp_path)
    assert report.verdict == "accepted", report.failure
    assert (report.outcome.layer, report.outcome.activations) == (LAYER, COUNT)


def test_these_hooks_change_nothing(world, tmp_path):
    """The other control: the cheats' own prover, cheating in nothing, with fewer activations than fit."""
    cheat = CheatingFeedForward(world, tmp_path, 3)
    report = verify(cheat.run().files, tmp_path)
    assert report.verdict == "accepted", report.failure
    assert cheat.relation == 0 and cheat.instances == cheat.expected()


# ---------------------------------------- the outputs


def other_output(values):
    rows = [list(row) for row in values.y]
    rows[3][7] += 1
    return replace(values, y=rows)


def test_step_6_another_output(world, tmp_path):
    """y off by one unit in one place: the hidden entries do not sum up to what it gives."""

    class Liar(CheatingFeedForward):
        linked = False

        def bend(self, values):
            return other_output(values)

    cheat = Liar(world, tmp_path)
    made = cheat.run()
    assert cheat.relation == 0 and cheat.instances[1] != cheat.expected()[1]
    expect_rejected(verify(made.files, tmp_path), 6, "proof")
    honest_sum = edit(
        made.files, "activation.json", put("instances", [x.to_bytes(32, "big").hex() for x in cheat.instances])
    )
    expect_rejected(verify(honest_sum, tmp_path), 6, "instances")


def test_step_8_weights_solved_for_another_output(world, tmp_path):
    """The same y; one weight is solved so that the activation proof says what the verifier asks for."""

    class Liar(CheatingFeedForward):
        def bend(self, values):
            self.truth = values
            return other_output(values)

        def weights(self, entries):
            drawn, solved = self.transcript.drawn, list(entries)
            (first,) = hidden(self.truth.gate[0][:1], self.truth.up[0][:1], self.scale)
            solved[0] = (solved[0] + drawn["beta"][3] * drawn["zeta"][7] * pow(first, -1, P)) % P
            return super().weights(solved)

    cheat = Liar(world, tmp_path)
    made = cheat.run()
    assert cheat.instances == cheat.expected() and cheat.relation != 0
    expect_rejected(verify(made.files, tmp_path), 8, "proof")


def test_step_8_weights_past_the_hidden_entries(world, tmp_path):
    """With 3 activations the circuit reads on where nothing is committed to: q over all M entries finds it."""

    class Liar(CheatingFeedForward):
        def bend(self, values):
            rows = [list(row) for row in values.y]
            rows[2][0] += 1
            return replace(values, y=rows)

        def salted(self, label, entries):
            extra = {"gate": 40, "up": 300, "gate-rest": 0, "up-rest": 0}.get(label)
            return super().salted(label, entries if extra is None else [*entries, extra])

        def weights(self, entries):
            drawn = self.transcript.drawn
            (more,) = hidden([40], [300], self.scale)
            return super().weights([*entries, drawn["beta"][2] * drawn["zeta"][0] * pow(more, -1, P) % P])

    cheat = Liar(world, tmp_path, 3)
    made = cheat.run()
    assert cheat.instances == cheat.expected() and cheat.relation != 0
    expect_rejected(verify(made.files, tmp_path), 8, "proof")


# ---------------------------------------- gate and up entries


def consistent(values, world):
    """y from the gate and up entries as they are now."""
    down = world.block.matrices["down"].astype(object)
    rows = [
        [int(x) for x in np.array(hidden(gate, up, world.circuit.scale), dtype=object) @ down]
        for gate, up in zip(values.gate, values.up, strict=True)
    ]
    return replace(values, y=rows)


@pytest.mark.parametrize("which", ["gate", "up"])
def test_step_8_entries_that_are_not_of_the_rows(world, tmp_path, which):
    """One entry another one, y consistent with it: only the committed rows say otherwise."""

    class Liar(CheatingFeedForward):
        def bend(self, values):
            rows = [list(row) for row in getattr(values, which)]
            rows[2][5] += 1
            return consistent(replace(values, **{which: rows}), world)

    cheat = Liar(world, tmp_path)
    made = cheat.run()
    assert cheat.instances == cheat.expected() and cheat.relation != 0
    expect_rejected(verify(made.files, tmp_path), 8, "proof")


@pytest.mark.parametrize(("which", "off"), [("gate", 1), ("up", -1)])
def test_step_6_a_rest_out_of_range(world, tmp_path, which, off):
    """The entry rounded another way, its rest making up for it: the link relation holds, the rest is out of range."""

    class Liar(CheatingFeedForward):
        linked = False

        def bend(self, values):
            entries, rests = ([list(row) for row in getattr(values, name)] for name in (which, f"{which}_rest"))
            entries[2][5] += off
            rests[2][5] -= off << self.scale.rest_bits
            return consistent(replace(values, **{which: entries, f"{which}_rest": rests}), world)

    cheat = Liar(world, tmp_path)
    made = cheat.run()
    assert cheat.relation == 0
    if off > 0:  # a negative rest: the sum of excesses says so
        assert cheat.instances[1] == cheat.expected()[1] and cheat.instances[0] != 0
    else:  # too large a one: no digits for it
        assert "witness" in cheat.refused
    expect_rejected(verify(made.files, tmp_path), 6, "proof")


def test_step_6_an_up_entry_that_is_a_fraction(world, tmp_path):
    """Any rest in its range, and for the entry a quotient modulo p: the relation holds, the entry is out of range."""

    class Liar(CheatingFeedForward):
        linked = False

        def bend(self, values):
            ups, rests = ([list(row) for row in rows] for rows in (values.up, values.up_rest))
            whole = (ups[2][5] << self.scale.rest_bits) + rests[2][5]
            rests[2][5] += 1
            ups[2][5] = (whole - rests[2][5]) * pow(1 << self.scale.rest_bits, -1, P) % P
            return replace(values, up=ups, up_rest=rests)

    cheat = Liar(world, tmp_path)
    made = cheat.run()
    assert cheat.relation == 0 and "witness" in cheat.refused
    expect_rejected(verify(made.files, tmp_path), 6, "proof")


def test_an_honest_prover_refuses_a_gate_entry_outside_the_table(world, tmp_path):
    """Before anything is committed or proven."""
    steep = replace(world.block, scale=(1 << 14, *world.block.scale[1:]))
    prover = CheatingFeedForward(replace(world, block=steep), tmp_path)
    with pytest.raises(CheckpointError, match=r"gate: an activation is \d+ units, the circuit admits 248"):
        prover.compute()


def test_step_6_a_gate_entry_outside_the_table(world, tmp_path):
    """A circuit of the prover's own whose table reaches further, and its own key: another table is another key."""
    limit, beyond = world.circuit.scale.limit, 40
    shifted = {"lookup_range": [beyond - limit, beyond + limit]}  # as long as the published one
    graph = activation_graph(world.profile.size, world.circuit.entries)
    args = {**keys.run_args(CIRCUIT, world.profile.size), **shifted}
    own = compile_graph(graph, tmp_path / "own", world.profile.srs, CIRCUIT, **args).set_up()

    class Liar(CheatingFeedForward):
        linked = False

        def bend(self, values):
            gates = [list(row) for row in values.gate]
            gates[0][0] = limit + beyond
            return consistent(replace(values, gate=gates), world)

        def activation_proof(self, vectors):
            proof = Proof.from_worker(own.prove(vectors))
            self.instances = proof.instances
            return proof

    cheat = Liar(world, tmp_path)
    made = cheat.run()
    assert cheat.instances == cheat.expected()
    expect_rejected(verify(made.files, tmp_path), 6, "proof")


@pytest.mark.parametrize("what", ["sigmoid for gate", "no range check", "gate for up"])
def test_step_6_another_graph_with_the_published_key(world, tmp_path, what):
    """Proofs of other circuits than the published one, made with its proving key."""
    model = activation_graph(world.profile.size, world.circuit.entries)
    nodes = {node.output[0]: node for node in model.graph.node}
    if what == "sigmoid for gate":
        nodes["silu"].input[0] = "sigmoid"
    elif what == "no range check":
        nodes["excesses"].input[1] = "magnitudes"
    else:
        nodes["hidden"].input[1] = "gate_entries"
    onnx.checker.check_model(model)
    onnx.save(model, str(tmp_path / "evil.onnx"))
    files = world.circuit.circuit.files
    ezkl_worker.call(
        "compile", time_limit_s=300, onnx=tmp_path / "evil.onnx", settings=files.settings, out=tmp_path / "evil.ezkl"
    )

    class Liar(CheatingFeedForward):
        linked = False

        def bend(self, values):
            if what != "no range check":
                return values
            rests = [list(row) for row in values.gate_rest]
            gates = [list(row) for row in values.gate]
            gates[2][5] += 1
            rests[2][5] -= 1 << self.scale.rest_bits
            return consistent(replace(values, gate=gates, gate_rest=rests), world)

        def activation_proof(self, vectors):
            proof = self.prove_unchecked(self.circuit.circuit, vectors, tmp_path / "evil.ezkl")
            self.instances = proof.instances
            return replace(proof, instances=self.expected())

    made = Liar(world, tmp_path).run()
    expect_rejected(verify(made.files, tmp_path), 6, "proof")


def test_step_5_the_activation_proof_of_another_run(world, tmp_path):
    """A valid proof about other committed vectors."""

    class Other(CheatingFeedForward):
        linked = False

    cheat = Other(world, tmp_path)
    cheat.session = b"g" * 32
    other = cheat.run().files
    mixed = {**world.files, "activation.json": other["activation.json"]}
    expect_rejected(verify(mixed, tmp_path), 5, "gate")
    assert not {world.files["points.bin"][i : i + 64] for i in range(48 * 64, 53 * 64, 64)} & {
        other["points.bin"][i : i + 64] for i in range(48 * 64, 53 * 64, 64)
    }  # fresh salts


# ---------------------------------------- rows, inputs, challenges


@pytest.mark.parametrize("role", ["gate", "up", "down"])
def test_step_7_other_rows(world, tmp_path, role):
    """One weight another one, everything made for it, the commitments those of the honest rows."""

    class Liar(CheatingFeedForward):
        linked = active = False

        def check_committed(self):
            """It would refuse."""
            matrix = self.matrices[role].entries.copy()
            matrix[4, 3] += 1
            self.block = replace(self.block, matrices={**self.block.matrices, role: matrix})
            self.matrices[role] = replace(self.matrices[role], entries=matrix)

        def gate_rows(self):
            return self.honest["points.bin"][: 64 * self.block.rows]

    cheat = Liar(world, tmp_path)
    made = cheat.run()
    assert cheat.relation == 0
    # step 6 would not pass with these grafted bytes; the columns are looked at first where they are another's
    report = verify({**made.files, "activation.json": real_activation(cheat)}, tmp_path)
    expect_rejected(report, 7, "input")


def real_activation(cheat) -> bytes:
    proof = cheat.prove_unchecked(cheat.circuit.circuit, cheat.secret)
    return proof.document(ACTIVATION_TYPE)


def test_step_7_other_inputs_than_stated(world, tmp_path):
    """The block on another x, under the stated one: the public vector n is the verifier's own."""

    class Liar(CheatingFeedForward):
        linked = False

        def compute(self):
            stated, self.x = self.x, [[value + 20_000 for value in row] for row in self.x]
            values = super().compute()
            self.x = stated
            return values

    cheat = Liar(world, tmp_path)
    made = cheat.run()
    assert cheat.relation == 0
    expect_rejected(verify(made.files, tmp_path), 7, "input 3")


def test_step_7_other_scale_than_stated(world, tmp_path):
    """Gate entries of half their size."""

    class Liar(CheatingFeedForward):
        linked = False

        def compute(self):
            stated = self.block
            self.honest_scale = stated.scale[0]
            self.block = replace(stated, scale=(stated.scale[0] // 2, *stated.scale[1:]))
            return super().compute()

        def build_statement(self):
            document = super().build_statement()
            document["scale"]["gate"] = str(self.honest_scale)
            return document

    cheat = Liar(world, tmp_path)
    made = cheat.run()
    assert cheat.relation == 0
    expect_rejected(verify(made.files, tmp_path), 7, "input 2 ")


LABELS = ("feedforward", "rows/up", "rows/down", "rows/gate", "x", "y", "gate", "gate-rest", "up", "up-rest")


@pytest.mark.parametrize("label", LABELS)
def test_step_6_what_is_absorbed_binds_the_challenges(world, tmp_path, label):
    """A prover that chooses one absorbed item after beta and zeta are drawn."""

    class Liar(CheatingFeedForward):
        linked = active = False

        def listening(self):
            return DeafFeedForward(label)

    cheat = Liar(world, tmp_path)
    made = cheat.run()
    assert cheat.relation == 0 and label in cheat.transcript.absorbed
    expect_rejected(verify(made.files, tmp_path), 6, "instances")


def test_step_7_the_weights_bind_q(world, tmp_path):
    """A prover that chooses the weights after q: everything before, and so step 6, is as it must be."""

    class Liar(CheatingFeedForward):
        linked = False

        def listening(self):
            return DeafFeedForward("weights")

    cheat = Liar(world, tmp_path)
    made = cheat.run()
    assert cheat.relation == 0
    expect_rejected(verify(made.files, tmp_path), 7, "input")


def test_everything_is_absorbed(world, tmp_path):
    """The labels above are all there are."""

    class Proving(CheatingFeedForward):
        linked = active = False

    cheat = Proving(world, tmp_path)
    cheat.run()
    assert cheat.transcript.absorbed == [*LABELS, "weights"]
    assert list(cheat.transcript.drawn) == ["alpha", "rho", "rho'", "beta", "zeta", "q", "eta"]
