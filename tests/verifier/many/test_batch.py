"""Many bundles in one call: found, verified side by side, one line each, the worst exit code."""

from __future__ import annotations

import json
import os
import shutil
import signal
import subprocess
import sys
import time
import zipfile
from pathlib import Path

import pytest
from click.testing import CliRunner

import verifier.formats.limits
import verifier.many.batch
import verifier.many.child
from tests.conftest import EXAMPLE, ROOT
from tests.verifier.fingerprint.test_verify import change_proof, put_point
from verifier.cli import main
from verifier.fingerprint.options import Options
from verifier.fingerprint.verify import verify_bundle
from verifier.formats.errors import Unreadable
from verifier.many.batch import find_bundles, in_process, verify_many
from verifier.many.child import decode, encode
from verifier.signature.identity import Identity


@pytest.fixture
def here(monkeypatch):
    """Verify in this process, where the toy profile is trusted, instead of in new ones."""
    monkeypatch.setattr(verifier.many.batch, "in_process", lambda path, options, _live: verify_bundle(path, options))


@pytest.fixture
def three(bundle, tmp_path, here):
    """A folder with a good bundle, a zip of it, and a tampered one."""
    folder = tmp_path / "three"
    shutil.copytree(bundle, folder / "a" / "good")
    shutil.copytree(bundle, folder / "z bad")
    put_point(folder / "z bad", 0, bytes(64))
    zipped(bundle, folder / "b.zip")
    (folder / "notes.txt").write_text("no bundle")
    return folder


def zipped(bundle: Path, target: Path) -> None:
    with zipfile.ZipFile(target, "w") as archive:
        for file in bundle.iterdir():
            archive.write(file, file.name)


def test_a_line_for_each_and_the_worst_exit_code(three, monkeypatch):
    monkeypatch.chdir(three)
    result = CliRunner().invoke(main, ["a/good", "z bad", "missing", "b.zip", "a/good", "--allow-dev-srs"])
    *lines, last = result.output.splitlines()
    assert [line.split("  ")[0] for line in lines] == ["ACCEPTED", "REJECTED", "UNDECIDED", "ACCEPTED"]
    assert lines[1].startswith("REJECTED   z bad  at step 3 (points): ")
    assert last.startswith("4 bundles: 2 accepted, 1 undecided, 1 rejected. [development SRS]: convinces only")
    assert result.exit_code == 4


@pytest.mark.parametrize(
    ("arguments", "exit_code"),
    [
        (["a/good", "b.zip", "--allow-dev-srs"], 0),
        (["a/good", "b.zip"], 3),
        (["a/good", "missing", "--allow-dev-srs"], 3),
        (["-r", "a", "--allow-dev-srs"], 0),
        (["-r", "a", "b.zip", "z bad", "--allow-dev-srs", "--jobs", "3"], 4),
        ([], 2),
        (["-r", "empty"], 2),
        (["a/good", "b.zip", "--jobs", "0"], 2),
        (["a/good", "b.zip", "--weights", "x", "--opening", "y"], 2),
        (["a/good", "--junit", "no/folder/x.xml"], 2),
        (["a/good", "--allow-dev-srs", "--sarif", "empty"], 2),
    ],
)
def test_exit_codes(three, monkeypatch, arguments, exit_code):
    (three / "empty").mkdir()
    monkeypatch.chdir(three)
    assert CliRunner().invoke(main, arguments).exit_code == exit_code


def test_one_json_document(three, monkeypatch):
    monkeypatch.chdir(three)
    result = CliRunner().invoke(main, ["--recursive", ".", "--allow-dev-srs", "--json"])
    document = json.loads(result.stdout)
    assert document["type"] == "application/vnd.huref-zk.reports+json;version=1"
    assert document["counts"] == {"accepted": 2, "undecided": 0, "rejected": 1}
    assert (document["exit_code"], result.exit_code) == (4, 4)
    assert [(one["bundle"], one["verdict"]) for one in document["reports"]] == [
        ("a/good", "accepted"),
        ("b.zip", "accepted"),
        ("z bad", "rejected"),
    ]
    assert sorted(document["reports"][0]["files"]) == [
        "commitments.bin",
        "encoder.json",
        "fingerprint.png",
        "link.json",
        "statement.json",
    ]


def test_a_result_that_cannot_be_written_fails_the_call(three, monkeypatch):
    def full(_path, _data):
        raise OSError(28, "No space left on device")

    monkeypatch.setattr("verifier.results.files.write_atomically", full)
    result = CliRunner().invoke(main, [str(three / "a/good"), "--allow-dev-srs", "--junit", str(three / "x.xml")])
    assert result.exit_code == 2
    assert "No space left" in result.stderr
    assert "ACCEPTED" in result.stdout


