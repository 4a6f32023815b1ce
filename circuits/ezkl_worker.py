"""The only module of the prover's side that talks to ezkl, always in a child process.

Why a child: ezkl was seen to panic, to run for minutes and to stand still (docs/ezkl-notes.md), and a killed run must
leave nothing half done. The child runs `python -m circuits.ezkl_worker JOB`; it disables logging,
limits its own memory, and writes its answer to a file.
"""

from __future__ import annotations

import contextlib
import ctypes
import json
import logging
import os
import re
import resource
import signal
import subprocess
import sys
import tempfile
import time
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from circuits.errors import CircuitError, StorageError
from circuits.points import IDENTITY, add

SCALAR_BYTES = 32
BYTE_OFFSET = 128  # rows are committed as weight + 128: negatives are 254-bit scalars
BATCH_SCALARS = 1 << 21  # a call of `kzg_commit`: 0.05 s are spent on reading the key; 160 bytes of memory each
MEMORY_LIMIT_BYTES = 20 * 2**30  # of the 24 GB every machine here has
POLL_S = 1.0
STALL_S = 30.0  # with next to no processor time and no input or output: a deadlock, not a slow disk
STALL_BUSY = min(0.5, 0.02 * (os.cpu_count() or 1))  # cores; ezkl has as many threads that may wait as there are cores
STALL_TURN_S = 1e-4  # of processor time at a turn: deadlocked threads use 4 us at each, starved ones 3 ms
MAX_STALLS = 3
PR_SET_PDEATHSIG = 1  # <sys/prctl.h>
OUTPUT_TAIL = 400  # characters of ezkl's own words that go into an error message


def call(function: str, *, time_limit_s: float, threads: int = 0, **arguments: Any) -> Any:
    """Run one of this module's `FUNCTIONS` in a child process; returns what it returned.

    `threads`: how many ezkl may use, 0 for as many as there are cores.
    Raises CircuitError when ezkl refuses, crashes or runs past `time_limit_s`, StorageError when the disk is full.
    """
    with tempfile.TemporaryDirectory(prefix="huref-ezkl-") as folder:
        job, answer = Path(folder, "job.json"), Path(folder, "answer.json")
        plain = {name: str(value.absolute()) if isinstance(value, Path) else value for name, value in arguments.items()}
        parts = {"function": function, "arguments": plain, "answer": str(answer), "parent": os.getpid()}
        job.write_text(json.dumps(parts))
        command = [sys.executable, "-m", "circuits.ezkl_worker", str(job)]
        path = os.pathsep.join([str(Path(__file__).parent.parent), os.environ.get("PYTHONPATH", "")])
        environment = {**os.environ, "PYTHONPATH": path.rstrip(os.pathsep), "RUST_LOG": "off"}
        if threads:
            environment["RAYON_NUM_THREADS"] = str(threads)
        for _attempt in range(MAX_STALLS):
            process = subprocess.Popen(
                command,
                stdin=subprocess.DEVNULL,
                stdout=subprocess.DEVNULL,
                stderr=subprocess.PIPE,
                env=environment,
                cwd=folder,
            )
            words = _watch(process, function, time_limit_s)
            if words is not None:
                break
        else:
            raise CircuitError(
                f"ezkl {function} stopped moving {MAX_STALLS} times",
                step=function,
                hint="a deadlock inside ezkl; run again, and report it if it stays",
            )
        if process.returncode == 0 and answer.exists():
            return json.loads(answer.read_text())["value"]
        last_line = words.rpartition("\n")[2][-OUTPUT_TAIL:]
        if "No space left on device" in words:
            raise StorageError(
                f"the disk filled up during ezkl {function}", step=function, hint="free space, run again"
            )
        raise CircuitError(f"ezkl {function} failed: {last_line or f'exit status {process.returncode}'}", step=function)


