"""Bundles that cannot be read: undecided, exit code 3, a message naming the file, nothing unpacked by mistake."""

from __future__ import annotations

import io
import os
import stat
import struct
import zipfile
import zlib
from pathlib import Path

import pytest
from click.testing import CliRunner
from hypothesis import given, settings
from hypothesis import strategies as st

from tests.verifier.conftest import ASSETS
from verifier.cli import main
from verifier.fingerprint.artefact import BUNDLE, FILE_LIMITS, read_bundle
from verifier.fingerprint.image import read_picture
from verifier.formats import limits
from verifier.formats.errors import Rejected, Undecided, Unreadable, VerifierError
from verifier.formats.package import read_files


def undecided(path: Path, words: str) -> None:
    with pytest.raises(Unreadable, match=words or None):
        read_bundle(path)
    result = CliRunner().invoke(main, [str(path)])
    assert result.exit_code == 3
    assert result.output.strip().splitlines()[-1].startswith("UNDECIDED at step 1 (format): ")


@pytest.mark.parametrize("name", FILE_LIMITS)
def test_missing_file(bundle, name):
    (bundle / name).unlink()
    undecided(bundle, f"{name} is missing")


@pytest.mark.parametrize("name", FILE_LIMITS)
def test_file_over_its_limit(bundle, name):
    with (bundle / name).open("r+b") as stream:
        stream.truncate(FILE_LIMITS[name] + 1)  # sparse: costs nothing
    undecided(bundle, f"{name}: .* limit")


@pytest.mark.parametrize("name", FILE_LIMITS)
def test_symbolic_link(bundle, name, tmp_path):
    target = tmp_path / "elsewhere"
    (bundle / name).rename(target)
    (bundle / name).symlink_to(target)
    undecided(bundle, f"{name}: a symbolic link")


def test_named_pipe(bundle):
    (bundle / "link.json").unlink()
    os.mkfifo(bundle / "link.json")
    undecided(bundle, "link.json: not a plain file")


def test_folder_in_place_of_a_file(bundle):
    (bundle / "link.json").unlink()
    (bundle / "link.json").mkdir()
    undecided(bundle, "link.json: (not a plain file|Is a directory)")


def test_unknown_file(bundle):
    (bundle / "secret.json").write_text("{}")
    undecided(bundle, "secret.json' does not belong in a bundle")


def test_many_files(bundle):
    for number in range(100):
        (bundle / f"{number}").touch()
    undecided(bundle, "entries")


@pytest.mark.parametrize("path", ["nothing here", "/dev/null"])
def test_no_bundle_at_all(path):
    undecided(Path(path), "")


def test_not_a_zip(tmp_path):
    (tmp_path / "x.zip").write_bytes(b"PK\3\4 something")
    undecided(tmp_path / "x.zip", "not a readable zip")


# ---------------------------------------- JSON


def test_huge_json(bundle):
    (bundle / "link.json").write_bytes(b"[" * (1 << 20))
    undecided(bundle, "link.json: not JSON")


def test_huge_number(bundle):
    (bundle / "link.json").write_bytes(b'{"instances":' + b"9" * (1 << 20) + b"}")
    with pytest.raises(Rejected, match="digits"):
        read_bundle(bundle)


def test_truncated_json(bundle):
    path = bundle / "encoder.json"
    path.write_bytes(path.read_bytes()[:-10])
    undecided(bundle, "encoder.json: not JSON")


def test_not_utf8(bundle):
    (bundle / "statement.json").write_bytes(b'{"a":"\xff"}')
    undecided(bundle, "statement.json: not JSON")


# ---------------------------------------- zips


def write_zip(
    path: Path, members: list[tuple[str | zipfile.ZipInfo, bytes]], compression: int = zipfile.ZIP_DEFLATED
) -> Path:
    with zipfile.ZipFile(path, "w", compression) as archive:
        for name, data in members:
            archive.writestr(name, data)
    return path


def members_of(bundle: Path) -> list[tuple[str | zipfile.ZipInfo, bytes]]:
    return [(name, (bundle / name).read_bytes()) for name in FILE_LIMITS]


