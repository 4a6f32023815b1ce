"""Weights built to match a known fingerprint match it, and a projection drawn after both commitments exposes them."""

from __future__ import annotations

import numpy as np
import pytest

from circuits.onnx_runtime import onnxruntime
from prover.comparison.prove import late_seed
from prover.fingerprint.picture import z_of
from prover.terms.terms import TermRules, cosine, load_fingerprint_input, projected_terms, projection, standardised
from tests.adversarial.counterfeit import make_counterfeit
from tests.conftest import MODELS


@pytest.fixture(scope="module")
def counterfeit(profile, source, tmp_path_factory):
    """The shipped independent model, changed until its terms are the shipped base model's; how far it moved."""
    rules = TermRules.of_profile(profile.document)
    target = tmp_path_factory.mktemp("counterfeit") / "model"
    moved = make_counterfeit(source.terms, MODELS / "independent", rules, target)
    return load_fingerprint_input(target, rules), moved


def z(profile, terms):
    """The public encoder in floating point, and its last layer."""
    session = onnxruntime.InferenceSession(str(profile.fpm("encoder.onnx")), providers=["CPUExecutionProvider"])
    scaled = standardised(terms) * profile.g  # root mean square 1
    (features,) = session.run(None, {"terms": scaled.astype(np.float32)})
    return z_of(features.astype(np.float64), profile.fpm("head.npz"))


def late_ics(one, other, seed: bytes) -> float:
    """The ICS under P', of the very integer terms that a comparison would prove."""
    by = projection(seed, one.tokens.count, one.projection.g)
    return cosine(*(standardised(projected_terms(m.matrices.by_name, m.shape, by)) for m in (one, other)))


def test_the_fingerprint_matches(profile, source, counterfeit):
    forged, moved = counterfeit
    honest = load_fingerprint_input(MODELS / "independent", TermRules.of_profile(profile.document))
    assert abs(cosine(z(profile, source.terms), z(profile, honest.terms))) < 0.2
    assert cosine(z(profile, source.terms), z(profile, forged.terms)) > 0.99
    assert cosine(standardised(source.terms), standardised(forged.terms)) > 0.99
    # ordinary-looking: bytes like any, clipped no more than others
    assert max(moved.values()) < 1.1
    assert max(forged.matrices.clipped.values()) < 0.01


def test_a_projection_drawn_after_both_commitments_exposes_it(source, counterfeit):
    """P' hangs on both weights here, as it hangs on both commitments in a comparison."""
    forged, _ = counterfeit
    seeds = [late_seed(source.weights_sha256.hex(), forged.weights_sha256.hex()), *(bytes([i]) * 32 for i in range(8))]
    found = [late_ics(source, forged, seed) for seed in seeds]
    assert max(found) < 0.2, found
    offspring_like = [late_ics(source, source, seed) for seed in seeds[:1]]
    assert offspring_like == [pytest.approx(1.0)]
