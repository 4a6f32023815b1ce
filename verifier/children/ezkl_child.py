"""The only module that imports ezkl. Run as a script in a child process: jobs in, answers out, one JSON
object a line.

It is started by `workers` with its own process group, limits and an empty environment. ezkl may crash this process,
hang, or print what it likes: standard output is kept for answers, everything else goes to standard error. Standalone
on purpose: it imports nothing of the verifier, because it is started by its path in Python's isolated mode.

Jobs: {"op": "verify", "proof", "settings", "vk", "srs"} -> {"ok": true} or {"refused": text};
{"op": "commit", "message", "settings", "vk", "srs"} -> {"points": hex, 64 bytes each, big-endian};
{"error": text} otherwise.
"""

from __future__ import annotations

import contextlib
import json
import logging
import os
import sys
from typing import Any

_SCALAR_BYTES = 32
_PR_SET_PDEATHSIG = 1  # <sys/prctl.h>


def _verify(ezkl: Any, job: dict[str, str]) -> dict[str, Any]:
    try:
        accepted = ezkl.verify(job["proof"], job["settings"], job["vk"], job["srs"], True)
    except RuntimeError as error:
        # "[halo2]" is the proof system's own refusal. Anything else (files, keys) says nothing about the
        # proof.
        if "[halo2]" in str(error):
            return {"refused": str(error)}
        return {"error": str(error)}
    return {"ok": True} if accepted is True else {"refused": "the proof does not verify"}


def _commit(ezkl: Any, job: dict[str, str]) -> dict[str, Any]:
    with open(job["message"], "rb") as stream:  # noqa: PTH123 - nothing more than needed in this process
        digits = stream.read().hex()
    width = 2 * _SCALAR_BYTES
    scalars = [digits[i : i + width] for i in range(0, len(digits), width)]
    points = ezkl.kzg_commit(scalars, job["vk"], job["settings"], job["srs"])
    return {"points": "".join(_big_endian(point.x) + _big_endian(point.y) for point in points)}


def _big_endian(digits: str) -> str:
    return bytes.fromhex(digits)[::-1].hex()


def _limit(address_space: int, file_bytes: int) -> None:
    try:
        import resource
    except ImportError:  # Windows has no such limits; the time limit still holds
        return
    for kind, value in (
        (resource.RLIMIT_AS, address_space),
        (resource.RLIMIT_FSIZE, file_bytes),
        (resource.RLIMIT_CORE, 0),
    ):
        hard = resource.getrlimit(kind)[1]
        lower = value if hard == resource.RLIM_INFINITY else min(value, hard)
        with contextlib.suppress(ValueError, OSError):  # some systems refuse to limit the address space
            resource.setrlimit(kind, (lower, lower))


def _end_with(parent: int) -> None:
    """On Linux, have the kernel kill this process when the thread that started it ends, also in the middle of a job."""
    if sys.platform != "linux":
        return
    import ctypes
    import signal

    ctypes.CDLL(None).prctl(_PR_SET_PDEATHSIG, signal.SIGKILL, 0, 0, 0)
    if os.getppid() != parent:  # it ended before that
        sys.exit("the verifier is gone")


def main() -> None:
    """Answer jobs until standard input ends.

    Arguments: bytes of address space, bytes of the largest file, ezkl's folder, the verifier's process id.
    """
    _end_with(int(sys.argv[4]))
    _limit(int(sys.argv[1]), int(sys.argv[2]))
    answers = os.fdopen(os.dup(1), "w", encoding="ascii")
    os.dup2(2, 1)
    logging.disable(logging.CRITICAL)
    if sys.argv[3] and sys.argv[3] not in sys.path:
        sys.path.append(sys.argv[3])
    import ezkl

    operations = {"verify": _verify, "commit": _commit}
    for line in sys.stdin:
        job = json.loads(line)
        try:
            answer = operations[job["op"]](ezkl, job)
        except (RuntimeError, ValueError, OSError) as error:
            answer = {"error": f"{type(error).__name__}: {error}"}
        answers.write(json.dumps(answer) + "\n")
        answers.flush()


if __name__ == "__main__":
    main()
