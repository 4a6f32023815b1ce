"""docs/threat-model.md: every test that it names exists, and every attack in a table names one."""

from __future__ import annotations

import ast
import re
from pathlib import Path

import pytest

from tests.conftest import ROOT

PAGE = (ROOT / "docs" / "threat-model.md").read_text()
NAMED = re.findall(r"`((?:tests/)?[\w/]*(?:test_\w+)(?:\.py)?|tests/[\w/]+/)`", PAGE)


def functions(paths) -> set[str]:
    return {
        node.name
        for path in paths
        for node in ast.walk(ast.parse(path.read_text()))
        if isinstance(node, ast.FunctionDef) and node.name.startswith("test_")
    }


EVERYWHERE = functions((ROOT / "tests").rglob("test_*.py"))
ADVERSARIAL = ROOT / "tests" / "adversarial"


def exists(name: str) -> bool:
    if "/" in name:
        return (ROOT / name).exists()
    if name.endswith(".py"):
        return (ADVERSARIAL / name).exists()
    return name in EVERYWHERE


@pytest.mark.parametrize("name", sorted(set(NAMED)))
def test_what_it_names_exists(name):
    assert exists(name)


def test_the_notes_on_ezkl_name_tests_that_exist():
    """Every rule has one. Lines end at 100 characters."""
    page = (ROOT / "docs" / "ezkl-notes.md").read_text()
    named = set(re.findall(r"`(test_\w+)`", page))
    assert len(named) > 30
    assert named <= EVERYWHERE
    assert max(map(len, page.splitlines())) <= 100
    rules, _, rest = page.partition("## Choices in the circuits")
    for part in rules.split("\n\n**")[1:]:
        assert re.search(r"Rule: ", part) and re.search(r"`test_\w+`|Same test", part), part
    assert rest


def test_nothing_else_exists():
    """The control: the names are looked for in the right places."""
    assert len(NAMED) > 60
    assert not any(map(exists, ("test_nothing", "tests/nothing.py", "test_nothing.py", "tests/nothing/")))
    assert "test_step" not in re.sub(r"`test_\w+`", "", PAGE)  # no abbreviated names


def test_those_marked_adversarial_are():
    """`A:` holds for what follows it in its cell, up to a semicolon."""
    there = functions(ADVERSARIAL.glob("test_*.py"))
    marked = [name for part in re.findall(r"\bA: ([^|;)]*)", PAGE) for name in re.findall(r"`(test_\w+)`", part)]
    assert len(marked) > 10
    assert set(marked) <= there


def test_every_attack_names_a_test():
    rows = [line for line in PAGE.splitlines() if line.startswith("| ") and not line.startswith("| ---")]
    rows = [row for row in rows if not row.endswith("| test |")]
    assert len(rows) > 30
    for row in rows:
        *_, cell = row.strip("| ").split(" | ")
        assert re.search(r"`[\w/]*test_\w+(\.py)?`", cell), row


def test_every_place_in_the_page_is_a_file():
    assert {Path(name).suffix for name in NAMED if "/" in name} <= {".py", ""}
