"""Reads a Hugging Face checkpoint directory: config.json, safetensors (whole or sharded), tokenizer.json.

Weights are memory-mapped and only the tensors asked for are touched. No pickles, no torch. Every fault of the
input is a `CheckpointError` whose message names the file and the field.
"""

from __future__ import annotations

import json
import re
import struct
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, TypeGuard

import numpy as np
import numpy.typing as npt

from circuits.errors import CheckpointError
from prover.families import FAMILIES, LAYERS_USED, Family, Shape, family_of, supported_architectures

MAX_CONFIG_BYTES = 1 << 20  # real ones are a few kB
MAX_INDEX_BYTES = 64 << 20  # names of tensors: the largest published ones are about 10 MB
MAX_TOKENIZER_BYTES = 256 << 20  # the largest published ones are about 35 MB
MAX_HEADER_BYTES = 100_000_000  # the limit of the safetensors format itself
MAX_JSON_DEPTH = 64  # real files nest less than 10 deep
MAX_DIMENSION = 1 << 24  # any size in config.json; keeps products of two far below 2^63

_STRING_OR_BRACKET = re.compile(rb'"[^"\\]*(?:\\.[^"\\]*)*"|[\[\]{}]', re.DOTALL)

_STEP = "checkpoint"
_ITEM_BYTES = {"F32": 4, "F16": 2, "BF16": 2}
_STORED_TYPE = {"F32": "<f4", "F16": "<f2", "BF16": "<u2"}
_MAX_NAME_IN_MESSAGE = 120


def _fault(file: Path | str, text: str, hint: str = "") -> CheckpointError:
    return CheckpointError(f"{file}: {text}", step=_STEP, hint=hint)


def _short(value: object) -> str:
    """A value for a message: quoted, cut, without control characters."""
    return ascii(value)[:_MAX_NAME_IN_MESSAGE]


@dataclass(frozen=True)
class TensorEntry:
    """One tensor as described by a safetensors header: `begin`, `end` are byte positions in `file`."""

    name: str
    file: Path
    dtype: str
    shape: tuple[int, ...]
    begin: int
    end: int


@dataclass(frozen=True)
class Checkpoint:
    """A checkpoint directory, parsed. Weights stay on disk until `read` is called."""

    directory: Path
    family: Family
    shape: Shape
    tensors: Mapping[str, TensorEntry]
    tokenizer_json: bytes

    def read(self, name: str, shape: tuple[int, ...], rows: tuple[int, ...] | None = None) -> npt.NDArray[np.float32]:
        """The tensor `name`, or some of its rows, as float32. It must have exactly `shape` and finite values.

        Raises:
            CheckpointError: missing, of another shape, of a type other than F32/F16/BF16, or with NaN or inf.
        """
        entry = self.tensors.get(name)
        if entry is None:
            raise _fault(
                self.directory,
                f"tensor {_short(name)} is missing",
                "the weights do not belong to this config.json",
            )
        if entry.shape != shape:
            raise _fault(
                entry.file,
                f"tensor {_short(name)} has shape {list(entry.shape)}, config.json asks for {list(shape)}",
                "config.json and the weights do not belong together",
            )
        values = read_tensor(entry, rows)
        if not bool(np.isfinite(values).all()):
            raise _fault(entry.file, f"tensor {_short(name)} contains NaN or infinite values")
        return values


def open_checkpoint(directory: Path, families: tuple[Family, ...] = FAMILIES) -> Checkpoint:
    """Parse a checkpoint directory: config, headers of the weight files, bytes of the tokenizer.

    Raises:
        CheckpointError: anything missing, damaged, or of an unsupported kind.
    """
    if not directory.is_dir():
        raise _fault(directory, "no such directory", "give the folder that holds config.json")
    config_file = directory / "config.json"
    family, shape = parse_config(read_json(config_file, MAX_CONFIG_BYTES), config_file, families)
    tensors = _tensor_table(directory)
    tokenizer = _read_bytes(
        directory / "tokenizer.json",
        MAX_TOKENIZER_BYTES,
        "only fast tokenizers are read; save one with tokenizers or transformers",
    )
    return Checkpoint(directory, family, shape, tensors, tokenizer)


