"""Two child processes that run ezkl, with a time limit and a memory limit; typed results for everybody else.

A child that crashes, hangs, prints or answers nonsense becomes `ToolFailure` or `TimeLimit`: undecided, never
accepted. What ezkl reads are files written here, into a private directory, from bytes that were checked.
"""

from __future__ import annotations

import importlib.metadata
import importlib.util
import itertools
import json
import os
import queue
import signal
import subprocess
import sys
import tempfile
import threading
import time
from collections.abc import Callable, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from pathlib import Path
from types import TracebackType
from typing import Any, TypeVar

from verifier.algebra.curve import Bases, messages
from verifier.formats import limits
from verifier.formats.encoding import POINT_BYTES
from verifier.formats.errors import BadInstallation, Rejected, TimeLimit, ToolFailure, Unreadable
from verifier.formats.strict_json import check_depth

T = TypeVar("T")

LANES = 2
EZKL_VERSION = "23.0.5"  # as in pyproject.toml
SOUND_SETTINGS = {
    "disable_freivalds": True,
    "input_visibility": "KZGCommit",
    "output_visibility": "Public",
    "param_visibility": "Fixed",
}
_REINSTALL = "reinstall huref-zk, or check the source out again"
CHILD = Path(__file__).with_name("ezkl_child.py")


class Deadline:
    """A point in time after which the verdict is undecided."""

    def __init__(self, seconds: float) -> None:
        """`seconds` from now."""
        self.seconds = seconds
        self._end = time.monotonic() + seconds

    def remaining(self) -> float:
        """Seconds left.

        Raises:
            TimeLimit: none are.
        """
        left = self._end - time.monotonic()
        if left <= 0:
            raise TimeLimit(f"not finished within {self.seconds:g} seconds", hint="give more with --time-limit SECONDS")
        return left


class Lane:
    """One child process, started at its first job."""

    def __init__(self, folder: Path, name: str, deadline: Deadline, command: Sequence[str]) -> None:
        """A lane that works in `folder`; `command` starts the child."""
        self._folder, self._deadline, self._command = folder, deadline, command
        self._log = folder / f"{name}.log"
        self._process: subprocess.Popen[bytes] | None = None
        self._answers: queue.Queue[bytes] = queue.Queue(maxsize=4)  # one is asked for at a time
        self._closed = False
        self._lock = threading.Lock()

    def call(self, job: dict[str, str]) -> dict[str, Any]:
        """Have a job done.

        Raises:
            TimeLimit, ToolFailure: it did not get done.
        """
        process = self._start()
        try:
            if process.stdin is None:
                raise ToolFailure("the ezkl process has no input")
            process.stdin.write(json.dumps(job).encode("ascii") + b"\n")
            process.stdin.flush()
            line = self._answers.get(timeout=self._deadline.remaining())
        except queue.Empty:
            self.close()
            self._deadline.remaining()
            raise ToolFailure("ezkl did not answer") from None
        except OSError:
            line = b""
        if not line:
            raise self._crashed(process)
        try:
            check_depth(line, "the answer", limits.MAX_JSON_DEPTH)
            answer = json.loads(line)
        except (ValueError, Unreadable):
            answer = None
        if not isinstance(answer, dict):
            self.close()
            raise ToolFailure("the ezkl process answered nonsense")
        if "error" in answer:
            raise ToolFailure(f"ezkl failed: {_short(str(answer['error']))}")
        return answer

    def close(self) -> None:
        """End the child, if it runs."""
        with self._lock:
            self._closed = True
            process = self._process
        if process is None:
            return
        if process.poll() is None:
            try:
                if hasattr(os, "killpg"):
                    os.killpg(process.pid, signal.SIGKILL)
                else:
                    process.kill()
            except (ProcessLookupError, PermissionError):
                process.kill()
        process.wait()
        for stream in (process.stdin, process.stdout):
            if stream is not None:
                try:
                    stream.close()
                except OSError:  # a broken pipe with something left to write
                    continue

    def _start(self) -> subprocess.Popen[bytes]:
        with self._lock:
            if self._closed:
                self._deadline.remaining()
                raise ToolFailure("the ezkl process was ended")
            if self._process is None:
                try:
                    with self._log.open("wb") as log:
                        self._process = subprocess.Popen(
                            list(self._command),
                            stdin=subprocess.PIPE,
                            stdout=subprocess.PIPE,
                            stderr=log,
                            cwd=self._folder,
                            env=_environment(self._folder),
                            start_new_session=True,
                        )
                except OSError as error:
                    raise ToolFailure(f"could not start a process for ezkl: {error.strerror}") from None
                threading.Thread(target=self._listen, args=(self._process,), daemon=True).start()
            return self._process

    def _listen(self, process: subprocess.Popen[bytes]) -> None:
        try:
            while process.stdout is not None and (line := process.stdout.readline(limits.MAX_CHILD_ANSWER_BYTES)):
                self._answers.put(line)
        except (OSError, ValueError):  # closed while reading
            pass
        self._answers.put(b"")

    def _crashed(self, process: subprocess.Popen[bytes]) -> ToolFailure:
        try:
            code: int | None = process.wait(timeout=5)
        except subprocess.TimeoutExpired:
            code = None
        with self._log.open("rb") as log:
            said = log.read(limits.MAX_CHILD_LOG_BYTES).decode("utf-8", "replace").strip()
        how = f"signal {-code}" if code is not None and code < 0 else f"exit code {code}"
        hint = "pip install huref-zk puts the right ezkl in place" if "No module named" in said else ""
        return ToolFailure(f"ezkl crashed ({how}): {_short(said) or 'it said nothing'}", hint=hint)


