"""The rules that follow from what ezkl 23.0.5 does (docs/ezkl-notes.md): a test for each, of this project's own guards.

Circuits here have a domain of 2^8 rows. What is proven falsely is proven under the published arguments, and refused.
"""

from __future__ import annotations

import json
from dataclasses import replace
from fractions import Fraction

import numpy as np
import onnx
import pytest
from py_ecc import optimized_bn128 as curve

from circuits import ezkl_worker, keys
from circuits.activations import load_activation_circuit
from circuits.curve_files import (
    scalars,
)
from circuits.errors import CircuitError
from circuits.profiles import CIRCUITS
from circuits.size_classes import FIELD_MODULUS as P
from prover.commitments.jobs import Job
from prover.fingerprint.proving import prove_part
from prover.progress import Progress
from prover.terms.terms import scale_integers
from tests.circuits.graphs import (
    LEFT,
    LENGTH,
    RANGE,
    RIGHT,
    matrix_product,
    range_check,
    weights_times,
)
from tests.circuits.slow_curve import from_ecc, lagrange_points, sum_of_products, to_ecc
from tests.circuits.small import (
    TIME_LIMIT_S,
    USABLE_ROWS,
    Circuit,
    K,
    compile_graph,
    ezkl_accepts,
    ezkl_finds_a_witness,
    integers,
    proof_file,
)

# ---------------------------------------- rule 1: Freivalds' check off


def test_rule_1_another_graph_with_the_honest_proving_key(folder, small_srs):
    """With the published arguments the proof of a wrong matrix product is refused."""
    honest = compile_graph(matrix_product(False), folder / "product", small_srs, "link").set_up()
    evil = compile_graph(matrix_product(True), folder / "product-evil", small_srs, "link")
    left, right = np.arange(12).reshape(3, 4), np.arange(20).reshape(4, 5)
    vectors = [left.reshape(-1).tolist(), right.reshape(-1).tolist()]
    true = honest.prove(vectors)
    forged = evil.prove(vectors, keys_of=honest, checked=False)
    assert integers(true) == (left @ right).reshape(-1).tolist()
    assert integers(forged) == (left @ right)[::-1].reshape(-1).tolist() != integers(true)
    proofs = [proof_file(honest.folder / "true", true), proof_file(honest.folder / "forged", forged)]
    assert ezkl_accepts([(proof, honest.settings, honest.vk, small_srs) for proof in proofs]) == [True, False]


@pytest.mark.parametrize("circuit", CIRCUITS)
def test_rule_1_published_settings(profile, circuit):
    settings = json.loads(profile.circuit(circuit).settings.read_text())
    assert settings["run_args"]["disable_freivalds"] is True
    assert settings["einsum_params"]["total_einsum_col_size"] == 0
    assert settings["einsum_params"]["equations"], "this circuit has no einsum: is the check above still about it?"
    assert settings["version"] == "23.0.5"
    wanted = keys.run_args(circuit, profile.size)
    for name, value in wanted.items():
        if not name.endswith("visibility"):
            assert settings["run_args"][name] == value, name
    keys.check_settings(profile.circuit(circuit).settings, circuit, profile.size)


BROKEN_SETTINGS = {
    "disable_freivalds": lambda s: s["run_args"].update(disable_freivalds=False),
    "total_einsum_col_size": lambda s: s["einsum_params"].update(total_einsum_col_size=8),
    "input_scale": lambda s: s["run_args"].update(input_scale=7),
    "param_visibility": lambda s: s["run_args"].update(param_visibility="Private"),
    "output_visibility": lambda s: s["run_args"].update(output_visibility="Private"),
    "input_visibility": lambda s: s["run_args"].update(input_visibility="Private"),
    # rule 5: nothing is hashed
    "input_visibility, hashed": lambda s: s["run_args"].update(
        input_visibility={"Hashed": {"hash_is_public": False, "outlets": []}}
    ),
    # what a range check admits: a base or a leg more, and it admits more
    "decomp_base": lambda s: s["run_args"].update(decomp_base=2 * s["run_args"]["decomp_base"]),
    "decomp_legs": lambda s: s["run_args"].update(decomp_legs=s["run_args"]["decomp_legs"] + 1),
    "decomp_legs, as a float": lambda s: s["run_args"].update(decomp_legs=float(s["run_args"]["decomp_legs"])),
    "decomp_legs, missing": lambda s: s["run_args"].pop("decomp_legs"),
    "param_scale": lambda s: s["run_args"].update(param_scale=1),
    "ignore_range_check_inputs_outputs": lambda s: s["run_args"].update(ignore_range_check_inputs_outputs=False),
    "logrows": lambda s: s["run_args"].update(logrows=13),
    "num_inner_cols": lambda s: s["run_args"].update(num_inner_cols=1),
}


