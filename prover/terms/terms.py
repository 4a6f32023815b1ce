"""Tokens, quantized matrices, projected invariant terms: docs/protocol.md section 3, exactly.

Everything up to `load_fingerprint_input` is pure. Everything after quantizing is exact integers.
"""

from __future__ import annotations

import hashlib
import struct
from collections.abc import Iterator, Mapping
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from math import isqrt
from pathlib import Path
from types import MappingProxyType
from typing import Any

import numpy as np
import numpy.typing as npt

from circuits.errors import CheckpointError, UsageError
from prover.checkpoint.families import FAMILY_NAMES, families_named
from prover.checkpoint.family import Shape
from prover.checkpoint.folded_matrix import Float64Array, FoldedMatrix
from prover.checkpoint.folding import read_embedding, read_matrices, read_matrix
from prover.checkpoint.tensors import open_checkpoint
from prover.checkpoint.tokens import TOKEN_RULE, Tokens, select_tokens
from prover.terms.products import ExactArray, exact_product
from prover.terms.quantization import (
    QUANTIZATION_RULE,
    Int8Array,
    Int64Array,
    Lefts,
    quantize,
    quantize_and_multiply,
)

__all__ = [
    "FingerprintInput",
    "Matrices",
    "Projection",
    "TermRules",
    "load_fingerprint_input",
    "projected_terms",
    "projection",
    "read_embedding",
    "read_matrix",
    "repeat_rows",
    "scale_integers",
    "select_tokens",
]

LAYERS_RULE = "last-2"
C_LIMIT = 1 << 32
PAIRS = (("q", "k"), ("v", "o"), ("up", "down"))
REPEATED_ROLES = ("k", "v")

_BLOCK_ENTRIES = 1 << 22  # entries handled at a time: 32 MB of float64


@dataclass(frozen=True)
class Matrices:
    """The 13 quantized matrices by name, in committing order, each int8 [rows, d].

    `clipped` is the share of entries that were cut to +-127, by name.
    """

    by_name: Mapping[str, Int8Array]
    clipped: Mapping[str, float]

    def sha256(self) -> bytes:
        """`weights_sha256`: see `add_to_digest`."""
        digest = hashlib.sha256()
        for name, matrix in self.by_name.items():
            add_to_digest(digest, name, matrix)
        return digest.digest()


def add_to_digest(digest: hashlib._Hash, name: str, matrix: Int8Array) -> None:
    """`weights_sha256`: SHA-256 of 13 times u32be(len(name)) || name || u32be(rows, d) || bytes; this is one time."""
    label = name.encode("ascii")
    digest.update(struct.pack(">I", len(label)) + label + struct.pack(">II", *matrix.shape))
    digest.update(np.ascontiguousarray(matrix).data)


@dataclass(frozen=True)
class Projection:
    """P: token j has its only entry in row `bucket[j]`, equal to `sign[j]`. Both int64 [K]."""

    g: int
    bucket: Int64Array
    sign: Int64Array


@dataclass(frozen=True)
class TermRules:
    """What a profile pins about terms: projection (seed of 32 bytes, g), limits of K, families by name."""

    seed: bytes
    g: int
    k_min: int
    k_max: int
    families: tuple[str, ...] = FAMILY_NAMES

    @classmethod
    def of_profile(cls, document: Mapping[str, Any]) -> TermRules:
        """The rules in a (checked) profile.json (section 8 of docs/protocol.md). UsageError for one unknown here."""
        for stated, rule in (
            (document["quantization"], QUANTIZATION_RULE),
            (document["tokens"]["rule"], TOKEN_RULE),
            (document["layers"], LAYERS_RULE),
        ):
            if stated != rule:
                raise UsageError(f"profile: rule {stated!r} instead of {rule}", step="profile", hint="upgrade huref-zk")
        return cls(
            seed=bytes.fromhex(document["projection"]["seed"]),
            g=document["projection"]["g"],
            k_min=document["tokens"]["K_min"],
            k_max=document["tokens"]["K_max"],
            families=tuple(document["families"]),
        )


@dataclass(frozen=True)
class FingerprintInput:
    """Everything that commitments and proofs need from a checkpoint.

    `terms`: exact Python integers [6, g, g]. `float_terms`: the same before quantizing, float64 [6, g, g].
    For the report, `term_cosines` (6 of them) and `cosine` (all six, each at norm 1) compare the two.
    """

    shape: Shape
    tokens: Tokens
    matrices: Matrices
    projection: Projection
    terms: ExactArray
    float_terms: Float64Array
    weights_sha256: bytes

    @property
    def term_cosines(self) -> tuple[float, ...]:
        """Cosine of each quantized term to the unquantized one."""
        integers = self.terms.astype(np.float64)
        return tuple(cosine(left, right) for left, right in zip(integers, self.float_terms, strict=True))

    @property
    def cosine(self) -> float:
        """Mean of `term_cosines`: the cosine of the concatenated terms when each has norm 1."""
        return float(np.mean(self.term_cosines))


