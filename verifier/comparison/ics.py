"""The late projection, and the ICS that a similarity proof's public sums give (docs/comparison.md sections 2 and 4).

Pure.
"""

from __future__ import annotations

import hashlib
import math
from collections.abc import Sequence
from dataclasses import dataclass

from verifier.comparison.circuit import SimilarityCircuit
from verifier.comparison.likeness import DERIVED_P, INDEPENDENT_P
from verifier.fingerprint.encoder import check_six_norms
from verifier.fingerprint.null_distribution import Null, p_value
from verifier.formats import limits
from verifier.formats.encoding import signed
from verifier.formats.errors import Rejected
from verifier.statement.statement import TERMS

SUMS = 3 * TERMS  # squares of a, squares of b, products
SIDES = ("a", "b")


def late_seed(one: bytes, other: bytes, challenge: bytes | None = None) -> bytes:
    """The seed of P'; sides may be swapped.

    `SHA3-256("huref-zk/v1/late-projection" || smaller cm || larger cm)`, or with a challenge of 32 bytes
    `SHA3-256("huref-zk/v1/late-projection-challenge" || smaller cm || larger cm || challenge)`.
    """
    commitments = min(one, other) + max(one, other)
    if challenge is None:
        return hashlib.sha3_256(b"huref-zk/v1/late-projection" + commitments).digest()
    return hashlib.sha3_256(b"huref-zk/v1/late-projection-challenge" + commitments + challenge).digest()


NULL = Null(effective_dimension=64, least_tokens=512)
"""How alike unrelated models' terms are under a random projection, measured with g = 16 (docs/comparison.md, 9)."""

NULL_G = 16


@dataclass(frozen=True)
class ProvenIcs:
    """What the sums say. `ics`: the mean of `cosines`, one a term.

    The integer terms that the two sides committed to have an ICS within `error` of `ics`; so has each term's cosine.
    `p_value`: a bound on the chance that unrelated models have such an ICS; None where nobody measured it.
    """

    ics: float
    cosines: tuple[float, ...]
    error: float
    p_value: float | None

    @property
    def likeness(self) -> str:
        """derived, inconclusive or independent, by the p-values of docs/compare.md."""
        if self.p_value is None:
            return "inconclusive"
        if self.p_value <= DERIVED_P:
            return "derived"
        return "independent" if self.p_value > INDEPENDENT_P else "inconclusive"


def check_sums(instances: Sequence[int], c: Sequence[Sequence[int]], circuit: SimilarityCircuit) -> float:
    """Exactly 18 sums; both sides' norms at their target within the granularity of c_t. Gives the worst distance.

    Raises:
        Rejected: a wrong count, a norm out of its bound, or a product larger than two such norms allow.
    """
    check_count(instances, SUMS)
    worst = check_norms(instances, c, circuit)
    squares_a, squares_b, products = split(instances)
    for t in range(TERMS):
        # |<q, r>|^2 <= <q, q> <r, r>; each sum was rounded by less than one unit
        if (abs(products[t]) - 1) ** 2 > (squares_a[t] + 1) * (squares_b[t] + 1):
            raise Rejected(f"product of term {t}: larger than the norms of its factors allow", code="product")
    return worst


def check_norms(instances: Sequence[int], c: Sequence[Sequence[int]], circuit: SimilarityCircuit) -> float:
    """The first twelve values: both sides' norms at their target. Gives the worst distance, relative to it.

    Raises:
        Rejected: a norm out of its bound.
    """
    target = circuit.g**2 << circuit.scale
    worst = 0.0
    for side, name in enumerate(SIDES):
        norms = instances[TERMS * side : TERMS * (side + 1)]
        worst = max(worst, check_six_norms(norms, c[side], target, f" of side {name}"))
    return worst


def check_count(instances: Sequence[int], expected: int) -> None:
    """Exactly so many instances.

    Raises:
        Rejected: more, or fewer.
    """
    if len(instances) != expected:
        raise Rejected(f"similarity.json: {len(instances)} instances instead of {expected}", code="instances")


def split(instances: Sequence[int]) -> tuple[Sequence[int], Sequence[int], list[int]]:
    """Squares of a, squares of b, and products as signed integers.

    Raises:
        Rejected: a product's magnitude is not below 2^62.
    """
    products = [signed(value) for value in instances[2 * TERMS :]]
    if any(abs(value) >= limits.FEATURE_LIMIT for value in products):
        raise Rejected("similarity.json: a product's magnitude is not below 2^62", code="product")
    return instances[:TERMS], instances[TERMS : 2 * TERMS], products


def proven_ics(instances: Sequence[int], circuit: SimilarityCircuit, tokens: int) -> ProvenIcs:
    """Cosines, their mean and a bound on their error, from sums that `check_sums` passed; `tokens` is K.

    >>> from types import SimpleNamespace
    >>> circuit = SimpleNamespace(g=16, scale=16)
    >>> one = proven_ics([2**24] * 12 + [2**23] * 6, circuit, 4096)
    >>> one.ics, round(one.error * 2**15, 2)
    (0.5, 1.01)
    """
    squares_a, squares_b, products = split(instances)
    cosines, error = [], 0.0
    for square_a, square_b, product in zip(squares_a, squares_b, products, strict=True):
        cosines.append(max(-1.0, min(1.0, product / math.sqrt(square_a * square_b))))
        turns = turn(square_a, circuit) + turn(square_b, circuit)
        error = max(error, turns + 3.0 / (min(square_a, square_b) - 1))
    ics = sum(cosines) / TERMS
    return ProvenIcs(ics, tuple(cosines), error, chance(ics - error, circuit, tokens))


def turn(square: int, circuit: SimilarityCircuit) -> float:
    """By what angle, at most, the division turned a vector whose sum of squares is `square`; in radians.

    The sum is that of an integer vector q whose entries are the committed ones over 2^(shift - scale), each rounded by
    less than 1: the vector turns by less than asin(g / |q|). The sum itself was rounded by less than 1 too.
    """
    return math.asin(min(1.0, circuit.g / math.sqrt(float((square - 1) << circuit.scale))))


def chance(ics: float, circuit: SimilarityCircuit, tokens: int) -> float | None:
    """A bound on the chance that unrelated models have an ICS of at least this; None where nobody measured it."""
    measured = circuit.g == NULL_G and tokens >= NULL.least_tokens
    return p_value(ics, NULL, circuit.g, TERMS) if measured else None
