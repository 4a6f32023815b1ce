"""The HTML report: what it says, and that nothing in a bundle can change what it is."""

from __future__ import annotations

import base64
import hashlib
import itertools
import re
import shlex
import shutil
from datetime import datetime, timezone
from html.parser import HTMLParser
from pathlib import Path

import numpy as np
import pytest
from click.testing import CliRunner
from hypothesis import given, settings
from hypothesis import strategies as st

from tests.conftest import ROOT
from tests.verifier.fingerprint.test_verify import put_point
from verifier.cli import _WORDS, main
from verifier.fingerprint.image import Picture
from verifier.fingerprint.options import Options
from verifier.fingerprint.page import page
from verifier.fingerprint.page_words import NOT_PROVEN
from verifier.fingerprint.report import Report
from verifier.fingerprint.steps import PLAIN, STEPS
from verifier.formats.errors import Rejected
from verifier.results.page_pieces import shell_word
from verifier.results.steps import Check, Status

WHEN = datetime(2026, 1, 2, 3, 4, tzinfo=timezone.utc)
HOSTILE = (
    "</bdi></td></table><script>alert(1)</script>",
    "\"><img src=x onerror='alert(2)'>",
    "<!-- --><style>*{display:none}</style><base href=//evil.example>",
    "&lt;b&gt; $body ${title} $$ {0} %s",
    "\u202eDETPECCA\u2066 \u200b\u200f\u00ad\ufeff",
    "W" * 200,
    "Z" + "\u0334\u0300\u0301" * 60,
    "\x00\x1b[31m\x07\r\n\t\x85\u2028",
    "javascript:alert(1)",
    "\ud800\udfff\uffff",
)
VOID = {"meta", "img", "input", "br", "path", "circle", "use"}
ATTRIBUTES = re.compile(
    "aria-hidden|aria-labelledby|alt|class|charset|content|d|fill|focusable|height|href|http-equiv|id|lang|name|r|scope|"
    "src|stroke|stroke-linejoin|stroke-width|cx|cy|title|viewbox|width"
)


class Outline(HTMLParser):
    """Tags must nest; collects them, attributes and text."""

    def __init__(self, document: bytes) -> None:
        super().__init__()
        self.open: list[str] = []
        self.tags: list[tuple[str, dict[str, str | None]]] = []
        self.words: list[str] = []
        self.feed(document.decode("utf-8"))
        self.close()
        assert not self.open

    def handle_starttag(self, tag, attrs):
        assert len(dict(attrs)) == len(attrs)
        self.tags.append((tag, dict(attrs)))
        if tag not in VOID:
            self.open.append(tag)

    def handle_startendtag(self, tag, attrs):
        self.tags.append((tag, dict(attrs)))

    def handle_endtag(self, tag):
        assert self.open.pop() == tag

    def handle_data(self, data):
        self.words.append(data)

    @property
    def text(self) -> str:
        return " ".join("".join(self.words).split())


def made_up(text: str, rejected: bool = True) -> Report:
    """A report with `text` wherever a bundle can put one."""
    failure = Rejected(text, step=3, hint=text) if rejected else None
    statuses = [Status.PASSED] * 2 + ([Status.FAILED] + [Status.NOT_CHECKED] * 7 if rejected else [Status.PASSED] * 8)
    checks = tuple(Check(step, status, text, STEPS[step]) for step, status in enumerate(statuses, 1))
    metadata = dict.fromkeys(("name", "version", "maker"), text)
    pixels = np.arange(8 * 8 * 3, dtype=np.uint8).reshape(8, 8, 3)
    digests = {"statement.json": "0" * 64}
    return Report(text, checks, failure, text, True, False, metadata, "a" * 64, 1.0, digests, digests, Picture(pixels))


def skeleton(document: bytes) -> list[tuple[str, dict[str, str | None]]]:
    return Outline(document).tags


@pytest.mark.parametrize("number", [1, 2])
@pytest.mark.parametrize("text", HOSTILE)
def test_no_string_of_a_bundle_changes_the_page(text, number):
    """The same tags and attributes as with a harmless word, in the same order."""
    document = page([made_up(text)] * number, Options(), WHEN)
    assert skeleton(document) == skeleton(page([made_up("word")] * number, Options(), WHEN))
    assert not re.search("[\u0000-\u0008\u000b-\u001f\u200b-\u200f\u202a-\u202e\u2066-\u2069\ufeff]", document.decode())


@settings(max_examples=40, deadline=None)
@given(st.text(min_size=1, max_size=200))
def test_any_string(text):
    assert skeleton(page([made_up(text)], Options(), WHEN)) == skeleton(page([made_up("word")], Options(), WHEN))


def test_only_known_tags_and_attributes():
    for tag, attributes in skeleton(page([made_up("word"), made_up("word", rejected=False)], Options(), WHEN)):
        assert tag not in ("script", "iframe", "object", "embed", "form", "input", "link", "base")
        assert all(ATTRIBUTES.fullmatch(name) for name in attributes), (tag, attributes)
        assert not any(name.startswith("on") or name == "style" for name in attributes)
        for name in ("src", "href"):
            if name in attributes:
                assert attributes[name].startswith(("data:image/png;base64,", "#"))


