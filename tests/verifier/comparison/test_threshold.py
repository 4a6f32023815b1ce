"""A comparison that shows only "at least t", under a challenge: the toy artefact, its spoilt copies, its error.

Malicious provers: tests/adversarial/test_cheating_threshold.py.
"""

from __future__ import annotations

import json
import math
import shutil
from datetime import datetime, timezone
from pathlib import Path

import numpy as np
import pytest
from click.testing import CliRunner
from hypothesis import given, settings
from hypothesis import strategies as st

from tests.fuzz.harness import Harness, Target
from tests.fuzz.mutators import RandomDice, change_json
from tests.verifier.comparison.conftest import PAIR as BUNDLES
from tests.verifier.conftest import ASSETS, canonical
from verifier.cli import main
from verifier.comparison.artefact import read_statement
from verifier.comparison.ics import late_seed
from verifier.comparison.page import comparison_page
from verifier.comparison.report import ComparisonReport
from verifier.comparison.threshold import ProvenAtLeast, check_missing, proven_at_least, threshold_input
from verifier.comparison.verify import verify_comparison
from verifier.fingerprint.options import Options
from verifier.formats.errors import Rejected

CHALLENGE = "5df4f979e36cd5d6a5216652fcb34fa08bc88bba11af6a965f74e2c0ad24d82a"


@pytest.fixture
def comparison(circuit, remembered, tmp_path) -> Path:
    target = tmp_path / "comparison"
    shutil.copytree(ASSETS / "comparison_at_least", target)
    return target


def verify(path: Path, challenge: str | None = None) -> ComparisonReport:
    options = Options(allow_development_srs=True, time_limit_s=120.0)
    return verify_comparison(path, BUNDLES, options, None, None if challenge is None else bytes.fromhex(challenge))


def edit(folder: Path, **changes: object) -> None:
    path = folder / "comparison.json"
    document = {**json.loads(path.read_bytes()), **changes}
    document = {name: value for name, value in document.items() if value != "remove"}
    path.write_bytes(json.dumps(document, sort_keys=True, separators=(",", ":")).encode())


def ended(report: ComparisonReport, verdict: str, step: int, words: str) -> None:
    assert (report.verdict, report.failure.step) == (verdict, step), report.verdict_line()
    assert words in report.failure.message
    assert report.shown is None and report.meaning == ""


def run(*arguments: object):
    return CliRunner().invoke(main, [str(argument) for argument in arguments])


# ---------------------------------------- accepted


def test_what_an_accepted_one_says(comparison, tmp_path):
    """In the terminal, as JSON and on the page: the threshold, that the rest is hidden, the challenge."""
    page = tmp_path / "page.html"
    done = run(comparison, *BUNDLES, "--allow-dev-srs", "--challenge", CHALLENGE, "--report", page, "--json")
    assert done.exit_code == 0, done.output
    document = json.loads(done.output)
    assert (document["ics"], document["at_least"], document["term_cosines"]) == (None, 0.85, [])
    assert 0 < document["ics_error"] < 1e-2
    assert document["challenge"] == CHALLENGE and document["challenge_expected"]
    assert document["verdict_line"].startswith("ACCEPTED: inconclusive, ICS at least 0.85 (- ")
    assert "how high is hidden" in document["verdict_line"] and "and the challenge" in document["verdict_line"]
    assert document["meaning"].startswith("The ICS reaches the threshold")
    assert any("How high the ICS is" in line for line in document["not_proven"])
    assert not any("drawn once" in line or "Who named" in line for line in document["not_proven"])
    text = page.read_text()
    assert "That the ICS reaches the threshold is proven" in text and "at least 0.85" in text
    assert f"--challenge {CHALLENGE}" in text and "the one that was expected" in text


def test_who_named_the_challenge_is_said_to_be_unchecked(comparison):
    report = verify(comparison)
    assert report.verdict == "accepted", report.verdict_line()
    assert any("Who named the challenge" in line for line in report.not_proven)
    assert "who named it was not checked" in comparison_page(report, True, datetime.now(timezone.utc)).decode()


# ---------------------------------------- the challenge that the verifier's user named


def test_another_challenge_than_expected_is_rejected(comparison):
    ended(verify(comparison, "0" * 64), "rejected", 1, "not the one that was expected")


def test_no_challenge_where_one_was_expected_is_undecided(circuit, remembered):
    ended(verify(ASSETS / "comparison", CHALLENGE), "undecided", 1, "no challenge")
    without = verify(ASSETS / "comparison")
    assert without.verdict == "accepted"
    assert any("drawn once" in line for line in without.not_proven)


@pytest.mark.parametrize("text", ["", "00", "G" * 64, CHALLENGE.upper(), CHALLENGE + "00"])
def test_a_challenge_has_64_digits(comparison, text):
    done = run(comparison, *BUNDLES, "--challenge", text)
    assert done.exit_code == 2 and "64 lower-case hex digits" in done.output
    assert run(BUNDLES[0], "--challenge", CHALLENGE).exit_code == 2, "about comparisons alone"


def test_the_seed_hangs_on_the_challenge():
    a, b = b"a" * 32, b"b" * 32
    seeds = [late_seed(a, b), late_seed(a, b, bytes(32)), late_seed(b, a, bytes(32)), late_seed(a, b, b"c" * 32)]
    assert seeds[1] == seeds[2] and len(set(seeds)) == 3


# ---------------------------------------- spoilt statements

