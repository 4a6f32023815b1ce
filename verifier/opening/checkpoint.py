"""Step 11: the files of a Hugging Face checkpoint, read with limits (docs/protocol.md section 3).

Own readers: JSON, tokenizer.json, safetensors (8 bytes of length, a JSON header, raw little-endian
data). Tensors are memory-mapped; nothing is executed. Whatever cannot be read is `BadOpening`: undecided.
"""

from __future__ import annotations

import hashlib
import json
import math
import os
import re
import stat
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any, BinaryIO

import numpy as np
import numpy.typing as npt

from verifier.formats import limits
from verifier.formats.encoding import u32be
from verifier.formats.errors import BadOpening, Unreadable
from verifier.formats.strict_json import check_depth, check_parts

Float32Array = npt.NDArray[np.float32]
AnyArray = npt.NDArray[Any]

_DISTRIBUTED_SHARD = re.compile(r"shard-[0-9]{5}-model-[0-9]{5}-of-[0-9]{5}\.safetensors")
_TYPES = {"F32": "<f4", "F16": "<f2", "BF16": "<u2"}


def bad(path: Path, what: str, hint: str = "") -> BadOpening:
    """The error that names a file."""
    return BadOpening(f"{path}: {what}", hint=hint)


def read_file(path: Path, max_bytes: int) -> bytes:
    """A file's bytes.

    Raises:
        BadOpening: missing, not a file, or larger than `max_bytes`.
    """
    try:
        with _open(path) as stream:
            data = stream.read(max_bytes + 1) or b""  # None: some of /proc have nothing to say now
    except (OSError, ValueError) as error:
        raise bad(path, _reason(error)) from None
    if len(data) > max_bytes:
        raise bad(path, f"larger than {max_bytes} bytes")
    return data


def _open(path: Path) -> BinaryIO:
    """A file, or the one that a link leads to.

    A device is not opened at all; O_NONBLOCK keeps a pipe that takes the file's place from hanging the open.

    Raises:
        OSError, ValueError: it cannot be opened.
        BadOpening: not a file.
    """
    if path.exists() and not path.is_file():
        raise bad(path, "not a file")
    handle = os.open(path, os.O_RDONLY | getattr(os, "O_NONBLOCK", 0) | getattr(os, "O_BINARY", 0))
    if not stat.S_ISREG(os.fstat(handle).st_mode):
        os.close(handle)
        raise bad(path, "not a file")
    return os.fdopen(handle, "rb")


def _reason(error: Exception) -> str:
    return (error.strerror if isinstance(error, OSError) else None) or str(error)[:80] or type(error).__name__


