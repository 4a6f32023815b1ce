"""The public projection P and the combined challenges it leads to (protocol sections 3 and 5). Pure."""

from __future__ import annotations

import hashlib
from collections.abc import Sequence
from dataclasses import dataclass

from verifier.formats.encoding import FIELD_MODULUS, u32be


@dataclass(frozen=True)
class Projection:
    """P: token j has its only entry in row `bucket[j]`, equal to `sign[j]`."""

    bucket: tuple[int, ...]
    sign: tuple[int, ...]

    def transposed_times(self, vector: Sequence[int]) -> tuple[int, ...]:
        """`P^T vector`, modulo p: the weight of each row of X in `A^T vector = X^T P^T vector`."""
        return tuple(s * vector[b] % FIELD_MODULUS for b, s in zip(self.bucket, self.sign, strict=True))


def projection(seed: bytes, tokens: int, g: int) -> Projection:
    """P for K = `tokens`.

    `keys = SHAKE256("huref-zk/v1/projection" || seed || u32be(K) || u32be(g), 8K bytes)`; the token at `perm[r]` is
    in row `r mod g`, with sign +1 if `floor(r/g)` is even.
    """
    data = hashlib.shake_256(b"huref-zk/v1/projection" + seed + u32be(tokens) + u32be(g)).digest(8 * tokens)
    keys = [int.from_bytes(data[i : i + 8], "big") for i in range(0, len(data), 8)]
    bucket, sign = [0] * tokens, [0] * tokens
    for r, token in enumerate(sorted(range(tokens), key=lambda position: (keys[position], position))):
        bucket[token] = r % g
        sign[token] = 1 if (r // g) % 2 == 0 else -1
    return Projection(tuple(bucket), tuple(sign))


def fold_repeats(challenges: Sequence[int], head_dim: int, rep: int, rows: int) -> list[int]:
    """Repeated rows add up the challenges of their copies.

    Expanded row `h head_dim + i` is row `floor(h/rep) head_dim + i`; result has `rows` entries, modulo p.

    >>> fold_repeats([1, 2, 3, 4, 5, 6, 7, 8], head_dim=2, rep=2, rows=4)
    [4, 6, 12, 14]
    """
    folded = [0] * rows
    for e in range(rows * rep):
        h, i = divmod(e, head_dim)
        folded[(h // rep) * head_dim + i] += challenges[e]
    return [value % FIELD_MODULUS for value in folded]
