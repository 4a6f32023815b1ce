"""How the pages are written: lines of at most 100 characters, a heading for each step, a glossary of short entries."""

from __future__ import annotations

import re

import pytest
import yaml

from tests.conftest import ROOT
from verifier.comparison.steps import STEPS as COMPARISON_STEPS
from verifier.fingerprint.steps import STEPS as BUNDLE_STEPS
from verifier.inference.steps import STEPS as FEEDFORWARD_STEPS

WIDTH = 100
NAMES = ("README.md", "CONTRIBUTING.md", "CHANGELOG.md", "SECURITY.md")
PAGES = sorted([*(ROOT / name for name in NAMES), *(ROOT / "docs").glob("*.md")])
ONE_LINK = re.compile(r"\s*(?:[-*>] |\d+\. )?!?\[[^\]]*\]\(\S+\)[.,;:]?")
ONE_WORD = re.compile(r"\s*(?:[-*>] |\d+\. )?\S+")
STEPS = {"protocol": BUNDLE_STEPS, "comparison": COMPARISON_STEPS, "inference-proof": FEEDFORWARD_STEPS}
GLOSSARY = (ROOT / "docs" / "glossary.md").read_text()


def too_long(text: str) -> list[int]:
    """Numbers of the lines over the width; a table, fenced code, and what has no place to break are no prose."""
    found, fence = [], ""
    for number, line in enumerate(text.splitlines(), 1):
        mark = re.match(r"\s*(```+|~~~+)", line)
        if mark and fence in ("", mark[1]):
            fence = "" if fence else mark[1]
        elif len(line) > WIDTH and not (
            fence or line.startswith("|") or ONE_LINK.fullmatch(line) or ONE_WORD.fullmatch(line)
        ):
            found.append(number)
    assert not fence, "a fence that is not closed would hide the rest"
    return found


@pytest.mark.parametrize("page", PAGES, ids=lambda page: page.name)
def test_lines_end_at_100_characters(page):
    assert too_long(page.read_text()) == []


def test_a_long_line_is_noticed():
    """The control, and what is let through."""
    prose, link = "word " * 20, f"[two words](https://example.org/{'x' * WIDTH})"
    assert len(prose) == WIDTH and too_long(prose) == []
    assert too_long(f"{prose}!\n\n- {prose}\n") == [1, 3]
    allowed = f"{link}\n- {link}\n| {prose} |\n`{'x' * WIDTH}`\n```\n{prose}!\n```\n"
    assert too_long(allowed) == []
    assert too_long(f"see {link}\n{allowed}{prose}!") == [1, 9]


@pytest.mark.parametrize("name", STEPS)
def test_each_step_has_a_paragraph_under_its_number_and_name(name):
    """The report's numbers and names, in order, each with words below it."""
    text = (ROOT / "docs" / f"{name}.md").read_text()
    parts = re.findall(r"^### Step (\d+): (.+)\n\n([^#\n].*)$", text, re.M)
    assert [(int(number), title) for number, title, _ in parts] == list(STEPS[name].items())
    assert text.count("\n### Step ") == len(parts)


def entries() -> list[tuple[str, str, str]]:
    rows = [line.strip("| ").split(" | ") for line in GLOSSARY.splitlines() if line.startswith("| ")]
    return [(word, meaning, more) for word, meaning, more in rows if word not in ("---", "word")]


def test_the_glossary_is_short_and_leads_on():
    assert len(entries()) > 30
    for word, meaning, more in entries():
        assert 1 <= len(re.findall(r"[.!?](?= [A-Z\d*]|$)", meaning)) <= 2, word
        assert meaning.endswith(".") and re.search(r"\]\([\w-]+\.md(#[\w-]+)?\)", more), word


@pytest.mark.parametrize(
    "word",
    (
        *("SRS", "KZG", "size class", "profile", "cm", "z", "ICS", "PCS", "projection", "late projection"),
        *("opening (audit)", "opening (KZG)", "comparison", "bundle", "statement", "link proof", "encoder proof"),
        *("terms", "tokens", "frame", "development SRS", "feed-forward proof", "registry"),
    ),
)
def test_the_glossary_has(word):
    assert word in [entry for entry, _, _ in entries()]


def test_the_glossary_is_found():
    assert "(docs/glossary.md)" in (ROOT / "README.md").read_text()
    assert "(glossary.md)" in (ROOT / "docs" / "index.md").read_text()
    nav = yaml.safe_load((ROOT / "mkdocs.yml").read_text())["nav"]
    assert {"Glossary": "glossary.md"} in nav


@pytest.mark.parametrize("page", ("README.md", "docs/index.md"))
def test_an_srs_is_spelt_out_where_it_is_first_met(page):
    text = " ".join((ROOT / page).read_text().split())
    assert text.index("SRS") == text.index("structured reference string (SRS)") + len("structured reference string (")
