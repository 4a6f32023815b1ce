"""The link's sums against a slow twin: vectors in place of points, the relation of section 5 worked out in the open."""

from __future__ import annotations

import random

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from tests.verifier.conftest import ASSETS
from verifier.algebra.projection import fold_repeats, projection
from verifier.fingerprint.artefact import read_bundle
from verifier.fingerprint.link import BASES, INPUTS, PUBLIC_INPUTS, public_vectors, row_sums, secret_inputs
from verifier.formats.encoding import FIELD_MODULUS as P
from verifier.statement.rows import Challenges


@given(st.binary(min_size=32, max_size=32), st.integers(1, 6), st.integers(1, 9))
def test_projection_is_the_page(seed, g, blocks):
    import hashlib

    count = 2 * g * blocks
    p = projection(seed, count, g)
    data = hashlib.shake_256(b"huref-zk/v1/projection" + seed + count.to_bytes(4, "big") + g.to_bytes(4, "big")).digest(
        8 * count
    )
    order = sorted((data[8 * i : 8 * i + 8], i) for i in range(count))
    matrix = np.zeros((g, count), dtype=int)
    for r, (_, token) in enumerate(order):
        matrix[r % g, token] = 1 if (r // g) % 2 == 0 else -1
    mine = np.zeros((g, count), dtype=int)
    mine[list(p.bucket), range(count)] = p.sign
    assert (mine == matrix).all()
    assert (matrix.sum(axis=1) == 0).all()  # sign-balanced
    vector = [random.Random(1).randrange(P) for _ in range(g)]
    slow = [sum(int(matrix[i, j]) * vector[i] for i in range(g)) % P for j in range(count)]
    assert list(p.transposed_times(vector)) == slow


@given(st.integers(1, 4), st.integers(1, 4), st.integers(1, 4))
def test_folding_is_expanding(kv_heads, rep, head_dim):
    rng = random.Random(kv_heads * 100 + rep * 10 + head_dim)
    rows = [rng.randrange(P) for _ in range(kv_heads * head_dim)]
    heads = kv_heads * rep
    expanded = [rows[(h // rep) * head_dim + i] for h in range(heads) for i in range(head_dim)]
    challenges = [rng.randrange(P) for _ in range(heads * head_dim)]
    folded = fold_repeats(challenges, head_dim, rep, len(rows))
    assert sum(c * e for c, e in zip(challenges, expanded, strict=True)) % P == (
        sum(f * r for f, r in zip(folded, rows, strict=True)) % P
    )


@pytest.fixture
def statement():
    return read_bundle(ASSETS / "bundle").statement


def test_the_relation_holds_for_honest_vectors_and_for_no_others(statement):
    """Every expected sum, applied to vectors in place of points, gives 12 inner products that add up to zero."""
    rng = random.Random(5)
    g, d, k = statement.projection.g, statement.model.hidden_size, statement.tokens.k
    m, n = statement.size_class.data_length, statement.size_class.length
    rep, head_dim = statement.model.rep, statement.model.head_dim

    def field(count: int) -> tuple[int, ...]:
        return tuple(rng.randrange(P) for _ in range(count))

    ch = Challenges(
        sigma=field(g), tau=field(g), rho=field(m), rho_prime=field(m), kappa=field(m - d), xi=field(k),
        delta=field(6), eps=field(6), eta=field(3), theta=field(4),
    )  # fmt: skip
    matrices = [[[rng.randrange(-127, 128) for _ in range(d)] for _ in range(one.rows)] for one in statement.matrices]
    salts = [[list(field(16)) for _ in matrix] for matrix in matrices]
    p = projection(statement.projection.seed, k, g)

    def expand(rows):
        return [rows[(h // rep) * head_dim + i] for h in range(statement.model.heads) for i in range(head_dim)]

    factors = []
    for layer in (0, 1):
        q, kk, v, o, up, down = matrices[1 + 6 * layer : 7 + 6 * layer]
        factors += [(q, expand(kk)), (expand(v), o), (up, down)]
    x = matrices[0]
    a_matrix = [[0] * d for _ in range(g)]
    for j in range(k):
        for i in range(d):
            a_matrix[p.bucket[j]][i] += p.sign[j] * x[j][i]

    def product(rows, vector):
        return [sum(r * e for r, e in zip(row, vector, strict=True)) for row in rows]

    s_prime: list[int] = []
    for (u, v), c in zip(factors, statement.c, strict=True):
        au, av = [product(u, row) for row in a_matrix], [product(v, row) for row in a_matrix]
        s_prime += [c * sum(e * f for e, f in zip(au[i], av[j], strict=True)) for i in range(g) for j in range(g)]
    a = [sum(a_matrix[i][c] * ch.sigma[i] for i in range(g)) % P for c in range(d)]
    b = [sum(a_matrix[i][c] * ch.tau[i] for i in range(g)) % P for c in range(d)]

    def pad(values) -> list[int]:
        return [*values, *[0] * (m - len(values)), *field(16)]

    vectors = {"S'": pad(s_prime)}
    for t, (u, v) in enumerate(factors):
        vectors[f"y_{t}"], vectors[f"y'_{t}"] = pad(product(u, a)), pad(product(v, b))
    rows = [
        [*row, *[0] * (m - d), *salt]
        for one, ss in zip(matrices, salts, strict=True)
        for row, salt in zip(one, ss, strict=True)
    ]
    for name, scalars in row_sums(statement, ch, p).items():
        used = [(s, row) for s, row in zip(scalars, rows, strict=True) if s]
        vectors[name] = [sum(s * row[i] for s, row in used) % P if i < d or i >= m else 0 for i in range(n)]
    assert vectors["a"][:d] == a and vectors["b"][:d] == b
    assert set(vectors) == set(BASES)

    def relation(given: dict[str, list[int]]) -> int:
        inputs: dict[int, list[int]] = {}
        public = public_vectors(statement, ch)
        for position, name in PUBLIC_INPUTS.items():
            inputs[position] = public[name]
            assert len(public[name]) == n and not any(public[name][m:])
        for one in secret_inputs(statement.c, ch):
            inputs[one.input] = [sum(s * given[name][i] for name, s in one.scalars.items()) % P for i in range(n)]
        assert sorted(inputs) == list(range(INPUTS))
        return (
            sum(sum(e * f for e, f in zip(inputs[i][:m], inputs[i + 1][:m], strict=True)) for i in range(0, INPUTS, 2))
            % P
        )

    assert relation(vectors) == 0
    # hidden entries: garbage past e_t in y, past d in a row sum, another entry of S'
    for name, position in (
        *[(f"y_{t}", m - 1) for t in range(6)],
        *[(f"y'_{t}", 100) for t in range(6)],
        *[(name, d) for name in ("u*", "v*", "a", "b", "x*")],
        ("S'", 0),
        ("S'", 6 * g * g - 1),
    ):
        spoilt = dict(vectors)
        spoilt[name] = list(vectors[name])
        spoilt[name][position] += 1
        assert relation(spoilt) != 0, (name, position)
    # salts do not count
    spoilt = {name: [*vector[:m], *field(16)] for name, vector in vectors.items()}
    assert relation(spoilt) == 0
