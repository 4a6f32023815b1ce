"""Checkpoints of true shapes with random weights of the true type: what proving a large model costs, without one.

Only the tensors that are read are written (embedding, the last two blocks with their norms), in shards with an index as
published models have them. `python -m tests.make_big_checkpoint llama-2-7b FOLDER`.
"""

from __future__ import annotations

import json
import sys
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import numpy as np

SHARD_BYTES = 512 << 20
_BLOCK = 1 << 24
_TYPES = {"F32": np.float32, "F16": np.float16, "BF16": np.uint16}


@dataclass(frozen=True)
class BigModel:
    """Sizes as in the published config.json, and the type its weights are published in."""

    family: str
    hidden: int
    ffn: int
    layers: int
    heads: int
    kv_heads: int
    vocabulary: int
    dtype: str

    @property
    def committed_weights(self) -> int:
        """Entries of the 13 matrices, with 4,096 embedding rows."""
        kv = self.hidden // self.heads * self.kv_heads
        return self.hidden * (4096 + 2 * (2 * self.hidden + 2 * kv + 2 * self.ffn))

    @property
    def committed_rows(self) -> int:
        """Rows of the 13 matrices."""
        return self.committed_weights // self.hidden


MODELS = {
    "gpt2": BigModel("gpt2", 768, 3072, 12, 12, 12, 50257, "F32"),
    "tinyllama-1.1b": BigModel("llama", 2048, 5632, 22, 32, 4, 32000, "F32"),
    "llama-2-7b": BigModel("llama", 4096, 11008, 32, 32, 32, 32000, "F16"),
    "llama-3-8b": BigModel("llama", 4096, 14336, 32, 32, 8, 128256, "BF16"),
    "llama-2-70b": BigModel("llama", 8192, 28672, 80, 64, 8, 32000, "F16"),
}

Shapes = dict[str, tuple[int, ...]]


def config(model: BigModel) -> dict[str, object]:
    """Its config.json, as far as it is read."""
    if model.family == "gpt2":
        return {
            "architectures": ["GPT2LMHeadModel"],
            "model_type": "gpt2",
            "n_embd": model.hidden,
            "n_head": model.heads,
            "n_layer": model.layers,
            "n_inner": None,
            "vocab_size": model.vocabulary,
        }
    return {
        "architectures": ["LlamaForCausalLM"],
        "model_type": "llama",
        "hidden_size": model.hidden,
        "intermediate_size": model.ffn,
        "num_hidden_layers": model.layers,
        "num_attention_heads": model.heads,
        "num_key_value_heads": model.kv_heads,
        "vocab_size": model.vocabulary,
    }


def shapes(model: BigModel) -> Shapes:
    """Shapes of the tensors that are written, by name."""
    d, ffn, result = model.hidden, model.ffn, {}
    if model.family == "gpt2":
        result["wte.weight"] = (model.vocabulary, d)
        for i in (model.layers - 2, model.layers - 1):
            block = f"h.{i}."
            result |= {block + "attn.c_attn.weight": (d, 3 * d), block + "attn.c_proj.weight": (d, d)}
            result |= {block + "mlp.c_fc.weight": (d, ffn), block + "mlp.c_proj.weight": (ffn, d)}
            result |= {block + "ln_1.weight": (d,), block + "ln_2.weight": (d,)}
        return result
    kv = d // model.heads * model.kv_heads
    result["model.embed_tokens.weight"] = (model.vocabulary, d)
    for i in (model.layers - 2, model.layers - 1):
        block = f"model.layers.{i}."
        for role, rows in (("q", d), ("k", kv), ("v", kv), ("o", d)):
            result[f"{block}self_attn.{role}_proj.weight"] = (rows, d)
        result |= {block + "mlp.up_proj.weight": (ffn, d), block + "mlp.down_proj.weight": (d, ffn)}
        result |= {block + "input_layernorm.weight": (d,), block + "post_attention_layernorm.weight": (d,)}
    return result


def write(folder: Path, model: BigModel, seed: int = 0) -> Path:
    """The checkpoint in `folder`; a few hundred MB of memory, whatever its size."""
    folder.mkdir(parents=True, exist_ok=True)
    (folder / "config.json").write_text(json.dumps(config(model)))
    vocabulary = {f"token{i}": i for i in range(model.vocabulary)}
    model_part = {"type": "BPE", "vocab": vocabulary, "merges": []}
    document = {"added_tokens": [{"id": 0, "content": "token0"}], "model": model_part}
    (folder / "tokenizer.json").write_text(json.dumps(document))
    random = np.random.default_rng(seed)
    groups: list[Shapes] = [{}]
    for name, shape in shapes(model).items():
        if _bytes(groups[-1], model) + _bytes({name: shape}, model) > SHARD_BYTES and groups[-1]:
            groups.append({})
        groups[-1][name] = shape
    index = {}
    for number, group in enumerate(groups, start=1):
        file = f"model-{number:05}-of-{len(groups):05}.safetensors"
        _write_shard(folder / file, group, model, random)
        index |= dict.fromkeys(group, file)
    total = sum(_bytes(group, model) for group in groups)
    (folder / "model.safetensors.index.json").write_text(
        json.dumps({"metadata": {"total_size": total}, "weight_map": index})
    )
    return folder


def _bytes(group: Shapes, model: BigModel) -> int:
    return sum(int(np.prod(shape)) for shape in group.values()) * np.dtype(_TYPES[model.dtype]).itemsize


def _write_shard(file: Path, group: Shapes, model: BigModel, random: np.random.Generator) -> None:
    header, at = {}, 0
    for name, shape in group.items():
        size = _bytes({name: shape}, model)
        header[name] = {"dtype": model.dtype, "shape": list(shape), "data_offsets": [at, at + size]}
        at += size
    head = json.dumps(header).encode()
    with file.open("wb") as stream:
        stream.write(len(head).to_bytes(8, "little") + head)
        for name, shape in group.items():
            for values in _values(name, int(np.prod(shape)), random):
                stream.write(_stored(values, model.dtype).data)


def _values(name: str, count: int, random: np.random.Generator) -> Iterator[np.ndarray]:
    """Standard deviation 0.02 as initialised models have; norms about 1."""
    for begin in range(0, count, _BLOCK):
        values = random.standard_normal(min(_BLOCK, count - begin), np.float32) * np.float32(0.02)
        yield values + 1 if len(values) == count and ("norm" in name or ".ln_" in name) else values


def _stored(values: np.ndarray, dtype: str) -> np.ndarray:
    if dtype == "BF16":  # the upper half of a float32
        return (values.view(np.uint32) >> np.uint32(16)).astype(np.uint16)
    return values.astype(_TYPES[dtype])


if __name__ == "__main__":
    if len(sys.argv) != 3 or sys.argv[1] not in MODELS:
        sys.exit(f"usage: python -m tests.make_big_checkpoint {'|'.join(MODELS)} FOLDER")
    print(write(Path(sys.argv[2]), MODELS[sys.argv[1]]))
