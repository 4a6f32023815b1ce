"""One honest bundle, tampered with in one place: the real verifier rejects each copy, at its step and for its reason.

No proofs are made here (test_cheating_prover.py does that). Step numbers are those of docs/protocol.md, section 9.
"""

from __future__ import annotations

import base64

import pytest

from circuits.size_classes import BASE_FIELD_MODULUS as Q
from circuits.size_classes import FIELD_MODULUS as P
from tests.adversarial.cheats import (
    CheatingProver,
    edit,
    expect_rejected,
    flipped,
    point_at,
    proof_of,
    put,
    undecided,
    verify,
    with_point,
)

ZEROS = "0" * 64


# ---------------------------------------- step 2: what a prover could shop for

OTHER_CHOICES = {
    "size_class, larger": put("size_class", {"name": "base", "k": 13}),
    "size_class, k alone": put("size_class", "k", 13),
    "srs": put("srs", "sha256", ZEROS),
    "srs, for verifying": put("srs", "verify_sha256", ZEROS),
    "circuits.link, vk": put("circuits", "link", "vk", ZEROS),
    "circuits.link, onnx": put("circuits", "link", "onnx", ZEROS),
    "circuits.encoder, settings": put("circuits", "encoder", "settings", ZEROS),
    "circuits.encoder, the link circuit": lambda d: d["circuits"].update(encoder=d["circuits"]["link"]),
    "fpm.encoder": put("fpm", "encoder", ZEROS),
    "fpm.head": put("fpm", "head", ZEROS),
    "fpm.generator": put("fpm", "generator", ZEROS),
    "projection, seed": put("projection", "seed", ZEROS),
    "projection, g": put("projection", "g", 8),
    "quantization": put("quantization", "rms8-int8-v1"),
    "tokens.rule": put("tokens", "rule", "first-v1"),
    "tokens.K": put("tokens", "K", lambda k: k - 32),
    "tokens.K, of fewer candidates": put("tokens", "candidates", lambda n: n - 64),
    "model.family": put("model", "family", "mamba"),
    "model.layers, the first two": put("model", "layers", [0, 1]),
    "model.layers, in the other order": put("model", "layers", lambda pair: pair[::-1]),
    "model.layers, of a deeper model": put("model", "num_layers", lambda n: n + 1),
    "model.kv_heads": put("model", "kv_heads", 3),
    "matrices[0]": lambda d: d["matrices"][0].update(rows=d["matrices"][0]["rows"] - 1),
    "matrices[5]": lambda d: d["matrices"][5].update(rows=d["matrices"][5]["rows"] + 1),
    "matrices[12]": lambda d: d["matrices"][12].update(rows=1),
    "matrices[1]": lambda d: d["matrices"][1].update(name="layers.0.q"),
    "matrices[2]": lambda d: d["matrices"].insert(2, d["matrices"].pop(3)),
    "c[0]": lambda d: d["c"].__setitem__(0, "0"),
    "c[5]": lambda d: d["c"].__setitem__(5, str(P - int(d["c"][5]))),
}


@pytest.mark.parametrize("field", OTHER_CHOICES)
def test_step_2_statement_differs_from_the_profile(files, tmp_path, field):
    report = verify(edit(files, "statement.json", OTHER_CHOICES[field]), tmp_path)
    expect_rejected(report, 2, f"statement.json.{field.split(',')[0]}")


def test_another_profile_is_undecided(files, tmp_path):
    report = verify(edit(files, "statement.json", put("profile", "name", "mine")), tmp_path)
    undecided(report, "unknown-profile")
    report = verify(edit(files, "statement.json", put("profile", "sha256", ZEROS)), tmp_path)
    undecided(report, "other-profile", "statement.json.profile.sha256", "another profile of the name tiny-dev")


# ---------------------------------------- step 7: what the transcript binds

BOUND = {
    "tokens of another choice": put("tokens", "sha256", ZEROS),
    "another tokenizer": put("tokens", "tokenizer", ZEROS),
    "a model name": put("metadata", "name", "somebody else's model"),
    "a version": put("metadata", "version", "2"),
    "a maker": put("metadata", "maker", "somebody else"),
    "another family that the profile admits": put("model", "family", "gpt2"),
    "a larger vocabulary": put("model", "vocab_size", lambda n: n + 1),
    "a scale integer, by one": lambda d: d["c"].__setitem__(3, str(int(d["c"][3]) + 1)),
}