@pytest.mark.parametrize(
    "name", ["../link.json", "/etc/link.json", "a/link.json", "..\\link.json", "link.json/", "LINK.JSON"]
)
def test_zip_path_traversal(bundle, tmp_path, name):
    path = write_zip(tmp_path / "b.zip", [*members_of(bundle), (name, b"x")])
    undecided(path, "does not belong in a bundle")
    assert not (tmp_path / "link.json").exists()


@pytest.mark.filterwarnings("ignore:Duplicate name")
def test_zip_member_twice(bundle, tmp_path):
    members = members_of(bundle)
    undecided(write_zip(tmp_path / "b.zip", [*members, members[0]]), "there twice")


def test_zip_symbolic_link(bundle, tmp_path):
    info = zipfile.ZipInfo("link.json")
    info.external_attr = (stat.S_IFLNK | 0o777) << 16
    members = [m for m in members_of(bundle) if m[0] != "link.json"]
    undecided(write_zip(tmp_path / "b.zip", [*members, (info, b"/etc/passwd")]), "link.json: not a plain file")


def test_zip_bomb_announced(bundle, tmp_path):
    members = [m for m in members_of(bundle) if m[0] != "link.json"]
    bomb = bytes(limits.MAX_PROOF_FILE_BYTES + 1)
    undecided(write_zip(tmp_path / "b.zip", [*members, ("link.json", bomb)]), "link.json: .* limit")


def test_zip_bomb_with_a_false_size(bundle, tmp_path):
    """The announced size is small; what unpacks is not. It must not be unpacked past the limit."""
    members = [m for m in members_of(bundle) if m[0] != "statement.json"]
    bomb = bytes(50 << 20)
    path = write_zip(tmp_path / "b.zip", [*members, ("statement.json", bomb)])
    data = path.read_bytes()
    false = data.replace(struct.pack("<I", len(bomb)), struct.pack("<I", 1000))
    assert false != data
    path.write_bytes(false)
    undecided(path, "")


def test_zip_with_another_compression(bundle, tmp_path):
    undecided(write_zip(tmp_path / "b.zip", members_of(bundle), zipfile.ZIP_LZMA), "compressed in another way")


def test_zip_encrypted(bundle, tmp_path):
    path = write_zip(tmp_path / "b.zip", members_of(bundle))
    data = bytearray(path.read_bytes())
    position = -1
    while (position := data.find(b"PK\x01\x02", position + 1)) >= 0:
        data[position + 8] |= 1
    path.write_bytes(bytes(data))
    undecided(path, "")


def test_zip_damaged_member(bundle, tmp_path):
    path = write_zip(tmp_path / "b.zip", members_of(bundle), zipfile.ZIP_STORED)
    data = bytearray(path.read_bytes())
    data[data.find(b'"instances"') + 2] ^= 1
    path.write_bytes(bytes(data))
    undecided(path, "not a readable zip")


def test_zip_with_a_long_list_of_members(bundle, tmp_path):
    """A list of millions of members would cost gigabytes before the first name is looked at."""
    path = write_zip(tmp_path / "b.zip", [(f"{i}", b"") for i in range(2000)])
    undecided(path, "list of 2000 members")
    data = bytearray(path.read_bytes())
    data[-14:-10] = struct.pack("<HH", 5, 5)  # a false count
    path.write_bytes(bytes(data))
    undecided(path, "zip: a list of 5 members in")


def test_zip_larger_than_any_bundle(tmp_path):
    with (tmp_path / "b.zip").open("wb") as stream:
        stream.truncate(limits.MAX_ZIP_BYTES + 1)  # sparse: costs nothing
    undecided(tmp_path / "b.zip", "larger than any bundle")


def test_zip_with_a_comment(bundle, tmp_path):
    path = write_zip(tmp_path / "b.zip", members_of(bundle))
    with zipfile.ZipFile(path, "a") as archive:
        archive.comment = b"PK"
    undecided(path, "")


