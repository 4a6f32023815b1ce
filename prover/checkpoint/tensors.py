"""Reads a Hugging Face checkpoint directory: config.json, safetensors (whole or sharded), tokenizer.json.

Weights are memory-mapped and only the tensors asked for are touched. No pickles, no torch. Every fault of the
input is a `CheckpointError` whose message names the file and the field.
"""

from __future__ import annotations

import math
import re
import struct
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, TypeGuard

import numpy as np
import numpy.typing as npt

from circuits.errors import CheckpointError
from circuits.kernel.fold import all_finite, reads
from circuits.threads import in_threads
from prover.checkpoint.config import parse_config
from prover.checkpoint.families import FAMILIES
from prover.checkpoint.family import Family, Shape
from prover.checkpoint.folded_matrix import widen
from prover.formats.bounded_files import fault, parse_json, read_bytes, read_json, refuse_pipes, short

MAX_CONFIG_BYTES = 1 << 20  # real ones are a few kB
# Not more than the verifier reads, so that whatever is proven can be opened (docs/families.md, "Limits").
MAX_INDEX_BYTES = 48 << 20  # names of tensors: the largest published ones are about 10 MB
MAX_TOKENIZER_BYTES = 48 << 20  # the largest published ones are about 35 MB
MAX_HEADER_BYTES = 48 << 20  # about 120 bytes a tensor; the format itself allows 100 MB
MAX_AXES = 8  # of a tensor

_ITEM_BYTES = {"F32": 4, "F16": 2, "BF16": 2}
FLOAT_TYPES = tuple(_ITEM_BYTES)
"""Types that are read, by their safetensors names."""
_DISTRIBUTED_SHARD = re.compile(r"shard-[0-9]{5}-model-[0-9]{5}-of-[0-9]{5}\.safetensors")
_BLOCK_ENTRIES = 1 << 22
_FOLDER = "give the Hugging Face folder that holds config.json, *.safetensors and tokenizer.json"
_STORED_TYPE = {"F32": "<f4", "F16": "<f2", "BF16": "<u2"}


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
    """A checkpoint directory, parsed. Weights stay on disk until `read` is called.

    >>> checkpoint = open_checkpoint(Path("artifacts/models/base"))
    >>> checkpoint.read("model.norm.weight", (128,)).dtype
    dtype('float32')
    """

    directory: Path
    family: Family
    shape: Shape
    tensors: Mapping[str, TensorEntry]
    tokenizer_json: bytes
    second_names: Mapping[str, str] = field(default_factory=dict)  # of stored tensors: see `Family.second_names`

    def read(self, name: str, shape: tuple[int, ...], rows: tuple[int, ...] | None = None) -> npt.NDArray[np.float32]:
        """The tensor `name`, or some of its rows, as float32. It must have exactly `shape` and finite values.

        Raises:
            CheckpointError: missing, of another shape, of a type other than F32/F16/BF16, or with NaN or inf.
        """
        entry = self._entry(name, shape)
        values = read_tensor(entry, rows)
        if not bool(np.isfinite(values).all()):
            raise _not_finite(entry)
        return values

    def mapped(self, name: str, shape: tuple[int, ...]) -> npt.NDArray[Any]:
        """The tensor `name` as stored, mapped and not read: float32, float16, or uint16 for bfloat16 (`widen`).

        Raises:
            CheckpointError: as `read`; the values are looked at once, in pieces.
        """
        entry = self._entry(name, shape)
        stored = map_tensor(entry)
        flat = stored.reshape(-1)
        pieces = [flat[begin : begin + _BLOCK_ENTRIES] for begin in range(0, flat.size, _BLOCK_ENTRIES)]
        if not all(in_threads(_is_finite, pieces)):
            raise _not_finite(entry)
        return stored

    def _entry(self, name: str, shape: tuple[int, ...]) -> TensorEntry:
        entry = self.tensors.get(name)
        if entry is None:
            hint = _why_missing(name, self.tensors, self.directory)
            raise fault(self.directory, f"tensor {short(self.family.stored_name(name))} is missing", hint)
        if entry.name in self.second_names:
            raise fault(
                entry.file,
                f"tensor {short(entry.name)} is there as {short(self.second_names[entry.name])} too",
                "which of them a program loads is not said: save the model anew",
            )
        _refuse_other_types(entry)  # first: packed integers have other shapes too
        if entry.shape != shape:
            raise fault(
                entry.file,
                f"tensor {short(name)} has shape {list(entry.shape)}, config.json asks for {list(shape)}",
                "config.json and the weights do not belong together",
            )
        return entry


