"""The shipped models' proven comparisons, in artifacts/compared, made by tests/make_examples.py: verified, and true."""

from __future__ import annotations

import json
import zipfile
from dataclasses import replace

import pytest

from prover.comparison.prove import late_seed
from prover.terms.terms import TermRules, cosine, load_fingerprint_input, standardised
from tests.conftest import MODELS
from tests.make_examples import BUNDLES, COMPARED, COMPARISONS
from verifier.comparison.report import ComparisonReport
from verifier.comparison.verify import verify_comparison
from verifier.fingerprint.options import Options

GOAL = 0.002  # of the proven ICS to the one in floating point


def verified(name: str) -> ComparisonReport:
    pair = (BUNDLES / "base", BUNDLES / COMPARISONS[name][0])
    report = verify_comparison(COMPARED / name, pair, Options(allow_development_srs=True))
    assert report.verdict == "accepted", report.verdict_line()
    return report


def ics_under_p(profile, name: str) -> tuple[float, float]:
    """ICS under this comparison's P': of the integer terms, and of the weights before they were quantized."""
    with zipfile.ZipFile(COMPARED / name) as archive:
        statement = json.loads(archive.read("comparison.json"))
    rules = replace(TermRules.of_profile(profile.document), seed=late_seed(statement["a"]["cm"], statement["b"]["cm"]))
    a, b = (load_fingerprint_input(MODELS / model, rules) for model in ("base", COMPARISONS[name][0]))
    return (
        cosine(standardised(a.terms), standardised(b.terms)),
        cosine(standardised(a.float_terms), standardised(b.float_terms)),
    )


@pytest.mark.parametrize(
    ("name", "likeness"), [("base-offspring.huref", "derived"), ("base-independent.huref", "independent")]
)
def test_the_proven_ics_is_the_models(profile, name, likeness):
    """Within the stated error of the integer terms' ICS, and within 0.002 of the one in floating point."""
    report, (exact, floating) = verified(name), ics_under_p(profile, name)
    assert report.ics.likeness == likeness
    assert abs(report.ics.ics - exact) <= report.ics.error < 1e-4
    assert abs(report.ics.ics - floating) < GOAL


def test_a_threshold_is_reached_and_true(profile):
    name = "base-offspring-at-least.huref"
    report, (exact, _) = verified(name), ics_under_p(profile, name)
    assert report.ics is None and report.at_least.likeness == "derived"
    assert report.at_least.at_least == 0.9 <= exact
    assert report.at_least.error < 2e-4
    assert report.as_json()["term_cosines"] == []
