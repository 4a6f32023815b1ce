"""What ezkl 23.0.5 really does, and the rules that follow: a test for each, on circuits with a domain of 2^8 rows.

The tests that say "ezkl accepts" are why a rule is there. Should one of them fail with a later ezkl, the rule has lost
its reason, or its form; nothing is wrong with this project then. The others must hold whatever ezkl does.
"""

from __future__ import annotations

import json
import shutil
import time
from fractions import Fraction

import numpy as np
import onnx
import pytest
from click.testing import CliRunner
from onnx import helper
from py_ecc import optimized_bn128 as curve

from circuits import ezkl_worker, keys, srs
from circuits.cli import srs_group
from circuits.curve_files import (
    IDENTITY,
    CurveFile,
    from_file_form,
    negate,
    read_curve_file,
    scalars,
    to_file_form,
    write_bases,
)
from circuits.digests import sha256_file
from circuits.errors import CircuitError, SrsError
from circuits.profiles import CIRCUITS
from circuits.size_classes import FIELD_MODULUS as P
from prover.terms import scale_integers
from tests.circuits.small import (
    TIME_LIMIT_S,
    USABLE_ROWS,
    Circuit,
    K,
    compile_graph,
    ezkl_accepts,
    ezkl_finds_a_witness,
    integers,
    model,
    proof_file,
)

LENGTH = 40


# ---------------------------------------- circuits


@pytest.fixture(scope="session")
def folder(tmp_path_factory):
    return tmp_path_factory.mktemp("small-circuits")


@pytest.fixture(scope="session")
def small_srs(folder):
    path = folder / "k8.srs"
    srs.generate_development(path, K)
    return path


def inner_product() -> onnx.ModelProto:
    """What the link circuit is made of: <left, right>."""
    nodes = [
        helper.make_node("Einsum", ["left", "right"], ["sum"], equation="i,i->"),
        helper.make_node("Reshape", ["sum", "one"], ["relation"]),
    ]
    return model(nodes, {"left": [LENGTH], "right": [LENGTH]}, ("relation", [1]), {"one": np.array([1])})


def matrix_product(reverse: bool) -> onnx.ModelProto:
    """A 3 x 4 times 4 x 5 product, its rows reversed afterwards if `reverse`."""
    nodes = [helper.make_node("MatMul", ["left", "right"], ["before" if reverse else "product"])]
    if reverse:
        nodes.append(helper.make_node("Gather", ["before", "order"], ["product"], axis=0))
    order = {"order": np.array([2, 1, 0])} if reverse else {}
    return model(nodes, {"left": [3, 4], "right": [4, 5]}, ("product", [3, 5]), order)


def weights_times(weights: np.ndarray) -> onnx.ModelProto:
    """A vector times public weights."""
    node = helper.make_node("MatMul", ["x", "weights"], ["y"])
    return model([node], {"x": [1, 3]}, ("y", [1, 4]), {"weights": weights.astype(np.float32)})


DIVISION_SHIFT = 26  # with 16 fractional bits kept, entries are divided by 2^10; 4 legs of base 32 hold 2^20
RANGE = 2**20


def range_check(norms: bool) -> onnx.ModelProto:
    """The head of the encoder circuit: slice, division, and the norms of two rows of two; or else two differences."""
    nodes = [
        helper.make_node("Slice", ["committed", "start", "end", "axis"], ["entries"]),
        helper.make_node("Div", ["entries", "divisor"], ["checked"]),
        helper.make_node("Reshape", ["checked", "shape"], ["rows"]),
    ]
    if norms:
        nodes.append(helper.make_node("Einsum", ["rows", "rows"], ["result"], equation="ta,ta->t"))
    else:  # nothing but the division looks at how large an entry is
        nodes.append(helper.make_node("ReduceSum", ["rows", "last_axis"], ["result"], keepdims=0))
    constants = {
        "start": np.array([0]),
        "end": np.array([4]),
        "axis": np.array([0]),
        "divisor": np.array([2.0**DIVISION_SHIFT], dtype=np.float32),
        "shape": np.array([2, 2]),
        "last_axis": np.array([1]),
    }
    return model(nodes, {"committed": [6]}, ("result", [2]), constants)


