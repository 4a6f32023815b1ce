"""Folding norms into matrices (docs/protocol.md section 3). Pure.

All of it is float64, summed in a fixed order, so that every machine gets the same bytes.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt

from circuits.kernel.fold import StoredRows, folds
from circuits.threads import cores, in_threads
from prover.checkpoint.family import FloatArray

Float64Array = npt.NDArray[np.float64]
StoredArray = npt.NDArray[Any]

_BLOCK_ENTRIES = 1 << 22  # entries handled at a time, by all threads together: 32 MB of float64
_NATIVE_ENTRIES = 1 << 18  # entries to one call of the library, which holds some rows of them
_NATIVE_ROWS = 32  # a multiple of these: it brings so many rows together where entries lie apart


@dataclass(frozen=True)
class RowNorm:
    """A norm of queries or keys: `weight` float64 [rows]. It acts on heads of `head_dim` rows, or 0: on all as one.

    `centred`: a LayerNorm, which takes each head's mean out.
    """

    weight: Float64Array
    head_dim: int
    centred: bool = False

    def apply(self, rows: Float64Array, begin: int) -> Float64Array:
        """`rows` [n, d] are the matrix's rows from `begin` on, whole heads: normalised, times the weight."""
        weight = self.weight[begin : begin + len(rows), None]
        if self.head_dim == 0:
            return rows * weight  # one divisor for the whole matrix: terms have no scale
        heads = rows.reshape(-1, self.head_dim, rows.shape[1])
        if self.centred:
            # W_h <- (I - 1 1^T / head_dim) W_h
            heads = heads - tree_sum(heads.swapaxes(1, 2))[:, None, :] / self.head_dim
        # rms_h = sqrt(|W_h|^2 / (head_dim d)): what the norm divides by, for a stream without a direction of its own
        squares = tree_sum(tree_sum(heads * heads))
        rms = np.sqrt(squares / np.float64(self.head_dim * rows.shape[1]))
        rms[rms == 0] = 1.0
        normalised: Float64Array = (heads / rms[:, None, None]).reshape(rows.shape) * weight
        return normalised


def widen(stored: StoredArray) -> FloatArray:
    """Stored values as floating point: bfloat16 comes as uint16 and is the upper half of a float32."""
    if stored.dtype != np.uint16:
        return stored
    return (stored.astype(np.uint32) << np.uint32(16)).view(np.float32)


def fold(rows: FloatArray, column_scale: Float64Array | None, *, centred: bool = False) -> Float64Array:
    """Rows [n, d] as float64, times the weight of the norm that feeds them; centred: `W (I - 1 1^T / d)`."""
    folded = rows.astype(np.float64)
    if column_scale is not None:
        folded *= column_scale
    if centred:
        folded -= tree_sum(folded)[:, None] / folded.shape[1]
    return folded


def unit_rows(rows: FloatArray) -> Float64Array:
    """Each row [d] less its mean, over its root mean square: a LayerNorm without weight. A constant row gives zero."""
    centred = fold(rows, None, centred=True)
    rms = np.sqrt(tree_sum(centred * centred) / np.float64(centred.shape[1]))
    rms[rms == 0] = 1.0
    result: Float64Array = centred / rms[:, None]
    return result


def tree_sum(values: Float64Array) -> Float64Array:
    """Sum over the last axis by halving. Only elementwise additions: the same bits on every machine."""
    while values.shape[-1] > 1:
        half = (values.shape[-1] + 1) // 2
        upper = values[..., half:]
        total = values[..., :half].copy()
        total[..., : upper.shape[-1]] += upper
        values = total
    return values[..., 0]


@dataclass(frozen=True)
class FoldedMatrix:
    """A stored matrix [rows, d] and what folding does to it; `blocks` gives the folded rows in pieces.

    `stored` may be mapped from disk, bfloat16 as uint16: only pieces of it are ever in memory.

    In this order: `unit_rows` (embeddings behind a LayerNorm), `column_scale`, `centred`, `row_norm`.
    """

    name: str
    stored: StoredArray
    column_scale: Float64Array | None = None
    centred: bool = False
    row_norm: RowNorm | None = None
    unit_rows: bool = False

    def blocks(self) -> Iterator[tuple[slice, Float64Array]]:
        """Pairs of (which rows, folded rows), a few megabytes each."""
        for rows in self._cut(_BLOCK_ENTRIES):
            yield rows, self.block(rows)

    def block(self, rows: slice) -> Float64Array:
        """The folded rows, [n, d]. Whole heads, where there is a `row_norm` with heads."""
        stored = self.stored[rows]
        if self.unit_rows:
            stored = unit_rows(widen(stored))
        if folds(stored):
            folded = StoredRows(stored, self.column_scale, self.centred).fold(0, len(stored))
        else:
            folded = fold(widen(stored), self.column_scale, centred=self.centred)
        return folded if self.row_norm is None else self.row_norm.apply(folded, rows.start)

    def pieces(self) -> list[slice]:
        """All rows, in pieces that threads may work on side by side."""
        if not self._is_plain:
            return self._cut(_BLOCK_ENTRIES // cores())
        step = _NATIVE_ENTRIES // self.stored.shape[1] // _NATIVE_ROWS * _NATIVE_ROWS
        return self._cut(max(_NATIVE_ROWS, step) * self.stored.shape[1])

    def native(self, rows: slice) -> tuple[StoredRows, slice] | None:
        """The folded rows as some of those that the library reads; None where it was not built."""
        if self._is_plain:
            return StoredRows(self.stored, self.column_scale, self.centred), rows
        block = self.block(rows)
        return (StoredRows(block), slice(0, len(block))) if folds(block) else None

    @property
    def _is_plain(self) -> bool:
        """Whether the library does all of the folding."""
        return self.row_norm is None and not self.unit_rows and folds(self.stored)

    def _cut(self, entries: int) -> list[slice]:
        step = max(1, entries // self.stored.shape[1])
        if self.row_norm is not None and self.row_norm.head_dim:
            step = max(1, step // self.row_norm.head_dim) * self.row_norm.head_dim  # whole heads
        count = self.stored.shape[0]
        return [slice(begin, min(begin + step, count)) for begin in range(0, count, step)]

    def rms(self) -> float:
        """Root mean square of all folded entries."""
        squares = np.concatenate(in_threads(self._row_squares, self.pieces()))
        return float(np.sqrt(tree_sum(squares) / np.float64(self.stored.size)))

    def _row_squares(self, rows: slice) -> Float64Array:
        native = self.native(rows)
        if native is None:
            block = self.block(rows)
            return tree_sum(block * block)
        there, where = native
        return there.squares(where.start, where.stop)

    def full(self) -> Float64Array:
        """All folded rows, float64 [rows, d]."""
        return np.concatenate([block for _, block in self.blocks()])
