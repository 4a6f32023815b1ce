"""SHA-256 of files and atomic writing: a killed run never leaves a half-written file under its final name."""

from __future__ import annotations

import errno
import hashlib
import os
import tempfile
from pathlib import Path

from circuits.errors import StorageError


def sha256_file(path: Path) -> str:
    """SHA-256 of a file, hex."""
    digest = hashlib.sha256()
    with path.open("rb") as stream:
        while block := stream.read(1 << 20):
            digest.update(block)
    return digest.hexdigest()


def write_atomically(path: Path, data: bytes, mode: int = 0o644) -> None:
    """Write `data` under `path` by a temporary file in the same folder. A link stays one: its file is written.

    Raises:
        StorageError: a full or read-only disk, or a device, a pipe or a folder, whose place no file takes.
    """
    try:
        if path.exists() and not path.is_file():
            raise StorageError(f"{path}: is there and is not a file", step="write", hint="name a file")
        path = Path(os.path.realpath(path))
        path.parent.mkdir(parents=True, exist_ok=True)
        handle, name = tempfile.mkstemp(dir=path.parent, prefix=f".{path.name[:50]}.")  # 200 bytes at most
        try:
            with os.fdopen(handle, "wb") as stream:
                stream.write(data)
                stream.flush()
                os.fsync(stream.fileno())
            Path(name).chmod(mode)
            Path(name).replace(path)
        except BaseException:
            Path(name).unlink(missing_ok=True)
            raise
    except OSError as error:
        raise storage_error(path, error) from None


def storage_error(path: Path, error: OSError) -> StorageError:
    """The typed error for an operating-system error at `path`."""
    hint = "free some space and run again; finished parts are kept" if error.errno == errno.ENOSPC else ""
    return StorageError(f"{path}: {error.strerror or error}", step="write", hint=hint)