def _watch(process: subprocess.Popen[bytes], function: str, time_limit_s: float) -> str | None:
    """Wait for the child; returns what it wrote on stderr, or None after killing one that had stopped moving.

    In the deadlock that was seen, threads of ezkl's own wait for Python's lock. Such a thread asks for it 200 times a
    second, about 0.3% of a core each: a stalled child uses some processor time, but little, and reads and writes
    nothing.

    On a machine with too much to do a healthy child gets as little. But that one uses each turn it gets to the end,
    or waits for one; a thread that asks for a lock goes back to sleep at once.
    """
    start = window = time.monotonic()
    seen = _activity(process.pid)
    try:
        while True:
            try:
                _, error = process.communicate(timeout=POLL_S)
                return error.decode("utf-8", "replace").strip()
            except subprocess.TimeoutExpired:
                now = time.monotonic()
                if now - window > STALL_S:
                    before, seen = seen, _activity(process.pid)
                    if before is not None and seen is not None:
                        busy = (seen.processor_s - before.processor_s) / (now - window)
                        if busy < STALL_BUSY and seen.moved == before.moved and not _starved(before, seen):
                            return None
                    window = now
                if now - start > time_limit_s:
                    raise CircuitError(
                        f"ezkl {function} ran past its limit of {time_limit_s:.0f} s",
                        step=function,
                        hint="run again on a less busy machine; nothing was written",
                    ) from None
    finally:
        if process.poll() is None:
            process.kill()
            process.communicate()


@dataclass(frozen=True)
class _Activity:
    """What a process has done so far.

    `turns`: thread -> seconds on a processor, turns at it, whether it wants one, how many turns others ended.
    """

    processor_s: float
    moved: int  # bytes read or written
    turns: dict[str, tuple[float, int, bool, int]]


def _activity(pid: int) -> _Activity | None:
    """None where /proc does not tell. `turns` is empty where it does not tell these."""
    try:
        fields = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()
        moved = [int(line.split()[1]) for line in Path(f"/proc/{pid}/io").read_text().splitlines()]
    except OSError:
        return None
    turns = {}
    with contextlib.suppress(OSError):  # a thread that has just ended
        for task in Path(f"/proc/{pid}/task").iterdir():
            ran, _waited, count = map(int, (task / "schedstat").read_text().split())
            state = (task / "stat").read_text().rpartition(")")[2].split()[0]
            ended = re.search(r"^nonvoluntary_ctxt_switches:\s*(\d+)", (task / "status").read_text(), re.MULTILINE)
            turns[task.name] = (ran / 1e9, count, state == "R", int(ended[1]) if ended else 0)
    return _Activity((int(fields[11]) + int(fields[12])) / os.sysconf("SC_CLK_TCK"), sum(moved), turns)


def _starved(before: _Activity, after: _Activity) -> bool:
    """Whether some thread computed whenever it was let, or was not let at all.

    One that asks for a lock ends its turns by itself. One that computes is made to, on a very busy machine after 20 us.
    """
    for thread, (ran, count, wants, ended) in after.turns.items():
        ran_before, count_before, _, ended_before = before.turns.get(thread, (0.0, 0, False, 0))
        turns = count - count_before
        if turns == 0 and wants:
            return True
        if turns > 0 and ((ran - ran_before) / turns > STALL_TURN_S or 2 * (ended - ended_before) > turns):
            return True
    return False


def _settings(onnx: str, out: str, run_args: dict[str, Any]) -> None:
    import ezkl

    args = ezkl.PyRunArgs()
    for name, value in run_args.items():
        setattr(args, name, tuple(value) if isinstance(value, list) else value)
    _require(ezkl.gen_settings(onnx, out, py_run_args=args), "gen_settings")


def _compile(onnx: str, settings: str, out: str) -> None:
    import ezkl

    _require(ezkl.compile_circuit(onnx, out, settings), "compile_circuit")


def _setup(compiled: str, srs: str, vk: str, pk: str) -> None:
    import ezkl

    _require(ezkl.setup(compiled, vk, pk, srs), "setup")


def _commit(messages: str, out: str, vk: str, settings: str, srs: str) -> int:
    """One multi-scalar multiplication for every `usable rows` scalars of `messages` (32 bytes little-endian each)."""
    import ezkl

    raw = Path(messages).read_bytes().hex()
    step = 2 * SCALAR_BYTES
    points = ezkl.kzg_commit([raw[i : i + step] for i in range(0, len(raw), step)], vk, settings, srs)
    Path(out).write_bytes(b"".join(map(_point, points)))
    return len(points)


