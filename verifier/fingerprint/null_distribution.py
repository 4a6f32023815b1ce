"""How alike unrelated models' z come out: a bound on P(cosine > t), from theory, checked against measured pairs.

Two kinds of unrelated pairs are told apart, and their tails are added, so that the sum holds for either kind:

- Directions spread over a sphere. In R^n, P(cos > t) = I(1 - t^2; (n-1)/2, 1/2) / 2, I the regularized incomplete beta
  function. z has 512 dimensions, which are not used evenly; `effective_dimension` is smaller.
- Models whose six terms are nearly of rank one: multiples of one s s^T, s a direction of R^g. Two such models have
  cosine m u^2: u the cosine of two directions of R^g, m the mean of six products of signs. This tail is the heavy one.

The numbers were measured by `python -m fpm.null` (docs/compare.md says how, and for what they do not hold). Pure.
"""

from __future__ import annotations

import math
from dataclasses import dataclass

P_FLOOR = 1e-12  # no smaller number is claimed: the tails out there are theory that nobody can measure
_PRECISION = 1e-15
_MAX_FRACTIONS = 1000  # of the continued fraction; the slowest here take 40


@dataclass(frozen=True)
class Null:
    """What was measured for one encoder and its head.

    Args:
        effective_dimension: n of the first kind.
        least_tokens: the smallest K that unrelated pairs were measured with.
    """

    effective_dimension: int
    least_tokens: int


# (SHA-256 of encoder.onnx, of head.npz) -> what unrelated pairs do under them. Another encoder is "not calibrated".
MEASURED = {
    (
        "63d34d67ff9190f72e520c5347c3782b54a1106146a687a0c4f2b0e18df77937",
        "03064e3205e090c328cbb3b1c7763209c80bc5332cc29fcc631704fc537cf1da",
    ): Null(effective_dimension=80, least_tokens=512),
}


def p_value(cosine: float, null: Null, g: int, terms: int) -> float:
    """A bound on the probability that an unrelated pair has this cosine or a higher one, from `P_FLOOR` to 1.

    Args:
        cosine: of the two z.
        null: what was measured for their encoder.
        g: rows of the projection; terms are g x g.
        terms: how many terms there are.
    """
    bound = spread_tail(cosine, null.effective_dimension) + rank_one_tail(cosine, g, terms)
    return min(1.0, max(P_FLOOR, bound))


def spread_tail(cosine: float, n: int) -> float:
    """P(cos > t) for two random directions of R^n.

    >>> round(spread_tail(0.5, 3), 12)  # on a sphere: (1 - t) / 2
    0.25
    """
    t = min(1.0, max(-1.0, cosine))
    upper = 0.5 * incomplete_beta((n - 1) / 2, 0.5, (1.0 - t) * (1.0 + t))
    return upper if t >= 0.0 else 1.0 - upper


def rank_one_tail(cosine: float, g: int, terms: int) -> float:
    """P(m u^2 > t): u the cosine of two directions of R^g, m the mean of `terms` random signs. For t < 0, as for 0."""
    t, total = max(0.0, cosine), 0.0
    for positive in range(terms + 1):
        m = (2 * positive - terms) / terms
        if m > t:
            # P(|u| > sqrt(t / m)), times P(m)
            total += math.comb(terms, positive) / 2.0**terms * 2.0 * spread_tail(math.sqrt(t / m), g)
    return total


def incomplete_beta(a: float, b: float, x: float) -> float:
    """The regularized incomplete beta function I(x; a, b), for a, b > 0 and x from 0 to 1; precise far into the tail.

    The continued fraction of DLMF 8.17.22, evaluated by Lentz's method.

    >>> round(incomplete_beta(2.0, 3.0, 0.4), 12)
    0.5248
    """
    if x <= 0.0:
        return 0.0
    if x >= 1.0:
        return 1.0
    if x > (a + 1.0) / (a + b + 2.0):  # the fraction converges fast below that
        return 1.0 - incomplete_beta(b, a, 1.0 - x)
    front = math.lgamma(a + b) - math.lgamma(a) - math.lgamma(b) + a * math.log(x) + b * math.log1p(-x)
    c, d = 1.0, 1.0 / (1.0 - (a + b) * x / (a + 1.0))
    fraction = d
    for m in range(1, _MAX_FRACTIONS):
        even = m * (b - m) * x / ((a + 2 * m - 1.0) * (a + 2 * m))
        odd = -(a + m) * (a + b + m) * x / ((a + 2 * m) * (a + 2 * m + 1.0))
        for step in (even, odd):
            d = 1.0 / (1.0 + step * d)
            c = 1.0 + step / c
            fraction *= c * d
        if abs(c * d - 1.0) < _PRECISION:
            break
    return math.exp(front) * fraction / a
