"""What a threshold proof's public values show: an ICS of at least so much (docs/comparison.md section 4). Pure."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass

from verifier.comparison.circuit import SimilarityCircuit
from verifier.comparison.ics import SIDES, chance, turn
from verifier.comparison.likeness import DERIVED_P
from verifier.formats.errors import Rejected
from verifier.statement.statement import TERMS

MILLIONTHS = 1_000_000
VALUES = 2 * TERMS + 1  # squares of a, squares of b, and what is missing to the threshold


@dataclass(frozen=True)
class ProvenAtLeast:
    """The integer terms that the two sides committed to have an ICS of at least `at_least - error`.

    `p_value`: a bound on the chance that unrelated models have such an ICS; None where nobody measured it.
    """

    at_least: float
    error: float
    p_value: float | None

    @property
    def likeness(self) -> str:
        """derived or inconclusive: a lower bound never says that two models are independent."""
        return "derived" if self.p_value is not None and self.p_value <= DERIVED_P else "inconclusive"


def target(circuit: SimilarityCircuit) -> int:
    """`T = g^2 * 2^scale`: what each sum of squares is, up to the granularity of c_t."""
    return circuit.g**2 << circuit.scale


def threshold_input(at_least: int, circuit: SimilarityCircuit) -> int:
    """The circuit's third input: `ceil(6 T at_least / 10^6)`, from a threshold in millionths.

    >>> from types import SimpleNamespace
    >>> threshold_input(500_000, SimpleNamespace(g=16, scale=16)) == 3 * 2**24
    True
    >>> threshold_input(1, SimpleNamespace(g=16, scale=16))  # 100.66...
    101
    """
    return -(-TERMS * target(circuit) * at_least // MILLIONTHS)


def check_missing(instances: Sequence[int]) -> None:
    """Nothing is missing to the threshold: the last value is 0.

    Raises:
        Rejected: it is not.
    """
    if instances[-1] != 0:
        raise Rejected("similarity.json: the sum of products does not reach the threshold", code="threshold")


def proven_at_least(instances: Sequence[int], at_least: int, circuit: SimilarityCircuit, tokens: int) -> ProvenAtLeast:
    """What is shown by values that `check_six_norms` and `check_missing` passed; `tokens` is K.

    Let q, r be a term's vectors after the division, n and m their sums of squares, and s the geometric mean of n, m.
    The ICS of all q, r is the mean of `<q, r> / s`; the circuit compares the sum of `<q, r> / T`. Each of its six
    parts is off by at most `|1 - s/T|`, whatever `<q, r>` is, since `|<q, r>| <= s`. q and r are turned away from the
    committed vectors as in `late_ics.proven_ics`.
    """
    t_size = target(circuit)
    turns, off = 0.0, 0.0
    for t in range(TERMS):
        squares = [instances[TERMS * side + t] for side in range(len(SIDES))]
        turns = max(turns, sum(turn(square, circuit) for square in squares))
        # each sum of squares was rounded by less than 1
        off += max(abs(1.0 - math.sqrt((squares[0] + e) * (squares[1] + e)) / t_size) for e in (-1, 1))
    # the sum of products was rounded by less than 1
    error = turns + (off + 1.0 / t_size) / TERMS
    return ProvenAtLeast(at_least / MILLIONTHS, error, chance(at_least / MILLIONTHS - error, circuit, tokens))
