"""A plain install is the verifier: the wheel, alone in an empty virtual environment, verifies the example bundle."""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
import venv
from pathlib import Path

import pytest

from tests.conftest import EXAMPLE, ROOT

NOT_INSTALLED = ("torch", "onnx", "transformers", "safetensors", "rich", "rfc8785")


PACKED = (
    "prover",
    "verifier",
    "circuits",
    "fpm",
    "artifacts/profiles",
    "artifacts/comparisons",
    "artifacts/activations",
)


@pytest.fixture(scope="module")
def sources(tmp_path_factory) -> Path:
    """A copy of what is packed: others may be at work in the folder itself."""
    target = tmp_path_factory.mktemp("sources")
    for name in PACKED:
        shutil.copytree(ROOT / name, target / name, ignore=shutil.ignore_patterns("__pycache__", "*.tmp"))
    for name in ("pyproject.toml", "README.md", "LICENSE", ".gitignore"):
        shutil.copy(ROOT / name, target)
    return target


def build(sources: Path, target: Path) -> Path:
    """As `make wheel` does."""
    wheel = [sys.executable, "-m", "pip", "wheel", "-q", "--no-deps", "-w", str(target), str(sources)]
    epoch = {"SOURCE_DATE_EPOCH": "1577836800", "HUREF_BUILD_KERNEL": "off"}
    subprocess.run(wheel, check=True, env=os.environ | epoch)
    (built,) = target.glob("huref_zk-*-py3-none-any.whl")
    return built


@pytest.fixture(scope="module")
def wheel(sources, tmp_path_factory) -> Path:
    return build(sources, tmp_path_factory.mktemp("dist"))


@pytest.fixture(scope="module")
def installed(wheel, tmp_path_factory) -> Path:
    """The bin folder of a fresh environment with nothing but the wheel and what it requires."""
    folder = tmp_path_factory.mktemp("plain")
    venv.create(folder / "venv", with_pip=True)
    commands = folder / "venv" / "bin"
    subprocess.run([commands / "python", "-m", "pip", "install", "-q", str(wheel)], check=True)
    return commands


def test_the_wheel_is_reproducible(sources, wheel, tmp_path):
    """Built again elsewhere, from files with other times and permissions: the same bytes."""
    again = tmp_path / "elsewhere"
    shutil.copytree(sources, again, copy_function=shutil.copyfile)
    for path in again.rglob("*"):
        os.utime(path, (1e9, 1e9))
        if path.is_file():
            path.chmod(0o600)
    assert build(again, tmp_path / "dist").read_bytes() == wheel.read_bytes()


def offline() -> list[str]:
    """What starts a command in a network of its own, without a way out."""
    unshare = ["unshare", "--user", "--map-root-user", "--net"]
    if not shutil.which("unshare") or subprocess.run([*unshare, "true"], capture_output=True, check=False).returncode:
        pytest.skip("no permission to take the network away")
    return unshare


def test_verifies_offline_and_many(installed, tmp_path):
    reach = "import socket; socket.socket(socket.AF_INET, socket.SOCK_DGRAM).connect(('192.0.2.1', 9))"
    cut = subprocess.run([*offline(), sys.executable, "-c", reach], capture_output=True, text=True, check=False)
    assert "Network is unreachable" in cut.stderr
    done = subprocess.run(
        [*offline(), str(installed / "huref-verify"), str(EXAMPLE), "missing", "--allow-dev-srs", "--report", "x.html"],
        cwd=tmp_path,
        capture_output=True,
        text=True,
        env={"PATH": os.environ["PATH"], "HOME": str(tmp_path)},
        check=False,
    )
    assert done.returncode == 3, done.stderr
    assert done.stdout.startswith("ACCEPTED")
    assert (tmp_path / "x.html").stat().st_size > 10_000


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
