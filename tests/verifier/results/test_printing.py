"""What is printed reaches its reader, or the exit code says so; colours on a terminal alone."""

from __future__ import annotations

import contextlib
import os
import re
import subprocess
import sys
from pathlib import Path

import pytest

from tests.conftest import ROOT
from verifier.results.printing import painted
from verifier.results.steps import Check, Status, check_text

PRINTS = {
    "a bundle": ["missing"],
    "a bundle, quiet": ["missing", "-q"],
    "a bundle, as JSON": ["missing", "--json"],
    "bundles": ["missing", "missing too"],
    "bundles, as JSON": ["missing", "missing too", "--json"],
    "a comparison": ["compare", "missing", "missing"],
    "a comparison, as JSON": ["compare", "missing", "missing", "--json"],
    "profiles": ["profiles"],
    "profiles, as JSON": ["profiles", "--json"],
    "help": ["--help"],
    "version": ["-V"],
    "help of a word": ["compare", "--help"],
}


def verify(arguments: list[str], output: int, **environment: str) -> subprocess.CompletedProcess[str]:
    clean = {name: value for name, value in os.environ.items() if name not in ("NO_COLOR", "FORCE_COLOR")}
    return subprocess.run(
        [sys.executable, "-m", "verifier", *arguments],
        stdout=output,
        stderr=subprocess.PIPE,
        text=True,
        cwd=ROOT,
        env=clean | environment,
        timeout=120,
        check=False,
    )


@pytest.mark.skipif(not Path("/dev/full").exists(), reason="no /dev/full on this system")
@pytest.mark.parametrize("what", PRINTS)
def test_a_full_disk_is_exit_code_2(what):
    with Path("/dev/full").open("wb") as full:
        done = verify(PRINTS[what], full.fileno())
    assert (done.returncode, done.stderr) == (2, "the result cannot be written: No space left on device\n")


@pytest.mark.parametrize("what", PRINTS)
def test_a_closed_pipe_is_exit_code_141(what):
    reader, writer = os.pipe()
    os.close(reader)
    try:
        done = verify(PRINTS[what], writer)
    finally:
        os.close(writer)
    assert (done.returncode, done.stderr) == (141, "")


def test_everything_is_printed_by_one_module():
    for path in (ROOT / "verifier").rglob("*.py"):
        if path.name != "printing.py":
            assert not re.search(r"click\.echo\(|(?<!\w)print\(|sys\.stdout\.write", path.read_text()), path


def on_a_terminal(arguments: list[str], **environment: str) -> str:
    """What a terminal gets to see."""
    ours, theirs = os.openpty()
    try:
        verify(arguments, theirs, **environment)
        os.set_blocking(ours, False)
        seen = b""
        with contextlib.suppress(BlockingIOError):
            while data := os.read(ours, 65536):
                seen += data
    finally:
        os.close(ours)
        os.close(theirs)
    return seen.decode()


@pytest.mark.parametrize(
    ("arguments", "environment", "coloured"),
    [
        ([], {}, True),
        ([], {"NO_COLOR": "1"}, False),
        ([], {"NO_COLOR": ""}, True),
        (["--color"], {"NO_COLOR": "1"}, True),
        (["--no-color"], {}, False),
        (["--json"], {}, False),
        (["--json", "--color"], {}, False),
    ],
)
def test_colours_on_a_terminal(arguments, environment, coloured):
    seen = on_a_terminal(["missing", *arguments], **environment)
    assert "UNDECIDED" in seen
    assert ("\x1b" in seen) == coloured
    if coloured:
        assert "\x1b[33m??  \x1b[0m  1" in seen and "\x1b[33m\x1b[1mUNDECIDED\x1b[0m at step 1" in seen


@pytest.mark.parametrize(("option", "coloured"), [([], False), (["--color"], True)])
def test_colours_in_a_pipe_are_asked_for(option, coloured):
    reader, writer = os.pipe()
    with os.fdopen(reader) as stream:
        verify(["missing", *option], writer)
        os.close(writer)
        assert ("\x1b[" in stream.read()) == coloured


def test_only_marks_and_verdicts_are_painted():
    for status in Status:
        text = check_text(Check(8, status, "ACCEPTED: FAIL ok 1", "link proof"), {})
        assert painted(text).count("\x1b[0m") == 1
        assert painted(text).startswith("\x1b[")
    assert painted("ACCEPTED   models/a").startswith("\x1b[32m")
    assert painted("A  REJECTED   b").startswith("A  \x1b[31m")
    assert painted("The maker says: ACCEPTED") == "The maker says: ACCEPTED"
