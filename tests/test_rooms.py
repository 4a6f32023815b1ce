"""The rooms are as docs/architecture.md says: its pictures against the imports, and each step under one number."""

from __future__ import annotations

import ast
import re

import grimp
import pytest

from tests.conftest import ROOT
from verifier.comparison.steps import STEPS as COMPARISON_STEPS
from verifier.comparison.steps import WHY as COMPARISON_WHY
from verifier.comparison.verify import _ComparisonProcedure
from verifier.fingerprint.steps import STEPS as BUNDLE_STEPS
from verifier.fingerprint.steps import WHY as BUNDLE_WHY
from verifier.fingerprint.verify import _BundleProcedure
from verifier.inference.steps import STEPS as FEED_FORWARD_STEPS
from verifier.inference.steps import WHY as FEED_FORWARD_WHY
from verifier.inference.verify import _FeedForwardProcedure

NOT_DRAWN = {"version", "public", "__main__"}  # the version, and doors that only pass on
PICTURES = "".join(re.findall(r"```mermaid\n(.*?)```", (ROOT / "docs" / "architecture.md").read_text(), re.S))
PROCEDURES = {
    "fingerprint": (_BundleProcedure, BUNDLE_STEPS, BUNDLE_WHY, ("fingerprint", "opening", "signature")),
    "comparison": (_ComparisonProcedure, COMPARISON_STEPS, COMPARISON_WHY, ("comparison",)),
    "inference": (_FeedForwardProcedure, FEED_FORWARD_STEPS, FEED_FORWARD_WHY, ("inference",)),
}
ATTACKS = {"comparison": ("comparison", "threshold"), "inference": ("inference",)}
SOURCES = [path for package in ("verifier", "prover") for path in (ROOT / package).rglob("*.py")]


def imports(package: str) -> set[tuple[str, str]]:
    """Which room of a package imports which."""
    graph, found = grimp.build_graph(package), set()
    for module in graph.modules:
        for imported in graph.find_modules_directly_imported_by(module):
            rooms = [name.split(".")[1] for name in (module, imported) if "." in name]
            if len(rooms) == 2 and rooms[0] != rooms[1] and not NOT_DRAWN & set(rooms):
                found.add((rooms[0], rooms[1]))
    return found


def drawn(package: str) -> set[tuple[str, str]]:
    """The arrows of the picture."""
    letter = package[0]
    return set(re.findall(rf"^ +{letter}_(\w+)(?:\[\w+\])? --> {letter}_(\w+)", PICTURES, re.M))


def reachable(arrows: set[tuple[str, str]], start: str) -> set[str]:
    """Every room below `start`."""
    found, left = set(), [start]
    while left:
        room = left.pop()
        below = {to for source, to in arrows if source == room} - found
        found |= below
        left += below
    return found


@pytest.mark.parametrize("package", ["verifier", "prover"])
def test_the_picture_shows_the_imports(package):
    """Each arrow is an import that no longer way makes needless, and each import is an arrow or such a way."""
    real, shown = imports(package), drawn(package)
    assert shown == {(source, to) for source, to in real if to not in reachable(real - {(source, to)}, source)}, (
        "draw docs/architecture.md anew"
    )
    assert all(to in reachable(shown, source) for source, to in real)


@pytest.mark.parametrize("package", ["verifier", "prover"])
def test_each_room_of_the_picture_is_a_folder_with_a_door(package):
    rooms = {room for arrow in drawn(package) for room in arrow}
    folders = {path.parent.name for path in (ROOT / package).glob("*/__init__.py")}
    assert folders <= rooms
    assert {room for room in rooms - folders if not (ROOT / package / f"{room}.py").exists()} == set()
    for folder in folders - {"registry"}:
        assert ">>>" in (ROOT / package / folder / "__init__.py").read_text()


@pytest.mark.parametrize("path", SOURCES, ids=lambda path: path.relative_to(ROOT).as_posix())
def test_no_module_reaches_into_anothers_private_names(path):
    tree = ast.parse(path.read_text())
    modules, taken = set(), []
    for node in ast.walk(tree):
        if isinstance(node, ast.ImportFrom) and (node.module or "").split(".")[0] in ("verifier", "prover", "circuits"):
            taken += [
                alias.name for alias in node.names if alias.name.startswith("_") and not alias.name.startswith("__")
            ]
            modules |= {alias.asname or alias.name for alias in node.names if alias.name.islower()}
    taken += [
        ast.unparse(node)
        for node in ast.walk(tree)
        if isinstance(node, ast.Attribute) and node.attr.startswith("_") and ast.unparse(node.value) in modules
    ]
    assert taken == []


@pytest.mark.parametrize("room", PROCEDURES)
def test_each_step_has_its_method_its_sentence_and_its_test(room):
    """The paragraphs are in tests/test_prose.py."""
    procedure, steps, why, folders = PROCEDURES[room]
    assert list(steps) == list(why) == list(range(1, len(steps) + 1))
    methods = [name for name in vars(procedure) if name.startswith("step_")]
    assert methods == [f"step_{number}_{name.replace(' ', '_')}" for number, name in steps.items()]
    files = [path for folder in folders for path in (ROOT / "tests" / "verifier" / folder).glob("test_*.py")]
    others = [word for words in ATTACKS.values() for word in words]
    for path in (ROOT / "tests" / "adversarial").glob("test_*.py"):
        words = ATTACKS.get(room)
        if any(word in path.name for word in words) if words else not any(word in path.name for word in others):
            files.append(path)
    tested = {
        int(number)
        for path in files
        for name in re.findall(r"^def test_step_(\d+(?:_and_\d+)?)_", path.read_text(), re.M)
        for number in name.split("_and_")
    }
    assert tested == set(steps)