@pytest.fixture(scope="session")
def inner(folder, small_srs) -> Circuit:
    return compile_graph(inner_product(), folder / "inner", small_srs, "link").set_up()


LEFT = [2**200, P - 5, 3, *range(LENGTH - 3)]
RIGHT = [1] * LENGTH


@pytest.fixture(scope="session")
def inner_proof(inner) -> dict:
    return inner.prove([LEFT, RIGHT])


# ---------------------------------------- rule 1: Freivalds' check off


@pytest.mark.parametrize("disable_freivalds", [False, True])
def test_rule_1_another_graph_with_the_honest_proving_key(folder, small_srs, disable_freivalds):
    """ezkl's default accepts a proof of a wrong matrix product; without Freivalds' check it does not."""
    name = f"freivalds-{disable_freivalds}"
    args = {"disable_freivalds": disable_freivalds}
    honest = compile_graph(matrix_product(False), folder / name, small_srs, "link", **args).set_up()
    evil = compile_graph(matrix_product(True), folder / f"{name}-evil", small_srs, "link", **args)
    left, right = np.arange(12).reshape(3, 4), np.arange(20).reshape(4, 5)
    vectors = [left.reshape(-1).tolist(), right.reshape(-1).tolist()]
    true = honest.prove(vectors)
    forged = evil.prove(vectors, keys_of=honest, checked=False)
    assert integers(true) == (left @ right).reshape(-1).tolist()
    assert integers(forged) == (left @ right)[::-1].reshape(-1).tolist() != integers(true)
    proofs = [proof_file(honest.folder / "true", true), proof_file(honest.folder / "forged", forged)]
    verdicts = ezkl_accepts([(proof, honest.settings, honest.vk, small_srs) for proof in proofs])
    assert verdicts == [True, not disable_freivalds]


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
    keys.check_settings(profile.circuit(circuit).settings)


BROKEN_SETTINGS = {
    "disable_freivalds": lambda s: s["run_args"].update(disable_freivalds=False),
    "total_einsum_col_size": lambda s: s["einsum_params"].update(total_einsum_col_size=8),
    "input_scale": lambda s: s["run_args"].update(input_scale=7),
    "param_visibility": lambda s: s["run_args"].update(param_visibility="Private"),
    "output_visibility": lambda s: s["run_args"].update(output_visibility="Private"),
    "input_visibility": lambda s: s["run_args"].update(input_visibility="Private"),
    # rule 5: hashed inputs print a hash that no constraint ties to them
    "input_visibility, hashed": lambda s: s["run_args"].update(
        input_visibility={"Hashed": {"hash_is_public": False, "outlets": []}}
    ),
}


@pytest.mark.parametrize("circuit", CIRCUITS)
@pytest.mark.parametrize("what", BROKEN_SETTINGS)
def test_rule_1_4_5_unsound_settings_are_refused(profile, tmp_path, circuit, what):
    settings = json.loads(profile.circuit(circuit).settings.read_text())
    BROKEN_SETTINGS[what](settings)
    path = tmp_path / "settings.json"
    path.write_text(json.dumps(settings))
    with pytest.raises(CircuitError, match=what.split(",")[0]):
        keys.check_settings(path)


def test_rule_1_building_keys_checks_settings_first(profile, tmp_path, monkeypatch):
    """`build` is the only way to a key, and it refuses before ezkl is asked."""
    broken = tmp_path / "settings.json"
    settings = json.loads(profile.circuit("link").settings.read_text())
    settings["run_args"]["disable_freivalds"] = False
    broken.write_text(json.dumps(settings))
    files = profile.circuit("link")
    monkeypatch.setattr(ezkl_worker, "call", lambda *_, **__: pytest.fail("ezkl was called"))
    with pytest.raises(CircuitError, match="disable_freivalds"):
        keys.build(type(files)(files.name, files.onnx, broken, files.vk, 0, 0), profile.srs, tmp_path)