# ---------------------------------------- finding


def test_finding(three, bundle):
    damaged = three / "damaged.zip"
    damaged.write_bytes((three / "b.zip").read_bytes()[:-10])
    (three / "other.zip").write_bytes(b"PK and nothing about a bundle")
    (three / "empty.zip").touch()
    (three / "loop").symlink_to(three)
    (three / "a" / "linked.ZIP").symlink_to(three / "b.zip")
    shutil.copy(three / "b.zip", three / "c.huref")
    shutil.copytree(bundle, three.parent / "elsewhere" / "bundle")
    (three / "link").symlink_to(three.parent / "elsewhere")
    (three / "named").mkdir()
    (three / "named" / "statement.json").mkdir()  # no bundle's statement: found, and not accepted
    found = find_bundles(three)
    assert [path.relative_to(three).as_posix() for path in found] == [
        "a/good",
        "a/linked.ZIP",
        "b.zip",
        "c.huref",
        "damaged.zip",
        "link/bundle",
        "named",
        "z bad",
    ]


def test_folders_without_a_bottom_are_refused(tmp_path):
    """By a limit of our own, not by Python's on recursion."""
    here = os.open(tmp_path, os.O_RDONLY)
    folders = [here]
    for _ in range(1500):  # by descriptors: the path would be longer than the system takes
        os.mkdir("d", dir_fd=folders[-1])
        folders.append(os.open("d", os.O_RDONLY, dir_fd=folders[-1]))
        if len(folders) > 2:
            os.close(folders.pop(-2))
    os.close(folders.pop())
    os.close(here)
    try:
        with pytest.raises(Unreadable, match="nested more than 100 deep"):
            find_bundles(tmp_path)
        result = CliRunner().invoke(main, ["--recursive", str(tmp_path)])
        assert (result.exit_code, "Traceback" in result.output) == (2, False)
    finally:
        subprocess.run(["rm", "-r", str(tmp_path / "d")], check=True)  # shutil recurses too
    deepest = tmp_path.joinpath(*["d"] * 100)
    shutil.copytree(EXAMPLE, deepest)
    assert find_bundles(tmp_path) == [deepest]


@pytest.mark.parametrize("limit", ["MAX_BUNDLES", "MAX_FOLDERS"])
def test_finding_ends(three, monkeypatch, limit):
    monkeypatch.setattr(verifier.formats.limits, limit, 2)
    with pytest.raises(Unreadable, match=r"more than .*2"):
        find_bundles(three)


def test_a_bundle_behind_a_link_is_verified(three, bundle, monkeypatch):
    """A bundle moved out of the folder, a link left in its place: whoever uses it still finds it there."""
    shutil.rmtree(three / "z bad")
    (three / "z bad").symlink_to(bundle)
    put_point(bundle, 0, bytes(64))
    monkeypatch.chdir(three)
    result = CliRunner().invoke(main, ["-r", ".", "--allow-dev-srs"])
    assert result.exit_code == 4
    assert "REJECTED   z bad  at step 3" in result.output


# ---------------------------------------- processes


def test_an_identity_that_the_process_cannot_read_is_not_left_out():
    """Without it the bundle would be accepted, whoever signed it."""
    nobody = Identity(who="a name with spaces", issuer="https://issuer.example")
    report = in_process(EXAMPLE, Options(allow_development_srs=True, identity=nobody), set())
    assert (report.verdict, report.failure.code) == ("undecided", "tool-failure")


LOST = {
    "vanishes": ("import os; os.kill(os.getpid(), 9)", 300.0, "tool-failure", "exit code -9"),
    "crashes": ("1 / 0", 300.0, "tool-failure", "exit code 1"),
    "says nonsense": ("print('{}')", 300.0, "tool-failure", "without an answer"),
    "says too little": ("print('[]')", 300.0, "tool-failure", "without an answer"),
    "hangs": ("import time; time.sleep(1000)", 0.5, "time-limit", "not finished within"),
    "ignores signals": (
        "import signal, time; signal.signal(15, signal.SIG_IGN); time.sleep(1000)",
        1.0,
        "time-limit",
        "not finished within",
    ),
}


