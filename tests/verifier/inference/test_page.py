"""The page of a feed-forward proof: strings of its artefacts stay data, and what is said is said in words."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import pytest

from tests.verifier.fingerprint.test_page import HOSTILE, WHEN, Outline, made_up, skeleton
from verifier.fingerprint.options import Options
from verifier.formats.errors import Rejected
from verifier.inference.page import feed_forward_page
from verifier.inference.report import NOT_PROVEN, NOT_PROVEN_UNOPENED, Check, FeedForwardReport, Outcome
from verifier.inference.steps import STEPS
from verifier.results.steps import Status

OPTIONS = Options(allow_development_srs=True)
OUTCOME = Outcome(3, 2, "ab" * 32, (11, 12, 13), 14, ((0.25, -0.5, 1.0, 2.0, 77.125), (1.5, 0.0, 0.0, 0.0, 88.125)))


def report(text: str, outcome: Outcome | None, reached: bool = True) -> FeedForwardReport:
    """A report with `text` wherever an artefact or a bundle can put one; `reached`: whether the bundle was."""
    failure = None if outcome else Rejected(text, step=2 if reached else 1, hint=text)
    ended = Status.PASSED if outcome else Status.NOT_CHECKED
    first = [Status.PASSED, Status.PASSED if outcome else Status.FAILED] if reached else [Status.FAILED, ended]
    checks = tuple(Check(step, status, text, STEPS[step]) for step, status in enumerate([*first, *[ended] * 6], 1))
    digests = {"feedforward.json": "0" * 64} if reached else {}
    bundle = made_up(text, rejected=outcome is None) if reached else None
    return FeedForwardReport(text, text, bundle, checks, failure, outcome, 1.0, digests, digests)


@pytest.mark.parametrize("outcome", [OUTCOME, None])
@pytest.mark.parametrize("text", HOSTILE)
def test_no_string_changes_the_page(text, outcome):
    page = feed_forward_page(report(text, outcome), OPTIONS, WHEN)
    assert skeleton(page) == skeleton(feed_forward_page(report("word", outcome), OPTIONS, WHEN))


def test_what_is_proven_in_words():
    text = Outline(feed_forward_page(report("word", OUTCOME), OPTIONS, WHEN)).text
    assert "The block's outputs are proven" in text and "of block 3" in text and "the 2 public inputs" in text
    assert OUTCOME.gate_commitment in text and "11, 12, 13" in text
    assert "+0.2500, -0.5000, +1.0000, +2.0000, ..." in text and "77.125" not in text
    assert "the first 4 of 5 entries" in text
    assert "Mind the setup" in text and "huref-verify word word --allow-dev-srs" in text
    assert all(name.capitalize() in text for step, name in STEPS.items() if step < 9)
    assert all(line in text for line in NOT_PROVEN + NOT_PROVEN_UNOPENED)


def test_what_was_rejected_shows_no_output():
    text = Outline(feed_forward_page(report("word", None), Options(), WHEN)).text
    assert "Rejected" in text and "It ended at step 2 (bundle)" in text and "What is proven" not in text
    assert "Nothing was proven." in text and text.count("not done") == 6
    assert "--allow-dev-srs" not in text and "exit code 4: rejected" in text


def test_an_unreadable_proof_has_no_bundle_and_no_digest():
    text = Outline(feed_forward_page(report("word", None, reached=False), Options(), WHEN)).text
    assert "None: the proof could not be read." in text and "The bundle" not in text


def test_what_an_opening_showed_is_not_said_to_be_open():
    opened = replace(report("word", OUTCOME), opened=True)
    options = replace(OPTIONS, weights=Path("a model"), secret=Path("s.json"))
    text = Outline(feed_forward_page(opened, options, WHEN)).text
    assert "It was opened" in text and "as the maker says" not in text.split("The bundle")[0]
    assert not any(line in text for line in NOT_PROVEN_UNOPENED) and all(line in text for line in NOT_PROVEN)
    assert "--weights 'a model' --opening s.json" in text