# ---------------------------------------- rule 2: the commitment is the first bytes of the proof


def to_ecc(point: bytes):
    x, y = int.from_bytes(point[:32], "big"), int.from_bytes(point[32:], "big")
    if (x, y) == (0, 0):
        return curve.Z1
    assert curve.is_on_curve((curve.FQ(x), curve.FQ(y), curve.FQ(1)), curve.b)
    return curve.FQ(x), curve.FQ(y), curve.FQ(1)


def from_ecc(point) -> bytes:
    if curve.is_inf(point):
        return IDENTITY
    x, y = curve.normalize(point)
    return int(x).to_bytes(32, "big") + int(y).to_bytes(32, "big")


def sum_of_products(values, points: list[bytes]) -> bytes:
    """sum_i v_i P_i, the slow and obvious way."""
    total = curve.Z1
    for value, point in zip(values, points, strict=True):
        total = curve.add(total, curve.multiply(to_ecc(point), value % P))
    return from_ecc(total)


def lagrange_points(path, count: int) -> list[bytes]:
    return [from_file_form(raw) for raw in read_curve_file(path).lagrange_at(range(count))]


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


def test_rule_2_a_relation_says_nothing_about_the_vectors(folder, inner, inner_proof):
    """Two proofs of the same public value about two vectors are both accepted: only the first bytes tell them apart."""
    other = inner.prove([[2**200, P - 5, 4, *range(LENGTH - 4), LENGTH - 5], RIGHT])
    assert integers(other) == integers(inner_proof)
    jobs = [
        (proof_file(folder / f"same-{i}", p), inner.settings, inner.vk, inner.srs)
        for i, p in enumerate((other, inner_proof))
    ]
    assert ezkl_accepts(jobs) == [True, True]
    assert other["proof"][:128] != inner_proof["proof"][:128]


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


def test_rule_3_inputs_are_not_range_checked(folder, inner, inner_proof):
    """The link circuit takes whole field elements, and ezkl accepts: it is right there and would be wrong elsewhere."""
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


def test_rule_3_the_range_check_is_a_constraint(folder, small_srs, division):
    """A prover whose own settings allow larger digits gets no proof from the honest key: the table of digits is in it.

    ezkl may well hang there (a thread that finds no such digit dies), hence the short time limit.
    """
    evil = compile_graph(range_check(norms=False), folder / "more-digits", small_srs, decomp_base=64).set_up()
    vectors = [[RANGE * UNIT, 0, 0, 0, 0, 0]]
    assert integers(evil.prove(vectors)) == [RANGE, 0]
    try:
        forged = evil.prove(vectors, keys_of=division, checked=False, time_limit_s=5)
    except CircuitError:
        return
    proof = proof_file(folder / "out-of-range", forged)
    assert ezkl_accepts([(proof, division.settings, division.vk, small_srs)]) == [False]


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


