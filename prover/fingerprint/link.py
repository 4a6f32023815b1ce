"""The link argument: S' really comes from the committed weights (docs/protocol.md, section 5).

One method a step, so that a test can play the prover that replaces one of them.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass

from circuits.size_classes import FIELD_MODULUS as P
from circuits.size_classes import SALT_LENGTH, TERM_COUNT, SizeClass
from prover.checkpoint.families import Shape
from prover.commitments.field import FieldVector, combination, product, scaled
from prover.commitments.rows import SaltedMatrix, pad
from prover.commitments.salts import vector_salt
from prover.commitments.transcript import Transcript
from prover.terms.terms import PAIRS, REPEATED_ROLES, Projection

Commit = Callable[[Sequence[FieldVector]], list[bytes]]


@dataclass(frozen=True)
class Factor:
    """U_t or V_t: a committed matrix and how often each head's block of rows is repeated."""

    matrix: SaltedMatrix
    repeat: int
    head_dim: int

    def expand(self, values: Sequence[int]) -> list[int]:
        """One value a row -> one value an expanded row (repeat-interleave by head)."""
        if self.repeat == 1:
            return list(values)
        blocks = [values[i : i + self.head_dim] for i in range(0, len(values), self.head_dim)]
        return [x for block in blocks for _ in range(self.repeat) for x in block]

    def fold(self, challenges: Sequence[int]) -> list[int]:
        """One challenge an expanded row -> their sums, one a row."""
        rows = len(self.matrix.entries)
        sums = [0] * rows
        for i, challenge in enumerate(challenges[: rows * self.repeat]):
            head, within = divmod(i, self.head_dim)
            source = (head // self.repeat) * self.head_dim + within if self.repeat > 1 else i
            sums[source] = (sums[source] + challenge) % P
        return sums


@dataclass(frozen=True)
class LinkWitness:
    """The 24 vectors of length N for the link circuit, in graph order, and the points of the y in transcript order."""

    vectors: list[FieldVector]
    y_points: list[bytes]


class LinkArgument:
    """Everything after C(S') and the encoder proof have been absorbed."""

    def __init__(
        self,
        size: SizeClass,
        shape: Shape,
        projection: Projection,
        matrices: Mapping[str, SaltedMatrix],
        scale: Sequence[int],
        s_prime: FieldVector,
        commit: Commit,
    ) -> None:
        self.size, self.shape, self.projection = size, shape, projection
        self.embedding = matrices["embedding"]
        self.scale, self.s_prime, self.commit = list(scale), s_prime, commit
        self.factors: list[tuple[Factor, Factor]] = []
        for layer in shape.layers:
            for left, right in PAIRS:
                self.factors.append((self._factor(matrices, layer, left), self._factor(matrices, layer, right)))

    def _factor(self, matrices: Mapping[str, SaltedMatrix], layer: int, role: str) -> Factor:
        repeat = self.shape.query_group if role in REPEATED_ROLES else 1
        return Factor(matrices[f"layers.{layer}.{role}"], repeat, self.shape.head_dim)

    def run(self, transcript: Transcript, seed: bytes, session: bytes) -> LinkWitness:
        """Steps 1 to 3 of section 5."""
        g, m = self.projection.g, self.size.data_length
        # 1. sigma, tau; a = A^T sigma, b = A^T tau; y_t = U_t a, y'_t = V_t b
        sigma, tau = transcript.challenge("sigma", g), transcript.challenge("tau", g)
        a, b = self.projected(sigma), self.projected(tau)
        ys = self.y_vectors(a, b, seed, session, transcript)
        points = self.commit([y for pair in ys for y in pair])
        for i, point in enumerate(points):
            transcript.absorb(f"y/{i // 2}/{'uv'[i % 2]}", point)
        # 2. challenges and combinations
        rho, rho_prime = transcript.challenge("rho", m), transcript.challenge("rho'", m)
        kappa = transcript.challenge("kappa", m - self.shape.hidden_size)
        xi = transcript.challenge("xi", len(self.embedding.entries))
        delta, eps = transcript.challenge("delta", TERM_COUNT), transcript.challenge("eps", TERM_COUNT)
        eta, theta = transcript.challenge("eta", 3), transcript.challenge("theta", 4)
        # u* = sum_t delta_t rho^T U_t, v* = sum_t delta_t rho'^T V_t, x* = sum_j xi_j X_j
        u_star = self._combined_rows([u for u, _ in self.factors], delta, rho)
        v_star = self._combined_rows([v for _, v in self.factors], delta, rho_prime)
        x_star = self.embedding.combine(xi, self.size)
        # y* = sum_t delta_t y_t, y'* = sum_t delta_t y'_t
        y_star = combination(delta, [y for y, _ in ys])
        y_prime_star = combination(delta, [y for _, y in ys])
        # 3. the twelve slots
        # w: entry t g^2 + i g + j is eps_t sigma_i tau_j
        w = self._public([e * s % P * t % P for e in eps for s in sigma for t in tau])
        kappa_vector = self._public([0] * self.shape.hidden_size + kappa)
        slots: list[tuple[FieldVector, FieldVector]] = [(self.s_prime, w)]
        for (y, y_prime), e, c in zip(ys, eps, self.scale, strict=True):
            slots.append((scaled(-e * c % P, y), y_prime))
        slots.append((scaled(eta[0], y_star), self._public(rho)))
        slots.append((scaled(-eta[0] % P, u_star), a))
        slots.append((scaled(eta[1], y_prime_star), self._public(rho_prime)))
        slots.append((scaled(-eta[1] % P, v_star), b))
        tails = combination([1, *theta], [u_star, v_star, a, b, x_star])
        slots.append((scaled(eta[2], tails), kappa_vector))
        return LinkWitness([vector for slot in slots for vector in slot], points)

    def projected(self, challenge: Sequence[int]) -> FieldVector:
        """`A^T challenge = sum_j sign_j challenge_{bucket_j} X_j`, with its combined salt."""
        pairs = zip(self.projection.sign.tolist(), self.projection.bucket.tolist(), strict=True)
        return self.embedding.combine([sign * challenge[bucket] % P for sign, bucket in pairs], self.size)

    def y_vectors(
        self, a: FieldVector, b: FieldVector, seed: bytes, session: bytes, transcript: Transcript
    ) -> list[tuple[FieldVector, FieldVector]]:
        """(y_t, y'_t) for t = 0..5, zeros past e_t, freshly salted."""
        result = []
        for t, (u, v) in enumerate(self.factors):
            pair = []
            for side, factor, vector in (("u", u, a), ("v", v, b)):
                width = factor.matrix.entries.shape[1]
                y = factor.expand(product(factor.matrix.entries, vector[:width]))
                pair.append(pad(y, vector_salt(seed, transcript.state, f"y/{t}/{side}", session), self.size))
            result.append((pair[0], pair[1]))
        return result

    def _combined_rows(self, factors: Sequence[Factor], delta: Sequence[int], challenges: Sequence[int]) -> FieldVector:
        parts = [factor.matrix.combine(factor.fold(challenges), self.size) for factor in factors]
        return combination(delta, parts)

    def _public(self, entries: Sequence[int]) -> FieldVector:
        return pad(entries, [0] * SALT_LENGTH, self.size)
