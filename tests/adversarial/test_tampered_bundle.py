"""One honest bundle, tampered with in one place: the real verifier rejects each copy, at its step and for its reason.

No proofs are made here (test_cheating_prover.py does that). Step numbers are those of docs/protocol.md, section 9.
"""

from __future__ import annotations

import base64
import io
import json
import subprocess
import sys
import zlib
from pathlib import Path

import numpy as np
import pytest
from click.testing import CliRunner
from PIL import Image

from circuits.size_classes import BASE_FIELD_MODULUS as Q
from circuits.size_classes import FIELD_MODULUS as P
from tests.adversarial.cheats import SEED, CheatingProver, edit, expect_rejected, point_at, proof_of, verify, with_point
from tests.conftest import ROOT
from verifier.cli import main as huref_verify

ZEROS = "0" * 64


@pytest.fixture(scope="module")
def files(world):
    """The honest bundle, by file name."""
    return world.honest.files


@pytest.fixture(scope="module")
def rows(world):
    """How many rows are committed; S' has this index, the y follow."""
    return sum(len(matrix) for matrix in world.source.matrices.by_name.values())


def undecided(report, code: str, *words: str) -> None:
    assert report.verdict == "undecided", (report.verdict, report.failure and report.failure.message)
    assert (report.failure.code, report.exit_code) == (code, 3)
    for word in words:
        assert word in report.failure.message, report.failure.message


def put(*path):
    """A change of a statement: put(..., value) sets the field at the path."""
    *keys, last, value = path

    def change(document):
        for key in keys:
            document = document[key]
        document[last] = value(document[last]) if callable(value) else value

    return change


# ---------------------------------------- step 2: what a prover could shop for

