"""The page of a proven comparison: strings of its artefacts stay data, and what is said is said in words."""

from __future__ import annotations

import pytest

from tests.verifier.fingerprint.test_page import HOSTILE, WHEN, Outline, made_up, skeleton
from verifier.comparison.ics import ProvenIcs
from verifier.comparison.page import comparison_page
from verifier.comparison.report import (
    NOT_PROVEN_CHALLENGE,
    NOT_PROVEN_HIDDEN,
    Check,
    ComparisonReport,
    closing_text,
    step_text,
)
from verifier.comparison.steps import STEPS
from verifier.comparison.threshold import ProvenAtLeast
from verifier.formats.errors import Rejected
from verifier.results.steps import Status


def report(text: str, ics: ProvenIcs | ProvenAtLeast | None) -> ComparisonReport:
    """A report with `text` wherever an artefact or a bundle can put one."""
    failure = None if ics else Rejected(text, step=3, hint=text)
    statuses = [Status.PASSED] * 10 if ics else [Status.PASSED] * 2 + [Status.FAILED] + [Status.NOT_CHECKED] * 7
    checks = tuple(Check(step, status, text, STEPS[step]) for step, status in enumerate(statuses, 1))
    digests = {"comparison.json": "0" * 64}
    bundles = (made_up(text, rejected=False), made_up(text, rejected=ics is None))
    shown = {"ics": ics if isinstance(ics, ProvenIcs) else None}
    if isinstance(ics, ProvenAtLeast):
        shown |= {"at_least": ics, "challenge": b"c" * 32}
    return ComparisonReport(
        text, (text, text), bundles, checks, failure, seconds=1.0, files=digests, pinned=digests, **shown
    )


DERIVED = ProvenIcs(0.97, (0.97,) * 6, 3e-5, 1e-12)


AT_LEAST = ProvenAtLeast(0.9, 3e-5, 1e-12)


@pytest.mark.parametrize("ics", [DERIVED, AT_LEAST, None])
@pytest.mark.parametrize("text", HOSTILE)
def test_no_string_changes_the_page_or_the_terminal(text, ics):
    page = comparison_page(report(text, ics), True, WHEN)
    assert skeleton(page) == skeleton(comparison_page(report("word", ics), True, WHEN))
    said = "\n".join([*(step_text(check) for check in report(text, ics).checks), closing_text(report(text, ics))])
    assert all(character.isprintable() or character == "\n" for character in said)


@pytest.mark.parametrize(
    ("ics", "words"),
    [
        (DERIVED, "Derived. Unrelated models are not so alike"),
        (ProvenIcs(0.03, (0.03,) * 6, 3e-5, 0.4), "Independent. As alike as unrelated models are"),
        (ProvenIcs(0.4, (0.4,) * 6, 3e-5, None), "no p-value"),
    ],
)
def test_the_verdict_in_words(ics, words):
    text = Outline(comparison_page(report("word", ics), True, WHEN)).text
    assert words in text and f"{ics.ics:+.4f}" in text
    assert "Mind the setup" in text and "huref-verify word word word --allow-dev-srs" in text
    assert all(name.capitalize() in text for name in STEPS.values())


@pytest.mark.parametrize(
    ("shown", "words"),
    [
        (AT_LEAST, "Derived. Unrelated models are not so alike"),
        (ProvenAtLeast(0.2, 3e-5, 0.05), "Inconclusive. The ICS reaches the threshold"),
        (ProvenAtLeast(0.9, 3e-5, None), "no p-value"),
    ],
)
def test_at_least_in_words(shown, words):
    """What is hidden is said to be, and no number but the threshold is shown."""
    text = Outline(comparison_page(report("word", shown), True, WHEN)).text
    assert words in text and f"at least {shown.at_least:g}" in text
    assert NOT_PROVEN_HIDDEN in text and NOT_PROVEN_CHALLENGE in text
    assert (b"c" * 32).hex() in text and "Cosine of term" not in text
