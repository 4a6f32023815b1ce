"""The whole procedure on the committed toy bundle, and one spoilt copy for each way to be rejected."""

from __future__ import annotations

import base64
import hashlib
import json
import shutil
import zipfile
from pathlib import Path

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from PIL import Image

import verifier.fingerprint.link
import verifier.formats.limits
import verifier.trust.profile
from tests.verifier.conftest import ASSETS, canonical
from verifier.fingerprint.options import Options
from verifier.results.steps import Status
from verifier.results.verdict import DEVELOPMENT_WARNING

P = 21888242871839275222246405745257275088548364400416034343698204186575808495617
Q = 21888242871839275222246405745257275088696311157297823662689037894645226208583


def test_the_good_bundle_is_accepted(bundle, verify):
    report = verify(bundle)
    assert report.verdict == "accepted", report.verdict_line()
    assert [check.step for check in report.checks] == [*range(1, 11), 12]
    assert all(check.status is Status.PASSED for check in report.checks[:-1])
    assert report.checks[-1].status is Status.NOT_CHECKED and report.checks[-1].compared.startswith("unsigned")
    assert DEVELOPMENT_WARNING in report.verdict_line()


def test_a_zip_of_it_is_accepted(bundle, verify, tmp_path):
    path = tmp_path / "bundle.zip"
    with zipfile.ZipFile(path, "w", zipfile.ZIP_DEFLATED) as archive:
        for file in bundle.iterdir():
            archive.write(file, file.name)
    assert verify(path).verdict == "accepted"


def test_step_10_a_development_srs_is_undecided_without_the_flag(bundle, verify):
    report = verify(bundle, allow_development_srs=False)
    assert (report.verdict, report.failure.step, report.exit_code) == ("undecided", 10, 3)
    assert report.failure.code == "untrusted-srs"
    assert DEVELOPMENT_WARNING in report.verdict_line()


def rejected(report, step: int, words: str = "") -> None:
    assert (report.verdict, report.failure.step) == ("rejected", step), report.verdict_line()
    assert words in report.failure.message
    assert report.exit_code == 4
    assert [check.status for check in report.checks[: step - 1]] == [Status.PASSED] * (step - 1)
    assert all(check.status is Status.NOT_CHECKED for check in report.checks[step:])


# ---------------------------------------- step 1, format


@pytest.mark.parametrize("name", ["link", "encoder"])
def test_step_1_proof_length(bundle, verify, edit, name):
    def longer(value):
        value["proof"] = base64.b64encode(base64.b64decode(value["proof"]) + b"\0").decode()

    edit(bundle / f"{name}.json", longer)
    rejected(verify(bundle), 1, f"{name}.json.proof")


def test_step_1_statement_must_be_canonical(bundle, verify):
    path = bundle / "statement.json"
    path.write_bytes(json.dumps(json.loads(path.read_bytes()), sort_keys=True).encode())
    rejected(verify(bundle), 1, "canonical")


def test_step_1_trailing_bytes_after_points(bundle, verify):
    path = bundle / "commitments.bin"
    path.write_bytes(path.read_bytes() + b"\0")
    rejected(verify(bundle), 1, "commitments.bin")


@pytest.mark.parametrize("key", ["hex_proof", "pretty_public_inputs", "version"])
def test_step_1_keys_that_ezkl_would_ignore(bundle, verify, edit, key):
    edit(bundle / "link.json", lambda value: value.update({key: "anything"}))
    rejected(verify(bundle), 1, "unknown key")


def test_step_1_instance_not_below_the_modulus(bundle, verify, edit):
    edit(bundle / "link.json", lambda value: value.update(instances=[P.to_bytes(32, "big").hex()]))
    rejected(verify(bundle), 1, "not a canonical field element")


@pytest.mark.parametrize("file", ["statement", "link", "encoder"])
def test_an_unknown_version_means_upgrade(bundle, verify, edit, file):
    edit(bundle / f"{file}.json", lambda v: v.update(type=v["type"].replace("version=1", "version=2")))
    report = verify(bundle)
    assert (report.verdict, report.failure.code, report.exit_code) == ("undecided", "unknown-version", 3)
    assert "upgrade" in report.failure.hint


