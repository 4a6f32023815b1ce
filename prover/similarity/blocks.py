"""Which blocks of two models are alike: `huref ics --blocks`, for models that were shortened or padded.

A fingerprint is made of the last two blocks. Whoever has both models' weights can compare others: the last two of one
with every two consecutive blocks of the other, and the other way round. The best of them counts, and its p-value is
multiplied by how many were tried.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from circuits.errors import UsageError
from prover.checkpoint.folded_matrix import Float64Array
from prover.checkpoint.folding import read_embedding, read_matrix
from prover.checkpoint.tensors import Checkpoint
from prover.checkpoint.tokens import select_in_common
from prover.similarity.null_distribution import Calibration, calibration, null_cosines, p_value, rotations
from prover.similarity.verdict import verdict_word
from prover.terms.terms import PAIRS, REPEATED_ROLES, Projection, TermRules, project_rows_float, projection, repeat_rows

Blocks = tuple[int, int]


@dataclass(frozen=True)
class BestBlocks:
    """The two models' most similar blocks.

    Args:
        cosine: of the six terms of these blocks, over the same token strings.
        left, right: the blocks, counted from 0.
        tried: pairs of blocks that were compared.
        p_value: of the best, times `tried`.
        word: derived, inconclusive or independent.
    """

    cosine: float
    left: Blocks
    right: Blocks
    tried: int
    p_value: float
    word: str


def block_terms(checkpoint: Checkpoint, ids: tuple[int, ...], by: Projection) -> Float64Array:
    """The three projected terms of every block, before quantizing, each at norm 1: [blocks, 3, g, g].

    Raises:
        CheckpointError: damaged tensor.
    """
    a = project_rows_float(read_embedding(checkpoint, ids).full(), by)
    shape = checkpoint.shape

    def projected(block: int, role: str) -> Float64Array:
        """`A W^T`, columns repeated by query group."""
        rows = read_matrix(checkpoint, block, role)
        product = np.concatenate([a @ part.T for _, part in rows.blocks()], axis=1)
        return repeat_rows(product.T, shape.head_dim, shape.query_group).T if role in REPEATED_ROLES else product

    found = np.stack(
        [np.stack([projected(block, u) @ projected(block, v).T for u, v in PAIRS]) for block in range(shape.num_layers)]
    )
    norms = np.sqrt((found**2).sum(axis=(2, 3), keepdims=True))
    return found / np.where(norms > 0, norms, 1.0)


def pairs_of_blocks(left: int, right: int) -> list[tuple[Blocks, Blocks]]:
    """The last two of one with every two consecutive ones of the other, both ways, each once."""
    last = (left - 2, left - 1), (right - 2, right - 1)
    one_way = [(last[0], (j, j + 1)) for j in range(right - 1)]
    other_way = [((i, i + 1), last[1]) for i in range(left - 2)]
    return one_way + other_way


def best_blocks(
    left: Checkpoint,
    right: Checkpoint,
    shared: list[tuple[str, int, int]],
    rules: TermRules,
    by: Calibration | None = None,
) -> BestBlocks:
    """The most similar blocks of two models over the token strings of `shared` (`metrics.common_strings`).

    Raises:
        UsageError: too few strings in common, or a model of one block.
        CheckpointError: damaged tensor.
    """
    for checkpoint in (left, right):
        if checkpoint.shape.num_layers < 2:
            raise UsageError(f"{checkpoint.directory}: one block only", step="blocks", hint="leave out --blocks")
    tokens = select_in_common(shared, (left.tokenizer_json, right.tokenizer_json), rules.k_max, rules.g)
    p = projection(rules.seed, tokens[0].count, rules.g)
    terms = [block_terms(side, chosen.ids, p) for side, chosen in zip((left, right), tokens, strict=True)]
    tried = pairs_of_blocks(len(terms[0]), len(terms[1]))

    def six(pair: tuple[Blocks, Blocks]) -> tuple[Float64Array, Float64Array]:
        return terms[0][list(pair[0])].reshape(6, rules.g, rules.g), terms[1][list(pair[1])].reshape(
            6, rules.g, rules.g
        )

    cosines = [float((a * b).sum()) / 6 for a, b in map(six, tried)]
    best = int(np.argmax(cosines))
    draws = null_cosines(*six(tried[best]), rotations(rules.g))
    probability = min(1.0, len(tried) * p_value(cosines[best], draws, by or calibration()))
    return BestBlocks(cosines[best], *tried[best], len(tried), probability, verdict_word(probability))
