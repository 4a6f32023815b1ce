"""A package, a directory or zip, becomes the bytes of its files. Nothing in it is trusted.

Refused before anything is read or unpacked: names not on the list, links and other things that are not plain files,
sizes over the limits, members twice, encrypted members, compression other than stored or deflated.
"""

from __future__ import annotations

import mmap
import os
import stat
import struct
import zipfile
import zlib
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import BinaryIO

from verifier.formats import limits
from verifier.formats.errors import Unreadable

ZIP_SUFFIXES = (
    ".zip",
    ".huref",
)  # of zips that are looked for, in capitals too; one that is given may end otherwise
_ZIP_END = struct.Struct("<4s4H2IH")  # end of central directory: ..., members, bytes of their list, its place, comment
_ZIP_LOCATOR = 20  # bytes of a zip64 locator, which would lie before it
_ZIP_LOCAL = struct.Struct("<4s5H3I2H")  # a member's own header: signature, ..., lengths of its name and extra field
_ZIP_UNICODE_PATH = 0x7075
_ZIP_AGAIN = "unpack it and give the directory, or zip that again, to a file"

BUNDLE_STATEMENT = "statement.json"  # the file that tells a bundle from other packages


@dataclass(frozen=True)
class Package:
    """A kind of package: what it is called, its files with limits in bytes, and those that may be missing."""

    what: str
    files: Mapping[str, int]
    optional: Mapping[str, int]

    def limit(self, name: str) -> int:
        """The limit of an allowed file."""
        return self.files[name] if name in self.files else self.optional[name]


def read_files(path: Path, package: Package) -> Mapping[str, bytes]:
    """The bytes of the files of a package, a directory or zip, optional ones too if they are there.

    Raises:
        Unreadable: missing, unknown, too large, or not a plain file.
    """
    try:
        mode = path.stat().st_mode
    except (OSError, ValueError) as error:
        raise Unreadable(
            f"{path}: {_reason(error)}", hint=f"give the path of a {package.what}, a directory or a zip"
        ) from None
    if stat.S_ISDIR(mode):
        return _read_directory(path, package)
    if stat.S_ISREG(mode):
        return _read_zip(path, package)
    raise Unreadable(f"{path}: neither a directory nor a file")


def _reason(error: Exception) -> str:
    return (error.strerror if isinstance(error, OSError) else None) or str(error)[:100] or type(error).__name__


def _check_names(names: list[str], package: Package) -> None:
    what = package.what
    if len(names) > limits.MAX_ENTRIES:
        raise Unreadable(f"{what}: {len(names)} entries, {len(package.files)} files are expected", code="unknown-file")
    for name in names:
        if name not in package.files and name not in package.optional:
            raise Unreadable(
                f"{what}: {ascii(name)[:80]} does not belong in a {what}",
                code="unknown-file",
                hint=f"a {what} holds " + ", ".join([*package.files, *package.optional]) + " and nothing else",
            )
    if len(set(names)) != len(names):
        raise Unreadable(f"{what}: a file is there twice", code="duplicate-file")
    for name in package.files:
        if name not in names:
            raise Unreadable(f"{what}: {name} is missing", code="missing-file")


def _check_size(name: str, size: int, package: Package) -> None:
    if size > package.limit(name):
        raise Unreadable(f"{name}: {size} bytes, the limit is {package.limit(name)}", code="too-large")


def _read_directory(path: Path, package: Package) -> Mapping[str, bytes]:
    try:
        with os.scandir(path) as entries:
            names = [entry.name for entry, _ in zip(entries, range(limits.MAX_ENTRIES + 1), strict=False)]
    except OSError as error:
        raise Unreadable(f"{path}: {_reason(error)}") from None
    _check_names(names, package)
    allowed = [*package.files, *package.optional]
    return {name: _read_plain_file(path / name, name, package) for name in allowed if name in names}


