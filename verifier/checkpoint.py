"""Step 11: reads what the commitments are about from a Hugging Face checkpoint (docs/protocol.md section 3).

Own, bounded readers: config.json, tokenizer.json, safetensors (8 bytes of length, a JSON header, raw little-endian
data). Tensors are memory-mapped; nothing is executed. Whatever cannot be read is `BadOpening`: undecided.
"""

from __future__ import annotations

import hashlib
import json
import math
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

from verifier import limits
from verifier.encoding import u32be
from verifier.errors import BadOpening
from verifier.statement import ROLES, Model, Statement

Float32Array = npt.NDArray[np.float32]
Float64Array = npt.NDArray[np.float64]
Int8Array = npt.NDArray[np.int8]

ARCHITECTURES = {"llama": ("LlamaForCausalLM", "MistralForCausalLM")}
EMBEDDING = "model.embed_tokens.weight"
TENSORS = {
    "q": "self_attn.q_proj",
    "k": "self_attn.k_proj",
    "v": "self_attn.v_proj",
    "o": "self_attn.o_proj",
    "up": "mlp.up_proj",
    "down": "mlp.down_proj",
}
NORMS = {
    "q": "input_layernorm",
    "k": "input_layernorm",
    "v": "input_layernorm",
    "up": "post_attention_layernorm",
}
TRANSPOSED = ("o", "down")
TARGET_RMS = 16.0
_TYPES = {"F32": "<f4", "F16": "<f2", "BF16": "<u2"}
_BLOCK = 1 << 21  # entries folded at a time: 16 MB of float64


def _bad(path: Path, what: str, hint: str = "") -> BadOpening:
    return BadOpening(f"{path}: {what}", hint=hint)


def read_file(path: Path, max_bytes: int) -> bytes:
    """A file's bytes.

    Raises:
        BadOpening: missing, or larger than `max_bytes`.
    """
    try:
        with path.open("rb") as stream:
            data = stream.read(max_bytes + 1)
    except OSError as error:
        raise _bad(path, error.strerror or "cannot be read") from None
    if len(data) > max_bytes:
        raise _bad(path, f"larger than {max_bytes} bytes")
    return data