def read_from_the_front(data: bytes) -> dict[str, bytes]:
    """A slow reader of a zip as it arrives, each member's own header before its data. Stored members."""
    position, seen = 0, {}
    while data[position : position + 4] == b"PK\3\4":
        size, _, name, extra = struct.unpack_from("<2I2H", data, position + 18)
        begin = position + 30 + name + extra
        seen[data[position + 30 : position + 30 + name].decode()] = data[begin : begin + size]
        position = begin + size
    return seen


def hide_in_the_reserved_file(path: Path, members: list[tuple[str | zipfile.ZipInfo, bytes]], other: bytes) -> None:
    """The file that nobody reads holds another picture with a header, and says of itself that it is empty."""
    hidden = write_zip(path, [("fingerprint.png", other)], zipfile.ZIP_STORED).read_bytes()
    hidden = hidden[: hidden.index(b"PK\1\2")]
    data = bytearray(write_zip(path, [*members, ("signature.json", hidden)], zipfile.ZIP_STORED).read_bytes())
    at = data.index(b"signature.json") - 30
    data[at + 18 : at + 26] = bytes(8)  # its sizes
    path.write_bytes(bytes(data))


def put_in_front(path: Path, members: list[tuple[str | zipfile.ZipInfo, bytes]], other: bytes) -> None:
    """Two zips end to end: the list at the end is the second one's."""
    first = write_zip(path, [("fingerprint.png", other)], zipfile.ZIP_STORED).read_bytes()
    path.write_bytes(first + write_zip(path, members, zipfile.ZIP_STORED).read_bytes())


@pytest.mark.parametrize("forge", [put_in_front, hide_in_the_reserved_file])
def test_zip_that_is_another_bundle_when_read_from_the_front(bundle, tmp_path, forge):
    path, members, other = tmp_path / "b.zip", members_of(bundle), b"another picture"
    honest = read_files(write_zip(path, members, zipfile.ZIP_STORED), BUNDLE)
    assert read_from_the_front(path.read_bytes()) == honest
    forge(path, members, other)
    assert read_from_the_front(path.read_bytes())["fingerprint.png"] == other
    undecided(path, "zip: .* lies or is called otherwise than its list says")


def test_zip_with_a_second_name(bundle, tmp_path):
    """Info-ZIP's Unicode path: a member has one name."""
    members = []
    for name, called, data in (
        ("signature.json", b"fingerprint.png", b"another picture"),
        ("fingerprint.png", b"signature.json", (bundle / "fingerprint.png").read_bytes()),
    ):
        info = zipfile.ZipInfo(name)
        path = b"\1" + struct.pack("<I", zlib.crc32(name.encode())) + called
        info.extra = struct.pack("<2HB", 0x5455, 1, 0) + struct.pack("<2H", 0x7075, len(path)) + path  # behind a time
        members.append((info, data))
    members += [(name, data) for name, data in members_of(bundle) if name != "fingerprint.png"]
    undecided(write_zip(tmp_path / "b.zip", members), "signature.json has a second name")


def test_zip_written_as_a_stream(bundle, tmp_path):
    """Sizes behind the data: where a member ends is then for each program to find."""
    reader, writer = os.pipe()
    members = [(name, data[:100]) for name, data in members_of(bundle)]  # what a pipe holds
    with os.fdopen(writer, "wb") as stream, zipfile.ZipFile(stream, "w", zipfile.ZIP_DEFLATED) as archive:
        for name, data in members:
            archive.writestr(name, data)
    with os.fdopen(reader, "rb") as stream:
        (tmp_path / "b.zip").write_bytes(stream.read())
    undecided(tmp_path / "b.zip", "written as a stream")


def test_zip_with_bytes_between_members_and_list(bundle, tmp_path):
    data = write_zip(tmp_path / "b.zip", members_of(bundle)).read_bytes()
    at = data.index(b"PK\1\2")
    end = bytearray(data[-22:])
    end[16:20] = struct.pack("<I", at + 4)
    (tmp_path / "b.zip").write_bytes(data[:at] + b"more" + data[at:-22] + end)
    undecided(tmp_path / "b.zip", "bytes that belong to no member")


