"""A plain install is the verifier: the wheel, alone in an empty virtual environment, verifies the example bundle."""

from __future__ import annotations

import subprocess
import sys
import venv
from pathlib import Path

import pytest

from tests.conftest import EXAMPLE, ROOT

NOT_INSTALLED = ("torch", "onnx", "transformers", "safetensors", "rich", "rfc8785")


@pytest.fixture(scope="module")
def installed(tmp_path_factory) -> Path:
    """The bin folder of a fresh environment with nothing but the wheel and what it requires."""
    folder = tmp_path_factory.mktemp("plain")
    wheel = [sys.executable, "-m", "pip", "wheel", "-q", "--no-deps", "-w", str(folder / "dist"), str(ROOT)]
    subprocess.run(wheel, check=True)
    (built,) = (folder / "dist").glob("huref_zk-*.whl")
    venv.create(folder / "venv", with_pip=True)
    commands = folder / "venv" / "bin"
    subprocess.run([commands / "python", "-m", "pip", "install", "-q", str(built)], check=True)
    return commands


def run(installed: Path, *command: str, cwd: Path) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [str(installed / command[0]), *command[1:]], cwd=cwd, capture_output=True, text=True, check=False
    )


def test_verifies_the_example_as_it_lies_there(installed, tmp_path):
    done = run(installed, "huref-verify", str(EXAMPLE), "--allow-dev-srs", cwd=tmp_path)
    assert done.returncode == 0, done.stdout + done.stderr
    assert done.stdout.strip().splitlines()[-1].startswith("ACCEPTED")


def test_is_undecided_about_a_development_srs_without_the_flag(installed, tmp_path):
    assert run(installed, "huref-verify", str(EXAMPLE), cwd=tmp_path).returncode == 3


def test_leaves_out_what_the_verifier_does_not_need(installed, tmp_path):
    code = f"import importlib.util as u; print([m for m in {NOT_INSTALLED!r} if u.find_spec(m)])"
    assert run(installed, "python", "-c", code, cwd=tmp_path).stdout.strip() == "[]"


def test_huref_says_which_extra_it_needs(installed, tmp_path):
    done = run(installed, "huref", "--help", cwd=tmp_path)
    assert done.returncode == 2
    assert "huref-zk[prover]" in done.stderr


def test_huref_says_which_extras_the_generator_needs(installed, tmp_path):
    done = run(installed, "huref", "generator", "import", "x.pkl", "-o", "generator.onnx", cwd=tmp_path)
    assert done.returncode == 2
    assert "fpm extra" in done.stderr and "huref-zk[prover,fpm]" in done.stderr
