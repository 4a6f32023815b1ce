"""One bundle in a process of its own: a job comes in on standard input, the report goes out on standard output.

Started by `batch` in Python's isolated mode, so that no module of the folder it is started in is imported: that
folder may be a repository that somebody else wrote. It ends when its standard input does, that is, with its parent.
"""

from __future__ import annotations

import base64
import contextlib
import json
import os
import signal
import sys
import threading
from pathlib import Path
from typing import Any

import numpy as np

from verifier.fingerprint.image import Picture
from verifier.fingerprint.options import Options
from verifier.fingerprint.report import Report
from verifier.fingerprint.verify import verify_bundle
from verifier.fingerprint.z import Fingerprint
from verifier.formats.errors import Rejected, Undecided
from verifier.results.steps import Check, Status
from verifier.signature.identity import read_identity

COMMAND = "import sys; sys.path[:] = sys.argv[1:]; from verifier.many.child import main; main()"


def command() -> list[str]:
    """What starts the process: isolated, but with this one's modules."""
    return [sys.executable, "-I", "-c", COMMAND, *(place for place in sys.path if Path(place).is_absolute())]


def encode_job(path: Path, options: Options) -> bytes:
    """A line for `main`; a batch has no openings."""
    identity = str(options.identity) if options.identity else ""
    return json.dumps([str(path), options.allow_development_srs, options.time_limit_s, identity]).encode() + b"\n"


def encode(report: Report) -> bytes:
    """A report with all that `as_json` leaves out."""
    picture = None
    if report.picture is not None:
        height, width = report.picture.pixels.shape[:2]
        picture = [height, width, base64.b64encode(report.picture.pixels.tobytes()).decode("ascii")]
    more = {"pinned": report.pinned, "picture": picture, "step_seconds": [check.seconds for check in report.checks]}
    return json.dumps(report.as_json() | more).encode("ascii")


def decode(data: bytes) -> Report:
    """The report again.

    Raises:
        ValueError, KeyError, TypeError: the process wrote something else.
    """
    fields: dict[str, Any] = json.loads(data)
    failure = None
    if fields["verdict"] != "accepted":
        kind = Rejected if fields["verdict"] == "rejected" else Undecided
        failure = kind(fields["message"], step=fields["step"], hint=fields["hint"], code=fields["code"])
    picture = None
    if fields["picture"] is not None:
        height, width, pixels = fields["picture"]
        array = np.frombuffer(base64.b64decode(pixels), np.uint8).reshape(height, width, 3)
        picture = Picture(array)
    return Report(
        bundle=fields["bundle"],
        checks=tuple(
            Check(one["step"], Status(one["status"]), one["compared"], one["name"], float(seconds))
            for one, seconds in zip(fields["checks"], fields["step_seconds"], strict=True)
        ),
        failure=failure,
        profile=fields["profile"],
        development_srs=fields["development_srs"],
        opened=fields["opened"],
        metadata=fields["metadata_unverified"],
        commitment=fields["commitment"],
        seconds=fields["seconds"],
        files=fields["files"],
        pinned=fields["pinned"],
        picture=picture,
        fingerprint=None if fields["fingerprint"] is None else Fingerprint.from_json(fields["fingerprint"]),
        bundle_sha256=fields["bundle_sha256"],
        signer=fields["signer"],
        identity=fields["identity"],
    )


def main() -> None:
    """Do the one job."""
    for number in (signal.SIGINT, signal.SIGTERM):
        signal.signal(number, _interrupt_once)
    answer = os.fdopen(os.dup(1), "wb")
    os.dup2(2, 1)  # whatever a library prints is no answer
    path, allow_development_srs, time_limit_s, who = json.loads(sys.stdin.buffer.readline())
    options = Options(allow_development_srs, time_limit_s=time_limit_s, identity=read_identity(who) if who else None)
    threading.Thread(target=_end_with_parent, daemon=True).start()
    with contextlib.suppress(KeyboardInterrupt, BrokenPipeError):  # ended from outside: nobody is listening
        report = verify_bundle(Path(path), options)
        answer.write(encode(report))
        answer.close()


def _interrupt_once(_number: int, _frame: object) -> None:
    """Either signal as an interrupt: `Workers` ends its children and removes its directory on the way out.

    A second one would interrupt that: Ctrl-C reaches the whole group, and then the parent asks too.
    """
    for number in (signal.SIGINT, signal.SIGTERM):
        signal.signal(number, _ignore)  # not SIG_IGN: of one that is there already Python would print a traceback
    raise KeyboardInterrupt


def _ignore(_number: int, _frame: object) -> None:
    pass


def _end_with_parent() -> None:
    os.read(0, 1)
    os.kill(os.getpid(), signal.SIGTERM)
