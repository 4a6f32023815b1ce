"""The library is found where it was built, and is chosen by what the machine can do."""

from __future__ import annotations

import subprocess
import sys

import pytest

from circuits.errors import KernelError, UsageError
from circuits.kernel import build, chosen, kernels, library, status
from circuits.kernel.rows import RowPlan
from tests.circuits.kernel.cases import multiple


@pytest.fixture
def without(monkeypatch):
    """As where no library was built."""
    monkeypatch.setattr(library, "load", lambda: None)


def test_the_fastest_is_chosen():
    assert chosen() == kernels()[0]
    assert kernels()[-1] == "portable"
    assert status() == f"{kernels()[0]} (of {', '.join(kernels())})"


@pytest.mark.parametrize("name", ["portable", "ezkl"])
def test_the_environment_chooses(monkeypatch, name):
    monkeypatch.setenv("HUREF_KERNEL", name)
    assert chosen() == (None if name == "ezkl" else name)
    assert status().partition(" ")[0] == name


def test_the_environment_names_one_that_is_not_there(monkeypatch):
    monkeypatch.setenv("HUREF_KERNEL", "abacus")
    with pytest.raises(UsageError, match="HUREF_KERNEL=abacus") as caught:
        chosen()
    assert "portable" in caught.value.hint and "ezkl" in caught.value.hint


def test_ezkl_commits_where_none_was_built(without):
    assert kernels() == ()
    assert chosen() is None
    assert status() == "ezkl (no native kernel was built)"
    with pytest.raises(KernelError, match="no native kernel here"):
        RowPlan(multiple(7), 0)


def test_an_unknown_kernel_is_not_run(hostile):
    plan = RowPlan(hostile.points, 2)
    with pytest.raises(KernelError, match="'abacus' is none"):
        plan.commit(hostile.rows, hostile.salt_bytes, kernel="abacus")


LOAD = "import sys; from pathlib import Path; from circuits.kernel import library; print(library.load(Path(sys.argv[1])))"


def loaded(path) -> subprocess.CompletedProcess[str]:
    """What `load` says in a process of its own: a file that is no library cannot harm this one."""
    return subprocess.run([sys.executable, "-c", LOAD, str(path)], capture_output=True, text=True, check=False)


def test_a_file_that_this_machine_cannot_load_counts_as_none(tmp_path):
    foreign = tmp_path / build.LIBRARY_NAME
    foreign.write_bytes(b"not for this processor")
    assert loaded(foreign).stdout == loaded(tmp_path / "missing").stdout == "None\n"


@pytest.mark.parametrize("source", ["int huref_interface(void) { return 0; }", "int other(void) { return 1; }"])
def test_a_library_of_another_version_is_refused(tmp_path, source):
    path, old = tmp_path / "old.c", tmp_path / "old.so"
    path.write_text(source)
    subprocess.run([*next(build.compilers()), "-shared", "-fPIC", str(path), "-o", str(old)], check=True)
    assert "KernelError" in loaded(old).stderr and "built from another version" in loaded(old).stderr