@pytest.mark.parametrize("visibility", ["fixed", "private"])
def test_rule_4_weights(folder, small_srs, visibility):
    """Fixed weights are part of the key, and other weights' proofs are refused. Private ones are bound to nothing."""
    weights = np.arange(12).reshape(3, 4) - 5
    others = weights + np.eye(3, 4, dtype=int)
    name, args = f"weights-{visibility}", {"param_visibility": visibility}
    honest = compile_graph(weights_times(weights), folder / name, small_srs, "link", **args).set_up()
    evil = compile_graph(weights_times(others), folder / f"{name}-evil", small_srs, "link", **args).set_up()
    fixed = visibility == "fixed"
    assert (honest.vk.read_bytes() == evil.vk.read_bytes()) is not fixed
    forged = evil.prove([[1, 2, 3]], keys_of=honest, checked=False)
    proof = proof_file(honest.folder / "forged", forged)
    assert ezkl_accepts([(proof, honest.settings, honest.vk, small_srs)]) == [not fixed]


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
    from verifier.encoder import check_norms
    from verifier.errors import Rejected
    from verifier.profile import load_profile

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
    """`ezkl.prove` gives an invalid proof without a word; the worker's `prove` verifies it and raises."""
    honest = compile_graph(matrix_product(False), folder / "invalid", small_srs, "link").set_up()
    evil = compile_graph(matrix_product(True), folder / "invalid-evil", small_srs, "link")
    vectors = [list(range(12)), list(range(20))]
    assert evil.prove(vectors, keys_of=honest, checked=False)["proof"]
    with pytest.raises(CircuitError, match=r"(?i)verif"):
        evil.prove(vectors, keys_of=honest)


# ---------------------------------------- what ezkl.verify accepts that we must not

FIVE = "05" + "00" * 31
IGNORED = {
    "hex_proof of another proof": {"hex_proof": "0x" + "00" * 64},
    "pretty_public_inputs that say another value": {
        "pretty_public_inputs": {
            "rescaled_inputs": [],
            "inputs": [],
            "processed_inputs": [],
            "processed_params": [],
            "processed_outputs": [],
            "rescaled_outputs": [["5"]],
            "outputs": [["0x05"]],
        }
    },
}


@pytest.mark.parametrize("what", IGNORED)
def test_verify_ignores_what_people_read(folder, inner, inner_proof, what):
    """Why link.json and encoder.json have no such fields, and the verifier refuses them."""
    proof = proof_file(folder / "edited", inner_proof, **IGNORED[what])
    assert ezkl_accepts([(proof, inner.settings, inner.vk, inner.srs)]) == [True]


def test_verify_ignores_trailing_bytes_and_scales(folder, inner, inner_proof):
    """Why lengths are exact, and settings.json is pinned by digest together with the key."""
    longer = proof_file(folder / "longer", inner_proof, proof=[*bytes.fromhex(inner_proof["proof"]), 1, 2, 3])
    honest = proof_file(folder / "honest", inner_proof)
    vk, settings = folder / "longer.vk", folder / "scales.json"
    vk.write_bytes(inner.vk.read_bytes() + b"more")
    document = json.loads(inner.settings.read_text())
    document["model_output_scales"] = [7]
    document["run_args"]["input_scale"] = 9
    settings.write_text(json.dumps(document))
    jobs = [
        (longer, inner.settings, inner.vk, inner.srs),
        (honest, inner.settings, vk, inner.srs),
        (honest, settings, inner.vk, inner.srs),
    ]
    assert ezkl_accepts(jobs) == [True, True, True]


def test_verify_does_compare_proof_and_instances(folder, inner, inner_proof):
    """The control: ezkl refuses a cut proof, a flipped bit, another value, no value."""
    proof, instances = bytes.fromhex(inner_proof["proof"]), inner_proof["instances"]
    flipped = bytearray(proof)
    flipped[200] ^= 1
    changes = [
        {"proof": list(proof[:-1])},
        {"proof": list(flipped)},
        {"instances": [[FIVE]]},
        {"instances": [[]]},
        {"instances": [[*instances[0], FIVE]]},
    ]
    files = [proof_file(folder / f"wrong-{i}", inner_proof, **change) for i, change in enumerate(changes)]
    assert ezkl_accepts([(file, inner.settings, inner.vk, inner.srs) for file in files]) == [False] * 5


# ---------------------------------------- determinism


def test_setup_is_deterministic(inner):
    """Same ONNX, settings and SRS: the same verification key, byte for byte, so that anybody can rebuild it."""
    before = inner.vk.read_bytes()
    again = Circuit(inner.folder / "again", inner.srs)
    again.folder.mkdir()
    shutil.copy(inner.settings, again.settings)
    ezkl_worker.call(
        "compile",
        time_limit_s=TIME_LIMIT_S,
        onnx=inner.folder / "circuit.onnx",
        settings=again.settings,
        out=again.compiled,
    )
    assert again.set_up().vk.read_bytes() == before


