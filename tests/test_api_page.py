"""docs/api.md: every example runs, and every public name stands there."""

from __future__ import annotations

import re

import pytest

import prover
import verifier
from tests.conftest import ROOT

PAGE = (ROOT / "docs" / "api.md").read_text()
BLOCKS = re.findall(r"```python\n(.*?)```", PAGE, re.S)


def test_the_examples_run(monkeypatch):
    """One after another, as a reader would type them."""
    monkeypatch.chdir(ROOT)
    assert len(BLOCKS) == 5
    names: dict[str, object] = {}
    for block in BLOCKS:
        exec(compile(block, "docs/api.md", "exec"), names)


@pytest.mark.parametrize("package", [verifier, prover], ids=lambda package: package.__name__)
def test_every_public_name_is_there_and_explained(package):
    for name in package.__all__:
        value = getattr(package, name)
        if not name.startswith("__"):
            assert re.search(rf"`[^`]*\b{name}\b", PAGE), name
            assert value.__doc__
    with pytest.raises(AttributeError):
        _ = package.nothing_of_that_name


@pytest.mark.parametrize("package", ["verifier", "prover"])
def test_types_are_shipped(package):
    assert (ROOT / package / "py.typed").exists()
