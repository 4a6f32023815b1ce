"""Many bundles: each in a process of its own, several at a time, so that a crash on one leaves the others alone.

What a lost process was about is undecided. The order of the reports is the order asked for.
"""

from __future__ import annotations

import contextlib
import os
import subprocess
import threading
import time
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

from verifier.fingerprint.options import Options
from verifier.fingerprint.report import Report
from verifier.fingerprint.verify import not_verified
from verifier.formats import limits
from verifier.formats.errors import TimeLimit, ToolFailure, Unreadable
from verifier.formats.package import ZIP_SUFFIXES, named_in
from verifier.many import child as batch_child

_GRACE_S = 30.0  # a process enforces the time limit itself; this long after it, it is ended
_JOIN_S = 5.0  # for a process to end after its answer, or after being asked to
_STATEMENT = "statement.json"

_MAX_ANSWER_BYTES = 64 * limits.MIB  # a picture of MAX_PICTURE_SIDE has 17, in base64

Process = subprocess.Popen[bytes]
VerifyOne = Callable[[Path, Options, "set[Process]"], Report]


def default_jobs() -> int:
    """As many as this process may use cores."""
    return len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1


def find_bundles(folder: Path) -> list[Path]:
    """Bundles below `folder`, sorted: folders that hold a `statement.json`, zips that name one.

    Links are followed, into each folder once: behind a link a bundle would be used and never verified.

    Raises:
        Unreadable: a folder cannot be listed, they nest deeper than `MAX_FOLDER_DEPTH`, or there are more than
            `MAX_BUNDLES` or `MAX_FOLDERS`.

    >>> [path.name for path in find_bundles(Path("artifacts/bundles"))]
    ['base', 'base-large.huref', 'independent', 'offspring']
    """

    def refuse(error: OSError) -> None:
        raise Unreadable(f"{error.filename}: {error.strerror or type(error).__name__}")

    found: list[Path] = []
    seen: set[tuple[int, int]] = set()
    start = str(folder).rstrip(os.sep).count(os.sep)
    for place, folders, files in os.walk(folder, onerror=refuse, followlinks=True):
        if place.count(os.sep) - start > limits.MAX_FOLDER_DEPTH:
            raise Unreadable(f"{folder}: folders nested more than {limits.MAX_FOLDER_DEPTH} deep")
        status = Path(place).stat()
        if (status.st_dev, status.st_ino) in seen:
            folders.clear()
            continue
        seen.add((status.st_dev, status.st_ino))
        if _STATEMENT in files or _STATEMENT in folders:
            found.append(Path(place))
            folders.clear()
        else:
            zips = [Path(place, name) for name in files if name.lower().endswith(ZIP_SUFFIXES)]
            found += filter(_names_a_statement, zips)
        if len(found) > limits.MAX_BUNDLES or len(seen) > limits.MAX_FOLDERS:
            raise Unreadable(f"{folder}: more than {limits.MAX_BUNDLES} bundles or {limits.MAX_FOLDERS} folders")
    return sorted(found)


def _names_a_statement(path: Path) -> bool:
    """Whether a zip's bytes name a statement: a damaged one must be found too, or one that cannot be opened."""
    try:
        return named_in(path, _STATEMENT) == [True]
    except (OSError, ValueError):
        return True


def verify_many(
    paths: Sequence[Path], options: Options, jobs: int, verify_one: VerifyOne | None = None
) -> Iterator[Report]:
    """A report for each path, in order, as it is there; what is in a bundle never raises.

    Args:
        paths: bundles, directories or zips.
        options: what to check and to trust; the time limit, in seconds, is for each bundle.
        jobs: how many are verified at a time, a process each.
        verify_one: replaces the processes, for tests.

    >>> bundles = [Path("artifacts/bundles/base"), Path("artifacts/bundles/offspring")]
    >>> [report.verdict for report in verify_many(bundles, Options(allow_development_srs=True), jobs=2)]
    ['accepted', 'accepted']
    """
    live: set[Process] = set()
    pool = ThreadPoolExecutor(max_workers=jobs)
    try:
        for future in [pool.submit(verify_one or in_process, path, options, live) for path in paths]:
            yield future.result()
    finally:  # also when the caller stops early, or is interrupted
        pool.shutdown(wait=False, cancel_futures=True)
        for process in list(live):
            process.terminate()
        pool.shutdown(wait=True)


def in_process(path: Path, options: Options, live: set[Process]) -> Report:
    """Verify in a new process, which is in `live` while it runs. Never raises on what the process does."""
    started = time.monotonic()
    try:
        process = subprocess.Popen(batch_child.command(), stdin=subprocess.PIPE, stdout=subprocess.PIPE)
    except OSError as error:
        failure = ToolFailure(f"could not start a process: {error.strerror}")
        return not_verified(path, options, failure, time.monotonic() - started)
    live.add(process)
    late = threading.Event()

    def stop() -> None:
        late.set()
        _end(process)

    watch = threading.Timer(options.time_limit_s + _GRACE_S, stop)
    watch.start()
    try:
        answer = _ask(process, batch_child.encode_job(path, options))
    finally:
        watch.cancel()
        _end(process)
        live.discard(process)
    try:
        return batch_child.decode(answer)
    except (ValueError, KeyError, TypeError):
        how = f"the verifying process ended without an answer (exit code {process.returncode})"
    lost = TimeLimit(f"not finished within {options.time_limit_s:g} seconds") if late.is_set() else ToolFailure(how)
    return not_verified(path, options, lost, time.monotonic() - started)


def _ask(process: Process, job: bytes) -> bytes:
    """What it answers until it ends; its input stays open that long, since it ends with its input."""
    if process.stdin is None or process.stdout is None:
        return b""
    # closing a broken pipe writes once more what is left, and fails again: the suppression goes around it
    with contextlib.suppress(OSError), process.stdin as questions, process.stdout as answers:
        questions.write(job)
        questions.flush()
        return answers.read(_MAX_ANSWER_BYTES)
    return b""


def _end(process: Process) -> None:
    """Wait a moment, ask, then insist."""
    for insist in (process.terminate, process.kill, process.kill):
        with contextlib.suppress(subprocess.TimeoutExpired):
            process.wait(_JOIN_S)
            return
        insist()