OTHER_CHOICES = {
    "profile.sha256": put("profile", "sha256", ZEROS),
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
    "model.family": put("model", "family", "gpt2"),
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
def test_step2_statement_differs_from_the_profile(files, tmp_path, field):
    report = verify(edit(files, "statement.json", OTHER_CHOICES[field]), tmp_path)
    expect_rejected(report, 2, f"statement.json.{field.split(',')[0]}")


def test_another_profile_is_undecided(files, tmp_path):
    report = verify(edit(files, "statement.json", put("profile", "name", "mine")), tmp_path)
    undecided(report, "unknown-profile")


# ---------------------------------------- step 7: what the transcript binds

BOUND = {
    "tokens of another choice": put("tokens", "sha256", ZEROS),
    "another tokenizer": put("tokens", "tokenizer", ZEROS),
    "a model name": put("metadata", "name", "somebody else's model"),
    "a version": put("metadata", "version", "2"),
    "a maker": put("metadata", "maker", "somebody else"),
    "a larger vocabulary": put("model", "vocab_size", lambda n: n + 1),
    "a scale integer, by one": lambda d: d["c"].__setitem__(3, str(int(d["c"][3]) + 1)),
}


@pytest.mark.parametrize("what", BOUND)
def test_step7_statement_is_bound_by_the_transcript(files, tmp_path, what):
    """Fields that pass step 2 as they are: the challenges, and so the columns, are those of another statement."""
    expect_rejected(verify(edit(files, "statement.json", BOUND[what]), tmp_path), 7, "input")


@pytest.mark.parametrize("which", ["S'", *(f"{y}_{t}" for t in (0, 3, 5) for y in ("y", "y'"))])
@pytest.mark.parametrize("other", ["a row", "the next y"])
def test_step4_and_7_committed_vectors_swapped(files, rows, tmp_path, which, other):
    """S' and each y replaced by another valid point of the same bundle: step 4 sees S', step 7 the y."""
    if which == "S'":
        index = rows
    else:
        name, t = which.split("_")
        index = rows + 1 + 2 * int(t) + (name == "y'")
    point = point_at(files, 17 if other == "a row" else index + 1 if index < rows + 12 else rows + 1)
    expect_rejected(verify(with_point(files, index, point), tmp_path), 4 if which == "S'" else 7)


def test_step7_two_y_exchanged(files, rows, tmp_path):
    first, second = point_at(files, rows + 1), point_at(files, rows + 3)
    expect_rejected(verify(with_point(with_point(files, rows + 1, second), rows + 3, first), tmp_path), 7, "input")


@pytest.mark.parametrize("pair", [(0, 1), (1919, 1920), (-2, -1)])
def test_step7_two_rows_exchanged(files, rows, tmp_path, pair):
    first, second = (index % rows for index in pair)
    swapped = with_point(with_point(files, first, point_at(files, second)), second, point_at(files, first))
    expect_rejected(verify(swapped, tmp_path), 7, "input")


def test_step7_a_negated_commitment(files, tmp_path):
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
def test_step3_bad_points(files, rows, tmp_path, what, where):
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
def test_step3_the_count_is_exact(files, tmp_path, what):
    changed = {**files, "commitments.bin": COUNTS[what](files["commitments.bin"])}
    expect_rejected(verify(changed, tmp_path), 3, "points instead of")


def test_step1_points_are_whole(files, tmp_path):
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
def test_step1_proof_files_are_strict(files, tmp_path, name, what):
    """What `ezkl.verify` would accept, and what it would trip over, never reaches it."""
    change, words = JSON_CHANGES[what]
    expect_rejected(verify(edit(files, name, change), tmp_path), 1, name, words)


INSTANCES = {
    "one more": lambda d: d["instances"].append(ZEROS),
    "one more in front": lambda d: d["instances"].insert(0, ZEROS),
    "one less": lambda d: d["instances"].pop(),
    "none": lambda d: d["instances"].clear(),
}


@pytest.mark.parametrize("what", INSTANCES)
def test_step5_and_8_the_number_of_instances_is_exact(files, tmp_path, what):
    """Both proofs. (Edited instances of the encoder change the transcript too, but step 5 comes first.)"""
    expect_rejected(verify(edit(files, "encoder.json", INSTANCES[what]), tmp_path), 5, "instances instead of")
    expect_rejected(verify(edit(files, "link.json", INSTANCES[what]), tmp_path), 8, "link.json.instances")


@pytest.mark.parametrize("value", [1, P - 1, 2**128])
def test_step8_the_relation_must_be_zero(files, tmp_path, value):
    changed = edit(files, "link.json", lambda d: d.update(instances=[f"{value:064x}"]))
    expect_rejected(verify(changed, tmp_path), 8, "link.json.instances")


@pytest.mark.parametrize("index", [0, 5, 6, 70, 133])
def test_step5_every_public_value_is_proven(files, tmp_path, index):
    """A norm or a feature, one unit off."""

    def change(document):
        document["instances"][index] = f"{int(document['instances'][index], 16) ^ 1:064x}"

    expect_rejected(verify(edit(files, "encoder.json", change), tmp_path), 5, "does not verify")


def test_step5_norms_exchanged_with_features(files, tmp_path):
    changed = edit(files, "encoder.json", lambda d: d["instances"].insert(0, d["instances"].pop()))
    expect_rejected(verify(changed, tmp_path), 5, "does not verify")


def flipped(files, name: str, position: int, bit: int = 1):
    """A copy of the bundle with one bit of a proof flipped."""

    def change(document):
        proof = bytearray(base64.b64decode(document["proof"]))
        proof[position] ^= bit
        document["proof"] = base64.b64encode(bytes(proof)).decode()

    return edit(files, name, change)


@pytest.mark.parametrize("position", [0, 63, *(64 * i + 5 for i in range(1, 24)), 64 * 24 - 1])
def test_step7_a_bit_of_an_input_column(files, tmp_path, position):
    report = verify(flipped(files, "link.json", position), tmp_path)
    expect_rejected(report, 7, f"input {position // 64} ")


@pytest.mark.parametrize("position", [64 * 24, 64 * 24 + 32, 5000, 20_000, -33, -1])
def test_step8_a_bit_of_the_rest_of_the_link_proof(files, tmp_path, position):
    expect_rejected(verify(flipped(files, "link.json", position), tmp_path), 8, "does not verify")


@pytest.mark.parametrize("position", [0, 31, 63])
def test_step4_a_bit_of_the_encoders_column(files, tmp_path, position):
    expect_rejected(verify(flipped(files, "encoder.json", position), tmp_path), 4, "S'")


@pytest.mark.parametrize("position", [64, 1000, 30_000, -33, -1])
def test_step5_a_bit_of_the_rest_of_the_encoder_proof(files, tmp_path, position):
    expect_rejected(verify(flipped(files, "encoder.json", position), tmp_path), 5, "does not verify")


def test_step7_columns_exchanged(files, tmp_path):
    """Left and right of a slot: the relation is the same."""

    def change(document):
        proof = base64.b64decode(document["proof"])
        document["proof"] = base64.b64encode(proof[64:128] + proof[:64] + proof[128:]).decode()

    expect_rejected(verify(edit(files, "link.json", change), tmp_path), 7, "input 0 ")


def test_step1_the_two_proofs_exchanged(files, tmp_path):
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
def test_step4_and_7_parts_of_two_bundles(files, second, tmp_path, taken, step):
    """Same statement, same rows, same fingerprint, and still nothing of one fits the other."""
    expect_rejected(verify({**files, **{name: second[name] for name in taken}}, tmp_path), step)


def test_step7_encoder_proof_and_s_prime_of_another_session(files, second, rows, tmp_path):
    """S' moved over together with its encoder proof: steps 4 to 6 pass, the link proof is about the other S'."""
    moved = with_point({**files, "encoder.json": second["encoder.json"]}, rows, point_at(second, rows))
    expect_rejected(verify(moved, tmp_path), 7, "input")


# ---------------------------------------- step 9: the picture


def png(pixels: np.ndarray | Image.Image, mode: str | None = None) -> bytes:
    picture = pixels if isinstance(pixels, Image.Image) else Image.fromarray(pixels)
    stream = io.BytesIO()
    (picture.convert(mode) if mode else picture).save(stream, "PNG")
    return stream.getvalue()


def pixels_of(files) -> np.ndarray:
    return np.array(Image.open(io.BytesIO(files["fingerprint.png"])))


def with_pixels(files, change):
    pixels = pixels_of(files)
    return {**files, "fingerprint.png": png(change(pixels))}


def shifted(x: int, y: int, channel: int, by: int):
    """One channel of one pixel moved by `by`, inwards where it would leave 0..255."""

    def change(pixels):
        value = int(pixels[y, x, channel])
        pixels[y, x, channel] = value + by if value + by <= 255 else value - by
        return pixels

    return change


CORNERS = [(0, 0, 0), (127, 0, 1), (64, 77, 2), (127, 127, 0)]


@pytest.mark.parametrize(("x", "y", "channel"), CORNERS)
def test_step9_one_pixel_beyond_the_tolerance(profile, files, tmp_path, x, y, channel):
    """Two units more than allowed: the honest picture may itself be off by one on another machine."""
    by = profile.document["image"]["tolerance"] + 2
    report = verify(with_pixels(files, shifted(x, y, channel, by)), tmp_path)
    expect_rejected(report, 9, "1 pixels differ", f"column {x}, row {y}")


@pytest.mark.parametrize(("x", "y", "channel"), CORNERS[:2])
def test_step9_one_pixel_within_the_tolerance(profile, files, tmp_path, x, y, channel):
    by = profile.document["image"]["tolerance"] - 1
    changed = with_pixels(files, shifted(x, y, channel, by))
    assert changed["fingerprint.png"] != files["fingerprint.png"]
    assert verify(changed, tmp_path).verdict == "accepted"


def test_step9_picture_of_another_model(profile, files, tmp_path):
    """G of another z, drawn by the published generator: a picture that could be somebody's, and is not this one's."""
    from prover.fingerprint import picture_of

    z = np.random.default_rng(7).normal(size=512)
    picture = picture_of(z * np.sqrt(512) / np.linalg.norm(z), profile.fpm("generator.onnx"))
    expect_rejected(verify({**files, "fingerprint.png": picture}, tmp_path), 9, "pixels differ")


PICTURES = {
    "mirrored": (9, lambda p: png(p[:, ::-1].copy()), "pixels differ"),
    "brighter": (9, lambda p: png(np.clip(p.astype(int) + 6, 0, 255).astype(np.uint8)), "pixels differ"),
    "channels exchanged": (9, lambda p: png(p[:, :, ::-1].copy()), "pixels differ"),
    "one row less": (9, lambda p: png(p[:-1].copy()), "not 128 x 128"),
    "twice as large": (9, lambda p: png(p.repeat(2, 0).repeat(2, 1)), "not 128 x 128"),
    "with alpha": (1, lambda p: png(Image.fromarray(p), "RGBA"), "not 8-bit RGB"),
    "grey": (1, lambda p: png(Image.fromarray(p), "L"), "not 8-bit RGB"),
    "with a palette": (1, lambda p: png(Image.fromarray(p), "P"), "not 8-bit RGB"),
    "with bytes behind": (1, lambda p: png(p) + b"more", "after the end"),
    "with a second picture behind": (1, lambda p: png(p) + png(p), "after the end"),
    "with a comment": (1, lambda p: with_chunk(png(p), b"tEXt", b"Comment\0hello"), "chunk"),
    "with gamma": (1, lambda p: with_chunk(png(p), b"gAMA", (45455).to_bytes(4, "big")), "chunk"),
    "animated": (1, lambda p: with_chunk(png(p), b"acTL", (2).to_bytes(4, "big") + bytes(4)), "chunk"),
}


def with_chunk(data: bytes, kind: bytes, content: bytes) -> bytes:
    """A PNG with one more chunk after its header."""
    chunk = len(content).to_bytes(4, "big") + kind + content + zlib.crc32(kind + content).to_bytes(4, "big")
    return data[:33] + chunk + data[33:]


@pytest.mark.parametrize("what", PICTURES)
def test_step1_and_9_other_pictures(files, tmp_path, what):
    step, make, words = PICTURES[what]
    expect_rejected(verify({**files, "fingerprint.png": make(pixels_of(files))}, tmp_path), step, words)


NOT_PICTURES = {
    "nothing": lambda data: b"",
    "a JPEG": lambda data: b"\xff\xd8\xff\xe0" + bytes(100),
    "cut short": lambda data: data[:-20],
    "a bit flipped": lambda data: data[:1000] + bytes([data[1000] ^ 1]) + data[1001:],
}


@pytest.mark.parametrize("what", NOT_PICTURES)
def test_unreadable_pictures_are_undecided(files, tmp_path, what):
    undecided(
        verify({**files, "fingerprint.png": NOT_PICTURES[what](files["fingerprint.png"])}, tmp_path), "unreadable"
    )


# ---------------------------------------- JSON that two parsers could read in two ways


def respelt(files, change) -> dict[str, bytes]:
    return {**files, "statement.json": change(files["statement.json"])}


SPELLINGS = {
    "spaces": (lambda data: json.dumps(json.loads(data), sort_keys=True).encode(), "canonical"),
    "a line break at the end": (lambda data: data + b"\n", "canonical"),
    "keys in another order": (
        lambda data: json.dumps(dict(reversed(json.loads(data).items())), separators=(",", ":")).encode(),
        "canonical",
    ),
    "an escaped letter": (lambda data: data.replace(b'"embedding"', b'"\\u0065mbedding"'), "canonical"),
    "a duplicate key": (lambda data: data.replace(b'"quantization":', b'"quantization":"x","quantization":'), "twice"),
    "a float": (lambda data: data.replace(b'"k":12', b'"k":12.0'), "not an integer"),
    "an exponent": (lambda data: data.replace(b'"k":12', b'"k":12e0'), "not an integer"),
    "NaN": (lambda data: data.replace(b'"k":12', b'"k":NaN'), "not an integer"),
    "true for one": (lambda data: data.replace(b'"k":12', b'"k":true'), "not an integer"),
    "a further key": (lambda data: data.replace(b'{"c":', b'{"Z":1,"c":'), "unknown key"),
    "a key less": (lambda data: data.replace(b'"quantization":"rms16-int8-v1",', b""), "missing"),
    "c as numbers": (lambda data: edited(data, lambda d: d.update(c=[int(c) for c in d["c"]])), "decimal"),
    "c with a leading zero": (lambda data: edited(data, lambda d: d["c"].__setitem__(0, "0" + d["c"][0])), "decimal"),
    "seven c": (lambda data: edited(data, lambda d: d["c"].append("5000")), "c"),
    "a digest in capitals": (
        lambda data: edited(data, put("fpm", "head", lambda digest: "ABCDEF" + digest[6:])),
        "hex digits",
    ),
    "a long name": (lambda data: edited(data, put("metadata", "name", "x" * 201)), "200"),
}


def edited(data: bytes, change) -> bytes:
    return edit({"statement.json": data}, "statement.json", change)["statement.json"]


@pytest.mark.parametrize("what", SPELLINGS)
def test_step1_one_spelling_only(files, tmp_path, what):
    change, words = SPELLINGS[what]
    changed = respelt(files, change)
    assert changed != files
    expect_rejected(verify(changed, tmp_path), 1, "statement.json", words)


@pytest.mark.parametrize("name", ["link.json", "encoder.json"])
def test_step1_duplicate_keys_in_proof_files(files, tmp_path, name):
    """ezkl or a script could read the first of two proofs, the verifier the second."""
    data = files[name].replace(b'{"instances":', b'{"instances":[],"instances":', 1)
    expect_rejected(verify({**files, name: data}, tmp_path), 1, name, "twice")


@pytest.mark.parametrize("name", ["statement.json", "link.json", "encoder.json"])
@pytest.mark.parametrize(
    "data", [b"", b"not JSON", b"\xff\xfe{}", b"[" * 100_000, b'{"a":'], ids=["empty", "text", "bytes", "deep", "cut"]
)
def test_unreadable_json_is_undecided(files, tmp_path, name, data):
    report = verify({**files, name: data}, tmp_path)
    assert (report.verdict, report.exit_code) == ("undecided", 3)
    assert name in report.failure.message


@pytest.mark.parametrize("name", ["statement.json", "link.json", "encoder.json"])
def test_a_later_version_means_upgrade(files, tmp_path, name):
    later = edit(files, name, lambda d: d.update(type=d["type"].replace("version=1", "version=2")))
    undecided(verify(later, tmp_path), "unknown-version", name)


# ---------------------------------------- files and the command


@pytest.mark.parametrize("name", ["statement.json", "commitments.bin", "link.json", "encoder.json", "fingerprint.png"])
def test_every_file_is_needed(files, tmp_path, name):
    report = verify({key: data for key, data in files.items() if key != name}, tmp_path)
    undecided(report, "missing-file", name, "missing")


@pytest.mark.parametrize("name", ["secret.json", "proof.json", "statement.json.bak", ".hidden", "STATEMENT.JSON"])
def test_nothing_else_lies_in_a_bundle(files, tmp_path, name):
    undecided(verify({**files, name: b"{}"}, tmp_path), "unknown-file", name)


@pytest.fixture
def written(files, tmp_path) -> Path:
    folder = tmp_path / "bundle"
    folder.mkdir()
    for name, data in files.items():
        (folder / name).write_bytes(data)
    return folder


def test_development_srs_is_never_accepted_by_itself(files, tmp_path):
    report = verify(files, tmp_path, allow_development_srs=False)
    undecided(report, "untrusted-srs", "development")
    assert report.failure.step == 10


@pytest.mark.parametrize(
    ("arguments", "code", "word"), [([], 3, "UNDECIDED at step 10"), (["--allow-dev-srs"], 0, "ACCEPTED")]
)
def test_development_srs_by_the_command(written, arguments, code, word):
    """The very process that a script would start, with the exit code that it would see."""
    command = [sys.executable, "-m", "verifier", str(written), *arguments]
    done = subprocess.run(command, capture_output=True, text=True, timeout=120, check=False, cwd=ROOT)
    assert done.returncode == code, done.stdout + done.stderr
    last = done.stdout.strip().splitlines()[-1]
    assert last.startswith(word)
    assert "development" in last.lower()


def test_rejected_by_the_command(files, tmp_path):
    folder = tmp_path / "bundle"
    folder.mkdir()
    for name, data in flipped(files, "link.json", 70).items():
        (folder / name).write_bytes(data)
    run = CliRunner().invoke(huref_verify, [str(folder), "--json"])
    assert run.exit_code == 4, run.output
    answer = json.loads(run.output)
    assert (answer["verdict"], answer["exit_code"]) == ("rejected", 4)
    statuses = {check["step"]: check["status"] for check in answer["checks"]}
    assert [statuses[step] for step in (6, 7, 8)] == ["passed", "failed", "not checked"]


def test_rejected_without_the_flag_too(files, tmp_path):
    """A forged bundle is rejected whether or not its SRS is trusted."""
    changed = flipped(files, "encoder.json", -1)
    expect_rejected(verify(changed, tmp_path, allow_development_srs=False), 5)


def test_the_opening_is_of_these_weights(world, files, written, tmp_path):
    """Step 11: the right checkpoint and seed open the bundle; another seed, or another model's weights, do not."""
    from tests.conftest import MODELS

    secret = {
        "type": "application/vnd.huref-zk.secret+json;version=1",
        "seed": SEED.hex(),
        "weights_sha256": world.source.weights_sha256.hex(),
        "cm": world.honest.cm,
    }

    def opened(model: str, **changes: str):
        path = tmp_path / "secret.json"
        path.write_bytes(json.dumps({**secret, **changes}, sort_keys=True, separators=(",", ":")).encode())
        return verify(files, tmp_path, weights=MODELS / model, secret=path)

    report = opened("base")
    assert (report.verdict, report.opened) == ("accepted", True)
    expect_rejected(opened("base", seed="11" * 32), 11)
    assert opened("offspring").verdict != "accepted"
