"""The figures' own arithmetic: identification, retrieval, distances, rounding against pictures, the study's records."""

from __future__ import annotations

from dataclasses import asdict, replace
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from fpm import plots
from fpm.encoder import PUBLISHED_ARCHITECTURE
from fpm.encoder_figures import NOISES, Fingerprinter, at_099, independents, near_pairs, offspring_rows, pair_cosines
from fpm.generator_figures import Painter, at_angle, identification, offspring_at, shares_found
from fpm.latent import Z_DIM, sample_z
from fpm.rounding import farthest_z, largest_pixel_change
from fpm.study import ARCHITECTURES, accuracy, finished
from fpm.synthetic import offspring, pairs, projection, synthetic_weights, terms
from fpm.train import PUBLISHED, draw_curve
from fpm.train_encoder import EncoderTraining


@pytest.fixture(scope="module")
def finger() -> Fingerprinter:
    return Fingerprinter.load(PUBLISHED)


@pytest.fixture(scope="module")
def family() -> tuple[np.ndarray, np.ndarray]:
    return offspring(40, 6, NOISES)


def test_offspring_are_the_same_for_the_same_seed_and_however_many(family: tuple[np.ndarray, np.ndarray]) -> None:
    base, children = offspring(2, 6, NOISES)
    assert np.array_equal(base, family[0][:2]) and np.array_equal(children, family[1][:, :2])
    assert np.array_equal(pairs(2, 6)[1], children[0])


def test_processes_make_the_same_models(monkeypatch: pytest.MonkeyPatch, family: tuple[np.ndarray, np.ndarray]) -> None:
    monkeypatch.setattr("fpm.synthetic.PARALLEL_FROM", 1)
    assert np.allclose(offspring(2, 6, NOISES[:1])[0], family[0][:2], atol=1e-6)


def test_retrieval_falls_with_noise_and_is_whole_where_terms_agree(
    finger: Fingerprinter, family: tuple[np.ndarray, np.ndarray]
) -> None:
    rows = offspring_rows(finger, *family)
    by_noise = {row["noise_of_embeddings"]: row for row in rows[1:]}
    assert by_noise[0.02]["retrieval"] == 1.0 and by_noise[0.02]["z"] > 0.995
    assert by_noise[0.4]["retrieval_terms_above_0.5"] == 1.0
    assert by_noise[1.2]["z"] < by_noise[0.2]["z"]
    assert at_099(finger, *family)["share"] > 0.8


def test_independents_are_counted_by_pair() -> None:
    figures = independents(np.array([[1.0, 0.0], [0.0, 1.0], [1.0, 1.0]]))
    assert figures["pairs"] == 3 and figures["pairs_above_0.3"] == 2
    assert np.isclose(figures["worst"], 0.5**0.5) and len(pair_cosines(np.eye(4))) == 6


def test_near_pairs_are_found_with_their_rank(finger: Fingerprinter, family: tuple[np.ndarray, np.ndarray]) -> None:
    z = finger(family[0])
    twice = np.concatenate([z, z[:1]]), np.concatenate([family[0], family[0][:1]])
    figures = near_pairs(*twice)
    assert figures["pairs"] == 1
    assert figures["effective_rank_of_nearest_pairs_lower_one"] is not None


@pytest.mark.parametrize("ics", [0.9, 0.5])
def test_noise_is_tuned_to_the_wanted_ics(ics: float) -> None:
    rng = np.random.default_rng(3)
    matrix, weights = projection(512, rng.bytes(32)), synthetic_weights(rng)
    child = offspring_at(weights, matrix, ics, rng)
    assert np.isclose((terms(weights, matrix) * child).mean(), ics, atol=2e-3)


def test_identification_finds_what_is_alike_and_not_what_is_strange() -> None:
    rng = np.random.default_rng(0)
    crowd = rng.integers(0, 256, (40, 64, 64, 3), dtype=np.uint8)
    assert shares_found(crowd, crowd, rng) == {"pixel_32": 1.0, "perceptual": 1.0}
    strange = rng.integers(0, 256, crowd.shape, dtype=np.uint8)
    assert max(shares_found(crowd, strange, rng).values()) < 0.4