@pytest.mark.parametrize("circuit", CIRCUITS)
@pytest.mark.parametrize("what", BROKEN_SETTINGS)
def test_rule_1_4_5_unsound_settings_are_refused(profile, tmp_path, circuit, what):
    settings = json.loads(profile.circuit(circuit).settings.read_text())
    BROKEN_SETTINGS[what](settings)
    path = tmp_path / "settings.json"
    path.write_text(json.dumps(settings))
    with pytest.raises(CircuitError, match=what.split(",")[0]):
        keys.check_settings(path, circuit, profile.size)


@pytest.mark.parametrize("content", ["", "nonsense", "[]", '{"run_args":{}}'])
def test_rule_1_what_is_no_settings_is_refused(profile, tmp_path, content):
    (tmp_path / "settings.json").write_text(content)
    with pytest.raises(CircuitError, match="not settings of a circuit"):
        keys.check_settings(tmp_path / "settings.json", "link", profile.size)


@pytest.mark.parametrize("bounds", [[-2040, 2041], [-2041, 2040], [-32768, 32768], None])
def test_rule_3_another_table_is_refused(profile, tmp_path, bounds):
    """The sigmoid's table is what a gate entry is checked against."""
    files = load_activation_circuit(profile).circuit.files
    keys.check_settings(files.settings, files.name, profile.size)
    settings = json.loads(files.settings.read_text())
    settings["run_args"]["lookup_range"] = bounds
    (tmp_path / "settings.json").write_text(json.dumps(settings))
    with pytest.raises(CircuitError, match="lookup_range"):
        keys.check_settings(tmp_path / "settings.json", files.name, profile.size)


@pytest.fixture
def unsound(profile, tmp_path, monkeypatch) -> keys.Published:
    """The published link circuit with settings that lack the switch, beside a key that is there; ezkl is not asked."""
    published = keys.published_circuit(profile, "link")
    settings = json.loads(published.files.settings.read_text())
    settings["run_args"]["disable_freivalds"] = False
    (tmp_path / "settings.json").write_text(json.dumps(settings))
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path))
    folder = keys.cache_folder() / "keys" / published.vk_sha256
    folder.mkdir(parents=True)
    for name in ("pk.key", "circuit.ezkl"):
        (folder / name).touch()
    monkeypatch.setattr(ezkl_worker, "call", lambda *_, **__: pytest.fail("ezkl was called"))
    return replace(published, files=replace(published.files, settings=tmp_path / "settings.json"))


def test_rule_1_building_keys_checks_settings_first(unsound, tmp_path):
    with pytest.raises(CircuitError, match="disable_freivalds"):
        keys.build(unsound.files, unsound.size, unsound.srs, tmp_path)


def test_rule_1_proving_checks_settings_first(unsound, tmp_path):
    """Also with a key that was built before."""
    vectors = [[0] * unsound.size.length] * 24
    with pytest.raises(CircuitError, match="disable_freivalds"):
        prove_part(Job(tmp_path), "link-proof", unsound, vectors, unsound.size, Progress.silent())


# ---------------------------------------- rule 2: the commitment is the first bytes of the proof


def test_rule_2_commitments_are_the_first_bytes_of_a_proof(inner, inner_proof):
    """Inputs first, 64 bytes each, x then y, big-endian; and they are what `kzg_commit` says."""
    proof = bytes.fromhex(inner_proof["proof"])
    assert inner.commit([LEFT, RIGHT]) == [proof[:64], proof[64:128]]


def test_rule_2_b_is_a_constant_of_the_circuit(inner, small_srs):
    """C_ezkl(v) = sum v_i L_i + B, and B = kzg_commit([0]): the blinding rows hold 1."""
    column, b = inner.commit([LEFT, [0]])
    c = from_ecc(curve.add(to_ecc(column), curve.neg(to_ecc(b))))
    points = lagrange_points(small_srs, 2**K)
    assert c == sum_of_products(LEFT, points[:LENGTH])
    assert b == sum_of_products([1] * (2**K - USABLE_ROWS), points[USABLE_ROWS:])


def test_rule_2_the_first_bytes_tell_two_proofs_apart(inner, inner_proof):
    """Two vectors of the same public value: what is proven is the same, what it is about is not."""
    other = inner.prove([[2**200, P - 5, 4, *range(LENGTH - 4), LENGTH - 5], RIGHT])
    assert integers(other) == integers(inner_proof)
    assert other["proof"][:128] != inner_proof["proof"][:128]
    assert other["proof"][128:256] == inner_proof["proof"][128:256]  # the same right side


