"""What is tried with the files of an opening: a checkpoint and the secret."""

from __future__ import annotations

import atexit
import functools
import hashlib
import json
import shutil
import struct
import tempfile
from collections.abc import Iterable
from pathlib import Path

import numpy as np

from tests.conftest import MODELS
from tests.fuzz.bundle_targets import ACCEPTED
from verifier.formats import limits
from verifier.opening.check import parse_secret
from verifier.opening.checkpoint import Tensors, json_object, parse_index, parse_tokens
from verifier.opening.families import FAMILIES
from verifier.opening.model_config import describe

_NOWHERE = Path("x")


def run_secret(data: bytes) -> str:
    secret = parse_secret(data, "secret.json")
    assert len(secret.seed) == len(secret.cm) == len(secret.weights_sha256) == 32
    assert secret.seed.hex() not in repr(secret)
    return ACCEPTED


def seeds_secret() -> Iterable[bytes]:
    yield (Path(__file__).resolve().parents[1] / "verifier" / "assets" / "secret.json").read_bytes()


def run_config(data: bytes) -> str:
    _, model = describe(json_object(data, _NOWHERE), _NOWHERE)
    sizes = (model.hidden_size, model.heads, model.kv_heads, model.head_dim, model.intermediate_size, model.vocab_size)
    assert all(type(size) is int and 1 <= size <= limits.MAX_DIMENSION for size in sizes)
    assert model.heads % model.kv_heads == 0
    assert model.num_layers >= 2
    return ACCEPTED


def seeds_config() -> Iterable[bytes]:
    yield (MODELS / "base" / "config.json").read_bytes()
    for row in FAMILIES:
        keys = row.sizes
        names = (keys.hidden_size, keys.heads, keys.kv_heads, keys.head_dim, keys.intermediate_size, keys.num_layers)
        fields = {one[0]: size for one, size in zip(names, (64, 8, 4, 8, 96, 3), strict=True) if one}
        fields |= {keys.vocab_size[0]: 300}
        for switch in row.switches:
            outer, _, inner = switch.key.rpartition(".")
            (fields.setdefault(outer, {}) if outer else fields)[inner] = switch.needed
        whole = {row.inside: fields} if row.inside else fields
        yield json.dumps({"architectures": [row.classes[0]], **whole}).encode()


def run_tokenizer(data: bytes) -> str:
    tokens = parse_tokens(data, _NOWHERE, 100, 2, 16)
    assert len(tokens.ids) == min(16, tokens.candidates // 4 * 4)
    assert all(0 <= token < 100 for token in tokens.ids)
    assert tokens.tokenizer == hashlib.sha256(data).digest()
    return ACCEPTED


def seeds_tokenizer() -> Iterable[bytes]:
    whole = json.loads((MODELS / "base" / "tokenizer.json").read_bytes())
    few = dict(sorted(whole["model"]["vocab"].items(), key=lambda item: item[1])[:30])
    added = [{"id": 3, "content": "é"}, *whole.get("added_tokens", [])[:2]]
    yield json.dumps({"model": {"type": "BPE", "vocab": few, "merges": []}, "added_tokens": added}).encode()
    yield json.dumps({"model": {"vocab": few}, "added_tokens": None}, ensure_ascii=False).encode()


@functools.cache
def _scratch() -> Path:
    folder = Path(tempfile.mkdtemp(prefix="huref-fuzz-", dir="/dev/shm" if Path("/dev/shm").is_dir() else None))
    atexit.register(shutil.rmtree, folder, ignore_errors=True)
    return folder


def run_safetensors(data: bytes) -> str:
    """Through a file, since tensors are mapped."""
    file = _scratch() / "model.safetensors"
    file.write_bytes(data)
    tensors = Tensors(file.parent)
    assert "__metadata__" not in tensors
    found = ACCEPTED
    for name, shape in (("a", (2, 3)), ("b", (4,)), ("c", (2, 2))):
        if name in tensors:
            values = tensors.read(name, shape)
            assert values.shape == shape
            assert values.dtype == np.float32
            assert np.isfinite(values).all()
        else:
            found = "accepted, others"
    return found


def seeds_safetensors() -> Iterable[bytes]:
    header = {
        "__metadata__": {"format": "pt"},
        "a": {"dtype": "F32", "shape": [2, 3], "data_offsets": [0, 24]},
        "b": {"dtype": "BF16", "shape": [4], "data_offsets": [24, 32]},
        "c": {"dtype": "F16", "shape": [2, 2], "data_offsets": [32, 40]},
    }
    text = json.dumps(header).encode()
    yield struct.pack("<Q", len(text)) + text + bytes(40)


def run_index(data: bytes) -> str:
    for shard, tensors in parse_index(data, _NOWHERE).items():
        assert "/" not in shard
        assert shard.endswith(".safetensors")
        assert tensors
    return ACCEPTED


def seeds_index() -> Iterable[bytes]:
    names = {f"model.layers.{i}.weight": f"model-0000{i % 2}-of-00002.safetensors" for i in range(4)}
    yield json.dumps({"metadata": {"total_size": 1}, "weight_map": names}).encode()
