"""The registry's folder: lock, log, head, bundles.

    registry.json   what the folder is
    log.jsonl       the log: an entry a line, only ever appended to; an entry counts when its newline is there
    head.json       entries, bytes and root of the log as the last `add` left it
    bundles/<digest>/   the files of each entry
    incoming/       copies under verification; each is locked by the process it belongs to
    index.sqlite    made from the log, see `index.py`; may be deleted

The order of an `add`: the bundle's folder by one rename, then the line, then the head, then the index. Killed anywhere,
every earlier entry is as it was, and the new one is either in the log or not; what is left over is put right by the
next `add`.
"""

from __future__ import annotations

import contextlib
import fcntl
import json
import os
import re
import shutil
import tempfile
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path

from circuits.digests import storage_error, write_atomically
from circuits.errors import RegistryError
from prover.formats.canonical_json import canonical
from prover.registry.entry import HINT, MAX_LINE_BYTES

REGISTRY_TYPE = "application/vnd.huref-zk.registry+json;version=1"
HEAD_TYPE = "application/vnd.huref-zk.registry-head+json;version=1"
MAX_SMALL_BYTES = 4 << 10  # registry.json and head.json have 200 bytes


@dataclass(frozen=True)
class Head:
    """The log at some time: number of entries, its bytes, and the root of the hash tree, hexadecimal."""

    entries: int
    log_bytes: int
    root: str

    def document(self) -> bytes:
        """As it is stored."""
        return canonical({"type": HEAD_TYPE, "entries": self.entries, "log_bytes": self.log_bytes, "root": self.root})


def read_head(path: Path) -> Head:
    """A head's file.

    Raises:
        RegistryError: missing, or something else.
    """
    value = _read_small(path)
    head = Head(*(value.get(key) for key in ("entries", "log_bytes", "root")))  # type: ignore[arg-type]
    integers = all(type(number) is int and number >= 0 for number in (head.entries, head.log_bytes))
    if not integers or not _is_root(head.root) or canonical(value) != head.document():
        raise RegistryError(f"{path}: not the head of a registry's log", step="head", hint=HINT)
    return head


def _is_root(value: object) -> bool:
    return isinstance(value, str) and re.fullmatch("[0-9a-f]{64}", value) is not None


def _read_small(path: Path) -> dict[str, object]:
    try:
        with path.open("rb") as stream:
            value = json.loads(stream.read(MAX_SMALL_BYTES).decode("utf-8"))
    except FileNotFoundError:
        raise RegistryError(f"{path}: missing", step="registry") from None
    except OSError as error:
        raise RegistryError(f"{path}: {error.strerror}", step="registry") from None
    except (ValueError, RecursionError):
        value = None
    if not isinstance(value, dict):
        raise RegistryError(f"{path}: not a JSON object", step="registry")
    return value