def test_usable_rows(inner, profile):
    """A message of exactly the usable rows gives two points; that is how `publish` finds their number."""
    for count, points in ((USABLE_ROWS - 1, 1), (USABLE_ROWS, 2)):
        (inner.folder / "message").write_bytes(bytes(32 * count))
        found = ezkl_worker.call(
            "commit",
            time_limit_s=TIME_LIMIT_S,
            messages=inner.folder / "message",
            out=inner.folder / "points",
            vk=inner.vk,
            settings=inner.settings,
            srs=inner.srs,
        )
        assert found == points
    assert all(profile.circuit(c).usable_rows >= profile.size.length for c in CIRCUITS)


# ---------------------------------------- rule 3: range checks are the model's business


def test_rule_3_the_link_circuit_takes_whole_field_elements(folder, inner, inner_proof):
    """It checks no range and needs none: the encoder circuit, which needs one, has it in its graph (below)."""
    assert integers(inner_proof) == [sum(LEFT) % P]
    proof = proof_file(folder / "unchecked", inner_proof)
    assert ezkl_accepts([(proof, inner.settings, inner.vk, inner.srs)]) == [True]


@pytest.fixture(scope="session")
def division(folder, small_srs) -> Circuit:
    return compile_graph(range_check(norms=False), folder / "division", small_srs).set_up()


UNIT = 2**10
OUT_OF_RANGE = {
    "one too many": RANGE * UNIT,
    "one too few": P - RANGE * UNIT,
    "2^200": 2**200,
    "a field element": P // 3,
}


def test_rule_3_division_keeps_the_bits_it_should(folder, small_srs):
    circuit = compile_graph(range_check(norms=True), folder / "norms", small_srs).set_up()
    answer = circuit.prove([[2**26, P - 2**25, 2**24 + 2**23, 0, 0, 0]])
    assert integers(answer) == [(2**32 + 2**30) >> 16, (3 * 2**13) ** 2 >> 16]


