"""Reads the matrices of a checkpoint with the norms that are folded into them (docs/protocol.md section 3)."""

from __future__ import annotations

from collections.abc import Iterator

import numpy as np

from prover.checkpoint.family import ROLES, FloatArray, HeadNorm, Source, norm_factor
from prover.checkpoint.folded_matrix import Float64Array, FoldedMatrix, RowNorm, StoredArray
from prover.checkpoint.tensors import Checkpoint


def read_matrix(checkpoint: Checkpoint, layer: int, role: str) -> FoldedMatrix:
    """The matrix that plays `role` in block `layer`, with its norms. `role`: one of `ROLES`, or "gate".

    Raises:
        CheckpointError: missing or damaged tensor.
    """
    family, shape = checkpoint.family, checkpoint.shape
    stored = map_source(checkpoint, layer, role, family.roles[role])
    pattern = family.norm_tensor(role)
    scale = None
    if pattern is not None:
        scale = family.column_scale(checkpoint.read(pattern.replace("{i}", str(layer)), (shape.hidden_size,)))
    norm = family.head_norms.get(role)
    rows = None if norm is None else _read_row_norm(checkpoint, layer, role, norm)
    return FoldedMatrix(f"layers.{layer}.{role}", stored, scale, family.centred, rows)


def map_source(checkpoint: Checkpoint, layer: int, role: str, source: Source) -> StoredArray:
    """The stored rows of `role` in block `layer` at `source`, [rows, d], before folding; bfloat16 as uint16.

    Mapped and not read, where the file holds these rows in one piece.

    Raises:
        CheckpointError: missing or damaged tensor.
    """
    shape = checkpoint.shape
    stored_rows = source.packing.total_rows(shape, role)
    stored_shape = (shape.hidden_size, stored_rows) if source.transposed else (stored_rows, shape.hidden_size)
    tensor = checkpoint.mapped(source.tensor.replace("{i}", str(layer)), stored_shape)
    return source.packing.pick(tensor.T if source.transposed else tensor, shape, role)


def _read_row_norm(checkpoint: Checkpoint, layer: int, role: str, norm: HeadNorm) -> RowNorm:
    """The norm of queries or keys, its weight brought to one entry a row."""
    shape = checkpoint.shape
    name = norm.tensor.replace("{i}", str(layer))
    heads = shape.rows(role) // shape.head_dim
    if norm.whole:
        weight: FloatArray = checkpoint.read(name, (shape.rows(role),))
    elif "{h}" in name:
        each = [checkpoint.read(name.replace("{h}", str(head)), (shape.head_dim,)) for head in range(heads)]
        weight = np.concatenate(each)
    else:
        weight = np.tile(checkpoint.read(name, (shape.head_dim,)), heads)
    length = 0 if norm.whole else shape.head_dim
    return RowNorm(norm_factor(norm.kind, weight), length, norm.kind == "layernorm")


def read_embedding(checkpoint: Checkpoint, ids: tuple[int, ...]) -> FoldedMatrix:
    """X: the embedding rows of the chosen tokens, [K, d], after the embedding's own norm if there is one.

    Raises:
        CheckpointError: missing or damaged tensor.
    """
    family, shape = checkpoint.family, checkpoint.shape
    rows = checkpoint.read(family.embedding, (shape.vocab_size, shape.hidden_size), ids)
    scale: Float64Array | None = None
    if family.embedding_norm is not None:
        scale = family.column_scale(checkpoint.read(family.embedding_norm, (shape.hidden_size,)))
    return FoldedMatrix("embedding", rows, scale, family.centred, unit_rows=scale is not None)


def read_matrices(checkpoint: Checkpoint, ids: tuple[int, ...]) -> Iterator[FoldedMatrix]:
    """The 13 matrices in committing order, one at a time."""
    yield read_embedding(checkpoint, ids)
    for layer in checkpoint.shape.layers:
        for role in ROLES:
            yield read_matrix(checkpoint, layer, role)
