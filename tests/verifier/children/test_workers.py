"""ezkl crashing, hanging, printing or answering nonsense: undecided, in time, with nothing left running."""

from __future__ import annotations

import os
import sys
import time
from pathlib import Path

import pytest

import verifier.children.workers
import verifier.fingerprint.verify
from verifier.children.workers import Deadline, Keys, Workers, child_command
from verifier.formats.errors import TimeLimit, ToolFailure

SLOW = "import time; time.sleep(1000)"
ANSWER = "import sys\nfor line in sys.stdin: print({!r}, flush=True)"
BEHAVIOUR = {
    "exits": ("import sys; sys.stderr.write('Panic\\x1b[2J at the proof'); sys.exit(3)", "exit code 3"),
    "is killed": ("import os, signal; os.kill(os.getpid(), signal.SIGKILL)", "signal 9"),
    "aborts": ("import os; os.abort()", "signal 6"),
    "says nothing": ("import sys; sys.stdin.readline(); sys.exit(0)", "exit code 0"),
    "answers nonsense": (ANSWER.format("nonsense"), ""),
    "answers a list": (ANSWER.format("[]"), ""),
    "answers yes to nothing": (ANSWER.format("{}"), ""),
    "answers deep nonsense": ("import sys\nfor line in sys.stdin: print('[' * 100_000, flush=True)", ""),
    "answers points that are none": (ANSWER.format('{"points": "0g", "ok": true}'), "0 points instead of"),
    "answers without end": ("import sys\nsys.stdin.readline()\nwhile True: sys.stdout.write('x' * 65536)", ""),
    "answers too often": ("import sys\nsys.stdin.readline()\nwhile True: print('{}', flush=True)", ""),
    "fails": (ANSWER.format('{"error": "disk"}'), "disk"),
    "has no ezkl": ("import module_that_is_not_there", "No module named"),
}


def with_child(monkeypatch: pytest.MonkeyPatch, code: str) -> None:
    monkeypatch.setattr(verifier.children.workers, "child_command", lambda: [sys.executable, "-c", code])


@pytest.mark.parametrize("how", BEHAVIOUR)
def test_a_misbehaving_child_is_undecided(monkeypatch, bundle, verify, how):
    code, words = BEHAVIOUR[how]
    with_child(monkeypatch, code)
    report = verify(bundle)
    assert report.verdict == "undecided", report.verdict_line()
    assert report.failure.code == "tool-failure"
    assert words in report.failure.message
    assert "\x1b" not in report.failure.message


def test_a_hanging_child_meets_the_time_limit(monkeypatch, bundle, verify):
    with_child(monkeypatch, SLOW)
    start = time.monotonic()
    report = verify(bundle, time_limit_s=0.5)
    assert time.monotonic() - start < 10
    assert (report.verdict, report.failure.code, report.exit_code) == ("undecided", "time-limit", 3)


def test_a_child_that_ignores_its_input_meets_the_time_limit():
    with Workers(Deadline(0.5), [sys.executable, "-c", SLOW]) as workers, pytest.raises(TimeLimit):
        workers.check_proof(bytes(200_000), [0], Keys(workers.folder, workers.folder), workers.folder)


def test_children_are_gone_afterwards(monkeypatch, bundle, verify, tmp_path):
    """Each names a file after its process; on a busy machine that may take longer than the first limit."""
    notes = tmp_path / "notes"
    notes.mkdir()
    with_child(monkeypatch, f"import os; open({str(notes)!r} + f'/{{os.getpid()}}', 'w').close(); {SLOW}")
    for limit in (1.0, 10.0, 100.0):
        assert verify(bundle, time_limit_s=limit).verdict == "undecided"
        if children := [int(note.name) for note in notes.iterdir()]:
            break
    assert children
    for child in children:
        with pytest.raises(ProcessLookupError):
            os.kill(child, 0)


def test_the_private_directory_is_removed():
    with Workers(Deadline(5)) as workers:
        folder = workers.folder
        assert folder.stat().st_mode & 0o077 == 0
    assert not folder.exists()


def test_the_address_space_is_limited(toy):
    """A child that is given too little memory crashes; the verifier does not."""
    command = child_command()
    command[3] = str(32 << 20)
    with Workers(Deadline(300), command) as workers, pytest.raises(ToolFailure, match="crashed"):
        workers.check_proof(bytes(64), [0], Keys(toy / "link/settings.json", toy / "link/vk.key"), toy / "srs/k1.srs")


def test_ezkl_missing_files_are_not_a_refusal(toy):
    """Whatever ezkl says about files says nothing about the proof: undecided."""
    with Workers(Deadline(300)) as workers, pytest.raises(ToolFailure):
        workers.check_proof(bytes(64), [0], Keys(toy / "nothing", toy / "link/vk.key"), toy / "srs/k1.srs")


@pytest.mark.parametrize("content", [b"", b"nonsense", b"\xff" * 5000])
def test_a_malformed_key_is_undecided(toy, tmp_path, content):
    """Malformed keys make ezkl panic, which Python's `except Exception` may not catch (ezkl-rules)."""
    (tmp_path / "vk").write_bytes(content)
    with Workers(Deadline(30)) as workers, pytest.raises((ToolFailure, TimeLimit)):
        workers.check_proof(bytes(64), [0], Keys(toy / "link/settings.json", tmp_path / "vk"), toy / "srs/k1.srs")


def test_only_the_child_imports_ezkl():
    import subprocess

    imports = "import sys, verifier.cli, verifier.fingerprint.verify"
    code = f"{imports}; sys.exit('ezkl' in sys.modules or 'torch' in sys.modules)"
    assert subprocess.run([sys.executable, "-c", code], check=False, timeout=300).returncode == 0


def test_another_ezkl_is_undecided(monkeypatch, bundle, verify):
    monkeypatch.setattr(verifier.children.workers, "EZKL_VERSION", "1.2.3")
    report = verify(bundle)
    assert (report.verdict, report.failure.code) == ("undecided", "tool-failure")
    assert "ezkl 1.2.3 is needed, found 23." in report.failure.message


def test_the_pinned_ezkl_is_the_one_in_pyproject():
    text = (Path(__file__).resolve().parents[3] / "pyproject.toml").read_text()
    assert f'"ezkl=={verifier.children.workers.EZKL_VERSION}"' in text
