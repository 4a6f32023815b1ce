"""Who commits to rows: however many processes, and a real dask cluster that loses a worker, give the same bytes."""

from __future__ import annotations

import contextlib
import json
import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import numpy as np
import pytest
from click.testing import CliRunner

from circuits.errors import CircuitError, UsageError
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
    return {shard.part: points for shard, points in committer.shards(shards, Processes(1))}


def test_every_shard_is_done_once(shards, expected):
    assert set(expected) == {shard.part for shard in shards}
    assert all(len(expected[shard.part]) == 64 * shard.rows for shard in shards)


def test_three_processes_give_the_same(shards, committer, expected):
    assert {shard.part: points for shard, points in committer.shards(shards, Processes(3))} == expected


def test_work_is_made_when_it_is_needed(shards, committer):
    """With one process at most two pieces are in memory: one at work, one to follow."""
    made = []

    def pieces():
        for key, shard in enumerate(shards):
            made.append(key)
            rows = shard.matrix.entries[shard.begin : shard.end].tobytes()
            yield Work(key, committer.row_bases(WIDTH), rows, shard.matrix.salts[shard.begin : shard.end].tobytes())

    answers = Processes(1).commit(pieces())
    next(answers)
    assert len(made) <= 3
    answers.close()


def test_a_failing_piece_ends_the_run(committer):
    with pytest.raises(CircuitError, match="do not fit"):
        list(Processes(2).commit([Work(0, committer.row_bases(WIDTH), bytes(WIDTH), b"")]))


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
    """A scheduler and two workers, each a process of its own: (address, worker processes)."""
    pytest.importorskip("distributed")
    file = tmp_path / "scheduler.json"
    environment = {**os.environ, "PYTHONPATH": str(ROOT), "DASK_DISTRIBUTED__COMM__TIMEOUTS__CONNECT": "10s"}
    started = []

    def start(kind: str, *arguments: str) -> subprocess.Popen[bytes]:
        command = [
            sys.executable,
            "-m",
            f"distributed.cli.dask_{kind}",
            "--scheduler-file",
            str(file),
            "--no-dashboard",
        ]
        process = subprocess.Popen(
            [*command, *arguments], cwd=tmp_path, env=environment, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL
        )
        started.append(process)
        return process

    start("scheduler", "--host", "127.0.0.1", "--port", "0")
    address = address_in(file)
    workers = [start("worker", "--nthreads", "1", "--no-nanny", "--local-directory", str(tmp_path)) for _ in range(2)]
    from distributed import Client

    with Client(address, set_as_default=False) as client:
        client.wait_for_workers(2, timeout=START_LIMIT_S)
    yield address, workers
    for process in reversed(started):
        process.kill()
        process.wait()


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
