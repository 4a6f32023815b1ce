"""Nothing is sent to anybody: onnxruntime, which reports to its maker unless it is told not to, is told."""

from __future__ import annotations

import ast
import os
import subprocess
import sys
from importlib.metadata import version
from pathlib import Path

import pytest

ROOT = Path(__file__).parent.parent
GENERATOR = "artifacts/profiles/fpm/generator.onnx"
RUN = f"import numpy as np; z = np.random.default_rng(0).standard_normal(512); path = {GENERATOR!r}; "
OWN = {
    "verifier": "from verifier.fingerprint.image import render; render(open(path, 'rb').read(), z)",
    "prover": "from pathlib import Path; from prover.fingerprint.picture import picture_of; picture_of(z, Path(path))",
    "fpm": "import pathlib; from fpm.generator_figures import Painter; Painter(pathlib.Path(path).parent)(z[None])",
}
PLAIN = "import onnxruntime; onnxruntime.InferenceSession(path).run(None, {'z': z[None].astype('float32')})"


def left_behind(code: str, folder: Path) -> list[Path]:
    """The files that a process leaves in its home, its cache and its temporary folder, all new."""
    names = {"HOME": "home", "XDG_CACHE_HOME": "cache", "TMPDIR": "tmp"}
    for name in names.values():
        (folder / name).mkdir()
    places = {name: str(folder / place) for name, place in names.items()}
    # not this process's environment: onnxruntime is silent where one of several variables says that this is CI
    environment = {"PATH": os.environ["PATH"], "PYTHONDONTWRITEBYTECODE": "1", **places}
    subprocess.run([sys.executable, "-c", RUN + code], cwd=ROOT, env=environment, check=True)
    return [path.relative_to(folder) for path in folder.rglob("*") if path.is_file() and "matplotlib" not in path.parts]


@pytest.mark.parametrize("who", OWN)
def test_running_the_generator_leaves_no_trace(who: str, tmp_path: Path) -> None:
    assert left_behind(OWN[who], tmp_path) == []


def test_a_trace_would_be_seen(tmp_path: Path) -> None:
    """The control: what the release that is installed here does when it is not told."""
    found = {path.name for path in left_behind(PLAIN, tmp_path)}
    if tuple(map(int, version("onnxruntime").split(".")[:2])) >= (1, 29):
        assert "deviceid" in found, "onnxruntime keeps its device id elsewhere now: look where, and here"
    else:
        assert not found


def test_onnxruntime_is_loaded_in_two_places_only() -> None:
    found = []
    for package in ("circuits", "fpm", "prover", "verifier"):
        for path in (ROOT / package).rglob("*.py"):
            for node in ast.walk(ast.parse(path.read_text())):
                names = [alias.name for alias in node.names] if isinstance(node, ast.Import) else []
                names += [node.module or ""] if isinstance(node, ast.ImportFrom) else []
                if any(name.split(".")[0] == "onnxruntime" for name in names):
                    found.append(path.relative_to(ROOT).as_posix())
    assert sorted(set(found)) == ["circuits/onnx_runtime.py", "verifier/fingerprint/image.py"]
