"""The null of the projected terms: rotations, their slow twin, tails beyond the draws, verdicts, calibration."""

import json
import math
from pathlib import Path

import numpy as np
import pytest

from prover.similarity.metrics import compare
from prover.similarity.null_distribution import (
    DRAWS,
    P_FLOOR,
    Calibration,
    calibration,
    null_cosines,
    p_value,
    rotations,
)
from prover.similarity.verdict import DERIVED_P, INDEPENDENT_P, judge
from prover.terms.terms import standardised
from tests.prover.small_models import RULES, SHIPPED, edit_json, load, write_llama

ROOT = Path(__file__).resolve().parents[3]
PLAIN = Calibration(0.0, 1.0, 512)


def random_terms(seed: int, rank: int = 16) -> np.ndarray:
    random = np.random.default_rng(seed)
    return standardised(random.normal(size=(6, 16, rank)) @ random.normal(size=(6, rank, 16)))


def one_direction(seed: int) -> np.ndarray:
    """Six multiples of one s s^T: the worst unrelated models there are."""
    s = np.random.default_rng(seed).normal(size=16)
    return standardised(np.repeat(np.outer(s, s)[None], 6, 0))


def test_rotations_are_orthogonal_uniform_and_always_the_same() -> None:
    q = rotations(16, 500).reshape(-1, 16, 16).astype(np.float64)
    assert np.allclose(q @ q.transpose(0, 2, 1), np.eye(16), atol=1e-5)
    assert np.array_equal(rotations.__wrapped__(16, 500), rotations(16, 500))
    # uniform: every entry has mean 0 and variance 1 / 16, the diagonal too
    assert np.abs(q.mean(0)).max() < 5 * 0.25 / math.sqrt(500)
    assert np.allclose((q**2).mean(0), 1 / 16, atol=0.03)
    assert 0.4 < np.mean(np.linalg.det(q) > 0) < 0.6


def test_null_cosines_are_those_of_turned_terms() -> None:
    a, b = random_terms(0), random_terms(1, rank=2)
    turns = rotations(16, 50)
    slow = [np.mean([(s * (q @ t @ q.T)).sum() for s, t in zip(a, b, strict=True)]) for q in turns.reshape(-1, 16, 16)]
    assert np.allclose(null_cosines(a, b, turns), slow, atol=1e-5)


def test_p_values_count_draws() -> None:
    draws = np.arange(1000) / 1000
    assert p_value(0.5, draws, PLAIN) == pytest.approx(501 / 1001)
    assert p_value(-3.0, draws, PLAIN) == 1.0
    assert p_value(0.5, np.zeros(100), PLAIN) == 1.0  # a null that does not vary says nothing


def test_beyond_the_draws_the_tail_falls_with_their_mean_excess() -> None:
    draws = np.linspace(0, 1, 1001)  # the highest ten: excess 0.001 to 0.010 over 0.990, 0.0055 on average
    expected = 0.01 * math.exp(-(1.1 - 0.99) / 0.0055)
    assert p_value(1.1, draws, PLAIN) == pytest.approx(expected, rel=1e-6)
    assert p_value(50.0, draws, PLAIN) == P_FLOOR


def test_calibration_makes_p_values_larger() -> None:
    draws = null_cosines(random_terms(0), random_terms(1), rotations(16))
    plain, wider = (p_value(0.1, draws, Calibration(shift, scale, 1)) for shift, scale in ((0, 1), (0.2, 1.3)))
    assert plain < wider < 1


@pytest.mark.parametrize("cosine", [0.55, 0.7, 0.8])
def test_extrapolated_tail_is_not_too_small_where_theory_is_known(cosine: float) -> None:
    """Terms of one direction: the cosine is u^2, u that of two random directions of R^16, so its tail is a Beta's."""
    draws = null_cosines(one_direction(0), one_direction(1), rotations(16))
    u = np.linspace(math.sqrt(cosine), 1, 200_001)
    density = math.gamma(8) / (math.gamma(7.5) * math.sqrt(math.pi)) * (1 - u**2) ** 6.5
    exact = float(2 * np.trapezoid(density, u))
    assert exact <= 1.3 * p_value(cosine, draws, PLAIN) <= 400 * exact


def test_extrapolated_tail_agrees_with_more_draws() -> None:
    """Terms of rank two: p-values of 20,000 draws against the share of 100,000 others."""
    a, b = random_terms(2, rank=2), random_terms(3, rank=2)
    few = null_cosines(a, b, rotations(16))
    gauss = np.random.default_rng(7).normal(size=(100_000, 16, 16))
    many = null_cosines(a, b, np.linalg.qr(gauss)[0].reshape(-1, 256).astype(np.float32))
    for share in (1e-2, 1e-3, 1e-4):
        assert 0.6 * share < p_value(float(np.quantile(many, 1 - share)), few, PLAIN) < 4 * share


def test_unrelated_terms_have_uniform_p_values() -> None:
    turns = rotations(16, 2000)
    found = []
    for seed in range(200):
        a, b = random_terms(2 * seed, rank=3), random_terms(2 * seed + 1, rank=3)
        found.append(p_value(float((a * b).sum() / 6), null_cosines(a, b, turns), PLAIN))
    steps = np.abs(np.sort(found) - (np.arange(200) + 0.5) / 200)
    assert steps.max() < 0.115  # Kolmogorov-Smirnov at 0.01


def test_published_calibration_is_the_widest_that_the_laboratory_gave() -> None:
    """The zoo was trained twice, on two kinds of processor; p-values rest on the run that makes them larger."""
    document = json.loads((ROOT / "fpm" / "runs" / "evidence" / "null.json").read_text())
    published = calibration()
    assert published.shift >= document["calibration"]["shift"] >= 0
    assert published.scale >= document["calibration"]["scale"] >= 1
    assert published.least_tokens == document["calibration"]["least_tokens"]
    page = " ".join((ROOT / "docs" / "evidence.md").read_text().split())
    assert f"shift {published.shift:g} and scale {published.scale:g}" in page


# ---------------------------------------- verdicts


def test_verdicts_on_the_shipped_models() -> None:
    base = load(SHIPPED / "base")
    near = judge(base, load(SHIPPED / "offspring"), 1.0)
    far = judge(base, load(SHIPPED / "independent"), 1.0)
    assert (near.word, far.word) == ("derived", "independent")
    assert near.p_value <= DERIVED_P and far.p_value >= INDEPENDENT_P
    assert near.unreliable == far.unreliable == ()
    assert abs(far.null_mean) < 0.05 and 0.01 < far.null_std < 0.1


def test_a_model_is_derived_from_itself_and_strangers_are_not(tmp_path: Path) -> None:
    a, b = (write_llama(tmp_path / str(seed), seed) for seed in range(2))
    assert compare(a, a, RULES).verdict.word == "derived"
    assert compare(a, b, RULES).verdict.word != "derived"


def test_few_tokens_and_other_tokenizers_are_called_unreliable(tmp_path: Path) -> None:
    a, b = (write_llama(tmp_path / str(seed), 0) for seed in range(2))
    other = {f"token{i}" if i < 200 else f"other{i}": i for i in range(600)}
    edit_json(b / "tokenizer.json", model={"type": "BPE", "vocab": other, "merges": []}, added_tokens=[])
    verdict = compare(a, b, RULES).verdict
    assert any("do not match: 33%" in reason for reason in verdict.unreliable)
    assert any("only 192 tokens" in reason for reason in verdict.unreliable)


def test_draws_are_enough_for_the_tail() -> None:
    assert DRAWS * 0.01 >= 100
