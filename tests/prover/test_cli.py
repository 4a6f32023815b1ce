"""`huref` itself: what all its commands have in common."""

from __future__ import annotations

import inspect
import os
import re
import signal
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import click
import pytest
from click.testing import CliRunner

from circuits.command_group import HurefCommand
from prover.cli import huref as group
from tests.conftest import MODELS, ROOT


def huref(*arguments: object, **extra: object) -> subprocess.CompletedProcess[str]:
    """The command in a process of its own."""
    given = {"stdout": subprocess.PIPE, "stderr": subprocess.PIPE, "cwd": ROOT} | extra
    command = [sys.executable, "-m", "prover", *map(str, arguments)]
    return subprocess.run(command, text=True, timeout=120, check=False, **given)


def test_python_m_prover_is_huref():
    done = huref("--help", env={**os.environ, "COLUMNS": "80"})
    assert done.returncode == 0 and done.stdout.startswith("Usage: huref [OPTIONS] COMMAND")


def everything(command: click.Command, words: tuple[str, ...] = ()) -> Iterator[tuple[tuple[str, ...], click.Command]]:
    """Each command with the words that call it."""
    yield words, command
    if isinstance(command, click.Group):
        context = click.Context(command)
        for name in command.list_commands(context):
            found = command.get_command(context, name)
            if not found.hidden:
                yield from everything(found, (*words, name))


COMMANDS = dict(everything(group))


@pytest.mark.parametrize("words", COMMANDS, ids=" ".join)
def test_help_is_not_cut(words):
    """click ends a command's first sentence with three dots where it does not fit the line."""
    result = CliRunner().invoke(group, [*words, "--help"], terminal_width=80)
    assert result.exit_code == 0
    assert all(len(line) <= 80 for line in result.stdout.splitlines())
    assert "..." not in result.stdout.replace("[ARGS]...", "").replace("BUNDLE...", "")
    if isinstance(COMMANDS[words], click.Group):
        said = " ".join(result.stdout.split())
        for name, one in COMMANDS[words].commands.items():
            assert one.hidden or f" {name} {one.get_short_help_str(10_000)}" in said


@pytest.mark.parametrize("words", COMMANDS, ids=" ".join)
def test_every_command_says_how_to_go_on_and_prints_by_one_module(words):
    assert isinstance(COMMANDS[words], HurefCommand)
    source = inspect.getsource(sys.modules[COMMANDS[words].callback.__module__])
    assert not re.search(r"click\.echo\(|(?<!\w)print\(", source)


def test_help_names_the_exit_codes():
    said = " ".join(huref("--help").stdout.split())
    assert "Exit codes: 0 done; 2 wrong usage" in said
    assert "5 a verdict that --fail-on names" in said and "141: who read the result" in said


@pytest.mark.parametrize("option", ["-V", "--version"])
def test_version(option):
    said = huref(option).stdout
    assert re.fullmatch(r"huref, version [\d.]+\nrows are committed by (ifma|mulx|portable|ezkl)\b.*\n", said), said


def test_version_says_when_ezkl_commits(monkeypatch):
    monkeypatch.setenv("HUREF_KERNEL", "ezkl")
    assert re.search(r"rows are committed by ezkl", huref("--version").stdout)


@pytest.mark.parametrize("arguments", [[], ["bundle", "--allow-dev-srs"], ["--help"]])
def test_huref_verify_says_huref_verify(arguments):
    done = huref("verify", *arguments)
    assert done.returncode == 2 and "use huref-verify BUNDLE" in done.stderr
    assert " verify " not in huref("--help").stdout


PRINTS = {
    "text": ["circuits", "list"],
    "JSON": ["circuits", "list", "--json"],
    "likeness": ["profile", "artifacts/models/base", "artifacts/models/base"],
    "help": ["--help"],
    "help of a command": ["prove", "--help"],
    "help of a group's command": ["registry", "add", "--help"],
    "version": ["-V"],
}


@pytest.mark.skipif(not Path("/dev/full").exists(), reason="no /dev/full on this system")
@pytest.mark.parametrize("what", PRINTS)
def test_a_full_disk_is_exit_code_2(what):
    with Path("/dev/full").open("wb") as full:
        done = huref(*PRINTS[what], stdout=full)
    assert (done.returncode, done.stderr) == (2, "the result cannot be written: No space left on device\n")


@pytest.mark.parametrize("what", PRINTS)
def test_a_closed_pipe_is_exit_code_141(what):
    reader, writer = os.pipe()
    os.close(reader)
    try:
        done = huref(*PRINTS[what], stdout=writer)
    finally:
        os.close(writer)
    assert (done.returncode, done.stderr) == (141, "")


def test_ctrl_c_says_that_the_same_command_goes_on(tmp_path):
    """In a group of its own, as a terminal starts it; the interrupt comes when it has begun to commit."""
    started = subprocess.Popen(
        [sys.executable, "-m", "prover", "prove", str(MODELS / "base"), "-o", str(tmp_path / "out" / "bundle")],
        cwd=ROOT,
        env={**os.environ, "XDG_DATA_HOME": str(tmp_path), "PYTHONUNBUFFERED": "1"},
        stderr=subprocess.PIPE,
        text=True,
        start_new_session=True,
        preexec_fn=lambda: signal.signal(signal.SIGINT, signal.default_int_handler),  # a background job ignores it
    )
    first = started.stderr.readline() + started.stderr.readline()  # which profile, and how long reading took
    os.killpg(started.pid, signal.SIGINT)
    _, errors = started.communicate(timeout=60)
    assert "read, quantize" in first
    assert started.returncode == 1
    assert "stopped: the same command goes on where it was" in errors
    assert "Traceback" not in errors
    assert not (tmp_path / "out").exists()


def test_ctrl_c_where_there_is_nothing_to_go_on_with(monkeypatch):
    def interrupted(*_, **__):
        raise KeyboardInterrupt

    monkeypatch.setattr("prover.similarity.ics_cli.similarity_of", interrupted)
    result = CliRunner().invoke(group, ["ics", "a", "b"])
    assert result.exit_code == 1
    assert result.stderr.count("stopped: ") == 1 and "the same command begins anew" in result.stderr


@pytest.mark.parametrize(
    ("word", "said"), [("verify", "use huref-verify BUNDLE"), ("prove", "pip install 'huref-zk[prover]'")]
)
def test_a_plain_install_says_what_to_use(word, said):
    code = "import sys; sys.modules['rich'] = None; sys.argv[0] = 'huref'; from prover.cli import main; main()"
    done = subprocess.run(
        [sys.executable, "-c", code, word, "x"], cwd=ROOT, capture_output=True, text=True, timeout=60, check=False
    )
    assert done.returncode == 2 and said in done.stderr and len(done.stderr.splitlines()) == 1