def _short(text: str) -> str:
    """The end of what a child said, printable, on one line."""
    line = " ".join(text.split())[-limits.MAX_CHILD_MESSAGE_CHARACTERS :]
    return "".join(character if character.isprintable() else "?" for character in line)


def _environment(folder: Path) -> dict[str, str]:
    kept = {name: os.environ[name] for name in ("PATH", "LD_LIBRARY_PATH", "SYSTEMROOT") if name in os.environ}
    threads = str(min(limits.CHILD_THREADS, os.cpu_count() or 1))
    return kept | {
        "HOME": str(folder),
        "EZKL_REPO_PATH": str(folder),
        "TMPDIR": str(folder),
        "RAYON_NUM_THREADS": threads,
        "MALLOC_ARENA_MAX": "2",
        "RUST_BACKTRACE": "0",
    }


def child_command() -> list[str]:
    """What starts a child: isolated mode, so neither folder nor environment chooses its modules."""
    return [
        sys.executable,
        "-I",
        str(CHILD),
        str(limits.CHILD_ADDRESS_SPACE),
        str(limits.CHILD_FILE_BYTES),
        _folder_of_ezkl(),
        str(os.getpid()),
    ]


def _folder_of_ezkl() -> str:
    """Where this Python finds ezkl (isolated mode would not look into a user's own site-packages).

    Raises:
        ToolFailure: it is missing, or another version: proof format and defaults are part of the protocol.
    """
    try:
        version = importlib.metadata.version("ezkl")
    except importlib.metadata.PackageNotFoundError:
        version = "none"
    if version != EZKL_VERSION:
        raise ToolFailure(
            f"ezkl {EZKL_VERSION} is needed, found {version}",
            hint=f"pip install ezkl=={EZKL_VERSION}",
        )
    spec = importlib.util.find_spec("ezkl")
    return str(Path(spec.origin).parent.parent) if spec is not None and spec.origin is not None else ""