class Registry:
    """A registry's folder. Writers hold `lock`."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.log, self.head_file = folder / "log.jsonl", folder / "head.json"
        self.bundles, self._incoming = folder / "bundles", folder / "incoming"
        self.index_file = folder / "index.sqlite"

    @classmethod
    def open(cls, folder: Path) -> Registry:
        """An existing registry.

        Raises:
            RegistryError: there is none, or one of another version.
        """
        if not (folder / "registry.json").is_file():
            raise RegistryError(f"{folder}: no registry", step="registry", hint="huref registry add makes one")
        if _read_small(folder / "registry.json").get("type") != REGISTRY_TYPE:
            raise RegistryError(f"{folder}: a registry of another version", step="registry", hint="upgrade huref-zk")
        return cls(folder)

    @classmethod
    def open_or_create(cls, folder: Path) -> Registry:
        """The registry in `folder`, a new one if that is missing or empty.

        Raises:
            RegistryError: something else is in the folder.
        """
        if not (folder / "registry.json").exists():
            # what a killed creation leaves may be there, or another process has just made the registry
            if _strangers(folder) and not (folder / "registry.json").exists():
                raise RegistryError(f"{folder}: not empty, and no registry", step="registry")
            write_atomically(folder / "registry.json", canonical({"type": REGISTRY_TYPE}))
        registry = cls.open(folder)
        try:
            registry.bundles.mkdir(exist_ok=True)
            registry._incoming.mkdir(exist_ok=True)
        except OSError as error:
            raise storage_error(folder, error) from None
        return registry

    @property
    def writable(self) -> bool:
        """Whether this user may write to the folder; if not, it can still be read and verified."""
        return os.access(self.folder, os.W_OK)

    @contextlib.contextmanager
    def lock(self) -> Iterator[None]:
        """Alone among writers; waits for the others. The system lets go when the process ends, however it ends."""
        try:
            handle = os.open(self.folder / ".lock", os.O_CREAT | os.O_RDWR, 0o644)
        except OSError as error:
            raise storage_error(self.folder, error) from None
        try:
            fcntl.flock(handle, fcntl.LOCK_EX)
            yield
        finally:
            os.close(handle)

    @contextlib.contextmanager
    def quiet(self) -> Iterator[None]:
        """As `lock`, for a reader; where the folder cannot be written nobody is waited for."""
        with self.lock() if self.writable else contextlib.nullcontext():
            yield

    # ---------------------------------------- copies under verification

    @contextlib.contextmanager
    def incoming(self, files: Mapping[str, bytes]) -> Iterator[Path]:
        """A folder with these files, on disk for good, which is gone afterwards unless it was moved into place."""
        handle = None
        try:
            with self.lock():  # so that nobody sweeps it between its making and its locking
                self._sweep()
                folder = Path(tempfile.mkdtemp(dir=self._incoming))
                handle = os.open(folder, os.O_RDONLY)
                fcntl.flock(handle, fcntl.LOCK_EX)
            folder.chmod(0o755)
            for name, data in files.items():
                with (folder / name).open("xb") as stream:
                    stream.write(data)
                    stream.flush()
                    os.fsync(stream.fileno())
            os.fsync(handle)
        except OSError as error:
            raise storage_error(self._incoming, error) from None
        try:
            yield folder
        finally:
            shutil.rmtree(folder, ignore_errors=True)
            os.close(handle)

    def _sweep(self) -> None:
        """Remove what killed processes left: copies, and half-made files, which are only made under the lock."""
        for path in self.folder.glob(".head.json.*"):
            path.unlink(missing_ok=True)
        for path in self._incoming.iterdir():
            try:
                handle = os.open(path, os.O_RDONLY)
            except FileNotFoundError:  # its process has just removed it
                continue
            with contextlib.suppress(BlockingIOError):  # its process is alive
                fcntl.flock(handle, fcntl.LOCK_EX | fcntl.LOCK_NB)
                shutil.rmtree(path, ignore_errors=True)
            os.close(handle)

    # ---------------------------------------- under the lock

    def place(self, incoming: Path, digest: str) -> None:
        """Put a verified copy at bundles/<digest>. What a killed `add` left there gives way."""
        target = self.bundles / digest
        try:
            if target.exists():
                shutil.rmtree(target)
            incoming.rename(target)
            _sync_folder(self.bundles)
        except OSError as error:
            raise storage_error(target, error) from None

    def append(self, line: bytes) -> None:
        """Append a line to the log, on disk for good."""
        try:
            handle = os.open(self.log, os.O_WRONLY | os.O_CREAT | os.O_APPEND, 0o644)
            try:
                data = memoryview(line + b"\n")
                while data:
                    data = data[os.write(handle, data) :]
                os.fsync(handle)
            finally:
                os.close(handle)
            _sync_folder(self.folder)
        except OSError as error:
            raise storage_error(self.log, error) from None

    def drop_torn_line(self) -> None:
        """Cut off an entry that a killed `add` wrote in part: it never counted.

        Raises:
            RegistryError: the log would become shorter than its head says, so this is damage.
        """
        if not self.log.exists():
            return
        size = self.log_bytes()
        with self.log.open("rb") as stream:
            stream.seek(0, os.SEEK_END)
            if stream.tell() == size:
                return
        if self.head_file.exists() and size < read_head(self.head_file).log_bytes:
            raise RegistryError(f"{self.log}: shorter than head.json says", step="log", hint=HINT)
        with self.log.open("rb+") as stream:
            stream.truncate(size)
            os.fsync(stream.fileno())

    # ---------------------------------------- reading

    def log_bytes(self) -> int:
        """Bytes of the log's whole lines.

        Raises:
            RegistryError: it ends in something longer than any line.
        """
        if not self.log.exists():
            return 0
        with self.log.open("rb") as stream:
            size = stream.seek(0, os.SEEK_END)
            start = max(0, size - MAX_LINE_BYTES - 1)
            stream.seek(start)
            end = stream.read(size - start)
        newline = end.rfind(b"\n")
        if newline < 0 and start > 0:
            raise RegistryError(f"{self.log}: ends in more than {MAX_LINE_BYTES} bytes of one line", step="log")
        return start + newline + 1

    def lines(self, start: int = 0) -> Iterator[tuple[int, bytes]]:
        """Place and bytes of each whole line from byte `start` on, without newlines.

        Raises:
            RegistryError: a line is longer than any entry.
        """
        if not self.log.exists():
            return
        with self.log.open("rb") as stream:
            stream.seek(start)
            place = start
            while line := stream.readline(MAX_LINE_BYTES + 2):
                if not line.endswith(b"\n"):
                    if len(line) > MAX_LINE_BYTES:
                        raise RegistryError(f"{self.log}: a line of more than {MAX_LINE_BYTES} bytes", step="log")
                    return
                yield place, line[:-1]
                place += len(line)


def _strangers(folder: Path) -> bool:
    """Whether there is anything but the lock and half-made files of `write_atomically`."""
    if folder.exists() and not folder.is_dir():
        raise RegistryError(f"{folder}: not a folder", step="registry")
    names = {path.name for path in folder.iterdir()} if folder.exists() else set()
    return any(name != ".lock" and not name.startswith(".registry.json.") for name in names)


def _sync_folder(folder: Path) -> None:
    handle = os.open(folder, os.O_RDONLY)
    try:
        os.fsync(handle)
    finally:
        os.close(handle)
