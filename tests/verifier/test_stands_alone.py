"""The verifier stands alone: its imports, its doctests, its size."""

from __future__ import annotations

import ast
import doctest
import importlib
import sys
from pathlib import Path

import pytest

FOLDER = Path(__file__).resolve().parents[2] / "verifier"
MODULES = sorted(FOLDER.glob("*.py"))
ALLOWED = {"verifier", "numpy", "onnxruntime", "PIL", "click"}
DOORS = {
    "ezkl_child.py": {"ezkl"},
    "keys.py": {"cryptography"},
    "sigstore_bundle.py": {"cryptography", "sigstore"},  # inside a function: sigstore is an extra
}


@pytest.mark.parametrize("path", MODULES, ids=lambda path: path.name)
def test_imports(path):
    tree = ast.parse(path.read_text())
    names = {alias.name for node in ast.walk(tree) if isinstance(node, ast.Import) for alias in node.names}
    names |= {node.module or "" for node in ast.walk(tree) if isinstance(node, ast.ImportFrom)}
    foreign = {name.split(".")[0] for name in names} - set(sys.stdlib_module_names)
    assert foreign <= ALLOWED | DOORS.get(path.name, set())
    if path.name == "ezkl_child.py":
        assert "verifier" not in foreign  # it is started by its path, in isolated mode


@pytest.mark.parametrize("path", MODULES, ids=lambda path: path.name)
def test_habits(path):
    text = path.read_text()
    tree = ast.parse(text)
    assert len(text.splitlines()) < 400
    assert not any(isinstance(node, ast.Assert) for node in ast.walk(tree))
    calls = {node.func.id for node in ast.walk(tree) if isinstance(node, ast.Call) and isinstance(node.func, ast.Name)}
    assert not calls & {"print", "exit", "eval", "exec"}
    for node in ast.walk(tree):
        if isinstance(node, ast.ExceptHandler):
            assert node.type is not None
            assert ast.unparse(node.type) not in ("Exception", "BaseException")


@pytest.mark.parametrize("path", [p for p in MODULES if p.stem != "__main__"], ids=lambda path: path.name)
def test_doctests(path):
    module = importlib.import_module(f"verifier.{path.stem}" if path.stem != "__init__" else "verifier")
    assert doctest.testmod(module).failed == 0
