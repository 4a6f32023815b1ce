"""What a feed-forward proof must satisfy: the normalised input, challenges, vectors and sums the proofs are about.

docs/inference-proof.md sections 2 to 4. Pure: all in integers; nothing here adds points.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from math import isqrt

from verifier.algebra.transcript import Transcript
from verifier.formats.encoding import FIELD_MODULUS as P
from verifier.formats.encoding import u32be
from verifier.formats.errors import Rejected
from verifier.inference.artefact import INTEGER_BYTES, SECRET_POINTS, FeedForward
from verifier.inference.circuit import ActivationCircuit
from verifier.trust.records import SizeClass

NORM_BITS = 8
UP_BITS = 4
DOWN_BITS = 32
EPSILON_BITS = 32
INPUT_LIMIT = 1 << 40  # magnitude of an x: 2^24 in units of 2^-16
OUTPUT_LIMIT = 1 << 62  # of a y: no two integers below it are equal mod p
SCALE_LIMIT = 1 << 32
_DOMAIN = b"huref-zk/v1/feedforward-transcript"

ROW_SUMS = ("gate*", "up*", "down*")
LINK_INPUTS = 24


@dataclass(frozen=True)
class Points:
    """Checked points: rows of the bundle's up and down and of the gate; the five secret vectors, by label."""

    gate: tuple[bytes, ...]
    up: tuple[bytes, ...]
    down: tuple[bytes, ...]
    secret: dict[str, bytes]


@dataclass(frozen=True)
class Challenges:
    """Everything drawn, in order."""

    alpha: tuple[int, ...]
    rho: tuple[int, ...]
    rho_prime: tuple[int, ...]
    beta: tuple[int, ...]
    zeta: tuple[int, ...]
    q: tuple[int, ...]
    eta: tuple[int, ...]


@dataclass(frozen=True)
class Claim:
    """What the two proofs are about: y and N, [T][d]; c of gate and up; f; everything drawn."""

    y: list[list[int]]
    n: list[list[int]]
    c: tuple[int, int]
    rows: int
    challenges: Challenges


def read_integers(data: bytes, count: int, width: int) -> tuple[list[list[int]], list[list[int]]]:
    """x and y of `activations.bin`, whose length is right, in range.

    Raises:
        Rejected: a magnitude that is too large.
    """
    values = [
        int.from_bytes(data[i : i + INTEGER_BYTES], "big", signed=True) for i in range(0, len(data), INTEGER_BYTES)
    ]
    rows = [values[i : i + width] for i in range(0, len(values), width)]
    x, y = rows[:count], rows[count:]
    for name, part, limit in (("x", x, INPUT_LIMIT), ("y", y, OUTPUT_LIMIT)):
        if any(abs(value) >= limit for row in part for value in row):
            raise Rejected(f"activations.bin: an entry of {name} is of magnitude {limit} or more", code="activation")
    return x, y


def normalise(x: Sequence[int], epsilon: int) -> list[int]:
    """`round(2^8 x_i / sqrt(mean x^2 + epsilon))` of integers, halves away from zero; epsilon > 0.

    >>> normalise([65536, -65536], 4295)
    [256, -256]
    """
    # round(|n|) = floor((floor(2 |n|) + 1) / 2), n^2 = 4^8 x^2 d / (sum x^2 + d epsilon)
    d = len(x)
    squares = sum(value**2 for value in x) + d * epsilon
    twice = [isqrt(4 ** (NORM_BITS + 1) * d * value**2 // squares) for value in x]
    return [(1 if value >= 0 else -1) * ((t + 1) // 2) for value, t in zip(x, twice, strict=True)]


def draw(proof: FeedForward, points: Points, size: SizeClass, rows: int, width: int) -> Challenges:
    """Absorb and draw, in the order of section 4."""
    transcript, count = Transcript(_DOMAIN), proof.statement.activations
    transcript.absorb("feedforward", proof.statement_bytes)
    for name, run in (("up", points.up), ("down", points.down), ("gate", points.gate)):
        transcript.absorb(f"rows/{name}", u32be(len(run)) + b"".join(run))
    half = len(proof.integers) // 2
    transcript.absorb("x", proof.integers[:half])
    transcript.absorb("y", proof.integers[half:])
    for label in SECRET_POINTS[:-1]:
        transcript.absorb(label, points.secret[label])
    # 1
    alpha = transcript.challenge("alpha", count)
    rho = transcript.challenge("rho", rows)
    rho_prime = transcript.challenge("rho'", rows)
    beta = transcript.challenge("beta", count)
    zeta = transcript.challenge("zeta", width)
    transcript.absorb(SECRET_POINTS[-1], points.secret[SECRET_POINTS[-1]])
    # 2
    q = transcript.challenge("q", size.data_length)
    return Challenges(alpha, rho, rho_prime, beta, zeta, q, transcript.challenge("eta", 3))


def expected_instances(claim: Claim) -> tuple[int, int]:
    """The activation proof's: nothing out of range; `sum_i beta_i <y_i, zeta>`."""
    drawn = claim.challenges
    total = 0
    for beta, row in zip(drawn.beta, claim.y, strict=True):
        total += beta * sum(value * zeta for value, zeta in zip(row, drawn.zeta, strict=True))
    return 0, total % P


def row_sums(claim: Claim) -> dict[str, list[int]]:
    """For each of `ROW_SUMS`, the scalar of every row of that matrix."""
    drawn, f = claim.challenges, claim.rows
    # down* = sum_j (sum_i q_(i f + j) beta_i) D_j
    down = [sum(drawn.q[i * f + j] * beta for i, beta in enumerate(drawn.beta)) % P for j in range(f)]
    return {"gate*": list(drawn.rho), "up*": list(drawn.rho_prime), "down*": down}


def secret_inputs(claim: Claim, circuit: ActivationCircuit) -> dict[int, dict[str, int]]:
    """Link inputs that are sums of committed points: the scalar of each point by name. Inputs of unused slots: none."""
    eta, c, shift = claim.challenges.eta, claim.c, 1 << circuit.rest_bits
    table: dict[int, dict[str, int]] = {
        0: {"gate": shift, "gate-rest": 1},
        2: {"gate*": -eta[0] * c[0] % P},
        4: {"up": shift, "up-rest": 1},
        6: {"up*": -eta[1] * c[1] % P},
        8: {"weights": 1},
        10: {"down*": -eta[2] % P},
    }
    used = 2 * len(table)
    return table | {position: {} for position in range(used, LINK_INPUTS)}


def public_inputs(claim: Claim, length: int) -> dict[int, list[int]]:
    """Link inputs that are public vectors, of length N, without salt."""
    drawn = claim.challenges
    outer_gate = [drawn.eta[0] * a * r % P for a in drawn.alpha for r in drawn.rho]
    outer_up = [drawn.eta[1] * a * r % P for a in drawn.alpha for r in drawn.rho_prime]
    # n = sum_i alpha_i N_i
    n = [sum(a * row[k] for a, row in zip(drawn.alpha, claim.n, strict=True)) % P for k in range(len(claim.n[0]))]
    q = [drawn.eta[2] * value % P for value in drawn.q]
    vectors = {1: outer_gate, 3: n, 5: outer_up, 7: n, 9: q, 11: list(drawn.zeta)}
    return {position: vector + [0] * (length - len(vector)) for position, vector in vectors.items()}


def real_output(value: int, c_down: int, circuit: ActivationCircuit) -> float:
    """What an entry of y adds to the residual stream."""
    return float(value * c_down / (1 << (DOWN_BITS + 3 * circuit.fraction + UP_BITS)))