def test_identification_goes_through_encoder_and_generator(finger: Fingerprinter) -> None:
    rows = identification(finger, Painter(PUBLISHED), trials=18)
    assert [row["ics"] for row in rows] == [0.99, 0.9, 0.7, 0.5]
    assert rows[0]["pixel_32"] == 1.0 and rows[0]["z"] > rows[1]["z"] > rows[2]["z"] > rows[3]["z"]


def test_angles_are_the_wanted_ones() -> None:
    z = sample_z(5, 1)
    for cosine in (0.99, 0.5, 0.0):
        moved = at_angle(z, cosine, np.random.default_rng(2))
        assert np.allclose((z * moved).sum(1) / Z_DIM, cosine)
        assert np.allclose((moved**2).mean(1), 1.0)


def test_farthest_z_changes_no_pixel_beyond_tolerance(
    finger: Fingerprinter, family: tuple[np.ndarray, np.ndarray]
) -> None:
    paint = Painter(PUBLISHED)
    honest, worst, _ = farthest_z(finger, family[0][0], rounds=2)
    assert np.abs(paint(honest[None]).astype(int) - paint(worst[None]).astype(int)).max() <= 1


class LinearPainter(Painter):
    """Pixels that are linear in z: the search's first-order bound must be what it reaches."""

    def __init__(self) -> None:
        self.matrix = np.random.default_rng(4).standard_normal((Z_DIM, 3 * 4 * 4)) / 100.0

    def raw(self, z: np.ndarray) -> np.ndarray:
        """z [B,512] -> [B,3,4,4], float64 here."""
        return (z @ self.matrix).reshape(-1, 3, 4, 4)


def test_search_for_the_largest_pixel_change_reaches_its_bound(
    finger: Fingerprinter, family: tuple[np.ndarray, np.ndarray]
) -> None:
    change = largest_pixel_change(finger, LinearPainter(), family[0][0])
    assert change["bound"] > 0.0
    assert np.isclose(change["unrounded"], change["bound"], rtol=1e-3)


def test_study_holds_the_published_encoder_and_is_drawn(tmp_path: Path) -> None:
    published = [name for name, form in ARCHITECTURES.items() if form == PUBLISHED_ARCHITECTURE]
    assert len(published) == 1
    row = {
        "features": 512,
        "independents": {"mean_abs": 0.04, "pairs_above_0.3": 1},
        "offspring": [{"z": 0.8}],
        "cost": [{"columns": 2, "processor_seconds": [10.0, 9.0]}],
    }
    plots.study_plot({"published": published[0], "encoders": dict.fromkeys(ARCHITECTURES, row)}, tmp_path / "a.png")
    assert (tmp_path / "a.png").stat().st_size > 10_000


def test_the_study_goes_on_from_parts_that_were_decided_alike(tmp_path: Path) -> None:
    name, steps = "linear 2, single entries", EncoderTraining().steps
    config = replace(EncoderTraining(), architecture=ARCHITECTURES[name], steps=steps)
    finished(tmp_path, f"{name}.accuracy", asdict(config) | {"models": 7}).write_text('{"kept": true}')
    assert accuracy(name, tmp_path, 7, steps) == {"kept": True}
    places = [finished(tmp_path, name, asdict(form)) for form in (config, replace(config, whitening=0.5))]
    assert places[0] != places[1]


def test_curves_are_drawn_each_on_its_own(tmp_path: Path) -> None:
    one = [{"step": 0, "loss": 2.0, "seconds": 0.0}, {"step": 5, "loss": 1.0, "seconds": 1.0}]
    draw_curve(one, tmp_path / "one.png")
    draw_curve([entry | {"judge": 0.5} for entry in one], tmp_path / "two.png")
    sizes = [Image.open(tmp_path / name).size for name in ("one.png", "two.png")]
    assert sizes[1] == (2 * sizes[0][0], sizes[0][1])
