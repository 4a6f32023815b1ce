"""Malicious provers against the real verifier: each must be rejected, at the step and for the reason that stops it.

The names carry the step of docs/protocol.md, section 9, that rejects. Where a check exists for one zero or one
range, the test also shows that the attack is real: without that check its relation would hold.

On the toy model and profile (k = 9), where a proof takes a second; attacks on the published circuits themselves are in
test_cheating_published.py.
"""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest

from circuits.size_classes import FIELD_MODULUS as P
from prover.commitments.field import inner
from prover.commitments.rows import SaltedMatrix
from prover.commitments.transcript import Transcript
from prover.terms.terms import projected_terms
from tests.adversarial.cheats import (
    BentArgument,
    CheatingProver,
    Deaf,
    edit,
    expect_rejected,
    proof_of,
    relation,
    verify,
    wider,
    with_point,
)


class SwappedTerms(CheatingProver):
    """S' with two entries swapped: the same norms, another fingerprint, and an honest encoder proof of it."""

    def s_prime(self):
        vector = super().s_prime()
        vector[0], vector[1] = vector[1], vector[0]
        return vector


@pytest.fixture(scope="module")
def world(toy_bundle_world):
    return toy_bundle_world


def test_honest_bundle_is_accepted(world, tmp_path):
    """The control: everything below differs from this in one step."""
    report = verify(world.honest.files, tmp_path)
    assert report.verdict == "accepted", report.failure
    assert world.profile.size.k == 9


@pytest.fixture(scope="module")
def swapped(world, tmp_path_factory):
    """The parts of a run with swapped terms up to its encoder proof: three attacks on the link argument start there."""
    folder = tmp_path_factory.mktemp("swapped")
    prover = SwappedTerms(world, folder, *world.row_parts)
    prover.graft_from = proof_of(world.honest.files, "link.json")
    prover.run()
    return replace(world, honest_job=folder)


def test_step_8_false_terms(swapped, tmp_path):
    """S' of one's own choice, everything else honest: the relation is not zero, and claiming zero does not help."""

    class Liar(SwappedTerms):
        claim_zero = True

    cheat = Liar(swapped, tmp_path, *swapped.row_parts, "encoder-proof")
    files = cheat.run().files
    assert cheat.relation != 0
    expect_rejected(verify(files, tmp_path), 8, "proof")
    honest_instance = edit(files, "link.json", lambda d: d.update(instances=[f"{cheat.relation:064x}"]))
    expect_rejected(verify(honest_instance, tmp_path), 8, "instance")


def test_step_7_row_commitment_of_another_row(world, tmp_path):
    """One row's commitment is to another row than the one the proof uses."""
    rows = sum(len(m) for m in world.source.matrices.by_name.values())
    for index in (0, rows - 1):
        honest = world.honest.files
        other = honest["commitments.bin"][64 * 7 : 64 * 8]
        expect_rejected(verify(with_point(honest, index, other), tmp_path), 7, "input")


def test_step_7_row_replaced_by_the_prover_itself(world, tmp_path):
    """The prover publishes another row 3 of q from the start, and proves with the real one."""

    class Liar(CheatingProver):
        graft_from = proof_of(world.honest.files, "link.json")

        def s_prime(self):
            return honest_s_prime(world, tmp_path)

        def encoder_proof(self, s_prime):
            return proof_of(world.honest.files, "encoder.json")

        def commit_rows(self, matrices):
            result = super().commit_rows(matrices)
            name = list(result)[1]
            points = result[name]
            result[name] = points[: 64 * 3] + points[64 * 4 : 64 * 5] + points[64 * 4 :]
            return result

    cheat = Liar(world, tmp_path, *world.row_parts)
    files = cheat.run().files
    assert cheat.relation == 0
    expect_rejected(verify(files, tmp_path), 7, "input")


def absorbed_labels(world) -> list[str]:
    labels = ["statement", *(f"rows/{name}" for name in world.source.matrices.by_name), "S'"]
    labels += ["encoder-proof", "encoder-instances"]
    return labels + [f"y/{t}/{side}" for t in range(6) for side in "uv"]


@pytest.mark.parametrize("index", range(29))
def test_step_7_each_absorbed_item_binds_the_challenges(world, tmp_path, index):
    """A prover that chooses one absorbed item after the challenges: the verifier heard it, so its challenges differ.

    The proof's columns are what this prover's transcript gives, so a verifier deaf to the same item would pass step 7.
    """
    label = absorbed_labels(world)[index]

    class Liar(CheatingProver):
        graft_from = proof_of(world.honest.files, "link.json")

        def encoder_proof(self, s_prime):
            return proof_of(world.honest.files, "encoder.json")

        def s_prime(self):
            return honest_s_prime(world, tmp_path)

    cheat = Liar(world, tmp_path, *world.row_parts)
    cheat.transcript = Deaf(label)
    files = cheat.run().files
    assert label in cheat.transcript.absorbed
    assert cheat.relation == 0
    expect_rejected(verify(files, tmp_path), 7, "input")


