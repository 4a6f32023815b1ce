"""Who commits to rows: however many processes, and a real dask cluster that loses a worker, give the same bytes."""

from __future__ import annotations

import contextlib
import json
import os
import signal
import subprocess
import sys
import time
from functools import partialmethod
from pathlib import Path

import numpy as np
import pytest
from click.testing import CliRunner

from circuits.errors import CircuitError, KernelError, UsageError
from circuits.kernel import RowChecker, RowPlan, kernels
from prover.cli import huref
from prover.commitments import rows as commitments
from prover.commitments.rows import Committer, SaltedMatrix, cut
from prover.commitments.workers import DaskCluster, Processes, Work

ROOT = Path(__file__).resolve().parents[3]
WIDTH = 96
START_LIMIT_S = 60


@pytest.fixture(scope="module")
def shards():
    """Ten shards of two matrices."""
    rng = np.random.default_rng(0)
    matrices = {
        name: SaltedMatrix.of(name, rng.integers(-127, 128, (rows, WIDTH)).astype(np.int8), bytes(32), 12)
        for name, rows in (("embedding", 130), ("layers.0.q", 170))
    }
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(commitments, "SHARD_ROWS", 1)
        patch.setattr(commitments, "SHARD_SCALARS", 32 * (WIDTH + 512))
        made = cut(matrices)
    assert len(made) == 11
    assert sum(shard.rows for shard in made) == 300
    assert len({shard.part for shard in made}) == 11
    return made


@pytest.fixture(scope="module")
def committer(profile, tmp_path_factory):
    return Committer(profile, tmp_path_factory.mktemp("bases"))


