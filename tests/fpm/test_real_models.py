"""The shipped checkpoints through the prover's terms: base and offspring look alike, the independent does not."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pytest

from circuits.errors import ModelFileError
from fpm.encoder_figures import Fingerprinter
from fpm.generator_figures import Painter
from fpm.latent import Z_DIM
from fpm.real_figures import REAL_NOISES, noise_sweep, pairs_of_models
from fpm.real_models import quantized, read_llama
from fpm.synthetic import noisy, pairs, projection, terms
from fpm.train import PROFILE, PUBLISHED, ROOT
from prover.terms.terms import TermRules, load_fingerprint_input, standardised

pytestmark = pytest.mark.long

MODELS = ROOT / "artifacts" / "models"


@pytest.fixture(scope="module")
def latents() -> dict[str, np.ndarray]:
    rules = TermRules.of_profile(json.loads((PROFILE / "profile.json").read_text()))
    finger = Fingerprinter.load(PUBLISHED)
    out = {}
    for name in ("base", "offspring", "independent"):
        unit = np.asarray(standardised(load_fingerprint_input(MODELS / name, rules).terms)).reshape(6, 16, 16)
        terms = unit / np.sqrt((unit**2).mean((1, 2), keepdims=True))  # the circuit sees root mean square 1
        out[name] = finger(terms[None])[0]
    return out


@pytest.mark.parametrize("name", ["base", "independent"])
def test_fpm_reads_checkpoints_as_the_prover_does(name: str) -> None:
    rules = TermRules.of_profile(json.loads((PROFILE / "profile.json").read_text()))
    prover = load_fingerprint_input(MODELS / name, rules)
    weights = read_llama(MODELS / name)
    matrix = projection(len(weights.embedding), rules.seed)
    for mine, theirs in (
        (terms(weights, matrix), prover.float_terms),
        (terms(quantized(weights), matrix), prover.terms.astype(np.float64)),
    ):
        for t in range(6):
            assert np.allclose(mine[t], theirs[t] / np.sqrt((theirs[t] ** 2).mean()), atol=1e-4)
    assert np.array_equal(quantized(weights).embedding, prover.matrices.by_name["embedding"])


def test_damaged_checkpoint_is_refused(tmp_path: Path) -> None:
    with pytest.raises(ModelFileError, match="not a Llama checkpoint"):
        read_llama(tmp_path)


def test_pairs_are_told_related_from_unrelated() -> None:
    base = read_llama(MODELS / "base")
    rng = np.random.default_rng(0)
    models = {"base": base, "independent": read_llama(MODELS / "independent"), "offspring": noisy(base, rng, 0.1, 0.1)}
    matrices = [projection(len(base.embedding), bytes([i]) * 32) for i in range(3)]
    figures = pairs_of_models(Fingerprinter.load(PUBLISHED), models, matrices)
    assert [row["pair"] for row in figures["related"]] == ["base / offspring"]
    assert figures["related"][0]["z"] > 0.95 and figures["unrelated"]["pairs_and_projections"] == 6
    assert figures["unrelated"]["worst"] < 0.3


def test_noise_on_the_shipped_base_is_counted() -> None:
    base, finger = read_llama(MODELS / "base"), Fingerprinter.load(PUBLISHED)
    matrix = projection(len(base.embedding), bytes(32))
    rows = noise_sweep(finger, base, matrix, finger(pairs(50, 6)[0]), draws=2)
    by_noise = {row["noise"]: row for row in rows}
    assert tuple(by_noise) == REAL_NOISES
    assert by_noise[0.01]["terms_at_0.99"] == by_noise[0.01]["z_at_0.99_of_them"] == 2
    assert by_noise[1.2]["terms_at_0.99"] == by_noise[1.2]["z_at_0.99_of_them"] == 0
    assert by_noise[0.01]["retrieval"] == 1.0 and by_noise[1.2]["z"] < by_noise[0.4]["z"] < 0.95


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
