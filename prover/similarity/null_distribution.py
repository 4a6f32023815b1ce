"""How alike the projected terms of unrelated models are: the null that `huref ics` judges by.

Theory. S_t = P M_t P^T, with random signs and buckets in P. If two models have nothing to do with each other, the
directions that one's M_t single out among the K tokens lie at random to the other's, so the pair (S, S') is as likely
as (S, Q S' Q^T) for any rotation Q of R^g. Drawing Q uniformly therefore gives the distribution of the cosine for
these two models, with their own ranks, signs and traces: the mean of the six <S_t, Q S'_t Q^T> is q^T W q with
q = vec(Q) and W = sum_t S_t (x) S'_t / 6. A p-value is the share of draws at or above the cosine; beyond the highest
hundredth, where draws are few, an exponential tail with their mean excess. Cosines are bounded, so the true tail falls
faster than that (docs/evidence.md has the check against more draws).

Calibration. Rotations forget that the same tokens tend to be large in every model, so that unrelated models differ by
more, and lie a little higher, than they say. By how much was measured on the bases of docs/evidence.md under many
projections; `terms_null.json` holds it: a cosine's distance from the mean of the draws, in their standard deviations,
is reduced by `shift` and divided by `scale`.
"""

from __future__ import annotations

import json
import math
from dataclasses import dataclass
from functools import lru_cache
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

Float64Array = npt.NDArray[np.float64]

DRAWS = 20_000
TAIL = 0.01  # share of the draws whose excess gives the tail's slope
P_FLOOR = 1e-12  # nothing below is claimed: out there nobody can check the theory
_SEED = 0x6875726566
_FILE = Path(__file__).with_name("terms_null.json")


@dataclass(frozen=True)
class Calibration:
    """What the zoo added to theory.

    Args:
        shift: standard deviations by which unrelated pairs lie higher than theory says, at least 0.
        scale: their spread against theory's, at least 1.
        least_tokens: the smallest K that was measured.
    """

    shift: float
    scale: float
    least_tokens: int


@lru_cache(maxsize=1)
def calibration() -> Calibration:
    """The published one."""
    document: dict[str, Any] = json.loads(_FILE.read_text("utf-8"))
    return Calibration(float(document["shift"]), float(document["scale"]), int(document["least_tokens"]))


@lru_cache(maxsize=2)
def rotations(g: int, count: int = DRAWS) -> npt.NDArray[np.float32]:
    """`count` uniformly random orthogonal matrices, always the same, each as a row: float32 [count, g g]."""
    gauss = np.random.default_rng(_SEED).standard_normal((count, g, g))
    q, r = np.linalg.qr(gauss)
    q *= np.sign(np.diagonal(r, axis1=1, axis2=2))[:, None, :]  # uniform, whatever LAPACK's signs are
    return q.reshape(count, g * g).astype(np.float32)


def null_cosines(left: Float64Array, right: Float64Array, turns: npt.NDArray[np.float32]) -> Float64Array:
    """Cosines of `left` with `right` turned by each rotation: float64 [draws].

    Args:
        left, right: terms, each at norm 1, [T, g, g].
        turns: as `rotations` gives them.
    """
    count, g = left.shape[:2]
    # W[(i,j),(k,l)] = sum_t S_t[i,k] S'_t[j,l] / T, so that q^T W q = sum_t <S_t, Q S'_t Q^T> / T
    w = np.einsum("tik,tjl->ijkl", left, right).reshape(g * g, g * g) / count
    product: Float64Array = ((turns @ w.astype(np.float32)) * turns).sum(axis=1, dtype=np.float64)
    return product


def p_value(cosine: float, draws: Float64Array, by: Calibration) -> float:
    """Share of unrelated pairs that are at least as alike, from `P_FLOOR` to 1.

    Args:
        cosine: of the two models' terms.
        draws: `null_cosines` of the two.
        by: what the zoo adds.
    """
    mean, spread = float(draws.mean()), float(draws.std())
    if spread == 0.0:
        return 1.0
    reduced = mean + spread * (((cosine - mean) / spread - by.shift) / by.scale)
    ordered = np.sort(draws)
    above = len(draws) - int(np.searchsorted(ordered, reduced, side="left"))
    few = max(1, round(TAIL * len(draws)))
    if above > few:
        return (above + 1) / (len(draws) + 1)
    border = float(ordered[-few - 1])
    excess = float(np.mean(ordered[-few:]) - border)
    if excess <= 0.0:
        return max(P_FLOOR, (above + 1) / (len(draws) + 1))
    return min(1.0, max(P_FLOOR, TAIL * math.exp(-(reduced - border) / excess)))
