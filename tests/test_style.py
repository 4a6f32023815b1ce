"""House rules that no linter knows: docs/architecture.md, CONTRIBUTING.md."""

from __future__ import annotations

import ast
import re
import subprocess
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parent.parent
PACKAGES = ("prover", "verifier", "circuits", "fpm")
SOURCES = sorted(path for package in PACKAGES for path in (ROOT / package).rglob("*.py"))
EZKL_DOORS = {"circuits/ezkl_worker.py", "verifier/children/ezkl_child.py"}


def relative(path: Path) -> str:
    return path.relative_to(ROOT).as_posix()


@pytest.mark.parametrize("path", [*SOURCES, *sorted((ROOT / "tests").rglob("*.py"))], ids=relative)
def test_files_stay_under_400_lines(path):
    assert len(path.read_text().splitlines()) < 400


@pytest.mark.parametrize("path", SOURCES, ids=relative)
def test_input_is_never_checked_by_assert(path):
    assert not [node.lineno for node in ast.walk(ast.parse(path.read_text())) if isinstance(node, ast.Assert)]


def test_one_module_of_each_side_talks_to_ezkl():
    importing = {
        relative(path) for path in SOURCES if re.search(r"^\s*import ezkl|^\s*from ezkl", path.read_text(), re.M)
    }
    assert importing <= EZKL_DOORS
    assert len(importing) == 2


@pytest.mark.parametrize("package", PACKAGES)
def test_packages_have_one_short_door(package):
    assert len((ROOT / package / "__init__.py").read_text().splitlines()) <= 15


def test_artifacts_are_small_and_hold_no_proving_key():
    listed = subprocess.run(["git", "ls-files", "artifacts"], cwd=ROOT, capture_output=True, text=True, check=True)
    files = [ROOT / name for name in listed.stdout.split()]
    assert files
    assert sum(path.stat().st_size for path in files) < 60e6
    assert not [path for path in files if path.name == "pk.key"]


def test_every_link_in_the_documents_leads_somewhere():
    documents = [*ROOT.glob("*.md"), *(ROOT / "docs").glob("*.md")]
    broken = []
    for document in documents:
        for target in re.findall(r"\]\(([^)#]+?)(?:#[^)]*)?\)", document.read_text()):
            if "://" not in target and not (document.parent / target).exists():
                broken.append(f"{document.name}: {target}")
    assert not broken