def _object(data: bytes, path: Path) -> dict[str, Any]:
    def once(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
        result = dict(pairs)
        if len(result) != len(pairs):
            raise ValueError("a key twice")
        return result

    try:
        value = json.loads(data.decode("utf-8"), object_pairs_hook=once)
    except (ValueError, RecursionError) as error:
        raise _bad(path, f"not JSON ({str(error)[:80]})") from None
    if not isinstance(value, dict):
        raise _bad(path, "not a JSON object")
    return value


# ---------------------------------------- config.json


def read_model(folder: Path) -> Model:
    """The architecture that config.json describes.

    Raises:
        BadOpening: missing, damaged, or of a family that cannot be opened.
    """
    path = folder / "config.json"
    config = _object(read_file(path, limits.MAX_CONFIG_BYTES), path)
    listed = config.get("architectures")
    family = next((name for name, known in ARCHITECTURES.items() if listed in [[one] for one in known]), None)
    if family is None:
        known = ", ".join(one for names in ARCHITECTURES.values() for one in names)
        raise _bad(path, f"architectures: {ascii(listed)[:80]} cannot be opened", f"supported: {known}")

    def size(key: str, default: int | None = None) -> int:
        value = config.get(key)
        if value is None and default is not None:
            return default
        if not isinstance(value, int) or isinstance(value, bool) or not 1 <= value <= limits.MAX_DIMENSION:
            raise _bad(path, f"{key}: not a size")
        return value

    hidden, heads, layers = size("hidden_size"), size("num_attention_heads"), size("num_hidden_layers")
    return Model(
        family=family,
        hidden_size=hidden,
        heads=heads,
        kv_heads=size("num_key_value_heads", heads),
        head_dim=size("head_dim", max(1, hidden // heads)),
        intermediate_size=size("intermediate_size"),
        num_layers=layers,
        layers=(layers - 2, layers - 1),
        vocab_size=size("vocab_size"),
    )


# ---------------------------------------- tokenizer.json


@dataclass(frozen=True)
class Tokens:
    """The chosen tokens' ids in order, the number of candidates n, and two digests."""

    ids: tuple[int, ...]
    candidates: int
    sha256: bytes
    tokenizer: bytes


def read_tokens(folder: Path, vocab_size: int, g: int, k_max: int) -> Tokens:
    """Rule `sha256-order-v1`.

    Raises:
        BadOpening: missing or damaged.
    """
    path = folder / "tokenizer.json"
    data = read_file(path, limits.MAX_TOKENIZER_BYTES)
    document = _object(data, path)
    model, added = document.get("model"), document.get("added_tokens") or []
    vocabulary = model.get("vocab") if isinstance(model, dict) else None
    if not isinstance(vocabulary, dict) or not isinstance(added, list):
        raise _bad(path, "no model.vocab that maps strings to ids, or added_tokens is not a list")
    if not all(isinstance(item, dict) for item in added):
        raise _bad(path, "added_tokens: not a list of objects")
    left_out_ids = {str(item.get("id")) for item in added}
    left_out_strings = {str(item.get("content")) for item in added}
    keyed = []
    for string, token in vocabulary.items():
        if not isinstance(token, int) or isinstance(token, bool) or token < 0:
            raise _bad(path, f"model.vocab: {ascii(string)[:40]} has no id")
        if token < vocab_size and str(token) not in left_out_ids and string not in left_out_strings:
            try:
                encoded = string.encode("utf-8")
            except UnicodeEncodeError:
                raise _bad(path, f"model.vocab: {ascii(string)[:40]} is not Unicode text") from None
            keyed.append((hashlib.sha256(encoded).digest(), encoded, token))
    keyed.sort()
    chosen = keyed[: min(k_max, 2 * g * (len(keyed) // (2 * g)))]
    digest = hashlib.sha256(b"".join(u32be(len(encoded)) + encoded for _, encoded, _ in chosen)).digest()
    return Tokens(tuple(token for _, _, token in chosen), len(keyed), digest, hashlib.sha256(data).digest())


# ---------------------------------------- safetensors


@dataclass(frozen=True)
class _Entry:
    path: Path
    dtype: str
    shape: tuple[int, ...]
    begin: int
    end: int


class Tensors:
    """The tensors of a checkpoint: model.safetensors, or shards named by an index."""

    def __init__(self, folder: Path) -> None:
        """Read headers only."""
        single, index = folder / "model.safetensors", folder / "model.safetensors.index.json"
        self._folder = folder
        if single.exists():
            self._entries = _read_header(single)
            return
        weight_map = _object(read_file(index, limits.MAX_INDEX_BYTES), index).get("weight_map")
        if not isinstance(weight_map, dict):
            raise _bad(index, "no weight_map")
        names = sorted({str(shard) for shard in weight_map.values()})
        if any(Path(name).name != name or not name.endswith(".safetensors") for name in names):
            raise _bad(index, "weight_map names something that is not a file beside it")
        shards = {name: _read_header(folder / name) for name in names}
        self._entries = {}
        for tensor, shard in weight_map.items():
            if tensor not in shards[str(shard)]:
                raise _bad(folder / str(shard), f"tensor {ascii(tensor)[:80]} is missing")
            self._entries[tensor] = shards[str(shard)][tensor]

    def read(self, name: str, shape: tuple[int, ...], rows: tuple[int, ...] | None = None) -> Float32Array:
        """A tensor (or some rows of it) as float32: exact for all three types.

        Raises:
            BadOpening: missing, of another shape or type, NaN or infinite values.
        """
        entry = self._entries.get(name)
        if entry is None or entry.shape != shape:
            found = "missing" if entry is None else f"of shape {list(entry.shape)}, not {list(shape)}"
            raise _bad(self._folder, f"tensor {name} is {found}")
        if entry.dtype not in _TYPES:
            raise _bad(
                entry.path,
                f"tensor {name} is of type {ascii(entry.dtype)[:20]}",
                "F32, F16 and BF16 are read",
            )
        try:
            stored = np.memmap(entry.path, dtype=_TYPES[entry.dtype], mode="r", offset=entry.begin, shape=shape)
        except (OSError, ValueError) as error:
            raise _bad(entry.path, f"tensor {name} cannot be read ({str(error)[:80]})") from None
        chosen = np.asarray(stored if rows is None else stored[list(rows)])
        if entry.dtype == "BF16":
            chosen = (chosen.astype(np.uint32) << 16).view(np.float32)
        result: Float32Array = chosen.astype(np.float32)
        if not bool(np.isfinite(result).all()):
            raise _bad(entry.path, f"tensor {name} has NaN or infinite values")
        return result


def _read_header(path: Path) -> dict[str, _Entry]:
    try:
        size = path.stat().st_size
        with path.open("rb") as stream:
            length = int.from_bytes(stream.read(8), "little")
            if size < 8 or length > min(size - 8, limits.MAX_HEADER_BYTES):
                raise _bad(path, "not a safetensors file: its header is longer than it")
            data = stream.read(length)
    except OSError as error:
        raise _bad(path, error.strerror or "cannot be read") from None
    result = {}
    for name, fields in _object(data, path).items():
        if name == "__metadata__":
            continue
        try:
            begin, end = fields["data_offsets"]
            entry = _Entry(path, fields["dtype"], tuple(fields["shape"]), 8 + length + begin, 8 + length + end)
            width = np.dtype(_TYPES[entry.dtype]).itemsize if entry.dtype in _TYPES else None
            numbers = [*entry.shape, begin, end]
            sound = all(isinstance(n, int) and n >= 0 for n in numbers) and begin <= end and entry.end <= size
            if not sound or (width is not None and width * math.prod(entry.shape) != end - begin):
                raise ValueError
        except (KeyError, TypeError, ValueError):
            raise _bad(path, f"header of tensor {ascii(name)[:80]} is damaged") from None
        result[name] = entry
    return result


# ---------------------------------------- folding and quantizing


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


def quantize(stored: Float32Array, column_scale: Float64Array | None, name: str) -> Int8Array:
    """Fold and quantize: rule `rms16-int8-v1`, in float64.

    Raises:
        BadOpening: all zero, or not scalable.
    """
    step = max(1, _BLOCK // stored.shape[1])

    def blocks() -> Iterator[tuple[slice, Float64Array]]:
        for begin in range(0, stored.shape[0], step):
            rows = slice(begin, begin + step)
            folded = stored[rows].astype(np.float64)
            yield rows, folded if column_scale is None else folded * column_scale

    squares = np.concatenate([halving_sum(block * block) for _, block in blocks()])
    rms = float(np.sqrt(halving_sum(squares) / np.float64(stored.size)))
    if not rms > 0 or not math.isfinite(rms) or not math.isfinite(TARGET_RMS / rms):
        raise BadOpening(f"matrix {name} cannot be scaled: its root mean square is {rms}")
    result = np.empty(stored.shape, dtype=np.int8)
    for rows, block in blocks():
        result[rows] = np.clip(np.rint(block * (TARGET_RMS / rms)), -127, 127).astype(np.int8)
    return result


def quantized_matrices(folder: Path, statement: Statement, tokens: Tokens) -> Iterator[tuple[str, Int8Array]]:
    """The 13 matrices in committing order: name and int8 [rows, d]."""
    tensors, model = Tensors(folder), statement.model
    d = model.hidden_size
    yield "embedding", quantize(tensors.read(EMBEDDING, (model.vocab_size, d), tokens.ids), None, "embedding")
    for layer in model.layers:
        for role in ROLES:
            name, rows, place = f"layers.{layer}.{role}", model.rows(role), f"model.layers.{layer}."
            shape = (d, rows) if role in TRANSPOSED else (rows, d)
            stored = tensors.read(f"{place}{TENSORS[role]}.weight", shape)
            if role in TRANSPOSED:
                stored = np.ascontiguousarray(stored.T)
            norm = NORMS.get(role)
            scale = None if norm is None else tensors.read(f"{place}{norm}.weight", (d,)).astype(np.float64)
            yield name, quantize(stored, scale, name)