def honest_s_prime(world, folder):
    """The very S' of the honest run, salt included."""
    honest = CheatingProver(world, folder)
    honest.scale = honest.scale_integers()
    transcript = Transcript()
    transcript.absorb("statement", world.honest.files["statement.json"])
    start = 0
    for name, entries in world.source.matrices.by_name.items():
        end = start + 64 * len(entries)
        transcript.absorb(
            f"rows/{name}", len(entries).to_bytes(4, "big") + world.honest.files["commitments.bin"][start:end]
        )
        start = end
    honest.transcript = transcript
    return honest.s_prime()


def test_absorbed_labels_are_all_that_is_absorbed(world, tmp_path):
    """The list that the test above goes through is complete."""
    cheat = CheatingProver(world, tmp_path, *world.row_parts, "encoder-proof")
    cheat.graft_from = proof_of(world.honest.files, "link.json")
    cheat.transcript = Deaf()
    cheat.run()
    assert cheat.transcript.absorbed == absorbed_labels(world)


class SolvedY(BentArgument):
    """Chooses one entry of y_0 after the challenges, so that the relation holds."""

    def run(self, transcript, seed, session):
        witness = super().run(transcript, seed, session)
        vectors, drawn, m = witness.vectors, transcript.drawn, self.size.data_length
        # the relation is linear in y_0[0]: slot 1 holds -eps_0 c_0 y_0, slot 7 holds eta_0 delta_0 y_0
        in_slot_1 = -drawn["eps"][0] * self.scale[0] % P
        in_slot_7 = drawn["eta"][0] * drawn["delta"][0] % P
        slope = (in_slot_1 * vectors[3][0] + in_slot_7 * vectors[15][0]) % P
        step = -relation(vectors, m) * pow(slope, -1, P) % P
        vectors[2][0] = (vectors[2][0] + in_slot_1 * step) % P
        vectors[14][0] = (vectors[14][0] + in_slot_7 * step) % P
        y = list(self.ys[0][0])
        y[0] = (y[0] + step) % P
        witness.y_points[0] = self.commit([y])[0]
        return witness


def test_step_7_y_solved_after_the_challenges(swapped, tmp_path):
    """False S', one entry of y_0 solved for: a whole, valid proof of a true relation, about the wrong challenges."""
    cheat = SwappedTerms(swapped, tmp_path, *swapped.row_parts, "encoder-proof")
    cheat.argument, cheat.transcript = SolvedY, Deaf("y/0/u")
    files = cheat.run().files
    assert cheat.relation == 0
    assert proof_of(files, "link.json").instances == (0,)
    expect_rejected(verify(files, tmp_path), 7, "input")


class TailedY(BentArgument):
    """y_0 and y'_0 agree with the rows; past every e_t, their product is what the swapped terms need."""

    def bend(self, ys):
        end, (y, y_prime) = self.shape.intermediate_size, ys[0]
        sigma, tau = self.transcript.drawn["sigma"], self.transcript.drawn["tau"]
        # swapping S'_0[0][0] and S'_0[0][1] moved <S', w> by eps_0 (new_00 - new_01) sigma_0 (tau_0 - tau_1),
        # and so must eps_0 c_0 <y_0, y'_0> move
        y[end] = (self.s_prime[0] - self.s_prime[1]) * sigma[0] * (tau[0] - tau[1]) % P
        y_prime[end] = pow(self.scale[0], -1, P)
        return ys


def test_step_8_y_with_garbage_past_its_length(swapped, tmp_path):
    """rho and rho' are drawn over all M entries; were they zero past e_t, this relation would hold."""

    class Liar(SwappedTerms):
        argument = TailedY
        claim_zero = True

    cheat = Liar(swapped, tmp_path, *swapped.row_parts, "encoder-proof")
    cheat.transcript = Deaf()
    files = cheat.run().files
    end = swapped.source.shape.intermediate_size
    weaker = [list(vector) for vector in cheat.vectors]
    for index in (15, 19):  # rho, rho'
        weaker[index][end:] = [0] * (len(weaker[index]) - end)
    assert relation(weaker, cheat.size.data_length) == 0
    assert cheat.relation != 0
    expect_rejected(verify(files, tmp_path), 8, "proof")


