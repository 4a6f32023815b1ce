"""Many bundles: each in a process of its own, several at a time, so that a crash on one leaves the others alone.

What a lost process was about is undecided. The order of the reports is the order asked for.
"""

from __future__ import annotations

import mmap
import multiprocessing
import os
import signal
import time
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from multiprocessing.connection import Connection
from multiprocessing.process import BaseProcess
from pathlib import Path

from verifier import limits
from verifier.errors import TimeLimit, ToolFailure, Unreadable
from verifier.report import Report
from verifier.verify import Options, not_verified, verify_bundle

_GRACE_S = 30.0  # a process enforces the time limit itself; this long after it, it is ended
_JOIN_S = 5.0  # for a process to end after its answer, or after being asked to
_STATEMENT = "statement.json"

VerifyOne = Callable[[Path, Options, "set[BaseProcess]"], Report]


def default_jobs() -> int:
    """As many as this process may use cores."""
    return len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1


def find_bundles(folder: Path) -> list[Path]:
    """Bundles below `folder`, sorted: folders that hold a `statement.json`, zips that name one. Links are not followed.

    Raises:
        Unreadable: a folder cannot be listed, or there are more than `MAX_BUNDLES`.
    """

    def refuse(error: OSError) -> None:
        raise Unreadable(f"{error.filename}: {error.strerror or type(error).__name__}")

    found: list[Path] = []
    for place, folders, files in os.walk(folder, onerror=refuse):
        if _STATEMENT in files or _STATEMENT in folders:
            found.append(Path(place))
            folders.clear()
        else:
            found += [Path(place, name) for name in files if name.endswith(".zip") and _names_a_statement(place, name)]
        if len(found) > limits.MAX_BUNDLES:
            raise Unreadable(f"{folder}: more than {limits.MAX_BUNDLES} bundles")
    return sorted(found)


def _names_a_statement(place: str, name: str) -> bool:
    """Whether a zip's bytes name a statement: a damaged bundle must be found too."""
    path = Path(place, name)
    if path.is_symlink() or not path.is_file() or not 0 < path.stat().st_size <= limits.MAX_ZIP_BYTES:
        return False
    with path.open("rb") as stream, mmap.mmap(stream.fileno(), 0, access=mmap.ACCESS_READ) as data:
        return data.find(_STATEMENT.encode()) >= 0


def verify_many(
    paths: Sequence[Path], options: Options, jobs: int, verify_one: VerifyOne | None = None
) -> Iterator[Report]:
    """A report for each path, in order, `jobs` at a time; `verify_one` replaces the processes, for tests."""
    live: set[BaseProcess] = set()
    pool = ThreadPoolExecutor(max_workers=jobs)
    try:
        for future in [pool.submit(verify_one or in_process, path, options, live) for path in paths]:
            yield future.result()
    finally:  # also when the caller stops early, or is interrupted
        pool.shutdown(wait=False, cancel_futures=True)
        for process in list(live):
            process.terminate()
        pool.shutdown(wait=True)


def in_process(path: Path, options: Options, live: set[BaseProcess]) -> Report:
    """Verify in a new process, which is in `live` while it runs. Never raises on what the process does."""
    started = time.monotonic()
    context = multiprocessing.get_context("spawn")
    receiver, sender = context.Pipe(duplex=False)
    process = context.Process(target=_child, args=(sender, path, options), name="huref-verify")
    try:
        process.start()
    except OSError as error:
        failure = ToolFailure(f"could not start a process: {error.strerror}")
        return not_verified(path, options, failure, time.monotonic() - started)
    live.add(process)
    sender.close()
    try:
        if receiver.poll(options.time_limit_s + _GRACE_S):
            report = receiver.recv()
            if isinstance(report, Report):
                return report
        lost: TimeLimit | ToolFailure = TimeLimit(f"not finished within {options.time_limit_s:g} seconds")
    except (EOFError, OSError):
        process.join(_GRACE_S)
        lost = ToolFailure(f"the verifying process ended without an answer (exit code {process.exitcode})")
    finally:
        _end(process)
        live.discard(process)
        receiver.close()
    return not_verified(path, options, lost, time.monotonic() - started)


def _end(process: BaseProcess) -> None:
    """Wait a moment, ask, then insist."""
    process.join(_JOIN_S)
    for insist in (process.terminate, process.kill):
        if process.exitcode is None:
            insist()
            process.join(_JOIN_S)


def _child(sender: Connection, path: Path, options: Options) -> None:
    # SIGTERM as an interrupt: `Workers` ends its children and removes its directory on the way out.
    signal.signal(signal.SIGTERM, signal.default_int_handler)
    try:
        sender.send(verify_bundle(path, options))
    except (KeyboardInterrupt, BrokenPipeError):  # ended from outside: nobody is listening
        return
    finally:
        sender.close()
