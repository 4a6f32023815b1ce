"""What else ezkl 23.0.5 does, and this project's guards: proofs, determinism, curve files, child processes."""

from __future__ import annotations

import json
import os
import re
import shutil
import subprocess
import sys
import threading
import time
from pathlib import Path

import numpy as np
import pytest
from py_ecc import optimized_bn128 as curve

from circuits import ezkl_worker
from circuits.curve_files import (
    file_size,
    from_file_form,
    read_curve_file,
    scalars,
    to_file_form,
    write_bases,
)
from circuits.digests import sha256_file
from circuits.errors import CircuitError, StorageError
from circuits.points import IDENTITY, negate
from circuits.profiles import CIRCUITS, load_profile, profiles_folder
from circuits.size_classes import FIELD_MODULUS as P
from prover.fingerprint.artefact import Proof
from tests.circuits.slow_curve import from_ecc, sum_of_products, to_ecc
from tests.circuits.small import (
    TIME_LIMIT_S,
    USABLE_ROWS,
    Circuit,
    K,
    ezkl_accepts,
    proof_file,
)
from tests.conftest import ROOT

# ---------------------------------------- what a proof is

FIVE = "05" + "00" * 31


def test_a_proof_is_its_bytes_and_its_public_values(inner_proof):
    """Nothing else that ezkl writes comes back from the worker, so nothing else is kept (protocol.md, section 7)."""
    assert set(inner_proof) == {"proof", "instances"}
    kept = json.loads(Proof.from_worker(inner_proof).document("application/vnd.huref-zk.link+json;version=1"))
    assert set(kept) == {"type", "proof", "instances"}


def test_verify_does_compare_proof_and_instances(folder, inner, inner_proof):
    """ezkl refuses a cut proof, a flipped bit, another value, no value. All else the verifier's parser refuses.

    That is tests/adversarial/test_tampered_bundle.py, `test_step_1_proof_files_are_strict`.
    """
    proof, instances = bytes.fromhex(inner_proof["proof"]), inner_proof["instances"]
    flipped = bytearray(proof)
    flipped[200] ^= 1
    changes = [
        {"proof": list(proof[:-1])},
        {"proof": list(flipped)},
        {"instances": [[FIVE]]},
        {"instances": [[]]},
        {"instances": [[*instances[0], FIVE]]},
    ]
    files = [proof_file(folder / f"wrong-{i}", inner_proof, **change) for i, change in enumerate(changes)]
    assert ezkl_accepts([(file, inner.settings, inner.vk, inner.srs) for file in files]) == [False] * 5


# ---------------------------------------- determinism


def test_setup_is_deterministic(inner):
    """Same ONNX, settings and SRS: the same verification key, byte for byte, so that anybody can rebuild it."""
    before = inner.vk.read_bytes()
    again = Circuit(inner.folder / "again", inner.srs)
    again.folder.mkdir()
    shutil.copy(inner.settings, again.settings)
    ezkl_worker.call(
        "compile",
        time_limit_s=TIME_LIMIT_S,
        onnx=inner.folder / "circuit.onnx",
        settings=again.settings,
        out=again.compiled,
    )
    assert again.set_up().vk.read_bytes() == before


def test_settings_are_published_not_generated(profile):
    """`gen_settings` is not deterministic, so the published file itself is pinned, with its digest."""
    for circuit in CIRCUITS:
        files = profile.circuit(circuit)
        assert sha256_file(files.settings) == profile.document["circuits"][circuit]["settings"]


# ---------------------------------------- curve files


def spoilt(folder: Path, file: str, data: bytes) -> Path:
    """A copy of the published profile with one file replaced."""
    for part in ("tiny-dev", "fpm"):
        shutil.copytree(profiles_folder() / part, folder / part)
    (folder / "tiny-dev" / file).write_bytes(data)
    return folder / "tiny-dev"