def test_settings_are_published_not_generated(profile):
    """`gen_settings` is not deterministic, so the published file itself is pinned, with its digest."""
    for circuit in CIRCUITS:
        files = profile.circuit(circuit)
        assert sha256_file(files.settings) == profile.document["circuits"][circuit]["settings"]


# ---------------------------------------- curve files


def test_commit_with_the_srs_of_another_k_is_silently_wrong(folder, inner):
    """Why a size class names exactly one SRS file, and B and C are never computed with a larger one."""
    larger = folder / "k9.srs"
    srs.generate_development(larger, K + 1)
    assert inner.commit([[1, 2, 3]], srs=larger) != inner.commit([[1, 2, 3]])
    assert sum_of_products([1, 2, 3], lagrange_points(larger, 3)) not in inner.commit([[1, 2, 3]], srs=larger)


def bases_over(points: list[bytes], inner: Circuit, path):
    raw = [to_file_form(point) for point in points]
    g2 = read_curve_file(inner.srs).g2
    return write_bases(path, raw, g2, 2**K - USABLE_ROWS, inner.vk, inner.settings)


@pytest.mark.parametrize("count", [1, 10, 11, 26])
def test_bases_equal_the_slow_way(inner, tmp_path, count):
    """`Bases.multiply` against py_ecc: any points, any scalars, short messages, several at once."""
    rng = np.random.default_rng(count)
    points = [from_ecc(curve.multiply(curve.G1, int(x))) for x in rng.integers(1, 2**60, count)]
    messages = [[int.from_bytes(rng.bytes(32), "big") % P for _ in range(count)], [1] * count, [P - 1], [0] * count]
    bases = bases_over(points, inner, tmp_path / "bases")
    found = bases.multiply([scalars(m) for m in messages])
    assert found == [sum_of_products(m, points[: len(m)]) for m in messages]
    assert found[-1] == IDENTITY


def test_bases_that_cancel_and_bases_that_are_nothing(inner, tmp_path):
    """The identity as a base, as a partial sum and as a result."""
    point = from_ecc(curve.multiply(curve.G1, 12345))
    bases = bases_over([point, negate(point), IDENTITY, point], inner, tmp_path / "bases")
    messages = [[7, 7, 9, 0], [7, 7, 9, 1], [0, 0, 5, 0], [2, 1, 0, 0]]
    assert bases.multiply([scalars(m) for m in messages]) == [IDENTITY, point, IDENTITY, point]
    assert negate(IDENTITY) == IDENTITY == from_file_form(to_file_form(IDENTITY))
    assert bases.multiply([]) == []


@pytest.mark.parametrize("message", [bytes(32 * 250 * 2), bytes(31)])
def test_bases_refuse_messages_that_do_not_fit(inner, tmp_path, message):
    bases = bases_over([from_ecc(curve.G1)], inner, tmp_path / "bases")
    with pytest.raises(CircuitError, match="longer than its bases"):
        bases.multiply([message])


def test_file_form_round_trips(small_srs):
    curve_file = read_curve_file(small_srs)
    assert curve_file.to_bytes() == small_srs.read_bytes()
    for raw in curve_file.lagrange_at([0, 1, 2**K - 1]):
        to_ecc(from_file_form(raw))  # asserts that it is on the curve
        assert to_file_form(from_file_form(raw)) == raw


# ---------------------------------------- crashes and hangs


