"""All of the C code under gcc's address and undefined-behaviour sanitizers, and without 128-bit integers."""

from __future__ import annotations

import os
import shutil
import struct
import subprocess
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import numpy as np
import pytest

from circuits.kernel import build, kernels
from circuits.size_classes import FIELD_MODULUS as P
from tests.circuits.kernel.cases import Case, hostile_rows, hostile_salts

SANITIZERS = ("-fsanitize=address,undefined", "-fno-sanitize-recover=all", "-fno-omit-frame-pointer")
FLAGS = ("-std=c11", "-O1", "-g1", "-Wall", "-Wextra", "-Werror", "-fvisibility=hidden")
DRIVER = Path(__file__).parent / "sanitized.c"
BAD_SCALAR = 4  # of library.h
TIME_LIMIT_S = 120.0


def written(case: Case, answer: int = 0) -> bytes:
    """A case as sanitized.c reads it."""
    rows, width = case.rows.shape
    head = struct.pack("<5Q", width, len(case.logs) - width, case.bits, rows, answer)
    expected = case.expected() if answer == 0 else bytes(64 * rows)
    return head + case.points + case.rows.tobytes() + case.salt_bytes.tobytes() + expected


@pytest.fixture(scope="module")
def cases(tmp_path_factory) -> Path:
    """Hostile rows of 8, 12 and 16 bits, one scalar alone, salts alone, related bases, a batch and a bit, refusals."""
    logs = Case.random(5, 2, 1).logs
    salts = hostile_salts(2)
    hostile = [Case(logs, hostile_rows(5, bits), salts, bits) for bits in (8, 12, 16)]
    count = len(salts)
    empty = np.zeros((count, 0), np.int8)
    alone = [Case(logs[:1], hostile_rows(1), [[]] * count), Case(logs[:2], empty, salts)]
    many = Case.random(3, 0, 1, seed=2)
    many = Case(many.logs, np.repeat(many.rows, 2100, axis=0), [[]] * 2100)
    many.rows[::700] = 0
    related = Case((3, 5, 11), hostile_rows(3), [[]] * count)
    wide = Case(logs, np.full((count, 5), 1 << 11, np.int16), salts, 12)
    path = tmp_path_factory.mktemp("cases") / "cases"
    shapes = [Case.random(width, 1, rows, bits) for width, rows, bits in ((1, 1, 2), (13, 33, 7), (30, 5, 9))]
    good = b"".join(map(written, [*hostile, *alone, many, related, *shapes]))
    spoilt = bytearray(written(hostile[0], BAD_SCALAR))
    at = spoilt.index(hostile[0].salt_bytes.tobytes())
    spoilt[at : at + 32] = P.to_bytes(32, "little")
    path.write_bytes(good + written(wide, BAD_SCALAR) + spoilt)
    return path


@pytest.mark.parametrize("more", [SANITIZERS, (*SANITIZERS, "-DHUREF_NO_INT128")], ids=["sanitized", "no-int128"])
def test_the_c_code_is_clean(cases, tmp_path, more):
    compiler = shutil.which("gcc")
    if compiler is None:
        pytest.skip("no gcc here")

    def compiled(source: Path) -> str:
        made = tmp_path / f"{source.stem}.o"
        command = [compiler, *FLAGS, *more, f"-I{build.HERE}", "-c", str(source), "-o", str(made)]
        subprocess.run(command, check=True)
        return str(made)

    with ThreadPoolExecutor(2) as executor:
        objects = list(executor.map(compiled, [*build.sources(), DRIVER]))
    program = tmp_path / "sanitized"
    subprocess.run([compiler, *more, *objects, "-o", str(program)], check=True)
    done = subprocess.run(
        [program, cases], capture_output=True, text=True, timeout=TIME_LIMIT_S, check=False, env={**os.environ}
    )
    assert (done.returncode, done.stderr) == (0, "")
    assert done.stdout == f"{' '.join(kernels())} 12 cases\n"
