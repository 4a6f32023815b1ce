"""`huref` itself: what all its commands have in common."""

from __future__ import annotations

import os
import subprocess
import sys

from tests.conftest import ROOT


def huref(*arguments: object, **extra: object) -> subprocess.CompletedProcess[str]:
    """The command in a process of its own."""
    given = {"stdout": subprocess.PIPE, "stderr": subprocess.PIPE, "cwd": ROOT} | extra
    command = [sys.executable, "-m", "prover", *map(str, arguments)]
    return subprocess.run(command, text=True, timeout=120, check=False, **given)


def test_python_m_prover_is_huref():
    done = huref("--help", env={**os.environ, "COLUMNS": "80"})
    assert done.returncode == 0 and done.stdout.startswith("Usage: huref [OPTIONS] COMMAND")