@pytest.mark.parametrize("content", [b"", b"nonsense", b"\xff" * 5000], ids=["empty", "nonsense", "ones"])
@pytest.mark.parametrize("which", ["vk", "settings", "srs"])
def test_malformed_files_are_typed_errors(inner, tmp_path, which, content):
    """ezkl panics on some of these, which `except Exception` may not catch: a CircuitError all the same."""
    (tmp_path / "bad").write_bytes(content)
    (tmp_path / "message").write_bytes(bytes(32))
    files = {"vk": inner.vk, "settings": inner.settings, "srs": inner.srs, which: tmp_path / "bad"}
    with pytest.raises(CircuitError, match=r"commit failed: .+"):
        ezkl_worker.call("commit", time_limit_s=20, messages=tmp_path / "message", out=tmp_path / "out", **files)
    assert not (tmp_path / "out").exists()


def test_a_cut_verification_key_is_a_typed_error(inner, tmp_path):
    (tmp_path / "vk").write_bytes(inner.vk.read_bytes()[:-100])
    (tmp_path / "message").write_bytes(bytes(32))
    with pytest.raises(CircuitError):
        ezkl_worker.call(
            "commit",
            time_limit_s=20,
            messages=tmp_path / "message",
            out=tmp_path / "out",
            vk=tmp_path / "vk",
            settings=inner.settings,
            srs=inner.srs,
        )


def test_a_time_limit_ends_the_child(tmp_path):
    start = time.monotonic()
    with pytest.raises(CircuitError, match="ran past its limit of 1 s"):
        ezkl_worker.call("gen_srs", time_limit_s=1, out=tmp_path / "slow.srs", k=20)
    assert time.monotonic() - start < 10


def test_ezkl_stays_out_of_this_process():
    """Every call above went through a child process."""
    import subprocess
    import sys

    code = "import sys, circuits.cli, circuits.publish, prover.cli; sys.exit('ezkl' in sys.modules)"
    assert subprocess.run([sys.executable, "-c", code], check=False, timeout=60).returncode == 0


# ---------------------------------------- SRS files


@pytest.fixture
def ceremony(tmp_path, monkeypatch, small_srs):
    """A digest table in which the small development SRS plays the ceremony's file for k=8."""
    table = tmp_path / "table.json"
    table.write_text(json.dumps({"sha256": {str(K): sha256_file(small_srs)}}))
    monkeypatch.setattr(srs, "DIGESTS", table)
    return small_srs


def test_fetch_puts_the_right_file_in_place(ceremony, tmp_path):
    asked = []

    def download(path, k):
        asked.append(k)
        shutil.copy(ceremony, path)

    folder = tmp_path / "files"
    path = srs.fetch(folder, K, download)
    assert path == folder / "k8.srs"
    assert path.read_bytes() == ceremony.read_bytes()
    srs.fetch(folder, K, download)  # there already: checked again, not downloaded again
    assert asked == [K]
    path.write_bytes(path.read_bytes()[:-1] + b"\0")
    with pytest.raises(SrsError, match="SHA-256"):
        srs.fetch(folder, K, download)
    assert asked == [K]


DOWNLOADS = {
    "another file of the right form": lambda data: data[:-1] + bytes([data[-1] ^ 1]),
    "a cut one": lambda data: data[:-64],
    "a web page": lambda data: b"<html>moved</html>",
    "nothing": lambda data: b"",
    "the file for another k": lambda data: (9).to_bytes(4, "little") + data[4:],
}


@pytest.mark.parametrize("what", DOWNLOADS)
def test_fetch_leaves_nothing_of_a_wrong_file(ceremony, tmp_path, what):
    folder = tmp_path / "files"
    folder.mkdir()
    with pytest.raises(SrsError):
        srs.fetch(folder, K, lambda path, _k: path.write_bytes(DOWNLOADS[what](ceremony.read_bytes())))
    assert list(folder.iterdir()) == []


def test_fetch_without_a_digest_downloads_nothing(ceremony, tmp_path):
    with pytest.raises(SrsError, match="no ceremony file for k=9"):
        srs.fetch(tmp_path, K + 1, lambda *_: pytest.fail("downloaded"))