def test_an_unknown_profile_is_undecided(bundle, verify, edit):
    edit(bundle / "statement.json", lambda v: v["profile"].update(name="tiny\x1b[31m"))
    report = verify(bundle)
    assert (report.verdict, report.failure.code) == ("undecided", "unknown-profile")
    assert "\x1b" not in report.verdict_line()


def test_a_bundle_of_an_older_profile_of_the_same_name_is_undecided(bundle, toy, verify, tmp_path, monkeypatch):
    """The toy bundle, made before the profile was published again: other proofs, fewer features, another generator.

    It must not be measured by the new profile, by which its proofs have the wrong length.
    """
    shutil.copytree(toy.parent, tmp_path / "profiles")
    path = tmp_path / "profiles" / toy.name / "profile.json"
    newer = json.loads(path.read_bytes())
    for circuit in newer["circuits"].values():
        circuit["proof_bytes"] += 64
        circuit["vk"] = "1" * 64
    newer["features"]["count"] *= 2
    newer["fpm"]["generator"] = "2" * 64
    path.write_bytes(canonical(newer))
    monkeypatch.setattr(verifier.trust.profile, "profiles_folder", lambda: tmp_path / "profiles")
    digest = hashlib.sha256(path.read_bytes())
    monkeypatch.setattr(verifier.trust.profile, "trusted", lambda: {toy.name: digest.digest()})
    older = json.loads((bundle / "statement.json").read_bytes())["profile"]["sha256"]
    report = verify(bundle)
    assert (report.verdict, report.failure.step, report.failure.code) == ("undecided", 1, "other-profile")
    assert older[:16] in report.failure.message and digest.hexdigest()[:16] in report.failure.message
    assert "the version of huref-zk that pins it" in report.failure.hint


# ---------------------------------------- step 2, statement

SHOPPING = {
    "size_class": lambda v: v["size_class"].update(k=10),
    "srs": lambda v: v["srs"].update(sha256="0" * 64),
    "circuits.link": lambda v: v["circuits"]["link"].update(vk="0" * 64),
    "circuits.encoder": lambda v: v["circuits"]["encoder"].update(settings="0" * 64),
    "fpm.encoder": lambda v: v["fpm"].update(encoder="0" * 64),
    "fpm.head": lambda v: v["fpm"].update(head="0" * 64),
    "fpm.generator": lambda v: v["fpm"].update(generator="0" * 64),
    "projection": lambda v: v["projection"].update(seed="0" * 64),
    "quantization": lambda v: v.update(quantization="rms8"),
    "tokens.rule": lambda v: v["tokens"].update(rule="mine"),
    "tokens.K": lambda v: v["tokens"].update(K=v["tokens"]["K"] - 8),
    "tokens.candidates": lambda v: v["tokens"].update(candidates=10_000, K=4096),
    "tokens.K: 96, at least 256": lambda v: v["tokens"].update(candidates=100, K=96),
    "model.family": lambda v: v["model"].update(family="other"),
    "model.layers": lambda v: v["model"].update(layers=[0, 1]),
    "model.kv_heads": lambda v: v["model"].update(kv_heads=3),
    "matrices[0]": lambda v: v["matrices"][0].update(rows=1),
    "matrices[3]": lambda v: v["matrices"][3].update(name="layers.1.o"),
    "c[0]": lambda v: v["c"].__setitem__(0, "1"),
    "c[1]": lambda v: v["c"].__setitem__(1, str(-int(v["c"][1]))),
    "c[2]": lambda v: v["c"].__setitem__(2, str(P - int(v["c"][2]))),
    "c[3]": lambda v: v["c"].__setitem__(3, "0"),
    "c[4]": lambda v: v["c"].__setitem__(4, str(1 << 32)),
}


@pytest.mark.parametrize("field", SHOPPING)
def test_step_2_nobody_shops(bundle, verify, edit, field):
    edit(bundle / "statement.json", SHOPPING[field])
    rejected(verify(bundle), 2, f"statement.json.{field}")


def test_step_2_vectors_must_fit_the_size_class(bundle, verify, edit):
    def widen(value):
        value["model"].update(intermediate_size=433)  # M = 512 - 64 - 16 = 432
        for matrix in value["matrices"]:
            if matrix["name"].endswith(("up", "down")):
                matrix["rows"] = 433

    edit(bundle / "statement.json", widen)
    rejected(verify(bundle), 2, "size_class")