def _read_plain_file(path: Path, name: str, package: Package) -> bytes:
    # O_NOFOLLOW refuses a link, O_NONBLOCK keeps a named pipe from hanging the open; then it is looked at,
    # then read.
    flags = os.O_RDONLY | getattr(os, "O_NOFOLLOW", 0) | getattr(os, "O_NONBLOCK", 0) | getattr(os, "O_BINARY", 0)
    try:
        if path.is_symlink():
            raise Unreadable(f"{name}: a symbolic link", code="not-a-plain-file")
        handle = os.open(path, flags)
    except OSError as error:
        raise Unreadable(f"{name}: {_reason(error)}") from None
    try:
        with os.fdopen(handle, "rb") as stream:
            info = os.fstat(handle)
            if not stat.S_ISREG(info.st_mode):
                raise Unreadable(f"{name}: not a plain file", code="not-a-plain-file")
            _check_size(name, info.st_size, package)
            data = stream.read(package.limit(name) + 1)
    except OSError as error:
        raise Unreadable(f"{name}: {_reason(error)}") from None
    _check_size(name, len(data), package)
    return data


def named_in(path: Path, *names: str) -> list[bool]:
    """Whether a zip's bytes, damaged or not, name each of `names`; none if it is no file, or too large.

    Raises:
        OSError, ValueError: it cannot be looked at.
    """
    if not path.is_file() or not 0 < path.stat().st_size <= limits.MAX_ZIP_BYTES:
        return [False] * len(names)
    with path.open("rb") as stream, mmap.mmap(stream.fileno(), 0, access=mmap.ACCESS_READ) as data:
        return [data.find(name.encode()) >= 0 for name in names]


def _read_zip(path: Path, package: Package) -> Mapping[str, bytes]:
    try:
        if path.stat().st_size > limits.MAX_ZIP_BYTES:
            raise Unreadable(f"{path}: larger than any {package.what}", code="too-large")
        with path.open("rb") as stream:
            return read_zip(stream, str(path), package)
    except OSError as error:
        raise Unreadable(f"{path}: {_reason(error)}") from None


def read_zip(stream: BinaryIO, name: str, package: Package) -> Mapping[str, bytes]:
    """The bytes of the files of a zip; `name` is for messages.

    Raises:
        Unreadable: see `read_files`.
    """
    try:
        _check_directory_size(stream)
        archive = zipfile.ZipFile(stream)
        members = archive.infolist()
        _check_names([member.filename for member in members], package)
        files = {m.filename: _read_member(archive, m, package) for m in members}
        _check_layout(stream, members, archive.start_dir, files)
        return files
    except (
        zipfile.BadZipFile,
        zlib.error,
        EOFError,
        NotImplementedError,
        RuntimeError,
        ValueError,
        OverflowError,  # an offset of 2^63 and more
        OSError,
    ) as error:
        raise Unreadable(f"{name}: not a readable zip ({_reason(error)})", code="bad-zip") from None


def _check_directory_size(stream: BinaryIO) -> None:
    """Refuse a zip with a long list of members, before `zipfile` makes an object of each (140 MB hold millions).

    The end record must be the last 22 bytes (no comment) and no zip64 one: then it is the one `zipfile` reads.
    """
    stream.seek(0, os.SEEK_END)
    size = stream.tell()
    stream.seek(max(0, size - _ZIP_LOCATOR - _ZIP_END.size))
    tail = stream.read(_ZIP_LOCATOR + _ZIP_END.size)
    if len(tail) < _ZIP_END.size or not tail[-_ZIP_END.size :].startswith(b"PK\5\6"):
        raise zipfile.BadZipFile("it does not end with a plain end record")
    *_, entries, directory, _offset, comment = _ZIP_END.unpack(tail[-_ZIP_END.size :])
    zip64 = tail[: -_ZIP_END.size].startswith(b"PK\6\7")
    if zip64 or comment or entries > limits.MAX_ENTRIES or directory > limits.MAX_ZIP_DIRECTORY_BYTES:
        raise Unreadable(f"zip: a list of {entries} members in {directory} bytes, or a comment", code="bad-zip")


