"""Zips whose members hold more than they say: refused, whatever another program would make of them."""

from __future__ import annotations

import struct
import zipfile
import zlib
from collections.abc import Callable
from pathlib import Path

import pytest

from tests.verifier.fingerprint.test_artefact import members_of, undecided
from verifier.fingerprint.artefact import BUNDLE
from verifier.formats.package import read_files


def write_packed(path: Path, members: list[tuple[str, bytes, bytes]], method: int) -> Path:
    """A zip of members that are packed already: name, packed bytes, and the data that its sizes and checksum are of."""
    body, listed = b"", b""
    for name, packed, data in members:
        both = struct.pack("<5H3I", 20, 0, method, 0, 33, zlib.crc32(data), len(packed), len(data))
        label, place = name.encode(), len(body)
        listed += (
            b"PK\1\2" + struct.pack("<H", 20) + both + struct.pack("<5H2I", len(label), 0, 0, 0, 0, 0, place) + label
        )
        body += b"PK\3\4" + both + struct.pack("<2H", len(label), 0) + label + packed
    end = struct.pack("<4s4H2IH", b"PK\5\6", 0, 0, len(members), len(members), len(listed), len(body), 0)
    path.write_bytes(body + listed + end)
    return path


def deflated(data: bytes) -> bytes:
    packer = zlib.compressobj(9, zlib.DEFLATED, -zlib.MAX_WBITS)
    return packer.compress(data) + packer.flush()


MORE: dict[str, tuple[int, Callable[[bytes], bytes]]] = {
    "deflated, and unpacks to more": (zipfile.ZIP_DEFLATED, lambda data: deflated(data + b"more")),
    "deflated, and bytes behind it": (zipfile.ZIP_DEFLATED, lambda data: deflated(data) + b"more"),
    "deflated, without its end": (zipfile.ZIP_DEFLATED, lambda data: deflated(data + bytes(100))[:-2]),
    "stored, and longer": (zipfile.ZIP_STORED, lambda data: data + b"more"),
}


@pytest.mark.parametrize("what", MORE)
def test_zip_whose_data_go_on_past_the_announced_size(bundle, tmp_path, what):
    """The control is the same zip without the rest."""
    method, pack = MORE[what]
    plain = deflated if method == zipfile.ZIP_DEFLATED else bytes
    honest = [(str(name), plain(data), data) for name, data in members_of(bundle)]
    assert read_files(write_packed(tmp_path / "b.zip", honest, method), BUNDLE) == read_files(bundle, BUNDLE)
    *others, (name, _, data) = honest
    forged = write_packed(tmp_path / "b.zip", [*others, (name, pack(data), data)], method)
    undecided(forged, f"zip: {name}'s data go on past its size")