def test_fetch_passes_on_what_the_network_says(ceremony, tmp_path):
    def broken(path, k):
        path.write_bytes(b"half a fi")
        raise CircuitError("ezkl get_srs failed: no route to host", step="get_srs")

    with pytest.raises(CircuitError, match="no route"):
        srs.fetch(tmp_path / "files", K, broken)
    assert not (tmp_path / "files" / "k8.srs").exists()


def test_the_digest_table_is_the_projects_own():
    table = json.loads(srs.DIGESTS.read_text())["sha256"]
    assert {12, 13, 14, 15} <= {int(k) for k in table}
    assert all(len(digest) == 64 and int(digest, 16) >= 0 for digest in table.values())


@pytest.mark.parametrize("cut", [0, 3, 4, 1000, -1])
def test_truncated_files_are_refused(small_srs, tmp_path, cut):
    path = tmp_path / "cut.srs"
    path.write_bytes(small_srs.read_bytes()[:cut])
    with pytest.raises(SrsError, match="is not the size of an SRS file"):
        read_curve_file(path)


def test_check_command(small_srs, tmp_path):
    run = CliRunner().invoke(srs_group, ["check", str(small_srs), "--sha256", sha256_file(small_srs)])
    assert run.exit_code == 0, run.output
    with pytest.raises(SrsError, match="expected " + "0" * 64):
        CliRunner().invoke(
            srs_group, ["check", str(small_srs), "--sha256", "0" * 64], catch_exceptions=False, standalone_mode=False
        )


def test_two_development_files_differ(small_srs, tmp_path):
    """Each has a secret of its own; the command that makes one says what it is."""
    run = CliRunner().invoke(srs_group, ["dev", "-k", str(K), "-o", str(tmp_path / "new.srs")])
    assert run.exit_code == 0, run.output
    assert "INSECURE" in run.output
    assert (tmp_path / "new.srs").read_bytes() != small_srs.read_bytes()
    assert read_curve_file(tmp_path / "new.srs").k == K


def test_truncating_gives_the_published_verification_file(profile):
    """The k=1 file that the verifier reads is the published SRS's own: generator, tau times it, and G2."""
    link = profile.circuit("link")
    tail = 2**profile.size.k - link.usable_rows
    small = srs.truncate(read_curve_file(profile.srs), link.vk, link.settings, tail)
    published = profile.folder / "srs" / "k1.srs"
    assert small.to_bytes() == published.read_bytes()
    first, second = (to_ecc(from_file_form(small.monomial[i : i + 64])) for i in (0, 64))
    half = pow(2, -1, P)
    wanted = [from_ecc(curve.multiply(curve.add(first, p), half)) for p in (second, curve.neg(second))]
    assert [from_file_form(raw) for raw in small.lagrange_at([0, 1])] == wanted


def test_truncating_something_else_is_refused(small_srs, inner):
    whole = read_curve_file(small_srs)
    shifted = CurveFile(whole.k, whole.monomial[64:] + whole.monomial[:64], whole.lagrange, whole.g2)
    with pytest.raises(SrsError, match="does not start with the generator"):
        srs.truncate(shifted, inner.vk, inner.settings, 2**K - USABLE_ROWS)


def test_a_proof_verifies_with_the_truncated_file(folder, inner, inner_proof, small_srs):
    """All that verifying needs is k=1, and of the same ceremony: another one's is refused."""
    tail = 2**K - USABLE_ROWS
    same, other = folder / "same-k1.srs", folder / "other-k1.srs"
    same.write_bytes(srs.truncate(read_curve_file(small_srs), inner.vk, inner.settings, tail).to_bytes())
    srs.generate_development(folder / "other.srs", K)
    other.write_bytes(srs.truncate(read_curve_file(folder / "other.srs"), inner.vk, inner.settings, tail).to_bytes())
    proof = proof_file(folder / "reduced", inner_proof)
    jobs = [(proof, inner.settings, inner.vk, path) for path in (same, other)]
    assert ezkl_accepts(jobs, reduced_srs=True) == [True, False]