@pytest.mark.parametrize("how", LOST)
def test_a_lost_process_is_undecided(monkeypatch, how):
    program, grace, code, words = LOST[how]
    monkeypatch.setattr(verifier.many.child, "command", lambda: [sys.executable, "-I", "-c", program])
    monkeypatch.setattr(verifier.many.batch, "_GRACE_S", grace)
    monkeypatch.setattr(verifier.many.batch, "_JOIN_S", 0.2)
    live = set()
    report = in_process(EXAMPLE, Options(time_limit_s=0.001), live)
    assert (report.verdict, report.failure.code) == ("undecided", code)
    assert words in report.verdict_line()
    assert not live


def test_a_report_survives_the_way_between_processes(bundle, verify):
    put_point(bundle, 0, bytes(64))
    for report in (verify(bundle, allow_development_srs=False), verify(EXAMPLE), verify(bundle / "missing\udcff\n")):
        again = decode(encode(report))
        assert again.as_json() == report.as_json()
        assert again.pinned == report.pinned
        assert (again.picture is None) == (report.picture is None)
        if report.picture is not None:
            assert (again.picture.pixels == report.picture.pixels).all()


def test_modules_of_the_folder_it_is_started_in_are_not_imported(tmp_path):
    """A repository under verification may hold a `json.py` or a `verifier` of its own."""
    for name in ("json", "multiprocessing", "verifier", "numpy", "ezkl", "sitecustomize"):
        (tmp_path / f"{name}.py").write_text(f"open({str(tmp_path / 'imported')!r}, 'w').write({name!r})")
    command = f"import sys; sys.path[:0] = [{str(ROOT)!r}]; from verifier.cli import main; main()"
    done = subprocess.run(
        [sys.executable, "-I", "-c", command, str(EXAMPLE), "missing", "--allow-dev-srs"],
        cwd=tmp_path,
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 3, done.stderr
    assert done.stdout.startswith("ACCEPTED")
    assert not (tmp_path / "imported").exists()


def test_real_processes_in_order(tmp_path):
    """The published profile: one good bundle, one tampered, each in a process of its own."""
    bad = tmp_path / "bad"
    shutil.copytree(EXAMPLE, bad)
    change_proof(bad / "link.json", 5)
    reports = list(verify_many([bad, EXAMPLE, tmp_path], Options(allow_development_srs=True), jobs=2))
    assert [report.verdict for report in reports] == ["rejected", "accepted", "undecided"]
    assert [report.failure and report.failure.step for report in reports] == [7, None, 1]
    assert reports[1].picture is not None


@pytest.mark.parametrize("group", [False, True])
def test_an_interrupt_leaves_nothing_running(tmp_path, group):
    """`group`: as a terminal's Ctrl-C does it, every process gets the signal.

    It is sent when both have a file in their directories. An interrupt while Python makes a temporary directory leaves
    that one behind, empty: `tempfile` notes only after making it that it is to be removed.
    """
    paths = [str(tmp_path / f"bundle{i}") for i in range(4)]
    for path in paths:
        shutil.copytree(EXAMPLE, path)
    command = [sys.executable, "-m", "verifier", *paths, "--jobs", "2"]
    scratch = tmp_path / "scratch"
    scratch.mkdir()
    started = subprocess.Popen(
        command,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        env=os.environ | {"TMPDIR": str(scratch)},
        start_new_session=True,
        preexec_fn=lambda: signal.signal(signal.SIGINT, signal.SIG_DFL),  # a shell's background job ignores it
    )
    while sum(bool(files) for _, _, files in os.walk(scratch)) < 2 and started.poll() is None:
        time.sleep(0.05)
    if group:
        os.killpg(started.pid, signal.SIGINT)
    else:
        started.send_signal(signal.SIGINT)
    _, errors = started.communicate(timeout=300)
    assert started.returncode == 1
    assert b"Aborted" in errors
    assert not list(scratch.iterdir())


def test_two_signals_at_once_are_one_interrupt_and_no_traceback():
    """Ctrl-C reaches the group while the parent asks too: both are there before the first one's handler runs."""
    code = (
        "import signal\n"
        "from verifier.many import child\n"
        "both = (signal.SIGINT, signal.SIGTERM)\n"
        "for number in both:\n"
        "    signal.signal(number, child._interrupt_once)\n"
        "signal.pthread_sigmask(signal.SIG_BLOCK, both)\n"
        "for number in both:\n"
        "    signal.raise_signal(number)\n"
        "try:\n"
        "    signal.pthread_sigmask(signal.SIG_UNBLOCK, both)\n"
        "    print('not interrupted')\n"
        "except KeyboardInterrupt:\n"
        "    print('interrupted once')\n"
    )
    done = subprocess.run([sys.executable, "-c", code], cwd=ROOT, capture_output=True, text=True, check=False)
    assert (done.returncode, done.stdout, done.stderr) == (0, "interrupted once\n", "")
