"""Synthetic models for training the encoder: random weights with the structure of trained ones, and their terms.

As in HuRef (NeurIPS 2024, section 4.2), the encoder never sees real checkpoints while it is trained: positives are
weights plus noise, negatives are fresh weights. The terms follow docs/protocol.md section 3 in floating point
(quantization moves a term's cosine by less than 1e-3).
"""

from __future__ import annotations

import hashlib
import os
import struct
from collections.abc import Iterator, Sequence
from concurrent.futures import ProcessPoolExecutor
from contextlib import contextmanager
from dataclasses import dataclass
from functools import partial
from multiprocessing import get_context

import numpy as np
import numpy.typing as npt

GRID = 16  # g of the protocol
TERMS = 6
PARALLEL_FROM = 2048  # models; starting processes costs a second or two

Array = npt.NDArray[np.float32]


@dataclass(frozen=True)
class Layer:
    """One block's matrices as the protocol commits to them: rows of length d."""

    q: Array  # [heads*head_dim, d]
    k: Array  # [kv_heads*head_dim, d]
    v: Array  # [kv_heads*head_dim, d]
    o: Array  # [heads*head_dim, d], rows of W_o^T
    up: Array  # [d_ff, d]
    down: Array  # [d_ff, d], rows of W_down^T


@dataclass(frozen=True)
class Weights:
    """What the six terms are made of."""

    embedding: Array  # [K, d]
    layers: tuple[Layer, Layer]
    head_dim: int


