"""A bound on how often unrelated models are as alike (docs/compare.md); the verifier's is `null_distribution.py`.

Written apart from it, by quadrature instead of a continued fraction; a test compares the two. The one measured number
comes from the verifier's report.
"""

from __future__ import annotations

import math
from functools import lru_cache

import numpy as np
import numpy.typing as npt

G, TERMS = 16, 6
P_FLOOR = 1e-12
DERIVED_P, INDEPENDENT_P = 1e-6, 1e-2
NODES = 400


def p_value(cosine: float, effective_dimension: int, g: int = G) -> float:
    """From `P_FLOOR` to 1: directions spread over R^n, and terms of rank one, added."""
    t = min(1.0, max(-1.0, cosine))
    bound = _above(t, effective_dimension)
    for signs in range(TERMS + 1):
        mean = 2 * signs / TERMS - 1
        if mean > max(t, 0.0):
            bound += math.comb(TERMS, signs) / 2**TERMS * 2 * _above(math.sqrt(max(t, 0.0) / mean), g)
    return min(1.0, max(P_FLOOR, bound))


@lru_cache(maxsize=1)
def _quadrature() -> tuple[npt.NDArray[np.float64], npt.NDArray[np.float64]]:
    """Gauss-Legendre nodes and weights on [-1, 1]; they take a second, so only who asks for a p waits."""
    nodes, weights = np.polynomial.legendre.leggauss(NODES)
    return nodes, weights


def _above(t: float, n: int) -> float:
    """P(cos > t) of two directions of R^n: the integral of sin^(n-2) over angles below arccos t, over the whole."""
    if t < 0:
        return 1.0 - _above(-t, n)
    half = math.acos(t) / 2
    nodes, weights = _quadrature()
    angles = half * (1 + nodes)
    norm = math.exp(math.lgamma(n / 2) - math.lgamma((n - 1) / 2)) / math.sqrt(math.pi)
    return float(norm * half * (weights * np.sin(angles) ** (n - 2)).sum())


def verdict(p: float) -> str:
    """derived, inconclusive or independent, at the verifier's thresholds."""
    if p <= DERIVED_P:
        return "derived"
    return "independent" if p > INDEPENDENT_P else "inconclusive"
