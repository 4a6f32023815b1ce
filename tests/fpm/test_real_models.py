"""The shipped checkpoints through the prover's terms: base and offspring look alike, the independent does not."""

from __future__ import annotations

import json

import numpy as np
import pytest

from fpm.evaluate import Fingerprinter, Painter
from fpm.latent import Z_DIM
from fpm.train import PUBLISHED, ROOT
from prover.terms import TermRules, load_fingerprint_input, standardised

MODELS = ROOT / "artifacts" / "models"


@pytest.fixture(scope="module")
def latents() -> dict[str, np.ndarray]:
    rules = TermRules.of_profile(json.loads((PUBLISHED.parent / "profile.json").read_text()))
    finger = Fingerprinter(PUBLISHED)
    out = {}
    for name in ("base", "offspring", "independent"):
        unit = np.asarray(standardised(load_fingerprint_input(MODELS / name, rules).terms)).reshape(6, 16, 16)
        terms = unit / np.sqrt((unit**2).mean((1, 2), keepdims=True))  # the circuit sees root mean square 1
        out[name] = finger(terms[None])[0]
    return out


def test_offspring_is_near_and_independent_is_far(latents: dict[str, np.ndarray]) -> None:
    assert latents["base"] @ latents["offspring"] / Z_DIM > 0.95
    assert abs(latents["base"] @ latents["independent"]) / Z_DIM < 0.3
    assert abs(latents["offspring"] @ latents["independent"]) / Z_DIM < 0.3


def test_pictures_show_it(latents: dict[str, np.ndarray]) -> None:
    paint = Painter(PUBLISHED)
    base, offspring, independent = (
        paint(latents[n][None])[0].astype(float) for n in ("base", "offspring", "independent")
    )
    assert np.abs(base - offspring).mean() * 3 < np.abs(base - independent).mean()
