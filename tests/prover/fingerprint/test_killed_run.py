"""`huref prove` killed twice with SIGKILL, then left to finish: nothing is lost, and the result is the same."""

from __future__ import annotations

import base64
import json
import os
import signal
import stat
import subprocess
import sys
import time
from dataclasses import dataclass
from pathlib import Path

import pytest

from circuits import keys
from circuits.profiles import CIRCUITS, DEFAULT_PROFILE
from prover.fingerprint.prove import FingerprintProver
from tests.conftest import MODELS, ROOT

PARTS = 13  # matrices whose row commitments a job keeps


# ---------------------------------------- a run killed twice, and what comes of it


@dataclass(frozen=True)
class KilledRun:
    """What the run left at each stage."""

    home: Path
    bundle: Path
    secret: Path
    first: dict[str, bytes]  # parts of the job after the first kill, in the middle of the rows
    second: dict[str, bytes]  # after the second one, with the encoder proof done
    reused: bool  # the parts of the first kill were not even written again
    concurrent: subprocess.CompletedProcess[str]  # the same command beside the second run
    report: dict[str, object]  # what the last run printed


def parts_of(cache: Path) -> dict[str, bytes]:
    return {
        path.name: path.read_bytes() for path in cache.glob("huref-zk/jobs/*/[!.]*") if path.name not in ("lock", "tmp")
    }


def rows_of(parts: dict[str, bytes]) -> list[bytes]:
    """Row commitments by matrix: each of so small a model is one shard."""
    shards = {int(name.split("-")[1]): data for name, data in parts.items() if name.startswith("rows-")}
    return [shards[index] for index in sorted(shards)]


@pytest.fixture(scope="module")
def killed(profile, tmp_path_factory) -> KilledRun:
    """`huref prove`, killed with SIGKILL among the rows, again after the encoder proof, then left to finish."""
    home = tmp_path_factory.mktemp("killed")
    cache, secret, bundle = home / "cache", home / "private" / "secret.json", home / "out" / "bundle"
    for circuit in CIRCUITS:
        keys.proving_key(profile, circuit)
    (cache / "huref-zk").mkdir(parents=True)
    (cache / "huref-zk" / "keys").symlink_to(keys.cache_folder() / "keys")
    (home / "tmp").mkdir()
    # by ezkl, which keeps each matrix as it is done: a native kernel is done with all of so small a model at once
    # (tests/prover/commitments/test_killed_rows.py kills that one too)
    environment = {**os.environ, "XDG_CACHE_HOME": str(cache), "TMPDIR": str(home / "tmp"), "HUREF_KERNEL": "ezkl"}
    command = [sys.executable, "-m", "prover.cli", "prove", str(MODELS / "base"), "-o", str(bundle)]
    command += ["--secret", str(secret), "--model-name", "killed twice", "--json", "-q"]

    def start() -> subprocess.Popen[str]:
        # a session of its own, so that the ezkl children can be killed with it
        return subprocess.Popen(
            command,
            cwd=ROOT,
            env=environment,
            start_new_session=True,
            text=True,
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
        )

    def wait_for(process: subprocess.Popen[str], part: str) -> None:
        deadline = time.monotonic() + 300
        while not list(cache.glob(f"huref-zk/jobs/*/{part}")):
            assert process.poll() is None, process.communicate()
            assert time.monotonic() < deadline, f"{part} did not come"
            time.sleep(0.02)

    def kill(process: subprocess.Popen[str]) -> dict[str, bytes]:
        os.killpg(process.pid, signal.SIGKILL)
        process.communicate()
        assert not bundle.parent.exists() or not list(bundle.parent.iterdir())
        return parts_of(cache)

    process = start()
    wait_for(process, "rows-3-0-*")
    first = kill(process)
    times = {path.name: path.stat().st_mtime_ns for path in cache.glob("huref-zk/jobs/*/rows-*")}
    process = start()
    wait_for(process, f"rows-{PARTS - 1}-0-*")
    concurrent = subprocess.run(
        command, cwd=ROOT, env=environment, capture_output=True, text=True, timeout=120, check=False
    )
    wait_for(process, "encoder-proof")
    second = kill(process)
    again = {path.name: path.stat().st_mtime_ns for path in cache.glob("huref-zk/jobs/*/rows-*")}
    process = start()
    out, err = process.communicate(timeout=300)
    assert process.returncode == 0, err
    return KilledRun(home, bundle, secret, first, second, times.items() <= again.items(), concurrent, json.loads(out))