@pytest.mark.parametrize("what", BOUND)
def test_step_7_statement_is_bound_by_the_transcript(files, tmp_path, what):
    """Fields that pass step 2 as they are: the challenges, and so the columns, are those of another statement."""
    expect_rejected(verify(edit(files, "statement.json", BOUND[what]), tmp_path), 7, "input")


@pytest.mark.parametrize("which", ["S'", *(f"{y}_{t}" for t in (0, 3, 5) for y in ("y", "y'"))])
@pytest.mark.parametrize("other", ["a row", "the next y"])
def test_step_4_and_7_committed_vectors_swapped(files, rows, tmp_path, which, other):
    """S' and each y replaced by another valid point of the same bundle: step 4 sees S', step 7 the y."""
    if which == "S'":
        index = rows
    else:
        name, t = which.split("_")
        index = rows + 1 + 2 * int(t) + (name == "y'")
    point = point_at(files, 17 if other == "a row" else index + 1 if index < rows + 12 else rows + 1)
    expect_rejected(verify(with_point(files, index, point), tmp_path), 4 if which == "S'" else 7)


def test_step_7_two_y_exchanged(files, rows, tmp_path):
    first, second = point_at(files, rows + 1), point_at(files, rows + 3)
    expect_rejected(verify(with_point(with_point(files, rows + 1, second), rows + 3, first), tmp_path), 7, "input")


@pytest.mark.parametrize("pair", [(0, 1), (1919, 1920), (-2, -1)])
def test_step_7_two_rows_exchanged(files, rows, tmp_path, pair):
    first, second = (index % rows for index in pair)
    swapped = with_point(with_point(files, first, point_at(files, second)), second, point_at(files, first))
    expect_rejected(verify(swapped, tmp_path), 7, "input")


def test_step_7_a_negated_commitment(files, tmp_path):
    """-C is as valid a point as C."""
    point = point_at(files, 40)
    negative = point[:32] + (Q - int.from_bytes(point[32:], "big")).to_bytes(32, "big")
    expect_rejected(verify(with_point(files, 40, negative), tmp_path), 7, "input")


# ---------------------------------------- step 3: points


def not_canonical(point: bytes) -> bytes:
    x, y = int.from_bytes(point[:32], "big"), int.from_bytes(point[32:], "big")
    return (x + Q).to_bytes(32, "big") + y.to_bytes(32, "big")


POINTS = {
    "x + q": (not_canonical, "not canonical"),
    "y + q": (lambda p: p[:32] + not_canonical(p[32:] + p[:32])[:32], "not canonical"),
    "off the curve": (lambda p: p[:63] + bytes([p[63] ^ 1]), "not on the curve"),
    "the identity": (lambda p: bytes(64), "identity"),
    "all ones": (lambda p: b"\xff" * 64, "not canonical"),
}


@pytest.mark.parametrize("where", ["first row", "a row", "S'", "last y"])
@pytest.mark.parametrize("what", POINTS)
def test_step_3_bad_points(files, rows, tmp_path, what, where):
    index = {"first row": 0, "a row": 2000, "S'": rows, "last y": rows + 12}[where]
    change, words = POINTS[what]
    expect_rejected(verify(with_point(files, index, change(point_at(files, index))), tmp_path), 3, words)


COUNTS = {
    "one less": lambda data: data[:-64],
    "one more": lambda data: data + data[-64:],
    "one more in front": lambda data: data[:64] + data,
    "none": lambda data: b"",
}


@pytest.mark.parametrize("what", COUNTS)
def test_step_3_the_count_is_exact(files, tmp_path, what):
    changed = {**files, "commitments.bin": COUNTS[what](files["commitments.bin"])}
    expect_rejected(verify(changed, tmp_path), 3, "points instead of")


def test_step_1_points_are_whole(files, tmp_path):
    changed = {**files, "commitments.bin": files["commitments.bin"][:-1]}
    expect_rejected(verify(changed, tmp_path), 1, "commitments.bin")