def _commit_rows(
    rows: str, salts: str, out: str, width: int, runs: list[tuple[str, int]], vk: str, settings: str
) -> int:
    """C of rows of `width` signed bytes with salts of 512 bytes: see `circuits.row_bases`. Returns how many."""
    import ezkl

    byte_scalars = [bytes([value]).hex().ljust(2 * SCALAR_BYTES, "0") for value in range(256)]
    offset = bytes((value + BYTE_OFFSET) % 256 for value in range(256))  # int8 w -> w + 128
    weights, salted = Path(rows).read_bytes().translate(offset), Path(salts).read_bytes()
    count = len(weights) // width
    salt_bytes = len(salted) // max(1, count)
    messages = [
        weights[i * width : (i + 1) * width] + salted[i * salt_bytes : (i + 1) * salt_bytes] + b"\1"
        for i in range(count)
    ]
    with Path(out).open("wb") as stream:
        step = max(1, BATCH_SCALARS // max(capacity for _, capacity in runs))
        for begin in range(0, count, step):
            block = messages[begin : begin + step]
            sums = [IDENTITY] * len(block)
            at = 0
            for bases, capacity in runs:
                part = b"".join(message[at : at + capacity].ljust(capacity, b"\0") for message in block)
                points = ezkl.kzg_commit([byte_scalars[value] for value in part], vk, settings, bases)
                sums = [add(total, _point(point)) for total, point in zip(sums, points, strict=False)]
                at += capacity
            stream.write(b"".join(sums))
    return count


def _point(point: Any) -> bytes:
    """ezkl's point, x and y as little-endian hex, as 64 bytes big-endian."""
    return bytes.fromhex(point.x)[::-1] + bytes.fromhex(point.y)[::-1]


def _prove(
    vectors: str, lengths: list[int], compiled: str, pk: str, vk: str, settings: str, srs: str
) -> dict[str, Any]:
    """Witness, proof, and ezkl's own verification of it; returns `proof` (hex) and `instances` (hex, little-endian)."""
    import ezkl

    answer = _prove_unchecked(vectors, lengths, compiled, pk, vk, settings, srs)
    # ezkl.prove may return an invalid proof
    _require(ezkl.verify("proof.json", settings, vk, srs), "verify")
    return answer


def _prove_unchecked(
    vectors: str, lengths: list[int], compiled: str, pk: str, vk: str, settings: str, srs: str
) -> dict[str, Any]:
    """Witness and proof, not verified: for tests that play a cheating prover."""
    import ezkl

    raw = Path(vectors).read_bytes().hex()
    step, at, inputs = 2 * SCALAR_BYTES, 0, []
    for length in lengths:
        inputs.append([raw[i : i + step] for i in range(at, at + length * step, step)])
        at += length * step
    Path("input.json").write_text(json.dumps({"input_data": inputs}))
    ezkl.gen_witness("input.json", compiled, "witness.json", vk, srs)
    ezkl.prove("witness.json", compiled, pk, "proof.json", srs)
    proof = json.loads(Path("proof.json").read_text())
    return {"proof": bytes(proof["proof"]).hex(), "instances": proof["instances"]}


def _gen_srs(out: str, k: int) -> None:
    import ezkl

    ezkl.gen_srs(out, k)


def _get_srs(out: str, k: int) -> None:
    import asyncio

    import ezkl

    async def download() -> None:
        _require(await ezkl.get_srs(logrows=k, srs_path=out), "get_srs")

    asyncio.run(download())


def _require(result: Any, what: str) -> None:
    if result is not True:
        raise RuntimeError(f"ezkl.{what} answered {result!r}")


FUNCTIONS = {
    "settings": _settings,
    "compile": _compile,
    "setup": _setup,
    "commit": _commit,
    "commit_rows": _commit_rows,
    "prove": _prove,
    "prove_unchecked": _prove_unchecked,
    "gen_srs": _gen_srs,
    "get_srs": _get_srs,
}


def _end_with(parent: int) -> None:
    """Have the kernel end this process with the thread that started it, which waits for it. Elsewhere nothing.

    Otherwise a killed prover would leave ezkl at work for minutes, with gigabytes of memory.
    """
    if sys.platform != "linux":
        return
    libc = ctypes.CDLL(None, use_errno=True)
    libc.prctl(PR_SET_PDEATHSIG, signal.SIGKILL, 0, 0, 0)
    if os.getppid() != parent:  # it was gone before
        sys.exit("the process that asked for this is gone")


def main(job_path: str) -> None:
    """Entry point of the child."""
    logging.disable(logging.CRITICAL)  # ezkl logs through Python, for which it needs Python's lock
    resource.setrlimit(resource.RLIMIT_AS, (MEMORY_LIMIT_BYTES, MEMORY_LIMIT_BYTES))
    resource.setrlimit(resource.RLIMIT_CORE, (0, 0))
    job = json.loads(Path(job_path).read_text())
    _end_with(job["parent"])
    value = FUNCTIONS[job["function"]](**job["arguments"])  # type: ignore[operator]
    Path(job["answer"]).write_text(json.dumps({"value": value}))


if __name__ == "__main__":
    main(sys.argv[1])
