"""How much the head whitens: the figures behind the choice, and that what was chosen is what is published."""

from __future__ import annotations

import json

import numpy as np
import pytest

from fpm import whitening
from fpm.encoder_figures import TEST_SEED, Fingerprinter, independents
from fpm.null import SEED as NULL_SEED
from fpm.synthetic import offspring
from fpm.trade_off import ENTRIES, LinearMap
from fpm.train import PUBLISHED, RUNS
from fpm.train_encoder import WHITENING
from fpm.whitening import CROWD, FAR, NEAR, SEED, figures


def test_figures_of_the_terms_themselves() -> None:
    base, children = offspring(12, 35, NEAR + FAR)
    found = figures(LinearMap(np.eye(ENTRIES), np.zeros(ENTRIES), ENTRIES), base, children)
    assert found["pairs"] == 66 and found["mean_abs"] == pytest.approx(independents(base)["mean_abs"])
    assert found["at_0.99"] == 1.0 and found["not_found_above_0.4"] == 0
    assert 12 < found["terms_above_0.4"] <= 24 and found["terms_above_0.5"] < found["terms_above_0.4"]


def test_an_offspring_that_resembles_another_model_more_is_not_found(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(whitening, "CROWD", 4)
    base, children = offspring(8, 36, NEAR + FAR)
    mixed = np.concatenate([children[:, 1:4], children[:, :1], children[:, 4:]], axis=1)
    find = LinearMap(np.eye(ENTRIES), np.zeros(ENTRIES), ENTRIES)
    z = find(base)
    assert whitening._found(find(mixed[0]), np.split(z, 2)).tolist() == [False] * 4 + [True] * 4
    assert figures(find, base, children)["pairs"] == 12, "within crowds only"


def test_the_models_that_choose_are_measured_for_nothing_else() -> None:
    assert len({SEED, TEST_SEED, NULL_SEED}) == 3


def test_the_choice_is_the_records_best() -> None:
    record = json.loads((RUNS / "whitening.json").read_text())
    assert record["models"] % CROWD == 0
    chosen = record["powers"][f"{WHITENING:g}"]
    assert chosen["not_found_above_0.5"] == 0
    stronger = [found for power, found in record["powers"].items() if float(power) > WHITENING]
    assert all(found["not_found_above_0.4"] >= chosen["not_found_above_0.4"] for found in stronger)
    assert all(found["at_0.99"] < chosen["at_0.99"] for found in stronger)


def test_the_published_head_is_whitened_so() -> None:
    assert json.loads((RUNS / "encoder.json").read_text())["config"]["whitening"] == WHITENING
    z = Fingerprinter.load(PUBLISHED)(offspring(1600, 37, ())[0], normalise=False)
    variances = np.linalg.eigvalsh(np.cov(z.T))
    spread = json.loads((RUNS / "whitening.json").read_text())["powers"][f"{WHITENING:g}"]["spread"]
    assert variances[-1] / variances.mean() == pytest.approx(spread, rel=0.15)