# ---------------------------------------- link.json and encoder.json

JSON_CHANGES = {
    "hex_proof": (lambda d: d.update(hex_proof="0x" + "00" * 64), "unknown key"),
    "pretty_public_inputs": (lambda d: d.update(pretty_public_inputs={"outputs": [["0x00"]]}), "unknown key"),
    "a proof one byte longer": (lambda d: d.update(proof=longer(d["proof"], b"\0")), "proof"),
    "a proof one point longer": (lambda d: d.update(proof=longer(d["proof"], bytes(64))), "proof"),
    "a proof one byte shorter": (lambda d: d.update(proof=shorter(d["proof"])), "proof"),
    "no proof": (lambda d: d.update(proof=""), "proof"),
    "base64 with a line break": (lambda d: d.update(proof=d["proof"][:76] + "\n" + d["proof"][76:]), "proof"),
    "base64 without padding": (lambda d: d.update(proof=d["proof"].rstrip("=")[:-1]), "proof"),
    "base64 with garbage behind": (lambda d: d.update(proof=d["proof"] + "===="), "proof"),
    "an instance not below p": (lambda d: d["instances"].__setitem__(0, f"{P:064x}"), "field element"),
    "an instance plus p": (
        lambda d: d["instances"].__setitem__(0, f"{int(d['instances'][0], 16) + P:064x}"),
        "field element",
    ),
    "an instance in capitals": (lambda d: d["instances"].__setitem__(0, "A" * 64), "hex digits"),
    "an instance with 0x": (lambda d: d["instances"].__setitem__(0, "0x" + "0" * 62), "hex digits"),
    "an instance as a number": (lambda d: d["instances"].__setitem__(0, 0), "hex digits"),
    "instances of two columns": (lambda d: d.update(instances=[d["instances"]]), "hex digits"),
    "no instances": (lambda d: d.pop("instances"), "missing"),
}


def longer(proof: str, more: bytes) -> str:
    return base64.b64encode(base64.b64decode(proof) + more).decode()


def shorter(proof: str) -> str:
    return base64.b64encode(base64.b64decode(proof)[:-1]).decode()


@pytest.mark.parametrize("name", ["link.json", "encoder.json"])
@pytest.mark.parametrize("what", JSON_CHANGES)
def test_step_1_proof_files_are_strict(files, tmp_path, name, what):
    """ezkl gets nothing but what was parsed here, in one form."""
    change, words = JSON_CHANGES[what]
    expect_rejected(verify(edit(files, name, change), tmp_path), 1, name, words)


INSTANCES = {
    "one more": lambda d: d["instances"].append(ZEROS),
    "one more in front": lambda d: d["instances"].insert(0, ZEROS),
    "one less": lambda d: d["instances"].pop(),
    "none": lambda d: d["instances"].clear(),
}


@pytest.mark.parametrize("what", INSTANCES)
def test_step_5_and_8_the_number_of_instances_is_exact(files, tmp_path, what):
    """Both proofs. (Edited instances of the encoder change the transcript too, but step 5 comes first.)"""
    expect_rejected(verify(edit(files, "encoder.json", INSTANCES[what]), tmp_path), 5, "instances instead of")
    expect_rejected(verify(edit(files, "link.json", INSTANCES[what]), tmp_path), 8, "link.json.instances")


@pytest.mark.parametrize("value", [1, P - 1, 2**128])
def test_step_8_the_relation_must_be_zero(files, tmp_path, value):
    changed = edit(files, "link.json", lambda d: d.update(instances=[f"{value:064x}"]))
    expect_rejected(verify(changed, tmp_path), 8, "link.json.instances")


@pytest.mark.parametrize("index", [0, 5, 6, 70, 133])
def test_step_5_every_public_value_is_proven(files, tmp_path, index):
    """A norm or a feature, one unit off."""

    def change(document):
        document["instances"][index] = f"{int(document['instances'][index], 16) ^ 1:064x}"

    expect_rejected(verify(edit(files, "encoder.json", change), tmp_path), 5, "does not verify")


