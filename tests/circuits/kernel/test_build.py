"""The wheel with the library, and without: in an environment that has a compiler, a broken one, or none."""

from __future__ import annotations

import os
import re
import subprocess
import sys
import venv
import zipfile
from pathlib import Path

import pytest

from circuits.kernel import build, kernels
from tests.conftest import ROOT
from tests.test_plain_install import sources  # noqa: F401 - a fixture

NAME = f"circuits/kernel/{build.LIBRARY_NAME}"
NO_COMPILER = {"PATH": "/nonexistent", "CC": ""}


@pytest.fixture(scope="module")
def hatchling(tmp_path_factory) -> Path:
    """Python in an environment with nothing but what builds wheels, of pyproject.toml's version."""
    folder = tmp_path_factory.mktemp("hatchling")
    venv.create(folder, with_pip=True)
    python = folder / "bin" / "python"
    (needed,) = re.findall(r"^requires = \[\"(hatchling==[0-9.]+)\"\]", (ROOT / "pyproject.toml").read_text(), re.M)
    subprocess.run([python, "-m", "pip", "install", "-q", needed, "editables"], check=True)
    return python


@pytest.fixture
def make(hatchling, sources, tmp_path):  # noqa: F811
    """make(environment..., target="wheel"): what was built, or the words of a build that failed."""

    def made(target: str = "wheel", **environment: str) -> Path | str:
        command = [hatchling, "-m", "hatchling", "build", "-t", target, "-d", tmp_path / "dist"]
        quick = {"CFLAGS": "-O0"}  # what is fast is not measured here
        settings = {"PATH": os.environ["PATH"], "SOURCE_DATE_EPOCH": "1577836800", **quick, **environment}
        done = subprocess.run(command, cwd=sources, env=settings, capture_output=True, text=True, check=False)
        if done.returncode:
            return done.stdout + done.stderr
        (built,) = (tmp_path / "dist").glob("*.whl")
        return built.rename(tmp_path / built.name)

    return made


def names(wheel: Path) -> set[str]:
    return set(zipfile.ZipFile(wheel).namelist())


@pytest.mark.parametrize("environment", [NO_COMPILER, {"CC": "false"}, {"CC": "/nonexistent/cc"}], ids=str)
def test_without_a_working_compiler_the_wheel_is_the_pure_one(make, environment):
    """Byte for byte the one that `make wheel` makes."""
    wheel = make(**environment)
    assert wheel.name.endswith("-py3-none-any.whl")
    assert NAME not in names(wheel) and "circuits/kernel/rows.py" in names(wheel)
    contents = wheel.read_bytes()
    assert make(HUREF_BUILD_KERNEL="off").read_bytes() == contents


def test_with_a_compiler_the_wheel_has_the_library(make, tmp_path):
    """It is for one system and any CPython 3, and its kernels are those of this machine."""
    wheel = make(HUREF_BUILD_KERNEL="require")
    python, abi, platform = wheel.stem.split("-")[-3:]
    assert (python, abi) == ("py3", "none") and platform != "any"
    assert NAME in names(wheel)
    zipfile.ZipFile(wheel).extractall(tmp_path / "installed")
    code = "from circuits.kernel import kernels; print(kernels())"
    done = subprocess.run(
        [sys.executable, "-c", code],
        cwd=tmp_path / "installed",
        env=os.environ | {"PYTHONPATH": str(tmp_path / "installed")},
        capture_output=True,
        text=True,
        check=True,
    )
    assert done.stdout.strip() == repr(kernels())


def test_no_wheel_has_c_files(make):
    assert not [name for name in names(make(HUREF_BUILD_KERNEL="off")) if name.endswith((".c", ".h", ".so"))]


def test_an_editable_installation_gets_it_in_place(make, sources):  # noqa: F811
    target = sources / NAME
    target.unlink(missing_ok=True)
    wheel = make("wheel:editable")
    assert target.exists()
    assert NAME not in names(wheel)


@pytest.mark.parametrize(
    ("environment", "words"),
    [
        ({**NO_COMPILER, "HUREF_BUILD_KERNEL": "require"}, "no C compiler on PATH"),
        ({"CC": "false", "HUREF_BUILD_KERNEL": "require"}, "false: exit status 1"),
        ({"CC": "/nonexistent/cc", "HUREF_BUILD_KERNEL": "require"}, "there is no such command"),
        ({"HUREF_BUILD_KERNEL": "perhaps"}, "one of auto, off, require"),
    ],
    ids=str,
)
def test_what_was_demanded_and_cannot_be_had_is_an_error(make, environment, words):
    assert words in make(**environment)


def test_it_says_that_the_library_was_left_out(make, hatchling, sources, tmp_path):  # noqa: F811
    command = [hatchling, "-m", "hatchling", "build", "-t", "wheel", "-d", tmp_path]
    done = subprocess.run(command, cwd=sources, env=NO_COMPILER, capture_output=True, text=True, check=True)
    assert "the native kernel is not built, ezkl will commit to rows: no C compiler" in done.stdout + done.stderr