def test_content_security_policy_allows_this_style_sheet_alone():
    document = page([made_up("word")], Options(), WHEN).decode()
    (policy,) = re.findall('Content-Security-Policy" content="([^"]*)"', document)
    rules = dict(rule.strip().split(" ", 1) for rule in policy.split(";"))
    style = document.split("<style>")[1].split("</style>")[0]
    digest = base64.b64encode(hashlib.sha256(style.encode()).digest()).decode()
    assert rules == {
        "default-src": "'none'",
        "img-src": "data:",
        "style-src": f"'sha256-{digest}'",
        "base-uri": "'none'",
        "form-action": "'none'",
    }


def test_accessible():
    tags = skeleton(page([made_up("word"), made_up("word", rejected=False)], Options(), WHEN))
    assert ("html", {"lang": "en"}) in tags
    levels = [int(tag[1]) for tag, _ in tags if re.fullmatch("h[1-6]", tag)]
    assert levels[0] == 1
    assert levels.count(1) == 1
    assert all(after <= before + 1 for before, after in itertools.pairwise(levels))
    assert all(attributes.get("alt") for tag, attributes in tags if tag == "img")
    assert all(attributes.get("scope") in ("row", "col") for tag, attributes in tags if tag == "th")
    ids = [attributes["id"] for _, attributes in tags if "id" in attributes]
    assert len(ids) == len(set(ids))


def luminance(colour: str) -> float:
    channels = [int(colour[i : i + 2], 16) / 255 for i in (1, 3, 5)]
    red, green, blue = (c / 12.92 if c <= 0.03928 else ((c + 0.055) / 1.055) ** 2.4 for c in channels)
    return 0.2126 * red + 0.7152 * green + 0.0722 * blue


def test_contrast_of_every_ink_on_every_paper():
    style = (ROOT / "verifier" / "results" / "page.html").read_text().split("<style>")[1].split("</style>")[0]
    inks = {*re.findall(r"(?<![-\w])color: (#[0-9a-f]{6})", style), *re.findall(r"--(?:ink|soft): (#\w{6})", style)}
    papers = {*re.findall(r"background: (#[0-9a-f]{6})", style), *re.findall(r"--(?:paper|tint): (#\w{6})", style)}
    assert len(inks) >= 6 and len(papers) >= 5
    for ink in inks:
        for paper in papers:
            dark, light = sorted((luminance(ink), luminance(paper)))
            assert (light + 0.05) / (dark + 0.05) >= 4.5, (ink, paper)


def test_every_step_has_plain_words():
    assert set(PLAIN) == set(STEPS)


def test_not_proven_is_what_the_threat_model_says():
    text = (ROOT / "docs" / "threat-model.md").read_text()
    section = text.split("**Not stopped by a bundle alone**")[1].split("\n## ")[0]
    titles = {title.rstrip(".") for title in re.findall(r"^- \*\*(.+?)\*\*", section, re.M)}
    assert titles
    assert titles <= {one.name for one in NOT_PROVEN}


@pytest.mark.parametrize("path", ["bundle", "./profiles", "compare", "-r", "a/profiles"])
def test_commands_to_reproduce_take_a_path_for_a_path(path):
    """As `Path` writes it: without the ./ that keeps `profiles` from being a command."""
    (shown,) = re.findall(r"<bdi>(.*)</bdi>", shell_word(str(Path(path))))
    assert Path(shown) == Path(path)
    assert shown == path or shown == f"./{Path(path)}"
    assert shown not in _WORDS and not shown.startswith("-")


def test_pages_of_real_verifications(bundle, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    shutil.copytree(bundle, "it's; $(bad)")
    put_point(Path("it's; $(bad)"), 0, bytes(64))
    said = {}
    for path, flags in (("bundle", ["--allow-dev-srs"]), ("bundle", []), ("it's; $(bad)", []), ("missing", [])):
        result = CliRunner().invoke(main, [path, *flags, "--report", "out.html"])
        outline = Outline(Path("out.html").read_bytes())
        said[result.exit_code, path] = outline.text
        assert all(plain in outline.text for step, plain in PLAIN.items() if step != 11)
        assert "What is not proven" in outline.text
        (commands,) = re.findall(r"huref-verify (?!profiles)([^#]*?) (?:#|cd|Made by)", outline.text)
        assert shlex.split(commands) == [path, *flags]
    accepted, undecided = said[0, "bundle"], said[3, "bundle"]
    assert "Accepted The picture is the proven fingerprint" in accepted
    assert "convince only those who trust that person" in accepted
    assert "Undecided at step 10 (srs)" in undecided and "give --allow-dev-srs" in undecided
    assert "Rejected at step 3 (points)" in said[4, "it's; $(bad)"]
    assert "nothing is proven" in said[4, "it's; $(bad)"]
    assert "There is no picture to show" in said[3, "missing"]
    for name in ("statement.json", "fingerprint.png"):
        assert hashlib.sha256((bundle / name).read_bytes()).hexdigest() in accepted