class HiddenDimensions(CheatingProver):
    """Rows of X, q and k of the first committed block go on past d, and S' counts what they hide."""

    claim_zero = True
    parts = (0, 1, 2)  # embedding, q, k: committed anew

    def __init__(self, world, folder):
        super().__init__(world, folder, *[p for i, p in enumerate(world.row_parts) if i not in self.parts])
        self.hidden = self.hide({name: wider(m, 4) for name, m in list(self.source.matrices.by_name.items())[:3]})
        self.source = replace(self.source, terms=self.terms_with_hidden())

    def hide(self, matrices):
        """Write into the columns past d."""
        for entries in matrices.values():
            entries[:, -4:] = (np.arange(len(entries))[:, None] * [3, 5, 7, 11] % 101) - 50
        return matrices

    def terms_with_hidden(self):
        matrices = {**self.source.matrices.by_name, **self.hidden}
        same_width = {
            name: m if m.shape[1] > self.source.shape.hidden_size else wider(m, 4) for name, m in matrices.items()
        }
        return projected_terms(same_width, self.source.shape, self.source.projection)

    def salted_matrices(self):
        honest = super().salted_matrices()
        return honest | {n: SaltedMatrix.of(n, m, self.seed, self.size.k) for n, m in self.hidden.items()}


class HiddenWithoutEffect(HiddenDimensions):
    """What is hidden leaves the terms as they are, so the honest S' and encoder proof serve."""

    def s_prime(self):
        return honest_s_prime(self.world, self.job.folder)

    def encoder_proof(self, s_prime):
        return proof_of(self.world.honest.files, "encoder.json")


def test_step_8_hidden_dimensions_past_d(world, tmp_path):
    """S', the encoder's run, the y and the rows all agree; only kappa sees that rows do not end at d."""
    cheat = HiddenDimensions(world, tmp_path)
    assert (cheat.source.terms[0] != world.source.terms[0]).any()
    files = cheat.run().files
    assert relation(cheat.vectors[:22], cheat.size.data_length) == 0  # all slots but the last
    assert cheat.relation != 0
    expect_rejected(verify(files, tmp_path), 8, "proof")


def test_step_8_hidden_dimensions_that_cancel_inside_a_bucket(world, tmp_path):
    """Two rows of X in one bucket of P hide opposite values: a, b, u* and v* end at d, only x* does not."""

    class Cancelling(HiddenWithoutEffect):
        parts = (0,)

        def hide(self, matrices):
            by, name = self.source.projection, "embedding"
            first, second = np.flatnonzero(by.bucket == 0)[:2]
            matrices[name][first, -1], matrices[name][second, -1] = 50 * by.sign[first], -50 * by.sign[second]
            return {name: matrices[name]}

    cheat = Cancelling(world, tmp_path)
    assert (cheat.source.terms == world.source.terms).all()
    files = cheat.run().files
    m, kappa = cheat.size.data_length, cheat.vectors[23]
    assert inner(cheat.vectors[17][:m], kappa[:m]) == 0  # a
    assert inner(cheat.vectors[21][:m], kappa[:m]) == 0  # b
    assert cheat.relation != 0
    expect_rejected(verify(files, tmp_path), 8, "proof")


@pytest.mark.parametrize("part", [1, 2], ids=["U", "V"])
def test_step_8_hidden_dimensions_of_one_factor(world, tmp_path, part):
    """q or k alone goes on past d: no product sees that, kappa does. (There is no proof behind the columns.)"""

    class OneFactor(HiddenWithoutEffect):
        parts = (part,)
        graft_from = proof_of(world.honest.files, "link.json")

        def hide(self, matrices):
            return super().hide(dict([list(matrices.items())[part]]))

    cheat = OneFactor(world, tmp_path)
    assert (cheat.source.terms == world.source.terms).all()
    files = cheat.run().files
    assert relation(cheat.vectors[:22], cheat.size.data_length) == 0
    assert cheat.relation != 0
    expect_rejected(verify(files, tmp_path), 8, "proof")


@pytest.mark.parametrize(("factor", "step"), [(1.05, 6), (0, 2), (-1, 2)])
def test_scale_integers_leave_no_freedom(world, tmp_path, factor, step):
    """c_0 off by 5% fails the norms (step 6); zero, or negative modulo p, is out of range (step 2)."""

    class Liar(CheatingProver):
        graft_from = proof_of(world.honest.files, "link.json")

        def scale_integers(self):
            c = super().scale_integers()
            return (P - c[0] if factor == -1 else round(c[0] * factor), *c[1:])

        def encoder_proof(self, s_prime):
            return super().encoder_proof(s_prime) if step == 6 else proof_of(world.honest.files, "encoder.json")

    files = Liar(world, tmp_path, *world.row_parts).run().files
    expect_rejected(verify(files, tmp_path), step, "norm" if step == 6 else "c[0]")