def test_rule_3_the_whole_range_is_there(division):
    edge = (RANGE - 1) * UNIT
    assert integers(division.prove([[edge, P - edge, edge, 0, 5, P // 3]])) == [0, RANGE - 1]


@pytest.mark.parametrize("what", OUT_OF_RANGE)
def test_rule_3_division_is_a_range_check(division, what):
    """The two entries cancel, so that no other constraint of this circuit could see them."""
    value = OUT_OF_RANGE[what]
    with pytest.raises(CircuitError, match=r"generate witness"):
        division.prove([[value, P - value, 0, 0, 0, 0]])


def test_rule_3_the_range_check_is_part_of_the_key(folder, small_srs, division):
    """A circuit whose digits are larger has another key, and its proof of an entry out of range is refused."""
    evil = compile_graph(range_check(norms=False), folder / "more-digits", small_srs, decomp_base=64).set_up()
    assert evil.vk.read_bytes() != division.vk.read_bytes()
    answer = evil.prove([[RANGE * UNIT, 0, 0, 0, 0, 0]])
    assert integers(answer) == [RANGE, 0]
    proof = proof_file(folder / "out-of-range", answer)
    jobs = [(proof, circuit.settings, circuit.vk, small_srs) for circuit in (evil, division)]
    assert ezkl_accepts(jobs) == [True, False]


@pytest.mark.parametrize("what", [None, *OUT_OF_RANGE])
def test_rule_3_published_encoder_refuses_entries_out_of_range(profile, source, tmp_path, what):
    """S' with one entry out of range has no proof under the published circuit; without it (None) a witness is there."""
    key, files = keys.proving_key(profile, "encoder"), profile.circuit("encoder")
    c = scale_integers(source.terms, profile.g, profile.shift, profile.document["scale"]["c_min"])
    s_prime = [factor * int(x) for factor, term in zip(c, source.terms, strict=True) for x in term.reshape(-1)]
    s_prime += [0] * (profile.size.length - len(s_prime))
    if what is None:
        assert ezkl_finds_a_witness(key.compiled, files.vk, profile.srs, [s_prime], tmp_path)
        return
    edge = profile.size.decomposition_base**profile.size.decomposition_legs
    edge <<= profile.shift - profile.document["features"]["scale"]
    s_prime[77] = {"one too many": edge, "one too few": P - edge}.get(what, OUT_OF_RANGE[what])
    path = tmp_path / "vectors"
    path.write_bytes(scalars(s_prime))
    with pytest.raises(CircuitError, match=r"generate witness"):
        ezkl_worker.call(
            "prove",
            time_limit_s=120,
            vectors=path,
            lengths=[len(s_prime)],
            compiled=key.compiled,
            pk=key.pk,
            vk=files.vk,
            settings=files.settings,
            srs=profile.srs,
        )


def test_rule_3_nothing_in_the_published_encoder_reads_past_the_check(profile):
    """In the published graph the committed vector has one reader, the slice, and that one reader, the division."""
    graph = onnx.load(str(profile.circuit("encoder").onnx)).graph
    (committed,) = [value.name for value in graph.input]
    (cut,) = [node for node in graph.node if committed in node.input]
    (division,) = [node for node in graph.node if cut.output[0] in node.input]
    assert (cut.op_type, division.op_type) == ("Slice", "Div")
    (divisor,) = [onnx.numpy_helper.to_array(t) for t in graph.initializer if t.name == division.input[1]]
    assert divisor.tolist() == [2.0**profile.shift]


# ---------------------------------------- rule 4: fixed parameters


def test_rule_4_weights(folder, small_srs):
    """Fixed weights are part of the key, and other weights' proofs are refused."""
    weights = np.arange(12).reshape(3, 4) - 5
    honest = compile_graph(weights_times(weights), folder / "weights", small_srs, "link").set_up()
    others = weights_times(weights + np.eye(3, 4, dtype=int))
    evil = compile_graph(others, folder / "weights-evil", small_srs, "link").set_up()
    assert honest.vk.read_bytes() != evil.vk.read_bytes()
    forged = evil.prove([[1, 2, 3]], keys_of=honest, checked=False)
    proof = proof_file(honest.folder / "forged", forged)
    assert ezkl_accepts([(proof, honest.settings, honest.vk, small_srs)]) == [False]


# ---------------------------------------- rule 6: rescaling may round either way


def bound(target: int, c: int) -> Fraction:
    """docs/protocol.md, section 6: T/c_t + T/2^12 + 2."""
    return Fraction(target, c) + Fraction(target, 2**12) + 2


def test_rule_6_the_norms_bound_covers_the_provers_freedom(profile, source):
    """Every element may be one unit off, at the prover's choice (ezkl checks no more of a rescale than its remainder).

    ezkl's own witness rounds in one way and offers no other, so the freedom is computed: the worst that it does to a
    norm is all elements moved away from zero, or all towards it. Both stay inside the bound; a c_t 0.1% off does not.
    """
    scale, g = profile.document["features"]["scale"], profile.g
    target = g**2 << scale
    c = scale_integers(source.terms, g, profile.shift, profile.document["scale"]["c_min"])
    flat = np.full((g, g), 2**profile.shift, dtype=object)  # by Cauchy-Schwarz, no term of this norm moves further
    for term, factor in [*zip(source.terms, c, strict=True), (flat, 1 << 31)]:
        entries = [int(x) * (factor if term is not flat else 1) for x in np.asarray(term, dtype=object).reshape(-1)]
        step = 1 << (profile.shift - scale)
        for away in (1, 0, -1):
            moved = [(abs(x) // step) + (1 if away == 1 else 0) - (1 if away == -1 and x else 0) for x in entries]
            norm = sum(x * x for x in moved) >> scale
            for rounded in (norm - 1, norm, norm + 1):  # the norm's own rescale
                assert abs(rounded - target) <= bound(target, factor)
        off = [x * 1001 // 1000 // step for x in entries]
        assert abs((sum(x * x for x in off) >> scale) - target) > bound(target, factor)


def test_rule_6_the_verifier_uses_that_bound(profile):
    """The largest norm the verifier takes is the largest that section 6 allows, on both sides."""
    from verifier.fingerprint.encoder import check_norms
    from verifier.formats.errors import Rejected
    from verifier.trust.profile import load_profile

    trusted = load_profile(profile.name)
    target = profile.g**2 << profile.document["features"]["scale"]
    for c in (1024, 1_000_003, 2**32 - 1):
        room = int(bound(target, c))
        for norm in (target - room, target, target + room):
            check_norms([norm] * 6, [c] * 6, trusted)
        for norm in (target - room - 1, target + room + 1):
            with pytest.raises(Rejected):
                check_norms([*[target] * 5, norm], [c] * 6, trusted)


# ---------------------------------------- rule 7: proofs are verified before they are kept


def test_rule_7_the_worker_refuses_a_proof_that_does_not_verify(folder, small_srs):
    """The worker's `prove` verifies what it made."""
    honest = compile_graph(matrix_product(False), folder / "invalid", small_srs, "link").set_up()
    evil = compile_graph(matrix_product(True), folder / "invalid-evil", small_srs, "link")
    vectors = [list(range(12)), list(range(20))]
    assert evil.prove(vectors, keys_of=honest, checked=False)["proof"]
    with pytest.raises(CircuitError, match=r"(?i)verif"):
        evil.prove(vectors, keys_of=honest)