def test_the_srs_of_another_k_is_refused(tmp_path, monkeypatch):
    """A size class names exactly one SRS file: B and C are never computed with a larger one."""
    larger = tmp_path / "k13.srs"
    larger.write_bytes((13).to_bytes(4, "little") + bytes(file_size(13) - 4))
    assert read_curve_file(larger).k == 13
    folder = spoilt(tmp_path, "srs/k12.srs", larger.read_bytes())
    monkeypatch.setattr(ezkl_worker, "call", lambda *_, **__: pytest.fail("ezkl was called"))
    with pytest.raises(CircuitError, match=r"k12\.srs: not the file that .* names by digest"):
        load_profile(folder)


def bases_over(points: list[bytes], inner: Circuit, path):
    raw = [to_file_form(point) for point in points]
    g2 = read_curve_file(inner.srs).g2
    return write_bases(path, raw, g2, 2**K - USABLE_ROWS, inner.vk, inner.settings)


@pytest.mark.parametrize("count", [1, 10, 11, 26])
def test_bases_equal_the_slow_way(inner, tmp_path, count):
    """`Bases.multiply` against py_ecc: any points, any scalars, short messages, several at once."""
    rng = np.random.default_rng(count)
    points = [from_ecc(curve.multiply(curve.G1, int(x))) for x in rng.integers(1, 2**60, count)]
    messages = [[int.from_bytes(rng.bytes(32), "big") % P for _ in range(count)], [1] * count, [P - 1], [0] * count]
    bases = bases_over(points, inner, tmp_path / "bases")
    found = bases.multiply([scalars(m) for m in messages])
    assert found == [sum_of_products(m, points[: len(m)]) for m in messages]
    assert found[-1] == IDENTITY


def test_bases_that_cancel_and_bases_that_are_nothing(inner, tmp_path):
    """The identity as a base, as a partial sum and as a result."""
    point = from_ecc(curve.multiply(curve.G1, 12345))
    bases = bases_over([point, negate(point), IDENTITY, point], inner, tmp_path / "bases")
    messages = [[7, 7, 9, 0], [7, 7, 9, 1], [0, 0, 5, 0], [2, 1, 0, 0]]
    assert bases.multiply([scalars(m) for m in messages]) == [IDENTITY, point, IDENTITY, point]
    assert negate(IDENTITY) == IDENTITY == from_file_form(to_file_form(IDENTITY))
    assert bases.multiply([]) == []


@pytest.mark.parametrize("message", [bytes(32 * 250 * 2), bytes(31)])
def test_bases_refuse_messages_that_do_not_fit(inner, tmp_path, message):
    bases = bases_over([from_ecc(curve.G1)], inner, tmp_path / "bases")
    with pytest.raises(CircuitError, match="longer than its bases"):
        bases.multiply([message])


def test_file_form_round_trips(small_srs):
    curve_file = read_curve_file(small_srs)
    assert curve_file.to_bytes() == small_srs.read_bytes()
    for raw in curve_file.lagrange_at([0, 1, 2**K - 1]):
        to_ecc(from_file_form(raw))  # asserts that it is on the curve
        assert to_file_form(from_file_form(raw)) == raw


# ---------------------------------------- crashes and hangs


@pytest.mark.parametrize("content", [b"", b"nonsense", None], ids=["empty", "nonsense", "cut"])
@pytest.mark.parametrize("file", ["link/vk.key", "link/settings.json", "srs/k12.srs", "srs/k1.srs"])
def test_malformed_files_never_reach_ezkl(tmp_path, monkeypatch, file, content):
    cut = (profiles_folder() / "tiny-dev" / file).read_bytes()[:-100]
    folder = spoilt(tmp_path, file, cut if content is None else content)
    monkeypatch.setattr(ezkl_worker, "call", lambda *_, **__: pytest.fail("ezkl was called"))
    with pytest.raises(CircuitError, match=f"{file}: not the file that .* names by digest"):
        load_profile(folder)


@pytest.fixture
def acting(tmp_path, monkeypatch):
    """Start children by a shell script of the test's."""
    child = tmp_path / "python"

    def use(script: str) -> None:
        child.write_text(f"#!/bin/sh\n{script}\n")
        child.chmod(0o755)
        monkeypatch.setattr(ezkl_worker.sys, "executable", str(child))

    return use