# ---------------------------------------- projection


def projection(seed: bytes, count: int, g: int) -> Projection:
    """P for K = `count` tokens (section 3, Projection).

    Raises:
        UsageError: the seed is not 32 bytes, or K is not a positive multiple of 2g.
    """
    if len(seed) != 32:
        raise UsageError(f"projection.seed: {len(seed)} bytes instead of 32", step="projection")
    if g < 1 or count < 2 * g or count % (2 * g):
        raise UsageError(f"projection: K = {count} is not a positive multiple of 2g = {2 * g}", step="projection")
    # keys = SHAKE256("huref-zk/v1/projection" || seed || u32be(K) || u32be(g), 8K bytes)
    data = b"huref-zk/v1/projection" + seed + struct.pack(">II", count, g)
    keys = np.frombuffer(hashlib.shake_256(data).digest(8 * count), dtype=">u8")
    # perm = positions sorted by (key, position); perm[r] goes to row r mod g, sign + if floor(r/g) is even
    permutation = np.argsort(keys, kind="stable")
    rank = np.arange(count, dtype=np.int64)
    bucket = np.empty(count, dtype=np.int64)
    sign = np.empty(count, dtype=np.int64)
    bucket[permutation] = rank % g
    sign[permutation] = 1 - 2 * ((rank // g) % 2)
    return Projection(g, bucket, sign)


def project_rows(matrix: Int8Array, by: Projection) -> Int64Array:
    """`A = P X`: int64 [g, d], exact (an entry is at most 127 K)."""
    rows = np.zeros((by.g, matrix.shape[1]), dtype=np.int64)
    for i in range(by.g):
        chosen = by.bucket == i
        rows[i] = (by.sign[chosen, None] * matrix[chosen].astype(np.int64)).sum(axis=0)
    return rows


def project_rows_float(rows: Float64Array, by: Projection) -> Float64Array:
    """`A = P X` of rows before quantizing: float64 [g, d]."""
    result = np.zeros((by.g, rows.shape[1]))
    np.add.at(result, by.bucket, by.sign[:, None] * rows)
    return result


def _project_folded(matrix: FoldedMatrix, by: Projection) -> Float64Array:
    """`project_rows_float` of a matrix of which only some rows are in memory at a time."""
    result = np.zeros((by.g, matrix.stored.shape[1]))
    for rows in matrix.pieces():
        block = matrix.block(rows)
        for row, bucket, sign in zip(block, by.bucket[rows].tolist(), by.sign[rows].tolist(), strict=True):
            result[bucket] += sign * row
    return result


def repeat_rows(rows: npt.NDArray[Any], head_dim: int, rep: int) -> npt.NDArray[Any]:
    """Repeat by query group: row `h head_dim + i` of the result is row `floor(h / rep) head_dim + i`."""
    by_head = rows.reshape(-1, head_dim, *rows.shape[1:])
    return np.repeat(by_head, rep, axis=0).reshape(-1, *rows.shape[1:])


# ---------------------------------------- terms


def projected_terms(matrices: Mapping[str, Int8Array], shape: Shape, by: Projection) -> ExactArray:
    """`S_t = (A U_t^T)(A V_t^T)^T`, t = 3l + {0,1,2}: exact Python integers [6, g, g]."""
    a = project_rows(matrices["embedding"], by)
    products = {name: _times_transposed(a, matrix) for name, matrix in matrices.items() if name != "embedding"}
    return _terms_of_products(products, shape)


def _terms_of_products(products: Mapping[str, npt.NDArray[Any]], shape: Shape) -> ExactArray:
    """The terms of `A W^T` [g, rows], exact integers, by W's name."""
    repeated = {name: _repeat_columns(product, name, shape) for name, product in products.items()}
    return np.stack([exact_product(u, v.T).astype(object) for u, v in _pairs(repeated, shape)])


def _times_transposed(left: Int64Array, matrix: Int8Array) -> npt.NDArray[Any]:
    """`left matrix^T`, exactly, some rows of the matrix at a time: it may be far larger than memory."""
    step = max(1, _BLOCK_ENTRIES // matrix.shape[1])
    blocks = [exact_product(left, matrix[begin : begin + step].T) for begin in range(0, len(matrix), step)]
    return np.concatenate(blocks, axis=1)


def float_terms(matrices: Mapping[str, Float64Array], shape: Shape, by: Projection) -> Float64Array:
    """The six projected terms of folded matrices before quantizing: float64 [6, g, g]."""
    a = project_rows_float(matrices["embedding"], by)
    products = {name: a @ matrix.T for name, matrix in matrices.items() if name != "embedding"}
    return _float_terms_of_products(products, shape)


def _float_terms_of_products(products: Mapping[str, Float64Array], shape: Shape) -> Float64Array:
    repeated = {name: _repeat_columns(product, name, shape) for name, product in products.items()}
    return np.stack([u @ v.T for u, v in _pairs(repeated, shape)])


def _repeat_columns(product: npt.NDArray[Any], name: str, shape: Shape) -> npt.NDArray[Any]:
    """Columns of `A W^T` [g, rows], repeated like the rows of W that they belong to."""
    if name.rsplit(".", 1)[-1] not in REPEATED_ROLES:
        return product
    return repeat_rows(product.T, shape.head_dim, shape.query_group).T


def _pairs(
    products: Mapping[str, npt.NDArray[Any]], shape: Shape
) -> Iterator[tuple[npt.NDArray[Any], npt.NDArray[Any]]]:
    """The factors of the six terms in the order of t."""
    for layer in shape.layers:
        for left, right in PAIRS:
            yield products[f"layers.{layer}.{left}"], products[f"layers.{layer}.{right}"]


def scale_integers(terms: ExactArray, g: int, shift: int, c_min: int) -> tuple[int, ...]:
    """The six `c_t = round(g 2^shift / |S_t|_F)`, computed in integers.

    Raises:
        CheckpointError: a term is zero, or its c_t is outside `c_min <= c_t < 2^32`.
    """
    result = []
    for index, term in enumerate(terms):
        squares = sum(int(value) ** 2 for value in np.asarray(term, dtype=object).reshape(-1))
        if squares == 0:
            raise CheckpointError(f"terms: S_{index} is zero", step="terms", hint="the model is not trained")
        # round(x) = floor((floor(2x) + 1) / 2) with x^2 = g^2 4^shift / |S_t|^2
        c = (isqrt(4 * g * g * 4**shift // squares) + 1) // 2
        if not c_min <= c < C_LIMIT:
            raise CheckpointError(
                f"terms: scale integer c_{index} = {c} is not from {c_min} to 2^32 - 1",
                step="terms",
                hint="the projected terms are too large or too small for this profile",
            )
        result.append(c)
    return tuple(result)


def standardised(terms: npt.NDArray[Any]) -> Float64Array:
    """Each of the six terms divided by its Frobenius norm, float64."""
    values = terms.astype(np.float64)
    norms: Float64Array = np.sqrt((values**2).sum(axis=(1, 2), keepdims=True))
    return values / norms


def cosine(left: npt.NDArray[Any], right: npt.NDArray[Any]) -> float:
    """Cosine of two arrays of the same shape, flattened; 0 if one of them is zero."""
    a, b = left.astype(np.float64).reshape(-1), right.astype(np.float64).reshape(-1)
    norms = float(np.sqrt(a @ a) * np.sqrt(b @ b))
    return float(a @ b) / norms if norms > 0 else 0.0


# ---------------------------------------- loading


def load_fingerprint_input(path: Path, rules: TermRules, tokens: Tokens | None = None) -> FingerprintInput:
    """Checkpoint directory to everything that is committed and proven.

    `tokens`: other tokens than the rule's, for comparisons only (`prover.similarity`); a verifier would reject them.

    Raises:
        CheckpointError: anything wrong with the checkpoint.
        UsageError: rules that cannot be carried out.
    """
    checkpoint = open_checkpoint(path, families_named(rules.families))
    shape = checkpoint.shape
    if tokens is None:
        tokens = select_tokens(
            checkpoint.tokenizer_json,
            shape.vocab_size,
            rules.k_min,
            rules.k_max,
            rules.g,
            path / "tokenizer.json",
        )
    by = projection(rules.seed, tokens.count, rules.g)
    quantized: dict[str, Int8Array] = {}
    clipped: dict[str, float] = {}
    folded_products: dict[str, Float64Array] = {}
    products: dict[str, npt.NDArray[Any]] = {}
    digest = hashlib.sha256()
    digested = []
    with ThreadPoolExecutor(1) as beside:  # digests one matrix while the next is read
        for matrix in read_matrices(checkpoint, tokens.ids):
            name = matrix.name
            if name == "embedding":
                quantized[name], clipped[name] = quantize(matrix)
                lefts = Lefts(_project_folded(matrix, by), project_rows(quantized[name], by))
            else:
                made = quantize_and_multiply(matrix, lefts)
                quantized[name], clipped[name] = made.entries, made.clipped
                folded_products[name], products[name] = made.folded_products, made.products
            digested.append(beside.submit(add_to_digest, digest, name, quantized[name]))
        for done in digested:
            done.result()
    return FingerprintInput(
        shape=shape,
        tokens=tokens,
        matrices=Matrices(MappingProxyType(quantized), MappingProxyType(clipped)),
        projection=by,
        terms=_terms_of_products(products, shape),
        float_terms=_float_terms_of_products(folded_products, shape),
        weights_sha256=digest.digest(),
    )
