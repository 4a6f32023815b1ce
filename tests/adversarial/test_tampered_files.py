"""The honest bundle with another picture, other JSON, other files: rejected or undecided, never accepted."""

from __future__ import annotations

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

from tests.adversarial.cheats import (
    SEED,
    edit,
    expect_rejected,
    flipped,
    put,
    undecided,
    verify,
)
from tests.conftest import ROOT
from verifier.cli import main as huref_verify

ZEROS = "0" * 64


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
def test_step_9_one_pixel_beyond_the_tolerance(profile, files, tmp_path, x, y, channel):
    """Two units more than allowed: the honest picture may itself be off by one on another machine."""
    by = profile.document["image"]["tolerance"] + 2
    report = verify(with_pixels(files, shifted(x, y, channel, by)), tmp_path)
    expect_rejected(report, 9, "1 pixels differ", f"column {x}, row {y}")


@pytest.mark.parametrize(("x", "y", "channel"), CORNERS[:2])
def test_step_9_one_pixel_within_the_tolerance(profile, files, tmp_path, x, y, channel):
    by = profile.document["image"]["tolerance"] - 1
    changed = with_pixels(files, shifted(x, y, channel, by))
    assert changed["fingerprint.png"] != files["fingerprint.png"]
    assert verify(changed, tmp_path).verdict == "accepted"


def test_step_9_picture_of_another_model(profile, files, tmp_path):
    """G of another z, drawn by the published generator: a picture that could be somebody's, and is not this one's."""
    from prover.fingerprint.picture import picture_of

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
def test_step_1_and_9_other_pictures(files, tmp_path, what):
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
def test_step_1_one_spelling_only(files, tmp_path, what):
    change, words = SPELLINGS[what]
    changed = respelt(files, change)
    assert changed != files
    expect_rejected(verify(changed, tmp_path), 1, "statement.json", words)


@pytest.mark.parametrize("name", ["link.json", "encoder.json"])
def test_step_1_duplicate_keys_in_proof_files(files, tmp_path, name):
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