@settings(max_examples=60, deadline=None)
@given(data=st.data())
def test_a_spoilt_zip_never_crashes(tmp_path_factory, data):
    assets = ASSETS / "bundle"
    folder = tmp_path_factory.mktemp("zip")
    path = write_zip(folder / "b.zip", members_of(assets))
    raw = bytearray(path.read_bytes())
    tail = data.draw(st.booleans())  # the directory at the end is where the interesting fields are
    for _ in range(data.draw(st.integers(1, 4))):
        at = data.draw(st.integers(len(raw) - 400 if tail else 0, len(raw) - 1))
        raw[at] = data.draw(st.integers(0, 255))
    path.write_bytes(bytes(raw))
    try:
        files = read_files(path, BUNDLE)
    except Undecided:
        return
    assert set(files) == set(FILE_LIMITS)


# ---------------------------------------- pictures


def chunk(kind: bytes, data: bytes) -> bytes:
    return struct.pack(">I", len(data)) + kind + data + struct.pack(">I", zlib.crc32(kind + data))


def png(
    width: int = 2,
    height: int = 2,
    header: bytes = b"\x08\x02\x00\x00\x00",
    rows: bytes | None = None,
    extra: bytes = b"",
) -> bytes:
    rows = bytes(height * (1 + 3 * width)) if rows is None else rows
    start = b"\x89PNG\r\n\x1a\n" + chunk(b"IHDR", struct.pack(">II", width, height) + header)
    return start + extra + chunk(b"IDAT", zlib.compress(rows)) + chunk(b"IEND", b"")


def test_a_plain_picture():
    assert read_picture(png(), "p").pixels.shape == (2, 2, 3)


@pytest.mark.parametrize(
    ("data", "kind"),
    [
        (b"", Unreadable),
        (b"GIF89a", Unreadable),
        (png()[:-1], Unreadable),
        (png()[:40], Unreadable),
        (png(100_000, 100_000, rows=b""), Unreadable),
        (png() + b"\0", Rejected),
        (png() + png(), Rejected),
        (png(header=b"\x08\x06\x00\x00\x00"), Rejected),  # RGBA
        (png(header=b"\x08\x03\x00\x00\x00"), Rejected),  # palette
        (png(header=b"\x10\x02\x00\x00\x00"), Rejected),  # 16 bits
        (png(header=b"\x08\x02\x00\x00\x01"), Rejected),  # interlaced
        (png(extra=chunk(b"acTL", bytes(8))), Rejected),  # animation
        (png(extra=chunk(b"gAMA", bytes(4))), Rejected),
        (png(extra=chunk(b"iCCP", b"x\0\0")), Rejected),
        (png(extra=chunk(b"tEXt", b"a\0b")), Rejected),
        (png(rows=bytes(13)), Rejected),
        (png(rows=bytes(15)), Rejected),
        (png(rows=bytes(100 << 20)), Rejected),  # inflates to far more than its size says
        (png(rows=b"\x09" + bytes(13)), Rejected),  # no such filter
    ],
)
def test_other_pictures(data, kind):
    with pytest.raises(kind):
        read_picture(data, "p")


def test_wrong_checksum():
    data = bytearray(png())
    data[-5] ^= 1
    with pytest.raises(Unreadable, match="checksum"):
        read_picture(bytes(data), "p")


@settings(max_examples=200, deadline=None)
@given(data=st.data())
def test_a_spoilt_picture_never_crashes(data):
    raw = bytearray((ASSETS / "bundle" / "fingerprint.png").read_bytes())
    for _ in range(data.draw(st.integers(1, 3))):
        raw[data.draw(st.integers(0, len(raw) - 1))] = data.draw(st.integers(0, 255))
    cut = data.draw(st.integers(0, len(raw)))
    try:
        read_picture(bytes(raw[:cut]), "p")
    except VerifierError:
        return


def test_pillow_is_given_nothing_but_the_parsed_picture():
    """An ordinary PNG with one more chunk is refused: pillow does not decide what a PNG is here."""
    from PIL import Image

    stream = io.BytesIO()
    Image.new("RGB", (2, 2)).save(stream, "PNG", dpi=(72, 72))
    with pytest.raises(Rejected, match="pHYs"):
        read_picture(stream.getvalue(), "p")
