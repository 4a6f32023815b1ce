"""ezkl crashing, hanging, printing or answering nonsense: undecided, in time, with nothing left running."""

from __future__ import annotations

import json
import os
import shutil
import sys
import time
from contextlib import nullcontext
from pathlib import Path

import pytest

import verifier.children.workers
import verifier.fingerprint.verify
import verifier.trust.profile
from tests.conftest import ROOT
from tests.verifier.conftest import ASSETS
from verifier.children.workers import Deadline, Keys, Workers, child_command
from verifier.formats.errors import BadInstallation, Rejected, TimeLimit, ToolFailure

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


def test_a_child_that_ignores_its_input_meets_the_time_limit(toy):
    with Workers(Deadline(0.5), [sys.executable, "-c", SLOW]) as workers, pytest.raises(TimeLimit):
        workers.check_proof(bytes(200_000), [0], *link_files(toy))


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


def link_files(toy: Path, **others: Path) -> tuple[Keys, Path]:
    """Keys of the toy link circuit, of files that may be others, and the SRS file."""
    files = {"settings": toy / "link/settings.json", "vk": toy / "link/vk.key", **others}
    return Keys(files["settings"], files["vk"]), toy / "srs/k1.srs"


def stand_in(folder: Path, code: str, address_space: int | None = None) -> list[str]:
    """The real child; a module of this test's own stands in for ezkl (by `-S` the installed one is not found)."""
    (folder / "ezkl.py").write_text(code)
    python, isolated, script, space, *others, _, parent = child_command()
    return [python, isolated, "-S", script, str(address_space or space), *others, str(folder), parent]


def test_the_address_space_is_limited(toy, tmp_path):
    """A child that asks for more memory than it may have ends; the verifier does not."""
    asks = "def verify(*_): return bool(bytearray(1 << 30))"
    too_much = pytest.raises(ToolFailure, match=r"crashed .*MemoryError")
    for space, outcome in ((1 << 29, too_much), (4 << 30, nullcontext())):
        with Workers(Deadline(300), stand_in(tmp_path, asks, space)) as workers, outcome:
            workers.check_proof(bytes(64), [0], *link_files(toy))


def test_what_except_exception_does_not_catch_is_undecided(toy, tmp_path):
    """Rust's panics arrive in Python as such."""
    panics = "class Panic(BaseException): pass\ndef verify(*_): raise Panic('left is not right')"
    crashed = pytest.raises(ToolFailure, match=r"crashed .*Panic: left is not right")
    with Workers(Deadline(300), stand_in(tmp_path, panics)) as workers, crashed:
        workers.check_proof(bytes(64), [0], *link_files(toy))


def test_only_true_is_accepted(toy, tmp_path):
    for answer in ("False", "None", "1", "'true'"):
        refused = pytest.raises(Rejected, match="does not verify")
        with Workers(Deadline(300), stand_in(tmp_path, f"def verify(*_): return {answer}")) as workers, refused:
            workers.check_proof(bytes(64), [0], *link_files(toy))


def test_ezkl_missing_files_are_not_a_refusal(toy):
    """Whatever ezkl says about files says nothing about the proof: undecided."""
    with Workers(Deadline(300)) as workers, pytest.raises(ToolFailure):
        workers.check_proof(bytes(64), [0], *link_files(toy, vk=toy / "nothing"))


# ---------------------------------------- settings under which a proof would say nothing

UNSOUND = {
    "disable_freivalds": lambda s: s["run_args"].update(disable_freivalds=False),
    "disable_freivalds, as a number": lambda s: s["run_args"].update(disable_freivalds=1),
    "total_einsum_col_size": lambda s: s["einsum_params"].update(total_einsum_col_size=8),
    "total_einsum_col_size, as false": lambda s: s["einsum_params"].update(total_einsum_col_size=False),
    "param_visibility": lambda s: s["run_args"].update(param_visibility="Private"),
    "input_visibility": lambda s: s["run_args"].update(input_visibility={"Hashed": {}}),
    "output_visibility": lambda s: s["run_args"].update(output_visibility="Private"),
    "not settings": lambda s: s["run_args"].pop("disable_freivalds"),
    "not settings, without sizes": lambda s: s.pop("einsum_params"),
}
NO_SETTINGS = {"empty": b"", "text": b"nonsense", "a list": b"[]", "deep": b"[" * 70 + b"]" * 70}


def refused_settings(toy: Path, folder: Path, data: bytes, words: str) -> None:
    """BadInstallation before a child is started."""
    (folder / "settings.json").write_bytes(data)
    with Workers(Deadline(30), [sys.executable, "-c", ANSWER.format('{"ok": true}')]) as workers:
        with pytest.raises(BadInstallation, match=rf"settings\.json: {words}"):
            workers.check_proof(bytes(64), [0], *link_files(toy, settings=folder / "settings.json"))
        assert all(lane._process is None for lane in workers._lanes)
        workers.check_proof(bytes(64), [0], *link_files(toy))  # the control


@pytest.mark.parametrize("what", UNSOUND)
def test_unsound_settings_are_refused(toy, tmp_path, what):
    settings = json.loads((toy / "link/settings.json").read_bytes())
    UNSOUND[what](settings)
    refused_settings(toy, tmp_path, json.dumps(settings).encode(), what.split(",")[0])


@pytest.mark.parametrize("what", NO_SETTINGS)
def test_what_is_no_settings_is_refused(toy, tmp_path, what):
    refused_settings(toy, tmp_path, NO_SETTINGS[what], "not settings")


def test_all_that_is_pinned_is_sound():
    found = [*ROOT.glob("artifacts/*/*/**/settings.json"), *ASSETS.glob("*/*/**/settings.json")]
    assert len(found) == 14
    for path in found:
        Keys(path, path).check_settings()


@pytest.mark.parametrize("file", ["vk.key", "settings.json"])
@pytest.mark.parametrize("how", [lambda data: data + b"more", lambda data: data[:-100], lambda data: b""])
def test_other_key_files_never_reach_a_child(monkeypatch, bundle, toy, verify, tmp_path, file, how):
    """Longer, shorter, empty: refused by digest, though the child of this test would accept anything."""
    copy = shutil.copytree(toy, tmp_path / "profiles" / toy.name)
    (copy / "link" / file).write_bytes(how((copy / "link" / file).read_bytes()))
    monkeypatch.setattr(verifier.trust.profile, "profiles_folder", lambda: copy.parent)
    with_child(monkeypatch, ANSWER.format('{"ok": true}'))
    report = verify(bundle)
    assert (report.verdict, report.failure.code) == ("undecided", "bad-installation")
    assert f"link/{file}: not the published file" in report.failure.message


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