def projection(tokens: int, seed: bytes, grid: int = GRID) -> Array:
    """The signed, balanced bucket matrix P of docs/protocol.md section 3.

    Args:
        tokens: K, a multiple of 2 * grid.
        seed: bytes of the profile's projection seed.
        grid: g.

    Returns:
        float32 [grid, tokens] with one entry of 1 or -1 in each column.
    """
    label = b"huref-zk/v1/projection" + seed + struct.pack(">II", tokens, grid)
    keys = np.frombuffer(hashlib.shake_256(label).digest(8 * tokens), dtype=">u8")
    order = np.argsort(keys, kind="stable")
    matrix = np.zeros((grid, tokens), dtype=np.float32)
    rank = np.arange(tokens)
    matrix[rank % grid, order] = np.where((rank // grid) % 2 == 0, 1.0, -1.0)
    return matrix


def _expand(rows: Array, heads: int, head_dim: int) -> Array:
    """Repeats key/value heads for the query heads that share them (repeat-interleave)."""
    kv = rows.reshape(-1, head_dim, rows.shape[1])
    return np.repeat(kv, heads // kv.shape[0], axis=0).reshape(heads * head_dim, -1)


def terms(weights: Weights, matrix: Array) -> Array:
    """The six projected invariant terms, each of root mean square 1.

    Args:
        weights: a model.
        matrix: P, [grid, K].

    Returns:
        float32 [6, grid, grid]; term 3l + {0,1,2} is (q,k), (v,o), (up,down) of layer l.
    """
    a = matrix @ weights.embedding
    out = []
    for layer in weights.layers:
        heads = layer.q.shape[0] // weights.head_dim
        k, v = (_expand(rows, heads, weights.head_dim) for rows in (layer.k, layer.v))
        for left, right in ((layer.q, k), (v, layer.o), (layer.up, layer.down)):
            term = (a @ left.T) @ (a @ right.T).T
            out.append(term / np.sqrt(np.mean(term * term)))
    return np.stack(out).astype(np.float32)


def _matrix(rng: np.random.Generator, rows: int, d: int, like: Array | None = None, share: float = 0.0) -> Array:
    """A trained-looking matrix: noise, heavy-tailed low rank, uneven columns, and a share of another matrix."""
    w = rng.standard_normal((rows, d), dtype=np.float32)
    if rng.random() < 0.7:
        rank = int(rng.integers(1, 12))
        size = rng.pareto(2.0, rank).astype(np.float32) * np.float32(rng.uniform(0.2, 1.5))
        left = rng.standard_normal((rows, rank), dtype=np.float32)
        right = rng.standard_normal((rank, d), dtype=np.float32)
        w += (left * size) @ right / np.float32(np.sqrt(rank))
    if rng.random() < 0.5:
        w *= np.exp(np.float32(rng.uniform(0.1, 0.5)) * rng.standard_normal(d, dtype=np.float32))
    w /= np.sqrt(np.mean(w * w))
    if like is not None:
        w = np.float32(np.sqrt(1.0 - share * share)) * w + np.float32(share) * like
    return w


def synthetic_weights(rng: np.random.Generator, tokens: int = 512) -> Weights:
    """Draws one independent model.

    Query and key, value and output, up and down share a random part of each other, as training makes them: it puts a
    multiple of A A^T, and so of the identity, into the terms of unrelated models, which the encoder has to ignore.
    """
    d = int(rng.choice([64, 96, 128, 192]))
    head_dim = int(rng.choice([16, 32]))
    heads = d // head_dim
    kv_heads = max(1, heads // int(rng.choice([1, 2, heads])))
    d_ff = int(d * rng.uniform(2.0, 3.0))
    embedding = _matrix(rng, tokens, d)
    embedding += np.float32(rng.uniform(0.0, 1.5)) * rng.standard_normal(d, dtype=np.float32)  # the common mean
    layers = []
    for _ in range(2):
        share = rng.uniform(-0.6, 0.6, 3)
        k = _matrix(rng, kv_heads * head_dim, d)
        q = _matrix(rng, heads * head_dim, d, _expand(k, heads, head_dim), share[0])
        v = _matrix(rng, kv_heads * head_dim, d)
        o = _matrix(rng, heads * head_dim, d, _expand(v, heads, head_dim), share[1])
        up = _matrix(rng, d_ff, d)
        layers.append(Layer(q, k, v, o, up, _matrix(rng, d_ff, d, up, share[2])))
    return Weights(embedding, (layers[0], layers[1]), head_dim)


def noisy(weights: Weights, rng: np.random.Generator, alpha: float = 0.1, alpha_embedding: float = 0.4) -> Weights:
    """An offspring: Gaussian noise of `alpha` times the root mean square of each matrix (the paper's positives)."""

    def add(w: Array, size: float) -> Array:
        scale = np.float32(size * np.sqrt(np.mean(w * w)))
        return w + scale * rng.standard_normal(w.shape, dtype=np.float32)

    def add_layer(m: Layer) -> Layer:
        return Layer(*(add(w, alpha) for w in (m.q, m.k, m.v, m.o, m.up, m.down)))

    first, second = weights.layers
    return Weights(add(weights.embedding, alpha_embedding), (add_layer(first), add_layer(second)), weights.head_dim)


def pairs(count: int, seed: int, alpha: float = 0.1, alpha_embedding: float = 0.4) -> tuple[Array, Array]:
    """Terms of `count` independent models and of one offspring of each.

    Returns:
        two float32 [count, 6, 16, 16]; the same for the same seed.
    """
    base, children = offspring(count, seed, ((alpha, alpha_embedding),))
    return base, children[0]


def offspring(count: int, seed: int, noises: Sequence[tuple[float, float]]) -> tuple[Array, Array]:
    """Terms of `count` independent models and, for each pair (alpha, alpha_embedding), of an offspring of each.

    Every model has its own projection, as every profile would.

    Returns:
        float32 [count, 6, 16, 16] and [len(noises), count, 6, 16, 16]; the same for the same seed.
    """
    draw = partial(_family, seed, tuple(noises))
    if count * (1 + len(noises)) < PARALLEL_FROM:
        rows = [draw(i) for i in range(count)]
    else:
        with _single_threaded(), ProcessPoolExecutor(mp_context=get_context("spawn")) as pool:
            rows = list(pool.map(draw, range(count), chunksize=16))
    stacked = np.stack(rows, axis=1)
    return stacked[0], stacked[1:]


def _family(seed: int, noises: tuple[tuple[float, float], ...], index: int) -> Array:
    rng = np.random.default_rng((seed, index))
    matrix = projection(512, rng.bytes(32))
    weights = synthetic_weights(rng)
    children = [terms(noisy(weights, rng, *noise), matrix) for noise in noises]
    return np.stack([terms(weights, matrix), *children])


@contextmanager
def _single_threaded() -> Iterator[None]:
    """Processes started here use one thread each in matrix products: there are as many of them as cores."""
    before = {name: os.environ.get(name) for name in ("OMP_NUM_THREADS", "OPENBLAS_NUM_THREADS", "MKL_NUM_THREADS")}
    os.environ.update(dict.fromkeys(before, "1"))
    try:
        yield
    finally:
        for name, value in before.items():
            os.environ.pop(name, None) if value is None else os.environ.update({name: value})
