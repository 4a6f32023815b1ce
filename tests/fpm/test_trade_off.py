"""Other linear maps of the terms: they are what their names say, and what docs/fpm.md says of them holds."""

from __future__ import annotations

import json

import numpy as np
import pytest

from fpm.encoder_figures import NOISES, TEST_SEED, Fingerprinter, cosines, independents
from fpm.latent import Z_DIM
from fpm.synthetic import offspring, pairs
from fpm.trade_off import ENTRIES, LinearMap, apart, figures, maps, split, symmetric_patches, transposed, whitening
from fpm.train import PUBLISHED, ROOT, RUNS
from fpm.train_encoder import WHITENING

PUBLISHED_MAP = f"published encoder, C^(-{WHITENING:g})"

pytestmark = pytest.mark.long


@pytest.fixture(scope="module")
def sample() -> np.ndarray:
    """Fewer models than entries would leave directions without variance; noise fills them here."""
    terms = pairs(64, 31)[0].reshape(64, ENTRIES).astype(np.float64)
    return np.concatenate([terms, np.random.default_rng(0).standard_normal((2 * ENTRIES, ENTRIES))])


def test_whitening_whitens_and_leaves() -> None:
    rng = np.random.default_rng(1)
    features = rng.standard_normal((500, 30)) @ rng.standard_normal((30, 30))
    assert np.allclose(np.cov((features @ whitening(features, 0.5)).T), np.eye(30), atol=1e-8)
    turn = whitening(features, 0.0)
    assert np.allclose(turn @ turn.T, np.eye(30))


def test_transposed_rows_are_those_of_the_transposed_terms() -> None:
    rng = np.random.default_rng(2)
    matrix, terms = rng.standard_normal((ENTRIES, 3)), rng.standard_normal((2, 6, 16, 16))
    assert np.allclose(terms.reshape(2, -1) @ transposed(matrix), terms.transpose(0, 1, 3, 2).reshape(2, -1) @ matrix)


def test_split_gives_all_symmetric_and_antisymmetric_directions() -> None:
    symmetric, antisymmetric = split(np.eye(ENTRIES))
    assert symmetric.shape[1] == 6 * 136 and antisymmetric.shape[1] == 6 * 120
    assert np.allclose(transposed(symmetric), symmetric) and np.allclose(transposed(antisymmetric), -antisymmetric)
    both = np.concatenate([symmetric, antisymmetric], axis=1)
    assert np.allclose(both.T @ both, np.eye(ENTRIES))


def test_symmetric_patches_span_their_own_transposes() -> None:
    matrix = symmetric_patches()
    parts = split(matrix)
    assert matrix.shape == (ENTRIES, Z_DIM) and sum(part.shape[1] for part in parts) == Z_DIM
    basis = np.concatenate(parts, axis=1)
    assert np.allclose(basis @ (basis.T @ matrix), matrix)


def test_the_parts_are_whitened_apart(sample: np.ndarray) -> None:
    matrix = apart(symmetric_patches(4), sample, 0.5)
    covariance = np.cov((sample @ matrix).T)
    count = split(symmetric_patches(4))[0].shape[1]
    assert np.allclose(covariance[:count, :count], 0.25 * np.eye(count), atol=1e-8)
    assert np.allclose(covariance[count:, count:], np.eye(len(covariance) - count), atol=1e-8)


def test_the_row_of_the_published_head_is_the_published_z() -> None:
    """Fitted to other models than the head was: the two agree in angles, not in digits."""
    finger = Fingerprinter.load(PUBLISHED)
    sample = offspring(1600, 32, ())[0].reshape(-1, ENTRIES).astype(np.float64)
    find = next(find for name, find in maps(finger, sample) if name == PUBLISHED_MAP)
    base, children = offspring(30, 33, NOISES[:1])
    mine, published = cosines(find(base), find(children[0])), cosines(finger(base), finger(children[0]))
    assert np.abs(mine - published).max() < 0.06 and abs((mine - published).mean()) < 0.02


def test_figures_of_the_terms_themselves_are_the_terms() -> None:
    base, children = offspring(20, 34, NOISES)
    found = figures(LinearMap(np.eye(ENTRIES), np.zeros(ENTRIES), ENTRIES), base, children, base)
    assert found["independents"] == pytest.approx(independents(base))
    assert found["at_0.99"] == 1.0 and found["lost_of_them"] == 0
    assert found["offspring_at_training_noise"] == pytest.approx(cosines(base, children[0]).mean())
    assert found["crowd_pairs"] == 190 and found["crowd_above_0.3"] == found["independents"]["pairs_above_0.3"]


def test_the_published_row_counts_the_pairs_of_the_null() -> None:
    record = json.loads((RUNS / "trade_off.json").read_text())
    null = json.loads((RUNS / "null.json").read_text())["all"]
    published = record["maps"][PUBLISHED_MAP]
    assert published["crowd_pairs"] == null["pairs"]
    assert published["crowd_above_0.3"] == null["above"]["0.3"] + null["below_negative"]["0.3"]


def test_the_page_says_what_the_zoo_shows() -> None:
    rows = json.loads((RUNS / "evidence" / "scores.json").read_text())["pairs"]
    same_tokens = [row for row in rows if row["z"] is not None and row["projected"] == row["projected_by_rule"]]
    close = [row["z"] for row in same_tokens if row["related"] and row["projected"] >= 0.99]
    strangers = [
        row["z"] for row in same_tokens if not row["related"] and row["kind"] not in ("distilled", "same start")
    ]
    page = " ".join((ROOT / "docs" / "fpm.md").read_text().split())
    kept = sum(z >= 0.99 for z in close)
    assert f"{kept} of {len(close)} of a base" in page and f"(worst {min(close):.4f})" in page
    assert f"{len(strangers)} unrelated ones of the zoo are at {max(map(abs, strangers)):.3f} or less" in page


def test_two_unrelated_models_are_eight_close_steps_apart() -> None:
    """So no encoder keeps 0.99 for all terms and parts them: eight turns of arccos(0.99) leave a cosine above 0.42."""
    base = offspring(85, TEST_SEED, ())[0].reshape(85, 6, 256).astype(np.float64)
    start, end = (base[i] / np.linalg.norm(base[i], axis=1, keepdims=True) for i in (56, 84))
    angle = np.arccos((start * end).sum(1, keepdims=True))
    assert 0.43 < np.cos(angle).mean() < 0.44
    share = np.linspace(0.0, 1.0, 9)[:, None, None]
    path = (np.sin((1.0 - share) * angle) * start + np.sin(share * angle) * end) / np.sin(angle)
    assert np.allclose(np.linalg.norm(path, axis=2), 1.0), "every step is six terms of norm 1"
    assert cosines(path[:-1], path[1:]).min() >= 0.99
    assert np.cos(8 * np.arccos(0.99)) > 0.42
