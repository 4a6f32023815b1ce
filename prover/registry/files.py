"""The bytes of a bundle that is to be published: a folder or zip, bounded, plain files only.

What they mean is the verifier's business; it gets a copy made of these bytes.
"""

from __future__ import annotations

import os
import stat
import zipfile
import zlib
from pathlib import Path
from typing import IO

from circuits.errors import RegistryError
from prover.release.signing import FILES, SIGNATURE_FILE

MAX_FILE_BYTES = 128 << 20  # the verifier's own limits are tighter; the largest, commitments.bin, may have 122 MiB
_NAMES = {*FILES, SIGNATURE_FILE}


def read_bundle_files(path: Path) -> dict[str, bytes]:
    """Name -> bytes of the five files, and of the signature if there is one.

    Raises:
        RegistryError: not a bundle, or not readable.
    """
    try:
        found = _from_folder(path) if path.is_dir() else _from_zip(path)
    except (zipfile.BadZipFile, zlib.error, EOFError, NotImplementedError, RuntimeError, ValueError) as error:
        raise RegistryError(f"{path}: not a readable zip ({str(error)[:100]})", step="bundle") from None
    except OSError as error:
        raise RegistryError(f"{path}: {error.strerror or error}", step="bundle") from None
    missing = [name for name in FILES if name not in found]
    if missing:
        raise RegistryError(f"{path}: {missing[0]} is missing: not a bundle", step="bundle")
    return found


def _from_folder(path: Path) -> dict[str, bytes]:
    with os.scandir(path) as entries:
        names = [entry.name for entry, _ in zip(entries, range(len(_NAMES) + 1), strict=False)]
    _check(path, names)
    return {name: _read_plain(path / name) for name in names}


def _from_zip(path: Path) -> dict[str, bytes]:
    with path.open("rb") as stream:
        if not stat.S_ISREG(os.fstat(stream.fileno()).st_mode):
            raise RegistryError(f"{path}: neither a folder nor a file", step="bundle")
        with zipfile.ZipFile(stream) as archive:
            _check(path, archive.namelist())
            found = {}
            for name in archive.namelist():
                with archive.open(name) as member:
                    found[name] = _limited(f"{path}: {name}", member)
            return found


def _check(path: Path, names: list[str]) -> None:
    strange = [name for name in names if name not in _NAMES]
    if strange or len(set(names)) != len(names):
        what = f"{ascii(strange[0])[:80]} does not belong in a bundle" if strange else "a file is there twice"
        raise RegistryError(f"{path}: {what}", step="bundle")


def _read_plain(path: Path) -> bytes:
    handle = os.open(path, os.O_RDONLY | os.O_NOFOLLOW | os.O_NONBLOCK)
    with os.fdopen(handle, "rb") as stream:
        if not stat.S_ISREG(os.fstat(handle).st_mode):
            raise RegistryError(f"{path}: not a plain file", step="bundle")
        return _limited(str(path), stream)


def _limited(where: str, stream: IO[bytes]) -> bytes:
    data = stream.read(MAX_FILE_BYTES + 1)
    if len(data) > MAX_FILE_BYTES:
        raise RegistryError(f"{where}: larger than {MAX_FILE_BYTES} bytes", step="bundle")
    return data
