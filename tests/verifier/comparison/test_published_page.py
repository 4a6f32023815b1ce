"""The page of a comparison: what it says, and that nothing in a bundle can change what it is."""

from __future__ import annotations

import itertools
import re
import shlex
from dataclasses import replace

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from tests.verifier.comparison.test_published import made_up as fingerprint
from tests.verifier.fingerprint.test_page import HOSTILE, WHEN, Outline, skeleton
from tests.verifier.fingerprint.test_page import made_up as report
from verifier.comparison.published import NOT_PROVEN, Comparison, compare_reports
from verifier.comparison.published_page import published_page

ATTRIBUTES = re.compile(
    "aria-hidden|aria-label|aria-labelledby|alt|class|charset|content|cx|cy|d|fill|focusable|font-size|font-weight|"
    "height|href|http-equiv|id|lang|name|r|role|scope|src|stroke|stroke-linejoin|stroke-width|text-anchor|viewbox|"
    "width|x|y"
)


def compared(text: str, cosine: float = 0.9, rejected: bool = False) -> Comparison:
    """A comparison with `text` wherever a bundle can put one."""
    one = report(text, rejected)
    left, right = (replace(one, fingerprint=None if rejected else fingerprint(c)) for c in (1.0, cosine))
    return compare_reports(left, right)


def written(text: str, **how: object) -> bytes:
    return published_page(compared(text, **how), True, WHEN)


@pytest.mark.parametrize("rejected", [False, True])
@pytest.mark.parametrize("text", HOSTILE)
def test_no_string_of_a_bundle_changes_the_page(text, rejected):
    document = written(text, rejected=rejected)
    assert skeleton(document) == skeleton(written("word", rejected=rejected))
    assert not re.search("[\u0000-\u0008\u000b-\u001f\u200b-\u200f\u202a-\u202e\u2066-\u2069\ufeff]", document.decode())


@settings(max_examples=30, deadline=None)
@given(st.text(min_size=1, max_size=200))
def test_any_string(text):
    assert skeleton(written(text)) == skeleton(written("word"))


@pytest.mark.parametrize("cosine", [1.0, 0.4, -0.05])
def test_only_known_tags_and_attributes(cosine):
    tags = skeleton(written("word", cosine=cosine))
    for tag, attributes in tags:
        assert tag not in ("script", "iframe", "object", "embed", "form", "input", "link", "base", "a")
        assert all(ATTRIBUTES.fullmatch(name) for name in attributes), (tag, attributes)
        for name in ("src", "href"):
            if name in attributes:
                assert attributes[name].startswith(("data:image/png;base64,", "#"))
    levels = [int(tag[1]) for tag, _ in tags if re.fullmatch("h[1-6]", tag)]
    assert levels[0] == 1 and levels.count(1) == 1
    assert all(after <= before + 1 for before, after in itertools.pairwise(levels))
    assert all(attributes.get("alt") for tag, attributes in tags if tag == "img")
    ids = [attributes["id"] for _, attributes in tags if "id" in attributes]
    assert len(ids) == len(set(ids))


@pytest.mark.parametrize(
    ("cosine", "words"),
    [
        (0.9, "Derived: a common base Unrelated models are not so alike."),
        (0.4, "Inconclusive More alike than most"),
        (0.0, "Independent, as far as this shows As alike as unrelated models are."),
    ],
)
def test_says_what_it_means(cosine, words):
    text = Outline(written("it's; $(bad)", cosine=cosine)).text
    assert words in text
    assert f"{cosine:+.4f}" in text
    assert all(line in text for line in NOT_PROVEN)
    assert "convince only those who trust that person" in text
    (command,) = re.findall("(huref-verify compare .*?) Made by", text)
    assert shlex.split(command) == ["huref-verify", "compare", *["it's; $(bad)"] * 2, "--allow-dev-srs"]


def test_without_a_verdict_it_says_so():
    text = Outline(written("word", rejected=True)).text
    assert "Not compared There is no verdict on likeness. word was not accepted" in text
    assert "Not shown to be a fingerprint" in text
    assert "Nothing was compared." in text
    assert "p-value" not in text.split("What is not proven")[0]