class Workers:
    """A context manager: the private directory, the lanes, and jobs handed to them."""

    def __init__(self, deadline: Deadline, command: Sequence[str] | None = None) -> None:
        """Workers that stop at `deadline`; `command` replaces the child, for tests."""
        self.deadline = deadline
        self._command = child_command() if command is None else command
        self._numbers = itertools.count()

    def __enter__(self) -> Workers:
        """Make the private directory."""
        try:
            self._scratch = tempfile.TemporaryDirectory(prefix="huref-verify-")
        except OSError as error:
            raise ToolFailure(f"cannot make a temporary directory: {error.strerror}") from None
        self.folder = Path(self._scratch.name)
        self._lanes = [Lane(self.folder, f"lane{i}", self.deadline, self._command) for i in range(LANES)]
        self._free: queue.SimpleQueue[Lane] = queue.SimpleQueue()
        for lane in self._lanes:
            self._free.put(lane)
        self._pool = ThreadPoolExecutor(max_workers=LANES + 1)
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        """End the children first, then whatever waits for them."""
        self._pool.shutdown(wait=False, cancel_futures=True)
        for lane in self._lanes:
            lane.close()
        self._pool.shutdown(wait=True)
        self._scratch.cleanup()

    def submit(self, work: Callable[[], T]) -> Future[T]:
        """Do `work` in another thread."""
        return self._pool.submit(work)

    def write(self, name: str, data: bytes) -> Path:
        """A file in the private directory.

        Raises:
            ToolFailure: the disk is full.
        """
        path = self.folder / f"{next(self._numbers)}-{name}"
        try:
            path.write_bytes(data)
        except OSError as error:
            raise ToolFailure(f"cannot write a temporary file: {error.strerror}") from None
        return path

    def _call(self, job: dict[str, str]) -> dict[str, Any]:
        lane = self._free.get()
        try:
            return lane.call(job)
        finally:
            self._free.put(lane)

    def check_proof(self, proof: bytes, instances: Sequence[int], keys: Keys, srs: Path) -> None:
        """Have ezkl check a proof, in a file written here from parsed values; `srs` is the k=1 file.

        Raises:
            Rejected: ezkl refuses it.
            TimeLimit, ToolFailure: it could not be checked.
            BadInstallation: under these settings a proof would say nothing.
        """
        keys.check_settings()
        document = {
            "instances": [[value.to_bytes(32, "little").hex() for value in instances]],
            "proof": list(proof),
        }
        path = self.write("proof.json", json.dumps(document).encode("ascii"))
        answer = self._call({"op": "verify", "proof": str(path), "srs": str(srs), **keys.job()})
        if "refused" in answer:
            raise Rejected(f"the proof does not verify: {_short(str(answer['refused']))}", code="proof")
        if answer.get("ok") is not True:
            raise ToolFailure("the ezkl process answered nonsense")

    def multiply(self, vectors: Sequence[Sequence[int]], keys: Keys, bases: Path, capacity: int) -> list[bytes]:
        """`sum_i v_i base_i` for each vector, as 64-byte points (the identity as zeros)."""
        return self.multiply_message(messages(vectors, capacity), len(vectors), keys, bases)

    def multiply_message(self, message: bytes, count: int, keys: Keys, bases: Path) -> list[bytes]:
        """The same for a message that is already encoded and gives `count` points."""
        path = self.write("message", message)
        answer = self._call({"op": "commit", "message": str(path), "srs": str(bases), **keys.job()})
        path.unlink(missing_ok=True)
        try:
            points = bytes.fromhex(answer["points"])
        except (KeyError, TypeError, ValueError):
            points = b""
        if len(points) != (count + 1) * POINT_BYTES:  # the last is the commitment of nothing
            raise ToolFailure(f"ezkl gave {len(points) // POINT_BYTES} points instead of {count + 1}")
        return [points[i : i + POINT_BYTES] for i in range(0, count * POINT_BYTES, POINT_BYTES)]

    def write_bases(self, bases: Bases) -> Path:
        """A bases file in the private directory."""
        return self.write("bases", bases.data)


class Keys:
    """A circuit's settings and verification key, as files."""

    def __init__(self, settings: Path, vk: Path) -> None:
        """Files in the private directory."""
        self._settings = settings
        self._job = {"settings": str(settings), "vk": str(vk)}

    def job(self) -> dict[str, str]:
        """Their part of a job."""
        return self._job

    def check_settings(self) -> None:
        """Refuse settings under which ezkl would accept what is not so (docs/ezkl-notes.md), whoever pinned them.

        Raises:
            BadInstallation: they lack one of `SOUND_SETTINGS`, or leave a matrix product unconstrained.
        """
        try:
            with self._settings.open("rb") as stream:
                data = stream.read(limits.MAX_PROFILE_FILE_BYTES)
            check_depth(data, "settings.json", limits.MAX_CHECKPOINT_JSON_DEPTH)
            settings = json.loads(data)
            found = {name: settings["run_args"][name] for name in SOUND_SETTINGS}
            found["total_einsum_col_size"] = settings["einsum_params"]["total_einsum_col_size"]
        except (OSError, ValueError, KeyError, TypeError, Unreadable) as error:
            raise BadInstallation(
                f"settings.json: not settings of a circuit ({type(error).__name__})", hint=_REINSTALL
            ) from None
        for name, wanted in {**SOUND_SETTINGS, "total_einsum_col_size": 0}.items():
            if found[name] != wanted or type(found[name]) is not type(wanted):
                raise BadInstallation(
                    f"settings.json: {name} is {ascii(found[name])[:60]}, must be {wanted!r}", hint=_REINSTALL
                )