@pytest.fixture(scope="module")
def expected(shards, committer):
    """What ezkl says, by one process."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("HUREF_KERNEL", "ezkl")
        return {shard.part: points for shard, points in committer.shards(shards, Processes(1))}


@pytest.fixture(params=[*kernels(), "ezkl"])
def kernel(request, monkeypatch):
    """Each way to commit that this machine has."""
    monkeypatch.setenv("HUREF_KERNEL", request.param)
    return request.param


def test_every_shard_is_done_once(shards, expected):
    assert set(expected) == {shard.part for shard in shards}
    assert all(len(expected[shard.part]) == 64 * shard.rows for shard in shards)


def test_three_at_a_time_give_the_same(shards, profile, expected, kernel, tmp_path):
    committer = Committer(profile, tmp_path)
    assert {shard.part: points for shard, points in committer.shards(shards, Processes(3))} == expected
    assert committer.kernels == {kernel}


def test_answers_are_checked_some_at_a_time(shards, committer, expected, monkeypatch):
    """Whatever is yielded was checked before, and nothing is left out."""
    monkeypatch.setattr(commitments, "CHECK_ROWS", 64)
    checked = []
    honest = RowChecker.check
    monkeypatch.setattr(RowChecker, "check", lambda self, parts: (checked.extend(parts), honest(self, parts))[1])
    found = {}
    for shard, points in committer.shards(shards, Processes(2)):
        assert shard.part in {part.name for part in checked}
        found[shard.part] = points
    assert found == expected and len(checked) == len(shards)


@pytest.mark.parametrize("kernel", kernels())
def test_a_spoilt_kernel_costs_the_run_and_nothing_is_yielded(shards, committer, kernel, monkeypatch):
    """One bit of each table is another."""
    monkeypatch.setenv("HUREF_KERNEL", kernel)
    monkeypatch.setattr(RowPlan, "commit", partialmethod(RowPlan.commit, fault=1))
    found = []
    with pytest.raises(KernelError, match=r"not ezkl.s|not a point of the curve") as caught:
        found += committer.shards(shards, Processes(2))
    assert found == []
    assert "HUREF_KERNEL=ezkl" in caught.value.hint


def test_work_is_made_when_it_is_needed(shards, committer):
    """With one process at most two pieces are in memory: one at work, one to follow."""
    made = []

    def pieces():
        for key, shard in enumerate(shards):
            made.append(key)
            where = slice(shard.begin, shard.end)
            yield Work(key, committer.row_work(WIDTH), shard.matrix.entries[where], shard.matrix.salts[where])

    answers = Processes(1).commit(pieces())
    next(answers)
    assert len(made) <= 3
    answers.close()


def test_a_failing_piece_ends_the_run(committer, kernel):
    with pytest.raises(CircuitError, match="do not fit"):
        rows, salts = np.zeros((1, WIDTH), np.int8), np.zeros((1, 511), np.uint8)
        list(Processes(2).commit([Work(0, committer.row_work(WIDTH), rows, salts)]))


@pytest.mark.parametrize("jobs", [0, -1])
def test_no_processes(jobs):
    with pytest.raises(UsageError, match="--jobs"):
        Processes(jobs)


@pytest.mark.parametrize(
    ("options", "words"), [(("0",), "at least 1"), (("2", "--dask", "tcp://127.0.0.1:9"), "one of")]
)
def test_options_that_make_no_sense(options, words, tmp_path):
    result = CliRunner().invoke(huref, ["prove", "nothing", "-o", str(tmp_path / "bundle"), "--jobs", *options])
    assert result.exit_code == 2
    assert words in result.output
    assert "Traceback" not in result.output


# ---------------------------------------- a dask cluster


def address_in(file: Path) -> str:
    """What the scheduler writes when it listens. Its file is there before it is whole."""
    deadline = time.monotonic() + START_LIMIT_S
    while True:
        with contextlib.suppress(FileNotFoundError, json.JSONDecodeError):
            return json.loads(file.read_text())["address"]
        assert time.monotonic() < deadline
        time.sleep(0.05)


@pytest.fixture
def cluster(tmp_path):
    """A scheduler and two workers, each a process of its own and with its own kernel: (address, worker processes)."""
    pytest.importorskip("distributed")
    file = tmp_path / "scheduler.json"
    environment = {**os.environ, "PYTHONPATH": str(ROOT), "DASK_DISTRIBUTED__COMM__TIMEOUTS__CONNECT": "10s"}
    started = []

    def start(kind: str, *arguments: str, kernel: str = "ezkl") -> subprocess.Popen[bytes]:
        command = [
            sys.executable,
            "-m",
            f"distributed.cli.dask_{kind}",
            "--scheduler-file",
            str(file),
            "--no-dashboard",
        ]
        process = subprocess.Popen(
            [*command, *arguments],
            cwd=tmp_path,
            env={**environment, "HUREF_KERNEL": kernel},
            stdout=subprocess.DEVNULL,
            stderr=subprocess.DEVNULL,
        )
        started.append(process)
        return process

    start("scheduler", "--host", "127.0.0.1", "--port", "0")
    address = address_in(file)
    options = ("--nthreads", "1", "--no-nanny", "--local-directory", str(tmp_path))
    workers = [start("worker", *options, kernel=name) for name in ("ezkl", [*kernels(), "ezkl"][0])]
    from distributed import Client

    with Client(address, set_as_default=False) as client:
        client.wait_for_workers(2, timeout=START_LIMIT_S)
    yield address, workers
    for process in reversed(started):
        process.kill()
        process.wait()


def test_a_cluster_of_two_kinds_gives_the_same(shards, profile, expected, cluster, tmp_path):
    """One worker has a kernel, the other commits by ezkl."""
    committer = Committer(profile, tmp_path)
    assert {shard.part: points for shard, points in committer.shards(shards, DaskCluster(cluster[0]))} == expected
    assert committer.kernels == {"ezkl", [*kernels(), "ezkl"][0]}


def test_a_cluster_that_loses_a_worker_gives_the_same(shards, committer, expected, cluster):
    address, workers = cluster
    found = {}
    for shard, points in committer.shards(shards, DaskCluster(address)):
        found[shard.part] = points
        if len(found) == 2:
            workers[0].send_signal(signal.SIGKILL)
            workers[0].wait()
    assert found == expected
    assert workers[1].poll() is None


def test_no_cluster():
    pytest.importorskip("distributed")
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr("prover.commitments.workers.CONNECT_TIME_LIMIT_S", 1)
        with pytest.raises(UsageError, match="no scheduler answers"):
            DaskCluster("tcp://127.0.0.1:9")
