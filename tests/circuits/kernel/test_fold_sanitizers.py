"""The C code of folding under gcc's address and undefined-behaviour sanitizers, its kernels beside one another."""

from __future__ import annotations

import shutil
import subprocess
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest

from circuits.kernel import build
from tests.circuits.kernel.test_sanitizers import FLAGS, SANITIZERS, TIME_LIMIT_S

DRIVER = Path(__file__).parent / "sanitized_fold.c"


def test_the_c_code_of_folding_is_clean(tmp_path):
    compiler = shutil.which("gcc")
    if compiler is None:
        pytest.skip("no gcc here")

    def compiled(source: Path) -> str:
        made = tmp_path / f"{source.stem}.o"
        command = [compiler, *FLAGS, *build.EXACT, *SANITIZERS, f"-I{build.HERE}", "-c", str(source), "-o", str(made)]
        subprocess.run(command, check=True)
        return str(made)

    with ThreadPoolExecutor(2) as executor:
        objects = list(executor.map(compiled, [*build.sources(), DRIVER]))
    program = tmp_path / "sanitized"
    subprocess.run([compiler, *SANITIZERS, *objects, "-o", str(program)], check=True)
    done = subprocess.run([program], capture_output=True, text=True, timeout=TIME_LIMIT_S, check=False)
    assert (done.returncode, done.stdout, done.stderr) == (0, "80 cases\n", "")
