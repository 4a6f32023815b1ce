"""How alike unrelated models are, measured anew on a few: the verifier's bound holds for them too."""

from __future__ import annotations

import pytest

from fpm.encoder_figures import Fingerprinter
from fpm.null import null_figures
from fpm.train import PUBLISHED
from verifier.fingerprint.null_distribution import MEASURED, p_value

GROUPS = ("all", "effective_rank_below_1.1", "effective_rank_above_2.0")


@pytest.fixture(scope="module")
def figures():
    """Another seed than the recorded run's: other models."""
    return null_figures(Fingerprinter.load(PUBLISHED), 400, seed=97)


@pytest.mark.parametrize("group", GROUPS)
def test_the_bound_holds(figures, group):
    (null,) = set(MEASURED.values())
    found = figures[group]
    assert found["pairs"] == found["models"] * (found["models"] - 1) // 2 > 200
    for t, above in found["above"].items():
        allowed = p_value(float(t), null, 16, 6) * 2 * found["pairs"]
        # few pairs are expected far out, and pairs that share a model are not independent
        assert above + found["below_negative"][t] <= allowed + 4 * allowed**0.5 + 2, (group, t)


def test_it_is_a_bound_on_something(figures):
    """Not so loose that it says nothing: within a factor of twenty where most pairs are."""
    (null,) = set(MEASURED.values())
    found = figures["all"]
    for t in ("0.05", "0.1"):
        share = (found["above"][t] + found["below_negative"][t]) / (2 * found["pairs"])
        assert p_value(float(t), null, 16, 6) < 20 * share
    assert found["least"] <= found["mean"] <= found["largest"]
    assert sum(figures[group]["models"] for group in GROUPS[1:]) < figures["all"]["models"] == 400