def test_the_kills_came_in_the_middle(killed):
    """The control: the first left some rows (they end in any order), the second all of them and one of two proofs."""
    rows = [name for name in killed.first if name.startswith("rows-")]
    assert 1 <= len(rows) < PARTS
    assert "session" in killed.first
    assert len(rows_of(killed.second)) == PARTS and "encoder-proof" in killed.second
    assert "link-proof" not in killed.second


def test_a_resumed_run_keeps_what_was_done(killed):
    assert killed.reused
    assert killed.first.items() <= killed.second.items()
    proof = json.loads(killed.second["encoder-proof"])["proof"]
    assert base64.b64decode(json.loads((killed.bundle / "encoder.json").read_bytes())["proof"]).hex() == proof
    rows = b"".join(rows_of(killed.second))
    assert (killed.bundle / "commitments.bin").read_bytes()[: -64 * 13] == rows


def test_its_rows_are_those_of_a_run_that_nobody_killed(killed, profile, source, tmp_path):
    """Same weights and seed: the same row commitments, byte for byte, whatever happened in between."""
    from prover.commitments.jobs import Job
    from prover.commitments.rows import Committer

    seed = bytes.fromhex(json.loads(killed.secret.read_bytes())["seed"])
    (tmp_path / "job").mkdir()
    honest = FingerprintProver(profile, source, seed, b"another session".ljust(32), Job(tmp_path / "job"))
    honest.committer = Committer(profile, tmp_path)
    rows = b"".join(honest.commit_rows(honest.salted_matrices()).values())
    assert (killed.bundle / "commitments.bin").read_bytes()[: -64 * 13] == rows


def test_its_bundle_is_accepted(killed):
    """By the verifier's own command; and the opening is there to check."""
    command = [sys.executable, "-m", "verifier", str(killed.bundle), "--allow-dev-srs", "--json"]
    command += ["--weights", str(MODELS / "base"), "--opening", str(killed.secret)]
    done = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, timeout=300, check=False)
    answer = json.loads(done.stdout)
    assert (answer["verdict"], done.returncode) == ("accepted", 0), done.stdout
    assert answer["metadata_unverified"]["name"] == "killed twice"
    assert [check["status"] for check in answer["checks"] if check["step"] == 11] == ["passed"]


def test_its_job_is_gone(killed):
    """The session's randomness does not stay in the cache, and nothing half-written lies beside the bundle."""
    assert list((killed.home / "cache" / "huref-zk" / "jobs").iterdir()) == []
    assert [path.name for path in killed.bundle.parent.iterdir()] == ["bundle"]
    assert sorted(path.name for path in killed.bundle.iterdir()) == sorted(
        ["statement.json", "commitments.bin", "link.json", "encoder.json", "fingerprint.png"]
    )


def test_its_secret_is_private_and_canonical(killed):
    data = killed.secret.read_bytes()
    document = json.loads(data)
    assert stat.S_IMODE(killed.secret.stat().st_mode) == 0o600
    assert stat.S_IMODE(killed.secret.parent.stat().st_mode) == 0o700
    assert data == json.dumps(document, sort_keys=True, separators=(",", ":")).encode()
    assert set(document) == {"type", "seed", "weights_sha256", "cm"}
    assert document["cm"] == killed.report["cm"]
    assert [path.name for path in killed.secret.parent.iterdir()] == ["secret.json"]
    public = b"".join(path.read_bytes() for path in killed.bundle.iterdir())
    assert document["seed"].encode() not in public
    assert bytes.fromhex(document["seed"]) not in public


def test_its_report(killed):
    assert killed.report["bundle"] == str(killed.bundle)
    assert killed.report["secret"] == str(killed.secret)
    assert killed.report["bytes"] == sum(path.stat().st_size for path in killed.bundle.iterdir())
    assert killed.report["profile"] == DEFAULT_PROFILE


def test_two_runs_of_one_job(killed):
    """The second is refused at once, and the first goes on."""
    assert killed.concurrent.returncode == 2, killed.concurrent.stderr
    assert "another process is proving the same model" in killed.concurrent.stderr
    assert "Traceback" not in killed.concurrent.stderr