def parse_config(
    config: Mapping[str, Any], file: Path, families: tuple[Family, ...] = FAMILIES
) -> tuple[Family, Shape]:
    """Family and shape from the object in config.json; `file` is for messages.

    Raises:
        CheckpointError: unsupported architecture, quantized weights, a missing or impossible size.
    """
    listed = config.get("architectures")
    architecture = listed[0] if isinstance(listed, list) and len(listed) == 1 else None
    family = family_of(architecture, families) if isinstance(architecture, str) else None
    if family is None:
        raise _fault(
            file,
            f"field architectures: {_short(listed)} is not supported",
            "supported: " + ", ".join(supported_architectures(families)),
        )
    if config.get("quantization_config") is not None:
        raise _fault(
            file,
            "field quantization_config: quantized weights are not supported",
            "use the bf16, f16 or f32 release",
        )
    keys = family.keys
    hidden = _size(config, keys.hidden_size, file)
    heads = _size(config, keys.heads, file)
    kv_heads = _size(config, keys.kv_heads, file, default=heads)
    if heads % kv_heads:
        raise _fault(file, f"field {keys.kv_heads}: {kv_heads} does not divide {keys.heads} = {heads}")
    if config.get(keys.head_dim) is None and hidden % heads:
        raise _fault(file, f"field {keys.heads}: {heads} does not divide {keys.hidden_size} = {hidden}")
    layers = _size(config, keys.num_layers, file)
    if layers < LAYERS_USED:
        raise _fault(file, f"field {keys.num_layers}: {layers}, at least {LAYERS_USED} layers are needed")
    shape = Shape(
        family=family.name,
        hidden_size=hidden,
        heads=heads,
        kv_heads=kv_heads,
        head_dim=_size(config, keys.head_dim, file, default=hidden // heads),
        intermediate_size=_size(config, keys.intermediate_size, file),
        num_layers=layers,
        layers=(layers - 2, layers - 1),
        vocab_size=_size(config, keys.vocab_size, file),
    )
    return family, shape


def _size(config: Mapping[str, Any], key: str, file: Path, default: int | None = None) -> int:
    value = config.get(key)
    if value is None and default is not None:
        return default
    if not isinstance(value, int) or isinstance(value, bool) or not 1 <= value <= MAX_DIMENSION:
        raise _fault(file, f"field {key}: {_short(value)} is not an integer from 1 to {MAX_DIMENSION}")
    return value


def read_json(file: Path, max_bytes: int) -> dict[str, Any]:
    """The JSON object in `file`, at most `max_bytes` long.

    Raises:
        CheckpointError: missing, too long, not UTF-8, not JSON, duplicate keys, or not an object.
    """
    return parse_json(_read_bytes(file, max_bytes), file)


def parse_json(data: bytes, file: Path | str) -> dict[str, Any]:
    """The JSON object in `data`; `file` is for messages.

    Raises:
        CheckpointError: not UTF-8, not JSON, duplicate keys, nested too deeply, or not an object.
    """
    if _depth(data) > MAX_JSON_DEPTH:
        raise _fault(file, f"JSON nested more than {MAX_JSON_DEPTH} deep")
    try:
        value = json.loads(data.decode("utf-8"), object_pairs_hook=_no_duplicates)
    except ValueError as error:
        raise _fault(file, f"not valid JSON: {_short(str(error))}") from error
    if not isinstance(value, dict):
        raise _fault(file, "not a JSON object")
    return value


def _depth(data: bytes) -> int:
    """How deep brackets nest outside strings. Before the library sees them: its parser recurses on the C stack."""
    depth = deepest = 0
    for match in _STRING_OR_BRACKET.finditer(data):
        if match[0] in b"[{":
            depth += 1
            deepest = max(deepest, depth)
        elif match[0] in b"]}":
            depth -= 1
    return deepest


def _no_duplicates(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    result = dict(pairs)
    if len(result) != len(pairs):
        raise ValueError("an object has a key twice")
    return result


def _read_bytes(file: Path, max_bytes: int, hint: str = "") -> bytes:
    _refuse_pipes(file)
    try:
        with file.open("rb") as stream:
            data = stream.read(max_bytes + 1)
    except FileNotFoundError as error:
        raise _fault(file, "file is missing", hint) from error
    except OSError as error:
        raise _fault(file, f"cannot be read: {error.strerror}", hint) from error
    if len(data) > max_bytes:
        raise _fault(file, f"larger than the limit of {max_bytes} bytes")
    return data


def _refuse_pipes(file: Path) -> None:
    if file.exists() and not file.is_file():
        raise _fault(file, "not a file", "a pipe or folder lies where a file is expected")


def _tensor_table(directory: Path) -> dict[str, TensorEntry]:
    """Every tensor of the checkpoint by name, from model.safetensors or from the shards of the index."""
    single = directory / "model.safetensors"
    index = directory / "model.safetensors.index.json"
    if single.exists():
        return read_header(single)
    if not index.exists():
        raise _fault(
            single,
            "file is missing, and so is model.safetensors.index.json",
            "only safetensors are read; pickled .bin weights can run code and are refused",
        )
    weight_map = read_json(index, MAX_INDEX_BYTES).get("weight_map")
    if not isinstance(weight_map, dict) or not weight_map:
        raise _fault(index, "field weight_map: not an object that maps tensors to files")
    headers: dict[str, dict[str, TensorEntry]] = {}
    table: dict[str, TensorEntry] = {}
    for name, shard in weight_map.items():
        if not _is_plain_name(shard):
            raise _fault(
                index,
                f"field weight_map[{_short(name)}]: {_short(shard)} is not a plain name of a shard",
                "shards must lie beside the index",
            )
        if shard not in headers:
            headers[shard] = read_header(directory / shard)
        if name not in headers[shard]:
            raise _fault(directory / shard, f"tensor {_short(name)} of {index.name} is missing")
        table[name] = headers[shard][name]
    return table


def _is_plain_name(shard: object) -> bool:
    return (
        isinstance(shard, str)
        and shard.endswith(".safetensors")
        and not shard.startswith(".")
        and not any(character in shard for character in "/\\:\0")
    )


def read_header(file: Path) -> dict[str, TensorEntry]:
    """Tensors of one safetensors file by name. Format: u64-le header length, JSON header, data.

    Raises:
        CheckpointError: missing, truncated, or with an inconsistent header.
    """
    _refuse_pipes(file)
    try:
        size = file.stat().st_size
        with file.open("rb") as stream:
            prefix = stream.read(8)
            length = struct.unpack("<Q", prefix)[0] if len(prefix) == 8 else -1
            if not 2 <= length <= min(MAX_HEADER_BYTES, size - 8):
                raise _fault(file, "header: truncated, or not a safetensors file", "download the file again")
            raw = stream.read(length)
    except FileNotFoundError as error:
        raise _fault(file, "file is missing", "download every shard of the index") from error
    except OSError as error:
        raise _fault(file, f"cannot be read: {error.strerror}") from error
    header = parse_json(raw, file)
    header.pop("__metadata__", None)
    return {name: _entry(name, item, file, 8 + length, size) for name, item in header.items()}


def _entry(name: str, item: object, file: Path, data_begin: int, size: int) -> TensorEntry:
    where = f"header field {_short(name)}"
    if not isinstance(item, dict):
        raise _fault(file, f"{where}: not an object")
    dtype, shape, offsets = item.get("dtype"), item.get("shape"), item.get("data_offsets")
    if not isinstance(dtype, str):
        raise _fault(file, f"{where}.dtype: missing")
    if not _is_sizes(shape):
        raise _fault(file, f"{where}.shape: not a list of sizes")
    if not _is_sizes(offsets) or len(offsets) != 2 or offsets[0] > offsets[1]:
        raise _fault(file, f"{where}.data_offsets: not two increasing positions")
    begin, end = data_begin + offsets[0], data_begin + offsets[1]
    if end > size:
        raise _fault(file, f"truncated: {where} ends at byte {end}, the file has {size}", "download the file again")
    return TensorEntry(name, file, dtype, tuple(shape), begin, end)


def _is_sizes(value: object) -> TypeGuard[list[int]]:
    return isinstance(value, list) and all(
        isinstance(item, int) and not isinstance(item, bool) and 0 <= item < 1 << 62 for item in value
    )


def read_tensor(entry: TensorEntry, rows: tuple[int, ...] | None = None) -> npt.NDArray[np.float32]:
    """The values of one tensor, or of some of its rows, as float32. Nothing else is read from the disk.

    Raises:
        CheckpointError: unsupported type, or a byte count that does not fit the shape.
    """
    where = f"tensor {_short(entry.name)}"
    if entry.dtype not in _ITEM_BYTES:
        raise _fault(
            entry.file,
            f"{where}: type {_short(entry.dtype)} is not supported",
            "supported: " + ", ".join(_ITEM_BYTES) + "; integer types are quantized releases (GPTQ, AWQ)",
        )
    count = 1
    for side in entry.shape:
        count *= side
    if count * _ITEM_BYTES[entry.dtype] != entry.end - entry.begin:
        raise _fault(entry.file, f"{where}: {entry.end - entry.begin} bytes do not fit shape {list(entry.shape)}")
    if count == 0:
        return np.zeros(entry.shape, dtype=np.float32)
    stored = np.memmap(entry.file, _STORED_TYPE[entry.dtype], "r", offset=entry.begin, shape=entry.shape)
    values = np.asarray(stored) if rows is None else np.asarray(stored[list(rows)])
    if entry.dtype == "BF16":
        # A bfloat16 is the upper half of a float32.
        return (values.astype(np.uint32) << np.uint32(16)).view(np.float32)
    return values.astype(np.float32, copy=False)
