"""Weights whose z is nearly zero before it is scaled: its direction is then whatever rounding leaves of it.

Made of bytes. X has one row other than zero in each bucket of P, so that A = P X = (127 I | I | 0); every entry of a
term is then written in base 127, one digit in a row of U, its place in the row of V.
"""

from __future__ import annotations

from dataclasses import replace
from types import MappingProxyType

import numpy as np
import onnx
from onnx import numpy_helper

from circuits.profiles import Profile
from prover.terms.terms import PAIRS, FingerprintInput, Matrices, projected_terms
from tests.adversarial.cheats import World

BASE, DIGITS = 127, 4
# digit -> block of A that U reads, block that V reads, V's entry: together 127^3, 127^2, 127, 1
PLACES = ((0, 0, 127), (0, 0, 1), (0, 1, 1), (1, 1, 1))


def head_of(profile: Profile) -> tuple[np.ndarray, np.ndarray]:
    """W and b of the published head."""
    with np.load(profile.fpm("head.npz")) as head:
        return head["weight"].astype(np.float64), head["bias"].astype(np.float64)


def features_of_terms(profile: Profile) -> np.ndarray:
    """E [512, 1536]: the published encoder as one matrix, its weights rounded as the circuit has them."""
    graph = onnx.load(str(profile.fpm("encoder.onnx"))).graph
    tensors = {tensor.name: numpy_helper.to_array(tensor) for tensor in graph.initializer}
    units = np.eye(6 * 256).reshape(-1, *tensors["shape_cut"])
    (order,) = [node.attribute[0].ints for node in graph.node if node.op_type == "Transpose"]
    patches = units.transpose(0, *(1 + axis for axis in order)).reshape(-1, *tensors["shape_patches"])
    weights = np.rint(tensors["w1"].astype(np.float64) * 256) / 256  # param_scale 8
    return (patches @ weights).reshape(6 * 256, -1).T


def directionless_terms(profile: Profile, z: np.ndarray | float = 0.0, seed: int = 1) -> np.ndarray:
    """Six terms [16, 16] of root mean square 1, as norms demand, with W E s + b = z [512]."""
    encoder, (weight, bias) = features_of_terms(profile), head_of(profile)
    wanted = np.linalg.solve(weight, z - bias)
    inverse = np.linalg.pinv(encoder)
    terms = np.random.default_rng(seed).normal(size=6 * 256)
    for _ in range(200):  # onto E s = wanted, then onto the six spheres, until both hold
        terms = terms + inverse @ (wanted - encoder @ terms)
        terms = (terms.reshape(6, 256) / np.sqrt((terms.reshape(6, 256) ** 2).mean(1))[:, None]).reshape(-1)
    return terms.reshape(6, 16, 16)


def weights_with(world: World, terms: np.ndarray) -> FingerprintInput:
    """The shipped model's shape and tokens, and bytes whose six terms are multiples of `terms`."""
    source, g = world.source, world.profile.g
    matrices = {name: np.zeros_like(np.asarray(m)) for name, m in source.matrices.by_name.items()}
    by = source.projection
    for bucket in range(g):
        token = int(np.flatnonzero(by.bucket == bucket)[0])
        matrices["embedding"][token, [bucket, g + bucket]] = np.array([BASE, 1]) * by.sign[token]
    # the first query head of each group is the only one that is not zero
    shape = source.shape
    spread = [
        (row // shape.head_dim) * shape.query_group * shape.head_dim + row % shape.head_dim for row in range(DIGITS * g)
    ]
    for t, term in enumerate(terms):
        left, right = (f"layers.{shape.layers[t // 3]}.{role}" for role in PAIRS[t % 3])
        rest = np.rint(term / np.abs(term).max() * (BASE // 2) * BASE ** (DIGITS - 1)).astype(np.int64)
        for digit in reversed(range(DIGITS)):
            now = (rest + BASE // 2) % BASE - BASE // 2 if digit else rest
            rest = (rest - now) // BASE
            u_block, v_block, entry = PLACES[digit]
            for column in range(g):
                row = digit * g + column
                u_row, v_row = ((spread[row], row), (row, spread[row]), (row, row))[t % 3]
                matrices[left][u_row, u_block * g : (u_block + 1) * g] = now[:, column]
                matrices[right][v_row, v_block * g + column] = entry
    made = Matrices(MappingProxyType(matrices), source.matrices.clipped)
    return replace(source, matrices=made, terms=projected_terms(matrices, shape, by), weights_sha256=made.sha256())