def open_checkpoint(directory: Path, families: tuple[Family, ...] = FAMILIES) -> Checkpoint:
    """Parse a checkpoint directory: config, headers of the weight files, bytes of the tokenizer.

    Raises:
        CheckpointError: anything missing, damaged, or of an unsupported kind.

    >>> checkpoint = open_checkpoint(Path("artifacts/models/base"))
    >>> checkpoint.family.name, checkpoint.shape.num_layers
    ('llama', 4)
    """
    if not directory.is_dir():
        raise _not_a_folder(directory)
    config_file = directory / "config.json"
    if (directory / "adapter_config.json").exists() and not config_file.exists():
        raise fault(
            directory, "an adapter (LoRA), not a whole model", "merge it into its base model and save the result"
        )
    _refuse_other_weights(directory)
    family, shape = parse_config(read_json(config_file, MAX_CONFIG_BYTES, _FOLDER), config_file, families)
    stored = _tensor_table(directory)
    tensors = {here: stored[there] for here, there in family.canonical_names(stored).items()}
    tokenizer = read_bytes(
        directory / "tokenizer.json",
        MAX_TOKENIZER_BYTES,
        "only fast tokenizers are read; save one with tokenizers or transformers",
    )
    return Checkpoint(directory, family, shape, tensors, tokenizer, family.second_names(stored))


def _refuse_other_weights(directory: Path) -> None:
    """What transformers would load with the weights, or instead of them."""
    try:
        files = sorted(directory.iterdir())
    except OSError as error:
        raise fault(directory, f"cannot be read: {error.strerror}") from error
    for file in files:
        if file.name == "adapter_config.json":
            raise fault(file, "an adapter (LoRA) beside the weights", "merge it into them, or take it away")
        if _DISTRIBUTED_SHARD.match(file.name):
            raise fault(file, "a distributed checkpoint beside the weights", "take its files away")


def _not_a_folder(path: Path) -> CheckpointError:
    if not path.exists():
        return fault(path, "no such directory", "give the folder that holds config.json")
    if path.is_file() and path.open("rb").read(4) == b"GGUF":
        return fault(
            path,
            "a GGUF file, most of which are quantized",
            "give the Hugging Face folder that it was converted from: config.json, *.safetensors, tokenizer.json",
        )
    return fault(path, "not a directory", "give the folder that holds config.json")


def _why_no_weights(directory: Path) -> str:
    """What to do about a folder with neither model.safetensors nor an index, from what else lies in it."""
    suffixes = {file.suffix for file in directory.iterdir()}
    if ".safetensors" in suffixes:
        return "there are shards, but the index that names them is missing: download it"
    if ".gguf" in suffixes:
        return "GGUF files are not read: use the safetensors release that they were converted from"
    return "only safetensors are read; pickled .bin weights can run code and are refused"


def _why_missing(name: str, tensors: Mapping[str, TensorEntry], directory: Path) -> str:
    """What to do about a tensor that the family needs and the checkpoint lacks."""
    stem = name.removesuffix("weight")
    if any(stem + packed in tensors for packed in ("qweight", "weight_packed", "weight.absmax", "SCB")):
        return "quantized weights (GPTQ, AWQ, bitsandbytes): use the bf16, f16 or f32 release that they were made from"
    listed = {entry.file.name for entry in tensors.values()}
    unlisted = sorted(file.name for file in directory.glob("*.safetensors") if file.name not in listed)
    if unlisted:
        return f"{short(unlisted[0])} is not in model.safetensors.index.json: download the index again"
    return "the weights do not belong to this config.json"


