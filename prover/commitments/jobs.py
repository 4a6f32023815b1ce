"""Jobs: finished parts of a proving run, kept so that a killed run resumes and ends with the same result.

A job's folder is named by a digest of all that goes in (weights, seed, profile, metadata); it has mode 0700, since it
holds the session's randomness, and is removed when the bundle is written.
"""

from __future__ import annotations

import fcntl
import hashlib
import os
import shutil
import tempfile
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

from circuits.digests import storage_error, write_atomically
from circuits.errors import UsageError
from circuits.keys import cache_folder


class Job:
    """A folder of finished parts."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder

    def part(self, name: str, make: Callable[[], bytes]) -> bytes:
        """The part `name`: what an earlier run left, or else `make()`, kept before it is used."""
        if self.has(name):
            return self.read(name)
        data = make()
        self.keep(name, data)
        return data

    def keep(self, name: str, data: bytes) -> None:
        """Write the part `name`, whole or not at all."""
        write_atomically(self.folder / name, data, mode=0o600)

    def read(self, name: str) -> bytes:
        """The part `name`, which is there."""
        return (self.folder / name).read_bytes()

    def has(self, name: str) -> bool:
        """Whether an earlier run finished this part."""
        return (self.folder / name).exists()


@contextmanager
def _temporary_files_in(folder: Path) -> Iterator[None]:
    """All temporary files of the run and its children lie here: witnesses are secret, a killed run cleans nothing."""
    shutil.rmtree(folder, ignore_errors=True)
    folder.mkdir(mode=0o700)
    before = os.environ.get("TMPDIR")
    os.environ["TMPDIR"], tempfile.tempdir = str(folder), None
    try:
        yield
    finally:
        tempfile.tempdir = None
        if before is None:
            del os.environ["TMPDIR"]
        else:
            os.environ["TMPDIR"] = before
        shutil.rmtree(folder, ignore_errors=True)


@contextmanager
def job(*ingredients: bytes) -> Iterator[Job]:
    """The job of these ingredients, locked; removed when the block ends well, kept when it does not.

    Raises UsageError when another process works on the same job.
    """
    digest = hashlib.sha256()
    for item in ingredients:
        digest.update(len(item).to_bytes(8, "big") + item)
    folder = cache_folder() / "jobs" / digest.hexdigest()[:32]
    try:
        folder.mkdir(parents=True, exist_ok=True, mode=0o700)
        lock = os.open(folder / "lock", os.O_CREAT | os.O_RDWR, 0o600)
    except OSError as error:
        raise storage_error(folder, error) from None
    try:
        try:
            fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except OSError:
            raise UsageError(
                "another process is proving the same model with the same secret",
                step="job",
                hint=f"wait for it; its folder is {folder}",
            ) from None
        with _temporary_files_in(folder / "tmp"):
            yield Job(folder)
        shutil.rmtree(folder, ignore_errors=True)
    finally:
        os.close(lock)