ENDS = {
    "a panic": ("echo 'thread main panicked' >&2; echo 'left is not right' >&2; exit 101", "left is not right$"),
    "silence": ("exit 3", "exit status 3$"),
    "a signal": ("kill -ABRT $$", "exit status -6$"),
    "no answer": ("exit 0", "exit status 0$"),
    "many words": (f"echo {'x' * 5000} >&2; exit 1", "failed: x{400}$"),
}


@pytest.mark.parametrize("what", ENDS)
def test_a_child_that_crashes_is_a_typed_error(tmp_path, acting, what):
    """Played by a shell: a CircuitError with the last of what the child said, or how it ended."""
    script, words = ENDS[what]
    acting(script)
    with pytest.raises(CircuitError, match=r"ezkl gen_srs failed: ") as caught:
        ezkl_worker.call("gen_srs", time_limit_s=TIME_LIMIT_S, out=tmp_path / "none.srs", k=5)
    assert re.search(words, caught.value.message)


def test_a_full_disk_is_called_one(tmp_path, acting):
    acting("echo 'Os: No space left on device' >&2; echo more >&2; exit 101")
    with pytest.raises(StorageError, match="the disk filled up during ezkl gen_srs"):
        ezkl_worker.call("gen_srs", time_limit_s=TIME_LIMIT_S, out=tmp_path / "none.srs", k=5)


def test_what_except_exception_does_not_catch_is_a_typed_error(tmp_path, monkeypatch):
    """Rust's panics arrive in Python as such. The real child, for which a module of this test's stands in for ezkl."""
    (tmp_path / "ezkl.py").write_text(
        "class Panic(BaseException): pass\ndef gen_srs(*_): raise Panic('left is not right')\n"
    )
    monkeypatch.setattr(ezkl_worker, "__file__", str(tmp_path / "circuits" / "ezkl_worker.py"))
    monkeypatch.setenv("PYTHONPATH", str(ROOT))
    with pytest.raises(CircuitError, match=r"ezkl gen_srs failed: .*Panic: left is not right"):
        ezkl_worker.call("gen_srs", time_limit_s=TIME_LIMIT_S, out=tmp_path / "none.srs", k=5)


def test_a_time_limit_ends_the_child(tmp_path, acting):
    """A child that sleeps."""
    acting(f"echo $$ > {tmp_path / 'pid'}; exec sleep 60")
    start = time.monotonic()
    with pytest.raises(CircuitError, match="ran past its limit of 1 s"):
        ezkl_worker.call("gen_srs", time_limit_s=1, out=tmp_path / "slow.srs", k=5)
    assert time.monotonic() - start < 30
    with pytest.raises(ProcessLookupError):
        os.kill(int((tmp_path / "pid").read_text()), 0)


def test_ezkl_stays_out_of_this_process():
    """Every call above went through a child process."""
    code = "import sys, circuits.cli, circuits.publish, prover.cli; sys.exit('ezkl' in sys.modules)"
    assert subprocess.run([sys.executable, "-c", code], check=False, timeout=60).returncode == 0


needs_proc = pytest.mark.skipif(not Path("/proc/self/stat").exists(), reason="processor time of a child: Linux only")


@pytest.fixture
def stalling(acting, monkeypatch):
    """Start children by a shell script of the test's, and call one stalled after two seconds."""
    monkeypatch.setattr(ezkl_worker, "STALL_S", 2.0)
    monkeypatch.setattr(ezkl_worker, "STALL_BUSY", 0.1)
    monkeypatch.setattr(ezkl_worker, "POLL_S", 0.1)
    return acting


DEADLOCK = """
import ctypes, threading, time
for _ in range(8):
    threading.Thread(target=lambda: [time.sleep(0.001) for _ in range(1_000_000)], daemon=True).start()
ctypes.PyDLL(None).sleep(600)
"""


