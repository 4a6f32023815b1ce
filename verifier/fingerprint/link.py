"""Step 7, link inputs: which point each of the link circuit's 24 inputs must commit to (docs/protocol.md
section 5). Pure.

Nothing here adds points. It says, as lists of scalars, which sums of committed points they are; `curve` has
them computed.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from verifier.algebra.projection import Projection, fold_repeats
from verifier.formats.encoding import FIELD_MODULUS as P
from verifier.statement.rows import Challenges
from verifier.statement.statement import PAIRS, ROLES, TERMS, Statement

INPUTS = 24
ROW_SUMS = ("u*", "v*", "a", "b", "x*")
REPEATED = ("k", "v")

PUBLIC_INPUTS = {1: "w", 15: "rho", 19: "rho'", 23: "kappa"}
"""Inputs that are public vectors. All others are sums of committed points."""


def matrix_index(t: int, side: int) -> int:
    """Index (in committing order) of U_t (side 0) or V_t (side 1)."""
    layer, pair = divmod(t, len(PAIRS))
    return 1 + len(ROLES) * layer + ROLES.index(PAIRS[pair][side])


def row_sums(statement: Statement, challenges: Challenges, p: Projection) -> dict[str, list[int]]:
    """For each of `ROW_SUMS`, the scalar of every row commitment, in the order of `commitments.bin`."""
    starts = [0]
    for matrix in statement.matrices:
        starts.append(starts[-1] + matrix.rows)
    sums = {name: [0] * starts[-1] for name in ROW_SUMS}
    # a = A^T sigma = X^T P^T sigma, b = X^T P^T tau, x* = sum_j xi_j X_j
    sums["a"][: starts[1]] = p.transposed_times(challenges.sigma)
    sums["b"][: starts[1]] = p.transposed_times(challenges.tau)
    sums["x*"][: starts[1]] = challenges.xi
    # u* = sum_t delta_t rho^T U_t, v* = sum_t delta_t rho'^T V_t
    for side, name, rho in ((0, "u*", challenges.rho), (1, "v*", challenges.rho_prime)):
        for t in range(TERMS):
            index = matrix_index(t, side)
            rows = statement.matrices[index].rows
            repeated = PAIRS[t % len(PAIRS)][side] in REPEATED
            rep = statement.model.rep if repeated else 1
            folded = fold_repeats(rho, statement.model.head_dim, rep, rows) if repeated else rho[:rows]
            sums[name][starts[index] : starts[index + 1]] = [challenges.delta[t] * r % P for r in folded]
    return sums


def public_vectors(statement: Statement, challenges: Challenges) -> dict[str, list[int]]:
    """w, rho, rho', kappa: length N, salt zero."""
    g, length, data_length = (
        statement.projection.g,
        statement.size_class.length,
        statement.size_class.data_length,
    )
    # w: entry t g^2 + i g + j is eps_t sigma_i tau_j, else 0
    outer = [s * t % P for s in challenges.sigma for t in challenges.tau]
    w = [eps * o % P for eps in challenges.eps for o in outer]
    kappa = [0] * statement.model.hidden_size + list(challenges.kappa)
    salt = [0] * (length - data_length)
    return {
        "w": w + [0] * (length - TERMS * g * g),
        "rho": [*challenges.rho, *salt],
        "rho'": [*challenges.rho_prime, *salt],
        "kappa": [*kappa, *salt],
    }


@dataclass(frozen=True)
class Expected:
    """An input's point as a sum: scalar of each committed point by name (see `BASES`)."""

    input: int
    what: str
    scalars: dict[str, int]


BASES = ("S'", *(f"y_{t}" for t in range(TERMS)), *(f"y'_{t}" for t in range(TERMS)), *ROW_SUMS)
"""The committed points that the 20 secret inputs are sums of."""


def secret_inputs(c: Sequence[int], challenges: Challenges) -> list[Expected]:
    """The 20 inputs that are not public vectors, by section 5's table of slots."""
    eps, delta, theta = challenges.eps, challenges.delta, challenges.theta
    eta_0, eta_1, eta_2 = challenges.eta
    y_star = {f"y_{t}": delta[t] for t in range(TERMS)}  # y* = sum_t delta_t y_t
    y_prime_star = {f"y'_{t}": delta[t] for t in range(TERMS)}
    rows_end = {"u*": 1, "v*": theta[0], "a": theta[1], "b": theta[2], "x*": theta[3]}

    def times(factor: int, point_sum: dict[str, int]) -> dict[str, int]:
        return {name: factor * scalar % P for name, scalar in point_sum.items()}

    table: list[tuple[str, dict[str, int], str, dict[str, int] | None]] = [("S'", {"S'": 1}, "w", None)]
    for t in range(TERMS):
        table.append((f"-eps_{t} c_{t} y_{t}", {f"y_{t}": -eps[t] * c[t] % P}, f"y'_{t}", {f"y'_{t}": 1}))
    table += [
        ("eta_0 y*", times(eta_0, y_star), "rho", None),
        ("-eta_0 u*", {"u*": -eta_0 % P}, "a", {"a": 1}),
        ("eta_1 y'*", times(eta_1, y_prime_star), "rho'", None),
        ("-eta_1 v*", {"v*": -eta_1 % P}, "b", {"b": 1}),
        (
            "eta_2 (u* + theta_0 v* + theta_1 a + theta_2 b + theta_3 x*)",
            times(eta_2, rows_end),
            "kappa",
            None,
        ),
    ]
    result = []
    for slot, (left_name, left, right_name, right) in enumerate(table):
        result.append(Expected(2 * slot, left_name, left))
        if right is not None:
            result.append(Expected(2 * slot + 1, right_name, right))
    return result
