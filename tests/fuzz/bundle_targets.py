"""What is tried with a bundle's files and with what ships with the verifier, with seeds cut from the shipped example.

A value that is accepted is checked against something simpler than the parser: the library, arithmetic, the rule's own
words. What does not hold is an AssertionError: a finding.
"""

from __future__ import annotations

import base64
import contextlib
import functools
import io
import json
import os
import shutil
import struct
import tempfile
import zipfile
import zlib
from collections.abc import Iterable, Mapping
from pathlib import Path

import numpy as np
from PIL import Image

from tests.conftest import EXAMPLE
from tests.fuzz.mutators import (
    Dice,
    change_bytes,
    change_json,
    change_zip,
    chunk,
    one_of,
)
from verifier.algebra.curve import to_file_form
from verifier.comparison import artefact as late_artefact
from verifier.fingerprint import encoder
from verifier.fingerprint.artefact import BUNDLE, FILE_LIMITS, OPTIONAL, parse_bundle, read_bundle
from verifier.fingerprint.image import read_picture
from verifier.formats import limits, strict_json
from verifier.formats.encoding import BASE_MODULUS, FIELD_MODULUS, field_element, split_points, strict_base64
from verifier.formats.errors import Rejected
from verifier.formats.package import read_files, read_zip
from verifier.formats.proof_file import read_proof
from verifier.inference import artefact as feedforward_artefact
from verifier.inference import relation as feedforward_relation
from verifier.statement.rules import check_statement
from verifier.statement.statement import read_statement
from verifier.trust.profile import load_profile, parse_profile, parse_trusted

ASSETS = Path(__file__).resolve().parents[1] / "verifier" / "assets"
PROFILE = load_profile("tiny-dev")
_NOWHERE = Path("x")
ACCEPTED = "accepted"


def example(name: str) -> bytes:
    """A file of the shipped bundle."""
    return (EXAMPLE / name).read_bytes()


# ---------------------------------------- JSON


def run_json(data: bytes) -> str:
    value = strict_json.parse(data, "f", 1 << 16)
    assert json.loads(data) == value
    try:
        again = strict_json.canonical(value)
    except Rejected:
        return "a lone surrogate"
    assert strict_json.parse(again, "f", 1 << 17) == value
    return ACCEPTED


def seeds_statement() -> Iterable[bytes]:
    yield example("statement.json")


def run_statement(data: bytes) -> str:
    statement = read_statement(data)
    assert strict_json.canonical(json.loads(data)) == data
    check_statement(statement, PROFILE)
    assert all(PROFILE.c_min <= c < 1 << 32 for c in statement.c)
    assert statement.model.heads % statement.model.kv_heads == 0
    return ACCEPTED


def change_statement(dice: Dice, data: bytes) -> bytes:
    """Half of the time put back into canonical form: behind that check are the fields."""
    changed = change_json(dice, data)
    if dice.below(2):
        with contextlib.suppress(ValueError, RecursionError, TypeError):
            return json.dumps(json.loads(changed), sort_keys=True, separators=(",", ":"), ensure_ascii=False).encode()
    return changed


def run_comparison(data: bytes) -> str:
    statement = late_artefact.read_statement(data)
    assert strict_json.canonical(json.loads(data)) == data
    for name, side in zip("ab", statement.sides, strict=True):  # whether c_t is in range is step 3's
        plain = json.loads(data)[name]
        assert [str(c) for c in side.c] == plain["c"] and len(side.c) == 6
        assert (side.cm.hex(), side.statement_sha256.hex()) == (plain["cm"], plain["statement"])
    return ACCEPTED


def seeds_comparison() -> Iterable[bytes]:
    """One of each kind in the verifier's assets: the shipped ones lie in zips."""
    for path in sorted(ASSETS.glob("comparison*/comparison.json")):
        yield path.read_bytes()