def json_object(data: bytes, path: Path) -> dict[str, Any]:
    """A JSON object without a key twice.

    Raises:
        BadOpening: the bytes are not one, or it is nested too deep, or has too many values.
    """

    def once(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
        result = dict(pairs)
        if len(result) != len(pairs):
            raise ValueError("a key twice")
        return result

    try:
        check_parts(data, str(path), limits.MAX_CHECKPOINT_JSON_PARTS)
        check_depth(data, str(path), limits.MAX_CHECKPOINT_JSON_DEPTH)
        value = json.loads(data.decode("utf-8"), object_pairs_hook=once)
    except Unreadable as error:
        raise BadOpening(error.message) from None
    except (ValueError, RecursionError) as error:
        raise bad(path, f"not JSON ({str(error)[:80]})") from None
    if not isinstance(value, dict):
        raise bad(path, "not a JSON object")
    return value


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
    return parse_tokens(read_file(path, limits.MAX_TOKENIZER_BYTES), path, vocab_size, g, k_max)


def parse_tokens(data: bytes, path: Path, vocab_size: int, g: int, k_max: int) -> Tokens:
    """The same for the bytes of tokenizer.json.

    Raises:
        BadOpening: see `read_tokens`.
    """
    document = json_object(data, path)
    model, added = document.get("model"), document.get("added_tokens") or []
    vocabulary = model.get("vocab") if isinstance(model, dict) else None
    if not isinstance(vocabulary, dict) or not isinstance(added, list):
        raise bad(path, "no model.vocab that maps strings to ids, or added_tokens is not a list")
    if len(vocabulary) > limits.MAX_VOCABULARY:
        raise bad(path, f"model.vocab: {len(vocabulary)} entries, the limit is {limits.MAX_VOCABULARY}")
    left_out_ids, left_out_strings = set(), set()
    for item in added:
        number, content = (item.get("id"), item.get("content")) if isinstance(item, dict) else ("", None)
        if not (number is None or type(number) is int) or not (content is None or isinstance(content, str)):
            raise bad(path, "added_tokens: an entry that is not an object with an integer id and a string content")
        left_out_ids.add(number)
        left_out_strings.add(content)
    keyed = []
    for string, token in vocabulary.items():
        if not isinstance(token, int) or isinstance(token, bool) or token < 0:
            raise bad(path, f"model.vocab: {ascii(string)[:40]} has no id")
        if token < vocab_size and token not in left_out_ids and string not in left_out_strings:
            try:
                encoded = string.encode("utf-8")
            except UnicodeEncodeError:
                raise bad(path, f"model.vocab: {ascii(string)[:40]} is not Unicode text") from None
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
        """Read headers only.

        Raises:
            BadOpening: missing, damaged, or of another meaning to whoever loads the whole folder.
        """
        _refuse_other_weights(folder)
        single, index = folder / "model.safetensors", folder / "model.safetensors.index.json"
        self._folder = folder
        try:
            whole = single.exists()
        except OSError as error:
            raise bad(single, _reason(error)) from None
        if whole:
            self._entries = _read_header(single)
            return
        self._entries = {}
        for shard, tensors in parse_index(read_file(index, limits.MAX_INDEX_BYTES), index).items():
            header = _read_header(folder / shard)  # one at a time: what is kept is no more than the index lists
            for tensor in tensors:
                if tensor not in header:
                    raise bad(folder / shard, f"tensor {ascii(tensor)[:80]} is missing")
            # transformers loads every tensor of every shard: of one that is there twice, the last
            if len(header) > len(tensors):
                tensor = min(header.keys() - set(tensors))
                raise bad(folder / shard, f"tensor {ascii(tensor)[:80]} is not one that the index says lies here")
            self._entries |= header

    def __contains__(self, name: str) -> bool:
        """True for a tensor that is there."""
        return name in self._entries

    def __iter__(self) -> Iterator[str]:
        """Names of all tensors."""
        return iter(self._entries)

    def read(
        self, name: str, shape: tuple[int, ...], select: Callable[[AnyArray], AnyArray] | None = None
    ) -> Float32Array:
        """A tensor as float32 (exact for all three types), or what `select` takes of it before anything is copied.

        Raises:
            BadOpening: missing, of another shape or type, NaN or infinite values.
        """
        entry = self._entries.get(name)
        if entry is None or entry.shape != shape:
            found = "missing" if entry is None else f"of shape {list(entry.shape)}, not {list(shape)}"
            raise bad(self._folder, f"tensor {name} is {found}")
        if entry.dtype not in _TYPES:
            raise bad(
                entry.path,
                f"tensor {name} is of type {ascii(entry.dtype)[:20]}",
                "F32, F16 and BF16 are read",
            )
        try:
            with _open(entry.path) as stream:
                stored = np.memmap(stream, dtype=_TYPES[entry.dtype], mode="r", offset=entry.begin, shape=shape)
        except (OSError, ValueError) as error:
            raise bad(entry.path, f"tensor {name} cannot be read ({_reason(error)})") from None
        chosen = np.array(stored if select is None else select(stored), order="C")
        if entry.dtype == "BF16":
            wide = chosen.astype(np.uint32)
            wide <<= 16
            result: Float32Array = wide.view(np.float32)
        else:
            result = chosen.astype(np.float32, copy=False)
        if not bool(np.isfinite(result).all()):
            raise bad(entry.path, f"tensor {name} has NaN or infinite values")
        return result


def _refuse_other_weights(folder: Path) -> None:
    """Files that transformers loads with `model.safetensors`, or instead of it, without being asked to."""
    try:
        names = sorted(file.name for file in folder.iterdir())
    except OSError as error:
        raise bad(folder, _reason(error)) from None
    for name in names:
        if name == "adapter_config.json":
            raise bad(folder / name, "an adapter beside the weights", "merge it into them, or take it away")
        if _DISTRIBUTED_SHARD.match(name):
            raise bad(folder / name, "a distributed checkpoint beside the weights", "take it away")


def parse_index(data: bytes, path: Path) -> dict[str, list[str]]:
    """From the bytes of model.safetensors.index.json: shard -> tensors.

    Raises:
        BadOpening: it is damaged, or names something that is not a file beside it.
    """
    weight_map = json_object(data, path).get("weight_map")
    if not isinstance(weight_map, dict):
        raise bad(path, "no weight_map")
    shards: dict[str, list[str]] = {}
    for tensor, shard in weight_map.items():
        if not isinstance(shard, str) or not shard.endswith(".safetensors") or Path(shard).name != shard:
            raise bad(path, "weight_map names something that is not a file beside it")
        shards.setdefault(shard, []).append(tensor)
    return shards


def _read_header(path: Path) -> dict[str, _Entry]:
    try:
        with _open(path) as stream:
            size = os.fstat(stream.fileno()).st_size
            length = int.from_bytes(stream.read(8) or b"", "little")
            if size < 8 or length > min(size - 8, limits.MAX_HEADER_BYTES):
                raise bad(path, "not a safetensors file: its header is longer than it")
            data = stream.read(length)
    except (OSError, ValueError) as error:
        raise bad(path, _reason(error)) from None
    return parse_header(data, path, length, size)


def parse_header(data: bytes, path: Path, length: int, size: int) -> dict[str, _Entry]:
    """Name -> entry, from the JSON of a header of `length` bytes in a file of `size`.

    The data are exactly the tensors, one after the other: no overlap, no hole, nothing behind.

    Raises:
        BadOpening: they are not, or the header is damaged.
    """
    result = {}
    for name, fields in json_object(data, path).items():
        if name != "__metadata__":
            try:
                result[name] = _entry(path, fields, 8 + length, size)
            except (KeyError, TypeError, ValueError):
                raise bad(path, f"header of tensor {ascii(name)[:80]} is damaged") from None
    end = 8 + length
    for name, entry in sorted(result.items(), key=lambda item: (item[1].begin, item[1].end)):
        if entry.begin != end:
            raise bad(path, f"tensor {ascii(name)[:80]} overlaps another, or leaves a hole before it")
        end = entry.end
    if end != size:
        raise bad(path, f"{size - end} bytes behind the last tensor")
    return result


def _entry(path: Path, fields: Any, start: int, size: int) -> _Entry:
    """A tensor's place; ValueError unless type, shape and place agree and lie within a file of `size` bytes."""
    (begin, end), dtype, shape = fields["data_offsets"], fields["dtype"], fields["shape"]
    if not isinstance(dtype, str) or not isinstance(shape, list) or len(shape) > limits.MAX_TENSOR_AXES:
        raise ValueError
    if not all(type(n) is int and 0 <= n <= size for n in (*shape, begin, end)):
        raise ValueError
    if begin > end or start + end > size:
        raise ValueError
    if dtype in _TYPES and np.dtype(_TYPES[dtype]).itemsize * math.prod(shape) != end - begin:
        raise ValueError
    return _Entry(path, dtype, tuple(shape), start + begin, start + end)