BAD = {
    "at_least is not a number": ({"at_least": "850000"}, 1, "at_least: not an integer"),
    "at_least is no integer": ({"at_least": 0.85}, 1, "not an integer"),
    "at_least is missing": ({"at_least": "remove"}, 1, "at_least: missing"),
    "challenge is missing": ({"challenge": "remove"}, 1, "challenge: missing"),
    "challenge is short": ({"challenge": "00"}, 1, "challenge: not 64"),
    "neither": ({"at_least": None, "challenge": None}, 1, "says nothing that version 1"),
    "version 1 with both": ({"type": "application/vnd.huref-zk.provencomparison+json;version=1"}, 1, "unknown key"),
    "the ICS itself": ({"at_least": None}, 1, "similarity.json.type"),
    "a similarity circuit": ({"circuit": {"name": "toy-dev", "sha256": "0" * 64}}, 1, "a threshold circuit is needed"),
    "another digest": ({"circuit": {"name": "toy-dev-threshold", "sha256": "0" * 64}}, 4, "circuit.sha256"),
    "another threshold": ({"at_least": 849_000}, 6, "another threshold"),
    "another challenge": ({"challenge": "0" * 64}, 9, "input"),
    "no challenge": ({"challenge": None}, 9, "input"),
}


@pytest.mark.parametrize("what", BAD)
def test_statements(comparison, what):
    changes, step, words = BAD[what]
    edit(comparison, **changes)
    ended(verify(comparison), "rejected", step, words)


def test_a_newer_version_is_undecided(comparison):
    edit(comparison, type="application/vnd.huref-zk.provencomparison+json;version=3")
    ended(verify(comparison), "undecided", 1, "version 3")


@pytest.mark.parametrize(
    ("change", "step", "words"),
    [
        (lambda values: values.append("0" * 64), 4, "14 instances instead of 13"),
        (lambda values: values.extend(["0" * 64] * 5), 4, "18 instances instead of 13"),
        (lambda values: values.pop(), 4, "12 instances"),
        (lambda values: values.__setitem__(12, f"{1:064x}"), 7, "proof"),
        (lambda values: values.__setitem__(3, f"{int(values[3], 16) + 1:064x}"), 7, "proof"),
    ],
)
def test_public_values(comparison, change, step, words):
    path = comparison / "similarity.json"
    document = json.loads(path.read_bytes())
    change(document["instances"])
    path.write_text(json.dumps(document))
    ended(verify(comparison), "rejected", step, words)


def _run_statement(data: bytes) -> str:
    statement = read_statement(data)
    assert canonical(json.loads(data)) == data
    assert statement.at_least is None or 1 <= statement.at_least <= 10**6
    assert statement.challenge is None or len(statement.challenge) == 32
    assert json.loads(data)["type"].endswith("=1") == (statement.at_least is None and statement.challenge is None)
    return "accepted"


def test_a_changed_statement_is_read_or_refused():
    """As tests/fuzz does it: a value that holds what is said of it, or a typed error."""
    seeds = [(ASSETS / name / "comparison.json").read_bytes() for name in ("comparison", "comparison_at_least")]
    harness = Harness(Target("comparison", "comparison.json", _run_statement, lambda: seeds, change_json, 1, 4096))
    for number in range(1000):
        harness.one(change_json(RandomDice(number), seeds[number % 2]))
    assert not harness.findings, harness.findings
    assert len(harness.outcomes) > 3 and harness.outcomes["accepted"]


# ---------------------------------------- the stated error


def test_what_is_missing_must_be_nothing():
    check_missing([5] * 12 + [0])
    for value in (1, 2**62, 21888242871839275222246405745257275088548364400416034343698204186575808495616):
        with pytest.raises(Rejected, match="does not reach"):
            check_missing([5] * 12 + [value])


@settings(max_examples=150, deadline=None)
@given(st.integers(0, 2**32 - 1))
def test_acceptance_implies_the_bound_however_a_prover_rounds(seed):
    """Entries and sums rounded at will, norms as far off as c_t of 2^10 allow: the true ICS reaches t - error.

    The threshold is the highest one that such a prover reaches.
    """
    rng = np.random.default_rng(seed)
    g, scale = 4, 16
    circuit = type("Circuit", (), {"g": g, "scale": scale})
    target = g * g << scale
    x, y = rng.normal(size=(2, 6, g * g))
    y = rng.uniform(-1, 1, (6, 1)) * x + rng.uniform(0, 1, (6, 1)) * y + 1e-3
    granularity = rng.choice([0.0, 2.0**-11])  # of c_t, in a vector's length
    x, y = (
        v / np.sqrt((v**2).mean(axis=1, keepdims=True)) * 2.0**scale * (1 + granularity * rng.uniform(-1, 1, (6, 1)))
        for v in (x, y)
    )
    true = float(np.mean((x * y).sum(axis=1) / np.sqrt((x**2).sum(axis=1) * (y**2).sum(axis=1))))
    upwards = rng.integers(0, 2)  # every entry turned towards the other side's, or at random
    q, r = (np.floor(v) + ((w > 0) if upwards else rng.integers(0, 2, v.shape)) for v, w in ((x, y), (y, x)))
    norms = [math.floor(s / 2**scale) + int(rng.integers(0, 2)) for v in (q, r) for s in (v * v).sum(axis=1)]
    reached = math.floor((q * r).sum() / 2**scale) + 1
    at_least = max(1, min(10**6, reached * 10**6 // (6 * target)))
    if threshold_input(at_least, circuit) > reached:
        return  # a negative ICS: no threshold is reached
    found = proven_at_least([*norms, 0], at_least, circuit, 4096)
    assert true >= found.at_least - found.error
    assert found.error < 2e-3
    assert found.p_value is None, "g = 4 was not measured"


def test_words_follow_the_p_value():
    """A lower bound never says independent."""
    assert ProvenAtLeast(0.9, 1e-4, 1e-12).likeness == "derived"
    assert ProvenAtLeast(0.1, 1e-4, 0.5).likeness == "inconclusive"
    assert ProvenAtLeast(0.9, 1e-4, None).likeness == "inconclusive"
