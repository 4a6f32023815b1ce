"""A registry's writers, killed at any point and several at once: real processes, nothing is lost."""

from __future__ import annotations

import os
import shutil
import signal
import sqlite3
import subprocess
import sys
import time
from pathlib import Path

from prover.registry.index import Index
from prover.registry.store import Registry, read_head
from tests.conftest import ROOT
from tests.prover.registry.registries import BUNDLES, NAMES, listed, look, put, run


class Killer:
    """Ends this process, with SIGKILL, at the n-th thing it does to a disk; a write is done by half."""

    def __init__(self, n: int) -> None:
        self.left = n
        for owner, name in ((os, "fsync"), (os, "write"), (Path, "rename"), (Path, "replace"), (shutil, "rmtree"),
                            (Index, "_insert"), (sqlite3, "connect")):  # fmt: skip
            self.wrap(owner, name)

    def wrap(self, owner: object, name: str) -> None:
        real = getattr(owner, name)

        def counting(*arguments: object, **options: object) -> object:
            self.left -= 1
            if self.left == 0:
                if name == "write":
                    real(arguments[0], bytes(arguments[1])[: len(arguments[1]) // 2])
                if name == "_insert":  # inside the transaction
                    real(*arguments)
                os.kill(os.getpid(), signal.SIGKILL)
            return real(*arguments, **options)

        setattr(owner, name, counting)


def put_and_be_killed(registry: Registry, name: str, reports: dict, n: int) -> bool:
    """Whether the process was killed."""
    child = os.fork()
    if child == 0:
        try:
            Killer(n)
            put(registry, name, reports)
            os._exit(0)
        finally:
            os._exit(1)
    _, status = os.waitpid(child, 0)
    assert os.WIFSIGNALED(status) or os.WEXITSTATUS(status) == 0
    return os.WIFSIGNALED(status)


def test_killed_anywhere_nothing_is_lost(made, reports, tmp_path):
    """A real process, killed at its first, second, ... thing it does to the disk; then the same again, and another."""
    before = read_head(made / "head.json")
    seen = []
    for n in range(1, 100):
        folder = tmp_path / "registry"
        shutil.copytree(made, folder)
        registry = Registry.open(folder)
        killed = put_and_be_killed(registry, "independent", reports, n)
        found = look(registry, since=before)
        assert found.findings == (), (n, found)
        assert found.head.entries in ((2, 3) if killed else (3,))
        seen.append(found.head.entries)
        done = put(registry, "independent", reports)
        assert (done.number, done.new) == (2, found.head.entries == 2)
        assert listed(registry) == list(NAMES)
        found = look(registry, since=before)
        assert (found.findings, found.notes, found.head.entries) == ((), (), 3), n
        shutil.rmtree(folder)
        if not killed:
            break
    assert len(seen) > 15 and {2, 3} <= set(seen), seen
    assert seen == sorted(seen)


def test_killed_while_a_registry_is_made(reports, tmp_path):
    for n in range(1, 100):
        folder = tmp_path / f"registry{n}"
        child = os.fork()
        if child == 0:
            try:
                Killer(n)
                Registry.open_or_create(folder)
                os._exit(0)
            finally:
                os._exit(1)
        _, status = os.waitpid(child, 0)
        registry = Registry.open_or_create(folder)
        assert put(registry, "base", reports).number == 0
        assert look(registry).findings == ()
        if not os.WIFSIGNALED(status):
            break
    assert (n > 2, status) == (True, 0)


LONG_VERIFICATION = """
from prover.cli import main
from prover.registry import add
command_of = add.verifier_command
add.verifier_command = lambda arguments: ["sh", "-c", '"$@"; sleep 600', "sh", *command_of(arguments)]
main()
"""


def test_killed_while_huref_verify_runs(registry):
    """It does not end, so that the kill comes while it runs however late this process sees that it has begun."""
    command = [sys.executable, "-c", LONG_VERIFICATION, "registry", "add", str(registry.folder)]
    command += [str(BUNDLES / "independent"), "--allow-dev-srs"]
    started = subprocess.Popen(command, cwd=ROOT, start_new_session=True)
    incoming = registry.folder / "incoming"
    while started.poll() is None and not any(len(list(path.iterdir())) == 5 for path in incoming.iterdir()):
        time.sleep(0.01)
    os.killpg(started.pid, signal.SIGKILL)
    assert started.wait() == -signal.SIGKILL
    assert list(incoming.iterdir())
    assert look(registry).findings == ()
    assert run("add", registry.folder, BUNDLES / "independent", "--allow-dev-srs").exit_code == 0
    assert not list(incoming.iterdir())
    assert look(registry).notes == ()


def test_a_copy_may_be_gone_before_it_is_looked_at(registry, reports, monkeypatch):
    """What killed processes left is swept; another process, done at that moment, removes its own copy by itself."""
    other, really = registry.folder / "incoming" / "other", os.open
    other.mkdir()

    def late(path: object, *arguments: int, **options: int) -> int:
        if path == other:
            other.rmdir()
        return really(path, *arguments, **options)

    monkeypatch.setattr(os, "open", late)
    assert put(registry, "independent", reports).new
    assert not other.exists()


def test_concurrent_adds_all_survive(tmp_path):
    """Into a registry that is not there yet; two of the three add the same bundle."""
    folder = tmp_path / "registry"
    command = [sys.executable, "-m", "prover.cli", "registry", "add", str(folder), "--allow-dev-srs"]
    names = ("base", "offspring", "base")
    started = [subprocess.Popen([*command, str(BUNDLES / name)], cwd=ROOT, stdout=subprocess.PIPE) for name in names]
    said = [process.communicate()[0].decode() for process in started]
    assert [process.returncode for process in started] == [0, 0, 0]
    assert sum("is there already" in text for text in said) == 1
    registry = Registry.open(folder)
    assert sorted(listed(registry)) == ["base", "offspring"]
    found = look(registry)
    assert (found.findings, found.notes, found.head.entries) == ((), (), 2)
