"""ezkl's child processes end when the process that started them is killed, also in the middle of a job."""

from __future__ import annotations

import contextlib
import json
import os
import signal
import subprocess
import sys
import time

import psutil
import pytest

from tests.conftest import ROOT
from verifier.children.workers import child_command

linux = pytest.mark.skipif(sys.platform != "linux", reason="prctl(PR_SET_PDEATHSIG) is Linux's")

PROVER = """
import sys
from pathlib import Path
from circuits import ezkl_worker
nothing = Path("nothing")
ezkl_worker.call("commit", time_limit_s=600, messages=Path(sys.argv[1]), out=nothing, vk=nothing, settings=nothing,
                 srs=nothing)
"""
VERIFIER = """
import sys
from pathlib import Path
from verifier.children.workers import Deadline, Workers
nothing = Path("nothing")
with Workers(Deadline(600)) as workers:
    workers._call({"op": "commit", "message": sys.argv[1], "vk": "", "settings": "", "srs": ""})
"""


def has_ezkl(child: psutil.Process) -> bool:
    """Whether it got as far as ezkl: what it does first is done."""
    try:
        return any("ezkl" in mapped.path for mapped in child.memory_maps())
    except psutil.AccessDenied:
        return False


def gone(child: psutil.Process) -> bool:
    """Ended, though perhaps nobody has waited for it."""
    try:
        return not child.is_running() or child.status() == psutil.STATUS_ZOMBIE
    except psutil.NoSuchProcess:
        return True


def until(what, limit_s: float = 60.0):
    end = time.monotonic() + limit_s
    while not (found := what()):
        assert time.monotonic() < end, "not in time"
        time.sleep(0.05)
    return found


@linux
@pytest.mark.parametrize("program", [PROVER, VERIFIER], ids=["prover", "verifier"])
def test_a_killed_parent_takes_ezkl_with_it(tmp_path, program):
    """The job's message is a named pipe that nobody writes: without the kernel's help the child would wait for ever."""
    pipe = tmp_path / "message"
    os.mkfifo(pipe)
    parent = subprocess.Popen([sys.executable, "-c", program, str(pipe)], cwd=ROOT)
    children = []
    try:
        children = until(psutil.Process(parent.pid).children)
        (child,) = children
        until(lambda: has_ezkl(child))
        time.sleep(0.5)
        assert not gone(child)
        os.kill(parent.pid, signal.SIGKILL)
        parent.wait()
        until(lambda: gone(child), 20.0)
    finally:
        for process in (parent, *children):
            with contextlib.suppress(psutil.NoSuchProcess):
                process.kill()
        parent.wait()


@linux
def test_a_child_whose_parent_is_already_gone_does_not_begin(tmp_path):
    """Killed between the start of the child and its first words to the kernel: it has another parent by then."""
    nobody = 2**22 - 1  # the largest process id there is, less one
    job, answer = tmp_path / "job.json", tmp_path / "answer.json"
    job.write_text(json.dumps({"function": "gen_srs", "arguments": {}, "answer": str(answer), "parent": nobody}))
    module = [sys.executable, "-m", "circuits.ezkl_worker", str(job)]
    script = [*child_command()[:-1], str(nobody)]
    for command in (module, script):
        done = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, input="{}\n", check=False, timeout=60)
        assert done.returncode == 1
        assert done.stderr.rstrip().endswith("is gone")
        assert not done.stdout
    assert not answer.exists()
