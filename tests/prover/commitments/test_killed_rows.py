"""Commitments killed with SIGKILL within a matrix: the run that follows does what is missing, and nothing twice.

What one kernel left is taken over by a run that uses another.
"""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest

from circuits.kernel import kernels
from prover.commitments import rows as commitments
from prover.commitments.jobs import Job
from prover.commitments.rows import Committer, cut
from prover.commitments.workers import Processes
from prover.fingerprint.prove import FingerprintProver
from tests.conftest import MODELS, ROOT

SEED, SESSION = bytes(range(32)), b"some session".ljust(32)
SHARD_ROWS = 150
START_LIMIT_S = 200
ANY = [*kernels(), "ezkl"][-2 if kernels() else 0]  # the slowest native kernel, where there is one

SCRIPT = """
import sys
from pathlib import Path
from circuits.profiles import load_profile
from prover.terms.terms import TermRules, load_fingerprint_input
from tests.prover.commitments.test_killed_rows import commit_rows
profile = load_profile()
source = load_fingerprint_input(Path(sys.argv[1]), TermRules.of_profile(profile.document))
commit_rows(profile, source, Path(sys.argv[2]), Path(sys.argv[3]), SHARD_SCALARS)
"""


def commit_rows(profile, source, job: Path, scratch: Path, shard_scalars: int) -> dict[str, bytes]:
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(commitments, "SHARD_SCALARS", shard_scalars)
        patch.setattr(commitments, "SHARD_ROWS", 1)
        patch.setattr(commitments, "CHECK_ROWS", SHARD_ROWS)  # ezkl looks at each shard, and then it is kept
        prover = FingerprintProver(profile, source, SEED, SESSION, Job(job), pool=Processes(2))
        prover.committer = Committer(profile, scratch)
        return prover.commit_rows(prover.salted_matrices())


@pytest.mark.parametrize(("first", "second"), [("ezkl", ANY), (ANY, "ezkl")], ids=["ezkl before", "ezkl after"])
def test_a_run_killed_within_a_matrix(profile, source, tmp_path, monkeypatch, first, second):
    folders = {name: tmp_path / name for name in ("job", "whole", "scratch", "again", "reference")}
    for folder in folders.values():
        folder.mkdir()
    width = source.shape.hidden_size
    shard_scalars = SHARD_ROWS * (width + 512)
    script = SCRIPT.replace("SHARD_SCALARS", str(shard_scalars))
    arguments = [str(MODELS / "base"), str(folders["job"]), str(folders["scratch"])]
    process = subprocess.Popen(
        [sys.executable, "-c", script, *arguments],
        cwd=ROOT,
        start_new_session=True,
        env={**os.environ, "HUREF_KERNEL": first},
    )
    deadline = time.monotonic() + START_LIMIT_S
    while len(list(folders["job"].glob("rows-0-*"))) < 3:
        assert process.poll() is None
        assert time.monotonic() < deadline
        time.sleep(0.01)
    os.killpg(process.pid, signal.SIGKILL)
    process.wait()
    left = {path.name: path.stat().st_mtime_ns for path in folders["job"].glob("rows-*")}
    monkeypatch.setenv("HUREF_KERNEL", second)
    monkeypatch.setattr(commitments, "SHARD_SCALARS", shard_scalars)
    monkeypatch.setattr(commitments, "SHARD_ROWS", 1)
    prover = FingerprintProver(profile, source, SEED, SESSION, Job(folders["job"]))
    parts = {shard.part for shard in cut(prover.salted_matrices()) if shard.index == 0}
    assert 3 <= len(left.keys() & parts) < len(parts), "the kill did not come within the first matrix"

    resumed = commit_rows(profile, source, folders["job"], folders["again"], shard_scalars)
    # one shard a matrix, never killed
    assert resumed == commit_rows(profile, source, folders["whole"], folders["reference"], 1 << 22)
    now = {path.name: path.stat().st_mtime_ns for path in folders["job"].glob("rows-*")}
    assert left.items() <= now.items()
    assert len(now) > len(list(folders["whole"].glob("rows-*"))) == 13