def _check_layout(stream: BinaryIO, members: list[zipfile.ZipInfo], end: int, files: Mapping[str, bytes]) -> None:
    """Members lie one after another from the first byte to `end`, where their list begins, and agree with it.

    Otherwise a program that reads from the front, and not from the list at the end, may see another bundle; or one that
    unpacks all there is, where `zipfile` stops at the announced size.
    """
    position = 0
    for member in sorted(members, key=lambda member: member.header_offset):
        stream.seek(position)
        head = stream.read(_ZIP_LOCAL.size)
        if len(head) < _ZIP_LOCAL.size:
            raise zipfile.BadZipFile("cut short")
        signature, _version, flags, method, _time, _date, *sizes, name, extra = _ZIP_LOCAL.unpack(head)
        listed = [b"PK\3\4", member.flag_bits, member.compress_type, member.CRC, member.compress_size, member.file_size]
        named = stream.read(name) == member.filename.encode("ascii")
        if flags & 0x8:
            raise Unreadable("zip: written as a stream, sizes behind the data", code="bad-zip", hint=_ZIP_AGAIN)
        if position != member.header_offset or [signature, flags, method, *sizes] != listed or not named:
            raise Unreadable(f"zip: {member.filename} lies or is called otherwise than its list says", code="bad-zip")
        if _renames(member.extra) or _renames(stream.read(extra)):
            raise Unreadable(f"zip: {member.filename} has a second name", code="bad-zip", hint=_ZIP_AGAIN)
        if not _is_all_of(stream.read(member.compress_size), method, files[member.filename]):
            raise Unreadable(f"zip: {member.filename}'s data go on past its size", code="bad-zip", hint=_ZIP_AGAIN)
        position += _ZIP_LOCAL.size + name + extra + member.compress_size
    if position != end:
        raise Unreadable("zip: bytes that belong to no member", code="bad-zip", hint=_ZIP_AGAIN)


def _is_all_of(packed: bytes, method: int, data: bytes) -> bool:
    """Whether `packed` is `data` and nothing more, with no byte behind it."""
    if method == zipfile.ZIP_STORED:
        return packed == data
    inflate = zlib.decompressobj(-zlib.MAX_WBITS)
    return inflate.decompress(packed, len(data) + 1) == data and inflate.eof and not inflate.unused_data


def _renames(extra: bytes) -> bool:
    """Whether an extra field holds Info-ZIP's Unicode path, which some programs take for the name."""
    while len(extra) >= 4:
        kind, size = struct.unpack_from("<2H", extra)
        if kind == _ZIP_UNICODE_PATH:
            return True
        extra = extra[4 + size :]
    return False


def _read_member(archive: zipfile.ZipFile, member: zipfile.ZipInfo, package: Package) -> bytes:
    name = member.filename
    kind = stat.S_IFMT(member.external_attr >> 16)
    if kind not in (0, stat.S_IFREG) or member.is_dir() or member.external_attr & 0x10:
        raise Unreadable(f"{name}: not a plain file", code="not-a-plain-file")
    if member.flag_bits & 0x1 or member.compress_type not in (zipfile.ZIP_STORED, zipfile.ZIP_DEFLATED):
        raise Unreadable(f"{name}: encrypted, or compressed in another way than deflate", code="bad-zip")
    _check_size(name, member.file_size, package)
    _check_size(name, member.compress_size, package)
    with archive.open(member) as stream:  # the announced size is not believed: at most limit + 1 bytes are unpacked
        data = stream.read(package.limit(name) + 1)
    _check_size(name, len(data), package)
    if len(data) != member.file_size:
        raise Unreadable(f"{name}: {len(data)} bytes unpacked, {member.file_size} announced", code="bad-zip")
    return data


def holds(path: Path, statement: str) -> bool:
    """Whether `path` is a folder with a file called `statement`, or a zip that names one; never raises.

    What has a bundle's statement too is judged as a bundle: no bundle gets out of that by naming another file.
    """
    try:
        if path.is_dir():
            names = {entry.name for entry, _ in zip(path.iterdir(), range(limits.MAX_ENTRIES + 1), strict=False)}
            return statement in names and BUNDLE_STATEMENT not in names
        return named_in(path, statement, BUNDLE_STATEMENT) == [True, False]
    except (OSError, ValueError):
        return False
