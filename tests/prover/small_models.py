"""Small Llama checkpoints for the prover's tests, written with numpy alone."""

import json
from pathlib import Path

import numpy as np

from prover.checkpoint.tensors import read_header, read_tensor
from prover.terms.terms import FingerprintInput, TermRules, load_fingerprint_input

SHIPPED = Path(__file__).resolve().parents[2] / "artifacts" / "models"
VOCAB = 600
RULES = TermRules(seed=bytes(range(32)), g=16, k_min=128, k_max=4096)
SIZES = {
    "hidden_size": 64,
    "intermediate_size": 96,
    "num_hidden_layers": 3,
    "num_attention_heads": 4,
    "num_key_value_heads": 2,
    "vocab_size": VOCAB,
}

Tensors = dict[str, np.ndarray]


def tokenizer_document(count: int = VOCAB) -> dict:
    names = ["<s>", *(f"token{i}" for i in range(1, count))]
    return {
        "added_tokens": [{"id": 0, "content": "<s>"}],
        "model": {"type": "BPE", "vocab": {name: i for i, name in enumerate(names)}, "merges": []},
    }


def random_llama(seed: int = 0, **changes: int) -> tuple[dict, Tensors]:
    """(config, float32 tensors) of an untrained Llama with grouped queries and norms that are not all ones."""
    config = {"architectures": ["LlamaForCausalLM"], **SIZES, **changes}
    random = np.random.default_rng(seed)
    d, ff = config["hidden_size"], config["intermediate_size"]
    kv = d // config["num_attention_heads"] * config["num_key_value_heads"]
    shapes = {"model.embed_tokens.weight": (config["vocab_size"], d), "lm_head.weight": (config["vocab_size"], d)}
    for i in range(config["num_hidden_layers"]):
        block = f"model.layers.{i}."
        for name, rows in (("q", d), ("k", kv), ("v", kv), ("o", d)):
            shapes[f"{block}self_attn.{name}_proj.weight"] = (rows, d)
        shapes |= {f"{block}mlp.{name}_proj.weight": (ff, d) for name in ("gate", "up")}
        shapes[f"{block}mlp.down_proj.weight"] = (d, ff)
        shapes |= {f"{block}{name}_layernorm.weight": (d,) for name in ("input", "post_attention")}
    shapes["model.norm.weight"] = (d,)
    return config, {
        name: (random.uniform(0.5, 1.5, shape) if "norm" in name else random.normal(0, 0.02, shape)).astype(np.float32)
        for name, shape in shapes.items()
    }


def write_llama(folder: Path, seed: int = 0, **changes: int) -> Path:
    config, tensors = random_llama(seed, **changes)
    write_rest(folder, config)
    write_tensors(folder / "model.safetensors", tensors)
    return folder


def write_rest(folder: Path, config: dict) -> None:
    folder.mkdir(parents=True, exist_ok=True)
    (folder / "config.json").write_text(json.dumps(config))
    (folder / "tokenizer.json").write_text(json.dumps(tokenizer_document()))


TYPE_NAMES = {"float32": "F32", "float16": "F16", "uint16": "BF16", "int32": "I32", "uint8": "U8"}  # uint16: bfloat16


def write_tensors(file: Path, tensors: Tensors) -> None:
    """A safetensors file; uint16 arrays stand for bfloat16."""
    header, body = {}, b""
    for name, array in tensors.items():
        data = array.tobytes()
        span = [len(body), len(body) + len(data)]
        header[name] = {"dtype": TYPE_NAMES[array.dtype.name], "shape": list(array.shape), "data_offsets": span}
        body += data
    head = json.dumps(header).encode()
    file.write_bytes(len(head).to_bytes(8, "little") + head + body)


def read_tensors(file: Path) -> Tensors:
    return {name: np.array(read_tensor(entry)) for name, entry in read_header(file).items()}


def load(folder: Path, rules: TermRules = RULES) -> FingerprintInput:
    return load_fingerprint_input(folder, rules)


def edit_json(file: Path, **changes: object) -> None:
    document = json.loads(file.read_text())
    document.update(changes)
    file.write_text(json.dumps(document))
