"""The gallery's page: nothing that a bundle says changes what it is."""

from __future__ import annotations

import base64
import hashlib
import re
from datetime import datetime, timezone

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from prover.registry.index import Listed
from prover.registry.site import page
from tests.verifier.fingerprint.test_page import HOSTILE, Outline, skeleton

WHEN = datetime(2026, 1, 2, tzinfo=timezone.utc)


def written(text: str) -> bytes:
    one = Listed(0, "a" * 64, "b" * 64, "2026-01-01T00:00:00Z", text, text, text, text, True)
    return page([one, one], {0: (0, 0.5)}, "c" * 64, WHEN)


@pytest.mark.parametrize("text", HOSTILE)
def test_no_string_of_a_bundle_changes_the_page(text):
    document = written(text)
    assert skeleton(document) == skeleton(written("word"))
    assert not re.search("[\u0000-\u0008\u000b-\u001f\u200b-\u200f\u202a-\u202e\u2066-\u2069\ufeff]", document.decode())


@settings(max_examples=40, deadline=None)
@given(st.text(min_size=1, max_size=200))
def test_any_string(text):
    assert skeleton(written(text)) == skeleton(written("word"))


def test_only_known_tags_and_nothing_from_elsewhere():
    for tag, attributes in skeleton(written("word")):
        assert tag not in ("iframe", "object", "embed", "form", "link", "base", "svg")
        assert not any(name.startswith("on") or name == "style" for name in attributes)
        assert attributes.get("src", "pictures/").startswith("pictures/")
        assert attributes.get("href", "#").startswith("#")


def test_content_security_policy_allows_this_style_and_script_alone():
    document = written("word").decode()
    (policy,) = re.findall('Content-Security-Policy" content="([^"]*)"', document)
    rules = dict(rule.strip().split(" ", 1) for rule in policy.split(";"))
    digests = {}
    for tag in ("style", "script"):
        (text,) = re.findall(f"<{tag}>(.*?)</{tag}>", document, re.S)
        digests[f"{tag}-src"] = f"'sha256-{base64.b64encode(hashlib.sha256(text.encode()).digest()).decode()}'"
    assert rules == digests | {
        "default-src": "'none'",
        "img-src": "'self'",
        "base-uri": "'none'",
        "form-action": "'none'",
    }


def test_an_empty_gallery():
    assert "0 models" in Outline(page([], {}, "c" * 64, WHEN)).text