def run_feedforward(data: bytes) -> str:
    """The statement; and x and y from the same bytes, taken as integers of 8 bytes."""
    numbers = data[: len(data) // 32 * 32]
    try:
        x, y = feedforward_relation.read_integers(numbers, len(numbers) // 32, 2)
    except Rejected:
        x, y = [], []
    for row in x:
        assert all(abs(n) <= 2**8 * 2 for n in feedforward_relation.normalise(row, 1))
    assert all(abs(value) < 2**62 for row in y for value in row)
    statement = feedforward_artefact.read_statement(data)
    plain = json.loads(data)
    assert strict_json.canonical(plain) == data
    assert [str(c) for c in statement.scale] == [plain["scale"][role] for role in ("gate", "up", "down")]
    assert (statement.cm.hex(), str(statement.epsilon)) == (plain["bundle"]["cm"], plain["epsilon"])
    return ACCEPTED


def seeds_feedforward() -> Iterable[bytes]:
    yield (ASSETS / "feedforward" / "feedforward.json").read_bytes()


def run_proof(data: bytes) -> str:
    kind = "encoder" if b"encoder+json" in data[-100:] else "link"
    proof = read_proof(data, kind)
    assert all(0 <= value < FIELD_MODULUS for value in proof.instances)
    assert base64.b64encode(proof.proof).decode() == json.loads(data)["proof"]
    if kind == "encoder" and len(proof.instances) >= 6:
        values = encoder.features(proof.instances, PROFILE)
        assert np.isfinite(values).all()
        encoder.check_norms(proof.instances, [1 << 20] * 6, PROFILE)
    return ACCEPTED


def seeds_proof() -> Iterable[bytes]:
    for name, instances in (("link.json", 1), ("encoder.json", 8)):
        whole = json.loads(example(name))
        packed = base64.b64encode(base64.b64decode(whole["proof"])[:96]).decode()
        yield strict_json.canonical(whole | {"instances": whole["instances"][:instances], "proof": packed})


def run_profile(data: bytes) -> str:
    profile = parse_profile(data, _NOWHERE)
    assert len(profile.files()) == 11
    assert 1 <= profile.size_class.k <= limits.MAX_K
    return ACCEPTED


def seeds_profile() -> Iterable[bytes]:
    yield (PROFILE.folder / "profile.json").read_bytes()


def run_trust(data: bytes) -> str:
    assert all(len(digest) == 32 for digest in parse_trusted(data).values())
    return ACCEPTED


def seeds_trust() -> Iterable[bytes]:
    yield (Path(limits.__file__).parents[1] / "trust.json").read_bytes()


# ---------------------------------------- points, field elements, base64, numbers


def run_points(data: bytes) -> str:
    count = -(-len(data) // 64)
    for point in split_points(data, 0, count, "commitments.bin"):
        x, y = int.from_bytes(point[:32], "big"), int.from_bytes(point[32:], "big")
        assert pow(y, 2, BASE_MODULUS) == (pow(x, 3, BASE_MODULUS) + 3) % BASE_MODULUS
        assert len(to_file_form(point)) == 64
    return ACCEPTED


def seeds_points() -> Iterable[bytes]:
    yield example("commitments.bin")[:256]


def change_points(dice: Dice, data: bytes) -> bytes:
    """Coordinates exchanged, negated, off by one, plus the modulus, zero; or any bytes."""
    if dice.below(3) == 0 or len(data) < 64:
        return change_bytes(dice, data)
    at = 32 * dice.below(len(data) // 32)
    old = int.from_bytes(data[at : at + 32], "big")
    new = one_of(dice, (old + 1, BASE_MODULUS - old, old + BASE_MODULUS, 0, BASE_MODULUS, 2**256 - 1, old >> 1))
    return data[:at] + (new % 2**256).to_bytes(32, "big") + data[at + 32 :]


_ENCODINGS = {
    b"f": lambda data: field_element(data, "f"),
    b"b": lambda data: strict_base64(data.decode("utf-8", "surrogateescape"), "f"),
    b"h": lambda data: strict_json.hex64(data.decode("utf-8", "surrogateescape"), "f"),
    b"d": lambda data: strict_json.decimal(data.decode("utf-8", "surrogateescape"), "f"),
}


def run_encoding(data: bytes) -> str:
    kind, rest = data[:1], data[1:]
    value = _ENCODINGS.get(kind, _ENCODINGS[b"d"])(rest)
    if kind == b"f":
        assert value.to_bytes(32, "big") == rest
    elif kind == b"b":
        assert base64.b64encode(value) == rest
    elif kind == b"h":
        assert value.hex().encode() == rest
    else:
        assert str(value).encode() == rest or rest == b"-0"
    return ACCEPTED


def seeds_encoding() -> Iterable[bytes]:
    yield b"f" + bytes(31) + b"\7"
    yield b"f" + (FIELD_MODULUS - 1).to_bytes(32, "big")
    yield from (b"b" + base64.b64encode(bytes(range(n))) for n in (0, 1, 2, 30))
    yield b"h" + b"09af" * 16
    yield from (b"d0", b"d-1", b"d4294967295")


# ---------------------------------------- pictures


def run_picture(data: bytes) -> str:
    pixels = read_picture(data, "p").pixels
    with Image.open(io.BytesIO(data), formats=["PNG"]) as image:
        assert image.mode == "RGB"
        assert (np.asarray(image) == pixels).all()
    return ACCEPTED


@functools.cache
def small_png(side: int) -> bytes:
    """A corner of the shipped picture."""
    with Image.open(io.BytesIO(example("fingerprint.png"))) as image:
        pixels = np.asarray(image)[:side, :side]
    rows = b"".join(bytes([0]) + row.tobytes() for row in pixels)
    header = struct.pack(">II", side, side) + b"\x08\x02\0\0\0"
    middle = chunk(b"IHDR", header) + chunk(b"IDAT", zlib.compress(rows)) + chunk(b"IEND", b"")
    return b"\x89PNG\r\n\x1a\n" + middle


def seeds_picture() -> Iterable[bytes]:
    yield small_png(2)
    yield small_png(12)
    yield (ASSETS / "bundle" / "fingerprint.png").read_bytes()


# ---------------------------------------- bundles


@functools.cache
def small_files() -> dict[str, bytes]:
    """A bundle that is read: the shipped one's, cut."""
    link, encoded = seeds_proof()
    return {
        "statement.json": example("statement.json"),
        "commitments.bin": example("commitments.bin")[:128],
        "link.json": link,
        "encoder.json": encoded,
        "fingerprint.png": small_png(2),
    }


def run_zip(data: bytes) -> str:
    _check_files(read_zip(io.BytesIO(data), "b.zip", BUNDLE))
    return ACCEPTED


def _check_files(files: Mapping[str, bytes]) -> None:
    assert set(FILE_LIMITS) <= set(files) <= {*FILE_LIMITS, "signature.json"}
    assert all(len(data) <= (FILE_LIMITS | OPTIONAL)[name] for name, data in files.items())


def run_bundle(data: bytes) -> str:
    parse_bundle(read_zip(io.BytesIO(data), "b.zip", BUNDLE))
    return ACCEPTED


@functools.cache
def seeds_zip() -> tuple[bytes, ...]:
    made = []
    for kind in (zipfile.ZIP_STORED, zipfile.ZIP_DEFLATED):
        stream = io.BytesIO()
        with zipfile.ZipFile(stream, "w", kind) as archive:
            for name, data in small_files().items():
                archive.writestr(zipfile.ZipInfo(name), data, kind)
        made.append(stream.getvalue())
    return tuple(made)


_NAMES = (*FILE_LIMITS, "signature.json", "secret.json", "..", "STATEMENT.JSON", "statement.json ", "\x1b[2J", "é" * 80)


def run_directory(data: bytes) -> str:
    """Each three bytes do something to a folder: remove, cut, grow, replace by a link, pipe, folder, device; add."""
    folder = Path(tempfile.mkdtemp(prefix="huref-fuzz-", dir="/dev/shm" if Path("/dev/shm").is_dir() else None))
    try:
        for name, content in small_files().items():
            (folder / name).write_bytes(content)
        target = folder
        for what, which, size in zip(data[0:36:3], data[1:36:3], data[2:36:3], strict=False):
            target = _spoil(folder, what % 12, _NAMES[which % len(_NAMES)], size) or target
        _check_files(read_files(target, BUNDLE))
        read_bundle(target)
    finally:
        shutil.rmtree(folder)
    return ACCEPTED


def seeds_directory() -> Iterable[bytes]:
    yield from (b"", b"\1\2\3", bytes(range(30)))


def _spoil(folder: Path, what: int, name: str, size: int) -> Path | None:
    file = folder / name
    if what in (0, 3, 4, 5, 6) and name != ".." and (file.is_symlink() or file.exists()):
        shutil.rmtree(file) if file.is_dir() and not file.is_symlink() else file.unlink()
    if what == 1 and file.is_file() and not file.is_symlink():
        file.write_bytes(file.read_bytes()[:size])
    elif what == 2 and file.is_file() and not file.is_symlink():
        with file.open("r+b") as stream:
            stream.truncate(FILE_LIMITS.get(name, 1 << 20) + size - 128)  # sparse
    elif what in (3, 7) and not file.exists() and not file.is_symlink():
        file.symlink_to(("/dev/zero", folder, "nowhere", folder / "link.json", name)[size % 5])
    elif what == 4 and not file.exists():
        os.mkfifo(file)
    elif what == 5 and not file.exists():
        file.mkdir()
    elif what in (6, 8) and not file.exists() and not file.is_symlink():
        file.write_bytes(bytes(size))
    elif what == 9:
        return (folder / "statement.json", folder / "nothing", folder / "a\0b", Path("/dev/null"))[size % 4]
    elif what == 10 and file.is_file() and not file.is_symlink():
        file.chmod(0o000 if size % 2 else 0o400)
    return None


# ---------------------------------------- head.npz


def run_head(data: bytes) -> str:
    weight, bias = encoder.read_head(data, 3)
    assert weight.shape == (len(bias), 3)
    with np.load(io.BytesIO(data), allow_pickle=False) as arrays:
        assert np.array_equal(arrays["weight"], weight, equal_nan=True)
        assert np.array_equal(arrays["bias"], bias, equal_nan=True)
    return ACCEPTED


def seeds_head() -> Iterable[bytes]:
    for kind in ("<f4", "<f8"):
        stream = io.BytesIO()
        np.savez(stream, weight=np.arange(6, dtype=kind).reshape(2, 3), bias=np.ones(2, dtype=kind))
        yield stream.getvalue()


def change_head(dice: Dice, data: bytes) -> bytes:
    """A member's bytes changed, and the zip made again, or the zip itself."""
    if dice.below(3) == 0:
        return change_zip(dice, data)
    try:
        with zipfile.ZipFile(io.BytesIO(data)) as archive:
            members = {name: archive.read(name) for name in archive.namelist()[:4]}
    except Exception:  # noqa: BLE001 - a spoilt one cannot be made anew
        return change_bytes(dice, data)
    if members:
        name = one_of(dice, sorted(members))
        text = members[name]
        places = ((b"<f", b"|O"), (b"f4", b"f8"), (b"False", b"True"), (b"(2, 3)", b"(2, -3)"), (b"(2,)", b"(9" * 9))
        old, new = one_of(dice, (*places, (b"3)", b"9999999)"), (b"\x01\x00", b"\x02\x00"), (b"2", b"0")))
        members[name] = text.replace(old, new) if dice.below(2) else change_bytes(dice, text)
    stream = io.BytesIO()
    with zipfile.ZipFile(stream, "w", 8 if dice.below(8) == 0 else 0) as archive:
        for name, content in members.items():
            archive.writestr(zipfile.ZipInfo(name), content)
    return stream.getvalue()