def test_step_2_too_many_rows(bundle, verify, monkeypatch):
    monkeypatch.setattr(verifier.formats.limits, "MAX_COMMITMENTS_BYTES", 64 * 100)
    rejected(verify(bundle), 2, "rows are too many")


# ---------------------------------------- step 3, points


def put_point(bundle: Path, index: int, point: bytes) -> None:
    path = bundle / "commitments.bin"
    data = bytearray(path.read_bytes())
    data[64 * index : 64 * index + 64] = point
    path.write_bytes(bytes(data))


@pytest.mark.parametrize(
    ("point", "words"),
    [
        (bytes(64), "identity"),
        ((1).to_bytes(32, "big") + (3).to_bytes(32, "big"), "not on the curve"),
        ((1 + Q).to_bytes(32, "big") + (2).to_bytes(32, "big"), "not canonical"),
        ((1).to_bytes(32, "big") + (2 + Q).to_bytes(32, "big"), "not canonical"),
    ],
)
@pytest.mark.parametrize("index", [0, -1])
def test_step_3_points(bundle, verify, point, words, index):
    count = len((bundle / "commitments.bin").read_bytes()) // 64
    put_point(bundle, index % count, point)
    rejected(verify(bundle), 3, words)


@pytest.mark.parametrize("change", [lambda data: data[:-64], lambda data: data + data[:64]])
def test_step_3_the_count_is_exact(bundle, verify, change):
    path = bundle / "commitments.bin"
    path.write_bytes(change(path.read_bytes()))
    rejected(verify(bundle), 3, "points instead of")


# ---------------------------------------- steps 4 to 9

GENERATOR = (1).to_bytes(32, "big") + (2).to_bytes(32, "big")


def points_before_s(bundle: Path) -> int:
    return len((bundle / "commitments.bin").read_bytes()) // 64 - 13


def test_step_4_another_s_prime(bundle, verify):
    put_point(bundle, points_before_s(bundle), GENERATOR)
    rejected(verify(bundle), 4)


def change_proof(path: Path, position: int) -> None:
    value = json.loads(path.read_bytes())
    proof = bytearray(base64.b64decode(value["proof"]))
    proof[position] ^= 1
    value["proof"] = base64.b64encode(bytes(proof)).decode()
    path.write_bytes(json.dumps(value).encode())


def test_step_4_another_input_column(bundle, verify):
    change_proof(bundle / "encoder.json", 40)
    rejected(verify(bundle), 4)


@pytest.mark.parametrize("position", [-1, 3000])
def test_step_5_a_spoilt_encoder_proof(bundle, verify, position):
    change_proof(bundle / "encoder.json", position)
    rejected(verify(bundle), 5, "does not verify")


def test_step_5_other_features(bundle, verify, edit):
    edit(bundle / "encoder.json", lambda v: v["instances"].__setitem__(8, "0" * 64))
    rejected(verify(bundle), 5, "does not verify")


@pytest.mark.parametrize("change", [lambda v: v["instances"].append("0" * 64), lambda v: v["instances"].pop()])
def test_step_5_the_number_of_instances_is_exact(bundle, verify, edit, change):
    edit(bundle / "encoder.json", change)
    rejected(verify(bundle), 5, "instances instead of")


@pytest.mark.parametrize("where", ["a row", "y_0", "y'_5"])
def test_step_7_another_committed_point(bundle, verify, where):
    s = points_before_s(bundle)
    put_point(bundle, {"a row": 5, "y_0": s + 1, "y'_5": s + 12}[where], GENERATOR)
    rejected(verify(bundle), 7)


def test_step_7_two_rows_swapped(bundle, verify):
    data = (bundle / "commitments.bin").read_bytes()
    put_point(bundle, 0, data[64:128])
    put_point(bundle, 1, data[:64])
    rejected(verify(bundle), 7)


@pytest.mark.parametrize("position", [0, 64 * 23 + 63])
def test_step_7_another_input_column(bundle, verify, position):
    change_proof(bundle / "link.json", position)
    rejected(verify(bundle), 7)