def test_step_5_norms_exchanged_with_features(files, tmp_path):
    changed = edit(files, "encoder.json", lambda d: d["instances"].insert(0, d["instances"].pop()))
    expect_rejected(verify(changed, tmp_path), 5, "does not verify")


@pytest.mark.parametrize("position", [0, 63, *(64 * i + 5 for i in range(1, 24)), 64 * 24 - 1])
def test_step_7_a_bit_of_an_input_column(files, tmp_path, position):
    report = verify(flipped(files, "link.json", position), tmp_path)
    expect_rejected(report, 7, f"input {position // 64} ")


@pytest.mark.parametrize("position", [64 * 24, 64 * 24 + 32, 5000, 20_000, -33, -1])
def test_step_8_a_bit_of_the_rest_of_the_link_proof(files, tmp_path, position):
    expect_rejected(verify(flipped(files, "link.json", position), tmp_path), 8, "does not verify")


@pytest.mark.parametrize("position", [0, 31, 63])
def test_step_4_a_bit_of_the_encoders_column(files, tmp_path, position):
    expect_rejected(verify(flipped(files, "encoder.json", position), tmp_path), 4, "S'")


@pytest.mark.parametrize("position", [64, 1000, 30_000, -33, -1])
def test_step_5_a_bit_of_the_rest_of_the_encoder_proof(files, tmp_path, position):
    expect_rejected(verify(flipped(files, "encoder.json", position), tmp_path), 5, "does not verify")


def test_step_7_columns_exchanged(files, tmp_path):
    """Left and right of a slot: the relation is the same."""

    def change(document):
        proof = base64.b64decode(document["proof"])
        document["proof"] = base64.b64encode(proof[64:128] + proof[:64] + proof[128:]).decode()

    expect_rejected(verify(edit(files, "link.json", change), tmp_path), 7, "input 0 ")


def test_step_1_the_two_proofs_exchanged(files, tmp_path):
    swapped = {**files, "link.json": files["encoder.json"], "encoder.json": files["link.json"]}
    expect_rejected(verify(swapped, tmp_path), 1, "type")


# ---------------------------------------- two honest bundles, mixed


@pytest.fixture(scope="module")
def second(world, tmp_path_factory):
    """A second honest bundle's files up to the link proof: same weights, seed and rows, another session's salts.

    Its encoder proof is real; the link proof is grafted, for step 7 looks at no more than its columns.
    """

    class Second(CheatingProver):
        graft_from = proof_of(world.honest.files, "link.json")

    cheat = Second(world, tmp_path_factory.mktemp("second"), *world.row_parts, session=b"v" * 32)
    return cheat.run().files


@pytest.mark.long
def test_second_bundle_is_another_proof_of_the_same_fingerprint(files, second):
    """The control: same rows, features and picture; other S', y and proofs."""
    assert second["statement.json"] == files["statement.json"]
    assert second["fingerprint.png"] == files["fingerprint.png"]
    assert proof_of(second, "encoder.json").instances == proof_of(files, "encoder.json").instances
    assert second["commitments.bin"][: -64 * 13] == files["commitments.bin"][: -64 * 13]
    for index in range(-13, 0):
        place = len(files["commitments.bin"]) // 64 + index
        assert point_at(second, place) != point_at(files, place)


@pytest.mark.parametrize(
    ("taken", "step"),
    [
        (("encoder.json",), 4),
        (("commitments.bin",), 4),
        (("link.json",), 7),
        (("encoder.json", "commitments.bin"), 7),
        (("encoder.json", "link.json"), 4),
        (("commitments.bin", "link.json"), 4),
    ],
)
def test_step_4_and_7_parts_of_two_bundles(files, second, tmp_path, taken, step):
    """Same statement, same rows, same fingerprint, and still nothing of one fits the other."""
    expect_rejected(verify({**files, **{name: second[name] for name in taken}}, tmp_path), step)


def test_step_7_encoder_proof_and_s_prime_of_another_session(files, second, rows, tmp_path):
    """S' moved over together with its encoder proof: steps 4 to 6 pass, the link proof is about the other S'."""
    moved = with_point({**files, "encoder.json": second["encoder.json"]}, rows, point_at(second, rows))
    expect_rejected(verify(moved, tmp_path), 7, "input")