def _tensor_table(directory: Path) -> dict[str, TensorEntry]:
    """Every tensor of the checkpoint by name, from model.safetensors or from the shards of the index."""
    single = directory / "model.safetensors"
    index = directory / "model.safetensors.index.json"
    if single.exists():
        return read_header(single)
    if not index.exists():
        raise fault(single, "file is missing, and so is model.safetensors.index.json", _why_no_weights(directory))
    weight_map = read_json(index, MAX_INDEX_BYTES).get("weight_map")
    if not isinstance(weight_map, dict) or not weight_map:
        raise fault(index, "field weight_map: not an object that maps tensors to files")
    headers: dict[str, dict[str, TensorEntry]] = {}
    table: dict[str, TensorEntry] = {}
    for name, shard in weight_map.items():
        if not _is_plain_name(shard):
            raise fault(
                index,
                f"field weight_map[{short(name)}]: {short(shard)} is not a plain name of a shard",
                "shards must lie beside the index",
            )
        if shard not in headers:
            headers[shard] = read_header(directory / shard)
        if name not in headers[shard]:
            raise fault(directory / shard, f"tensor {short(name)} of {index.name} is missing")
        table[name] = headers[shard][name]
    for shard, header in headers.items():
        for name in header:
            if weight_map.get(name) != shard:
                raise fault(
                    directory / shard,
                    f"tensor {short(name)} is not one that the index says lies here",
                    "programs load it all the same: download shards and index again",
                )
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

    The data are the tensors one after the other: bytes that are in two tensors, or in none, are refused.

    Raises:
        CheckpointError: missing, truncated, or with an inconsistent header.
    """
    refuse_pipes(file)
    try:
        size = file.stat().st_size
        with file.open("rb") as stream:
            prefix = stream.read(8)
            length = struct.unpack("<Q", prefix)[0] if len(prefix) == 8 else -1
            if not 2 <= length <= min(MAX_HEADER_BYTES, size - 8):
                raise fault(file, "header: truncated, or not a safetensors file", "download the file again")
            raw = stream.read(length)
    except FileNotFoundError as error:
        raise fault(file, "file is missing", "download every shard of the index") from error
    except OSError as error:
        raise fault(file, f"cannot be read: {error.strerror}") from error
    header = parse_json(raw, file)
    header.pop("__metadata__", None)
    entries = {name: _entry(name, item, file, 8 + length, size) for name, item in header.items()}
    _refuse_gaps(entries, file, 8 + length, size)
    return entries


def _refuse_gaps(entries: Mapping[str, TensorEntry], file: Path, begin: int, size: int) -> None:
    hint = "a file that safetensors wrote has its tensors one after the other: download it again, or save it anew"
    at = begin
    for entry in sorted(entries.values(), key=lambda entry: (entry.begin, entry.end)):
        where = f"header field {short(entry.name)}.data_offsets"
        if entry.begin < at:
            raise fault(file, f"{where}: overlaps the tensor before it", hint)
        if entry.begin > at:
            raise fault(file, f"{where}: leaves a hole of {entry.begin - at} bytes before it", hint)
        at = entry.end
    if at != size:
        raise fault(file, f"header: {size - at} bytes behind the last tensor belong to none", hint)


def _entry(name: str, item: object, file: Path, data_begin: int, size: int) -> TensorEntry:
    where = f"header field {short(name)}"
    if not isinstance(item, dict):
        raise fault(file, f"{where}: not an object")
    dtype, shape, offsets = item.get("dtype"), item.get("shape"), item.get("data_offsets")
    if not isinstance(dtype, str):
        raise fault(file, f"{where}.dtype: missing")
    if not _is_sizes(shape) or len(shape) > MAX_AXES:
        raise fault(file, f"{where}.shape: not a list of at most {MAX_AXES} sizes")
    if not _is_sizes(offsets) or len(offsets) != 2 or offsets[0] > offsets[1]:
        raise fault(file, f"{where}.data_offsets: not two increasing positions")
    begin, end = data_begin + offsets[0], data_begin + offsets[1]
    if end > size:
        raise fault(file, f"truncated: {where} ends at byte {end}, the file has {size}", "download the file again")
    if dtype in _ITEM_BYTES and math.prod(shape) * _ITEM_BYTES[dtype] != end - begin:
        raise fault(file, f"{where}: {end - begin} bytes do not fit shape {short(shape)}")
    return TensorEntry(name, file, dtype, tuple(shape), begin, end)


def _is_sizes(value: object) -> TypeGuard[list[int]]:
    return isinstance(value, list) and all(
        isinstance(item, int) and not isinstance(item, bool) and 0 <= item < 1 << 62 for item in value
    )


def read_tensor(entry: TensorEntry, rows: tuple[int, ...] | None = None) -> npt.NDArray[np.float32]:
    """The values of one tensor, or of some of its rows, as float32. Nothing else is read from the disk.

    Raises:
        CheckpointError: unsupported type.
    """
    stored = map_tensor(entry)
    return widen(stored if rows is None or stored.size == 0 else stored[list(rows)]).astype(np.float32, copy=False)


def map_tensor(entry: TensorEntry) -> npt.NDArray[Any]:
    """The values of one tensor as stored, mapped into memory. bfloat16 is uint16 here.

    Raises:
        CheckpointError: unsupported type.
    """
    _refuse_other_types(entry)
    if entry.begin == entry.end:
        return np.zeros(entry.shape, dtype=_STORED_TYPE[entry.dtype])
    return np.asarray(np.memmap(entry.file, _STORED_TYPE[entry.dtype], "r", offset=entry.begin, shape=entry.shape))


def _is_finite(piece: npt.NDArray[Any]) -> bool:
    if reads(piece):
        return all_finite(piece)
    return bool(np.isfinite(widen(piece)).all())


def _not_finite(entry: TensorEntry) -> CheckpointError:
    return fault(entry.file, f"tensor {short(entry.name)} contains NaN or infinite values")


def _refuse_other_types(entry: TensorEntry) -> None:
    if entry.dtype not in _ITEM_BYTES:
        raise fault(
            entry.file,
            f"tensor {short(entry.name)}: type {short(entry.dtype)} is not supported",
            f"supported: {', '.join(_ITEM_BYTES)}; 8-bit and integer types are quantized releases (FP8, bitsandbytes, "
            "GPTQ, AWQ): use the bf16, f16 or f32 release that they were made from",
        )