STATEMENT_CHANGES = {
    "metadata": lambda v: v["metadata"].update(name="somebody else's"),
    "tokenizer": lambda v: v["tokens"].update(tokenizer="0" * 64),
    "c_t off by 5%": lambda v: v["c"].__setitem__(0, str(int(v["c"][0]) * 105 // 100)),
}


@pytest.mark.parametrize("what", STATEMENT_CHANGES)
def test_step_7_the_statement_is_bound(bundle, verify, edit, what):
    edit(bundle / "statement.json", STATEMENT_CHANGES[what])
    rejected(verify(bundle), 7)


@pytest.mark.parametrize("position", range(verifier.fingerprint.link.INPUTS))
def test_step_7_every_column_is_compared(position, toy):
    from verifier.fingerprint.points import check_link_inputs
    from verifier.formats.errors import Rejected, Undecided

    columns = [bytes([i + 1]) * 64 for i in range(24)]
    expected = dict(enumerate(columns))
    check_link_inputs(b"".join(columns), expected)
    columns[position] = bytes(64)
    with pytest.raises(Rejected, match=f"input {position} "):
        check_link_inputs(b"".join(columns), expected)
    del expected[position]
    with pytest.raises(Undecided):
        check_link_inputs(b"".join(columns), expected)


def test_step_8_the_output_must_be_zero(bundle, verify, edit):
    edit(bundle / "link.json", lambda v: v.update(instances=["0" * 63 + "1"]))
    rejected(verify(bundle), 8, "not exactly one, equal to 0")


def test_step_8_extra_instances(bundle, verify, edit):
    edit(bundle / "link.json", lambda v: v["instances"].append("0" * 64))
    rejected(verify(bundle), 8, "not exactly one, equal to 0")


def test_step_8_a_spoilt_proof(bundle, verify):
    change_proof(bundle / "link.json", -1)
    rejected(verify(bundle), 8, "does not verify")


def test_step_9_one_pixel(bundle, verify):
    path = bundle / "fingerprint.png"
    with Image.open(path) as image:
        red, green, blue = image.getpixel((3, 4))
        image.putpixel((3, 4), (red, green - 3 if green > 2 else green + 3, blue))
        image.save(path)
    rejected(verify(bundle), 9, "column 3, row 4")


def test_step_9_within_the_tolerance(bundle, verify):
    path = bundle / "fingerprint.png"
    with Image.open(path) as image:
        red, green, blue = image.getpixel((3, 4))
        image.putpixel((3, 4), (red, green - 2 if green > 1 else green + 2, blue))
        image.save(path)
    assert verify(bundle).verdict == "accepted"


def test_step_9_another_size(bundle, verify):
    Image.new("RGB", (9, 8)).save(bundle / "fingerprint.png")
    rejected(verify(bundle), 9, "8 x 8")


# ---------------------------------------- the profile, and everything else


@pytest.mark.parametrize("file", ["profile.json", "link/vk.key", "srs/k9.srs", "srs/k1.srs", "fpm/generator.onnx"])
def test_a_damaged_installation_is_undecided(bundle, toy, verify, monkeypatch, tmp_path, file):
    copy = tmp_path / "profiles" / toy.name
    shutil.copytree(toy, copy)
    data = bytearray((copy / file).read_bytes())
    data[-1] ^= 1
    (copy / file).write_bytes(bytes(data))
    monkeypatch.setattr(verifier.trust.profile, "profiles_folder", lambda: copy.parent)
    report = verify(bundle)
    assert (report.verdict, report.failure.code) == ("undecided", "bad-installation")
    assert file in report.failure.message


def test_half_an_opening_is_refused():
    with pytest.raises(ValueError, match="together"):
        Options(weights=Path("x"))


@settings(max_examples=40, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(data=st.data())
def test_no_changed_byte_is_accepted(toy, verify, tmp_path_factory, data):
    """Any one byte of any file: never accepted, never a crash."""
    folder = tmp_path_factory.mktemp("bytes") / "bundle"
    shutil.copytree(ASSETS / "bundle", folder)
    path = folder / data.draw(st.sampled_from(sorted(file.name for file in folder.iterdir())))
    content = bytearray(path.read_bytes())
    content[data.draw(st.integers(0, len(content) - 1))] ^= data.draw(st.integers(1, 255))
    path.write_bytes(bytes(content))
    assert verify(folder).verdict in ("rejected", "undecided")
