"""Step 11: the 13 quantized matrices of a checkpoint (docs/protocol.md section 3, folding and quantization). numpy."""

from __future__ import annotations

import math
from collections.abc import Callable, Iterator
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from verifier.formats.errors import BadOpening
from verifier.opening.checkpoint import AnyArray, Float32Array, Tensors
from verifier.opening.families import Family, HeadNorm, Packing
from verifier.statement.statement import ROLES, Model

Float64Array = npt.NDArray[np.float64]
Int8Array = npt.NDArray[np.int8]
_Part = Callable[[AnyArray], AnyArray]
TARGET_RMS = 16.0
READERS = ("q", "k", "v", "up")  # o and down write
_BLOCK = 1 << 21  # entries folded at a time: 16 MB of float64


@dataclass(frozen=True)
class Folding:
    """What is folded into a matrix [rows, d], by the numbers of section 3. The default folds nothing.

    `columns` [d]: the norm's factor n. `head_dim` not 0: the norm of each head, LayerNorm if `centred`.
    `row_factors` [rows]: the weights w_r of norms of queries and keys.
    """

    own_norm: bool = False  # step 1
    columns: Float64Array | None = None  # step 2
    centred: bool = False  # step 3
    head_dim: int = 0  # step 4
    row_factors: Float64Array | None = None  # step 4

    def rows_at_a_time(self, d: int) -> int:
        """About `_BLOCK` entries, whole heads."""
        unit = self.head_dim or 1
        return max(1, _BLOCK // (d * unit)) * unit

    def fold(self, stored: Float32Array, first: int) -> Float64Array:
        """Rows `first` and on, float32 [n, d], n whole heads -> float64 [n, d]."""
        x: Float64Array = stored.astype(np.float64)
        d = x.shape[1]
        if self.own_norm:
            # x -= sum(x) / d; x /= r, r = sqrt(sum(x^2) / d) or 1
            x = x - (halving_sum(x) / d)[:, None]
            x = x / _or_one(np.sqrt(halving_sum(x * x) / d))[:, None]
        if self.columns is not None:
            x = x * self.columns
        if self.centred:
            x = x - (halving_sum(x) / d)[:, None]
        if self.head_dim:
            heads = x.reshape(-1, self.head_dim, d)
            if self.centred:
                # W -= (sum of its rows) / head_dim
                heads = heads - (halving_sum(heads.swapaxes(1, 2)) / self.head_dim)[:, None, :]
            # W /= r, r = sqrt(sum(W^2) / (head_dim d)) or 1, each row summed first
            squares = halving_sum(halving_sum(heads * heads))
            heads = heads / _or_one(np.sqrt(squares / (self.head_dim * d)))[:, None, None]
            x = heads.reshape(-1, d)
        if self.row_factors is not None:
            x = x * self.row_factors[first : first + len(x), None]
        return x

    def blocks(self, stored: Float32Array) -> Iterator[tuple[slice, Float64Array]]:
        """Which rows, and those rows folded, a block at a time."""
        step = self.rows_at_a_time(stored.shape[1])
        for begin in range(0, stored.shape[0], step):
            rows = slice(begin, begin + step)
            yield rows, self.fold(stored[rows], begin)

    def rms(self, stored: Float32Array, name: str) -> float:
        """Root mean square of all folded entries.

        Raises:
            BadOpening: the matrix is all zero, or not scalable.
        """
        squares = np.concatenate([halving_sum(block * block) for _, block in self.blocks(stored)])
        rms = float(np.sqrt(halving_sum(squares) / np.float64(stored.size)))
        if not rms > 0 or not math.isfinite(rms) or not math.isfinite(TARGET_RMS / rms):
            raise BadOpening(f"matrix {name} cannot be scaled: its root mean square is {rms}")
        return rms


def _or_one(r: Float64Array) -> Float64Array:
    return np.where(r == 0, 1.0, r)


def halving_sum(values: Float64Array) -> Float64Array:
    """Sum over the last axis: the second half is added to the first (the longer one, if odd) until one
    entry is left.

    Elementwise additions in a fixed order, so every machine gets the same bits.
    """
    while values.shape[-1] > 1:
        half = (values.shape[-1] + 1) // 2
        first = values[..., :half].copy()
        first[..., : values.shape[-1] - half] += values[..., half:]
        values = first
    result: Float64Array = values[..., 0]
    return result


def quantize(stored: Float32Array, folding: Folding, name: str) -> Int8Array:
    """Fold float32 [rows, d] and quantize to int8 [rows, d]: rule `rms16-int8-v1`, in float64.

    Raises:
        BadOpening: all zero, or not scalable.
    """
    rms = folding.rms(stored, name)
    result = np.empty(stored.shape, dtype=np.int8)
    for rows, block in folding.blocks(stored):
        result[rows] = np.clip(np.rint(block * (TARGET_RMS / rms)), -127, 127).astype(np.int8)
    return result


# ---------------------------------------- from tensors


def quantized_matrices(
    tensors: Tensors, family: Family, model: Model, tokens: tuple[int, ...]
) -> Iterator[tuple[str, Int8Array]]:
    """The 13 matrices in committing order: name and int8 [rows, d]. `tokens`: ids of X's rows.

    Raises:
        BadOpening: a tensor is missing, damaged, or of another shape than `model` says.
    """
    reader = _Reader(tensors, family, model)
    yield "embedding", quantize(reader.embedding(tokens), reader.embedding_folding(), "embedding")
    for layer in model.layers:
        for role in ROLES:
            name = f"layers.{layer}.{role}"
            yield name, quantize(reader.matrix(layer, role), reader.folding(layer, role), name)


def feed_forward_block(
    tensors: Tensors, family: Family, model: Model, layer: int, gate: str
) -> tuple[Int8Array, list[float]]:
    """A block's gate, int8 [rows, d], and the root mean squares of the folded gate, up and down.

    `gate`: the gate's tensor in a block; it is stored and folded as the one of `up`.

    Raises:
        BadOpening: a tensor is missing, damaged, or of another shape than `model` says, or not scalable.
    """
    reader = _Reader(tensors, family, model)
    stored, folding, place = reader.like_up(layer, gate), reader.folding(layer, "up"), f"layers.{layer}."
    rows, rms = quantize(stored, folding, place + "gate"), [folding.rms(stored, place + "gate")]
    rms += [reader.folding(layer, role).rms(reader.matrix(layer, role), place + role) for role in ("up", "down")]
    return rows, rms


class _Reader:
    """Roles of one checkpoint; [rows, d] whatever the storage is."""

    def __init__(self, tensors: Tensors, family: Family, model: Model) -> None:
        self._tensors, self._family, self._model = tensors, family, model
        # the first prefix under which the embedding is there; the first of all, to be named, if none is
        names = [prefix for prefix in family.prefixes if f"{prefix}{family.embedding}.weight" in tensors]
        self._prefix = [*names, family.prefixes[0]][0]

    def embedding(self, tokens: tuple[int, ...]) -> Float32Array:
        shape = (self._model.vocab_size, self._model.hidden_size)
        return self._get(f"{self._prefix}{self._family.embedding}.weight", shape, lambda x: x[list(tokens)])

    def embedding_folding(self) -> Folding:
        norm = self._family.embedding_norm
        columns = None if norm is None else self._factor(f"{self._prefix}{norm}")
        return Folding(own_norm=norm is not None, columns=columns, centred=self._family.layer_norm)

    def matrix(self, layer: int, role: str) -> Float32Array:
        family, model = self._family, self._model
        place, d, rows = self._place(layer), model.hidden_size, model.rows(role)
        if role not in READERS:
            name = family.o if role == "o" else family.down
            return self._read(place + name, rows, transposed=not family.conv1d)
        if role == "up":
            if family.gate_above_up:
                return self._read(place + family.up, 2 * rows, family.conv1d, lambda x: x[rows:])
            return self._read(place + family.up, rows, family.conv1d)
        if family.packing is Packing.SEPARATE:
            return self._read(place + family.qkv["qkv".index(role)], rows, family.conv1d)
        total = (model.heads + 2 * model.kv_heads) * model.head_dim

        def part(x: AnyArray) -> AnyArray:
            q, kv = model.heads * model.head_dim, model.kv_heads * model.head_dim
            if family.packing is Packing.STACKED:
                begin = {"q": 0, "k": q, "v": q + kv}[role]
                return x[begin : begin + rows]
            groups = x.reshape(model.kv_heads, model.rep + 2, model.head_dim, d)
            chosen = {"q": slice(0, model.rep), "k": slice(model.rep, model.rep + 1), "v": slice(model.rep + 1, None)}
            return groups[:, chosen[role]].reshape(rows, d)

        return self._read(place + family.qkv[0], total, family.conv1d, part)

    def like_up(self, layer: int, tensor: str) -> Float32Array:
        """A tensor of a block that is stored as its own `up`."""
        return self._read(self._place(layer) + tensor, self._model.rows("up"), self._family.conv1d)

    def folding(self, layer: int, role: str) -> Folding:
        family, place = self._family, self._place(layer)
        norms = {"up": family.ffn_norm, "o": family.o_norm, "down": family.down_norm}
        norm = norms.get(role, family.attention_norm)
        columns = None if norm is None else self._factor(place + norm)
        if family.head_norm is None or role not in ("q", "k"):
            return Folding(columns=columns, centred=family.layer_norm)
        head_dim = 0 if family.head_norm is HeadNorm.ALL_HEADS else self._model.head_dim
        factors = self._row_factors(place + family.head_norms["qk".index(role)], role)
        return Folding(False, columns, family.layer_norm, head_dim, factors)

    def _place(self, layer: int) -> str:
        return self._prefix + self._family.layer.format(layer)

    def _read(self, name: str, rows: int, transposed: bool, part: _Part | None = None) -> Float32Array:
        """`part` of the [rows, d] that are stored so, or as [d, rows]."""
        d = self._model.hidden_size
        shape = (d, rows) if transposed else (rows, d)

        def select(stored: AnyArray) -> AnyArray:
            x = stored.T if transposed else stored
            return x if part is None else part(x)

        return self._get(f"{name}.weight", shape, select)

    def _get(self, name: str, shape: tuple[int, ...], select: _Part | None = None) -> Float32Array:
        """A tensor that is there once: under another prefix transformers may take it for the same, and load that."""
        tail = name.removeprefix(self._prefix)
        words = {word for prefix in self._family.prefixes for word in prefix.split(".")}
        for other in self._tensors:
            front = other.removesuffix(tail)
            if other not in (name, front) and words.issuperset(front.split(".")):
                raise BadOpening(f"tensor {name} is there under another name too: {ascii(other)[:80]}")
        return self._tensors.read(name, shape, select)

    def _factor(self, name: str, length: int | None = None) -> Float64Array:
        """A norm's factor n: weight, or 1 + weight; [length], d if that is None."""
        weight = self._get(f"{name}.weight", (length or self._model.hidden_size,)).astype(np.float64)
        return 1.0 + weight if self._family.one_added else weight

    def _row_factors(self, name: str, role: str) -> Float64Array:
        """w_r of all rows of q or k: [heads * head_dim] or [kv_heads * head_dim]."""
        rows, head_dim = self._model.rows(role), self._model.head_dim
        if self._family.head_norm is HeadNorm.ALL_HEADS:
            return self._factor(name, rows)
        if self._family.head_norm is HeadNorm.EVERY_HEAD:
            return np.tile(self._factor(name, head_dim), rows // head_dim)
        return np.concatenate([self._factor(f"{name}.norms.{h}", head_dim) for h in range(rows // head_dim)])