@needs_proc
def test_a_child_that_stopped_moving_is_killed_and_tried_again(tmp_path, stalling):
    """A deadlock, played the first time by a child that sleeps with Python's lock.

    Its eight other threads wait for the lock: they wake every 5 ms, so its processor time does grow.
    """
    started, deadlock = tmp_path / "started", tmp_path / "deadlock.py"
    deadlock.write_text(DEADLOCK)
    stalling(
        f'if [ ! -e {started} ]; then touch {started}; exec {sys.executable} {deadlock}; fi\nexec {sys.executable} "$@"'
    )
    ezkl_worker.call("gen_srs", time_limit_s=TIME_LIMIT_S, out=tmp_path / "k5.srs", k=5)
    assert read_curve_file(tmp_path / "k5.srs").k == 5


STARVED_LIMIT_S = 600.0  # beside ten busy processes what takes the child 0.1 s of a processor takes it a minute
STARVED = """
import os, sys
os.nice(19)
os.sched_setaffinity(0, {processor})
"""
COMPETITOR = "import os\nos.sched_setaffinity(0, {processor})\nwhile True: pass"


@pytest.fixture
def starving():
    """Code with which a child shares one processor with another process that is favoured 70 to 1."""
    processor = {max(os.sched_getaffinity(0))}
    competitor = subprocess.Popen([sys.executable, "-c", COMPETITOR.format(processor=processor)])
    yield STARVED.format(processor=processor), competitor
    competitor.kill()
    competitor.wait()


@needs_proc
def test_a_child_that_is_starved_is_left_alone(tmp_path, stalling, starving):
    """It gets 1.5% of a processor, for two or three of the windows at whose end it might be taken for stalled."""
    begun, slow = tmp_path / "begun", tmp_path / "slow.py"
    code, competitor = starving
    # what is measured is free of input and output, by which a child shows that it moves
    go_on = "while os.path.exists(sys.argv[1]): sum(range(10000))\n"
    slow.write_text(code + go_on + "os.execv(sys.executable, [sys.executable, *sys.argv[2:]])\n")
    (tmp_path / "busy").touch()
    stalling(f'echo >> {begun}; exec {sys.executable} {slow} {tmp_path / "busy"} "$@"')
    end = threading.Timer(6.0, lambda: (competitor.kill(), (tmp_path / "busy").unlink()))
    end.start()
    ezkl_worker.call("gen_srs", time_limit_s=STARVED_LIMIT_S, out=tmp_path / "k5.srs", k=5)
    end.join()
    assert begun.read_text() == "\n"
    assert read_curve_file(tmp_path / "k5.srs").k == 5


@pytest.mark.parametrize(("ended", "starved"), [(0, False), (100, False), (101, True), (200, True)])
def test_short_turns_that_others_ended_are_starvation(ended, starved):
    """At a load of 17, niced by 19: 200 turns of 20 us in half a minute, ended by others."""
    before = ezkl_worker._Activity(1.0, 0, {"1": (1.0, 1000, True, 40)})
    after = ezkl_worker._Activity(1.004, 0, {"1": (1.004, 1200, True, 40 + ended)})
    assert ezkl_worker._starved(before, after) is starved


@needs_proc
def test_a_child_that_is_starved_and_deadlocked_is_killed(tmp_path, stalling, starving, monkeypatch):
    monkeypatch.setattr(ezkl_worker, "MAX_STALLS", 1)
    deadlock = tmp_path / "deadlock.py"
    deadlock.write_text(starving[0] + DEADLOCK)
    stalling(f"exec {sys.executable} {deadlock}")
    with pytest.raises(CircuitError, match="stopped moving 1 times"):
        ezkl_worker.call("gen_srs", time_limit_s=STARVED_LIMIT_S, out=tmp_path / "k5.srs", k=5)


@needs_proc
def test_a_child_that_never_moves_is_a_typed_error(tmp_path, stalling):
    stalling("exec sleep 60")
    with pytest.raises(CircuitError, match="stopped moving 3 times"):
        ezkl_worker.call("gen_srs", time_limit_s=TIME_LIMIT_S, out=tmp_path / "k5.srs", k=5)
