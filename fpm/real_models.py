"""Really trained models for the encoder's figures: the shipped checkpoints, and small variants trained on demand.

Terms follow docs/protocol.md section 3 for the Llama family, in floating point and quantized to int8; tests compare
them with the prover's exact ones (fpm/ may not import prover/).
"""

from __future__ import annotations

import hashlib
import json
from dataclasses import fields, replace
from pathlib import Path

import numpy as np
import torch
from safetensors.torch import load_file, save_file

from circuits.errors import ModelFileError
from fpm.checkpoints.text import standard_library_text, token_stream
from fpm.checkpoints.train import Run, new_model, train
from fpm.synthetic import GRID, Array, Layer, Weights

K_MAX = 4096
VARIANT_STEPS = 300
VARIANTS = (
    *(
        Run(f"variant-{i}", "pretraining", VARIANT_STEPS, learning_rate=3e-3, init_seed=100 + i, data_seed=200 + i)
        for i in range(5)
    ),
    *(
        Run(
            f"variant-{i}-offspring",
            "fine-tuning",
            steps=100,
            learning_rate=5e-4,
            init_seed=100 + i,
            data_seed=300 + i,
            start_from=f"variant-{i}",
        )
        for i in range(2)
    ),
)


def candidate_ids(tokenizer_json: Path, embedding_rows: int) -> list[tuple[str, int]]:
    """(string, id) of rule `sha256-order-v1`'s candidates, sorted by the SHA-256 of the string."""
    document = json.loads(tokenizer_json.read_text("utf-8"))
    added = {item["id"] for item in document.get("added_tokens") or []}
    keyed = sorted(
        (hashlib.sha256(string.encode("utf-8")).digest(), string, token)
        for string, token in document["model"]["vocab"].items()
        if token < embedding_rows and token not in added
    )
    return [(string, token) for _, string, token in keyed]


def token_ids(tokenizer_json: Path, embedding_rows: int) -> list[int]:
    """The K tokens of rule `sha256-order-v1`: the first candidates, K a multiple of 2g."""
    candidates = candidate_ids(tokenizer_json, embedding_rows)
    count = min(K_MAX, 2 * GRID * (len(candidates) // (2 * GRID)))
    return [token for _, token in candidates[:count]]


def read_llama(folder: Path, tokenizer_json: Path | None = None) -> Weights:
    """A Llama checkpoint's committed matrices: norms folded, last two blocks, the K tokens' embeddings; float32.

    Args:
        folder: with config.json and model.safetensors.
        tokenizer_json: default: `folder`'s own.

    Raises:
        ModelFileError: a file or tensor is missing.
    """
    try:
        config = json.loads((folder / "config.json").read_text("utf-8"))
        stored = {name: t.float().numpy() for name, t in load_file(folder / "model.safetensors").items()}
        embedding = stored["model.embed_tokens.weight"]
        ids = token_ids(tokenizer_json or folder / "tokenizer.json", len(embedding))
        layers = []
        for i in range(config["num_hidden_layers"] - 2, config["num_hidden_layers"]):
            block = {n.removeprefix(f"model.layers.{i}."): w for n, w in stored.items() if f".layers.{i}." in n}
            before, after = block["input_layernorm.weight"], block["post_attention_layernorm.weight"]
            layers.append(
                Layer(
                    q=block["self_attn.q_proj.weight"] * before,
                    k=block["self_attn.k_proj.weight"] * before,
                    v=block["self_attn.v_proj.weight"] * before,
                    o=np.ascontiguousarray(block["self_attn.o_proj.weight"].T),
                    up=block["mlp.up_proj.weight"] * after,
                    down=np.ascontiguousarray(block["mlp.down_proj.weight"].T),
                )
            )
        head_dim = config.get("head_dim") or config["hidden_size"] // config["num_attention_heads"]
    except (OSError, KeyError, ValueError) as error:
        raise ModelFileError(f"{folder}: not a Llama checkpoint: {error}", step="read checkpoint") from error
    return Weights(embedding[ids], (layers[0], layers[1]), head_dim)


def quantized(weights: Weights) -> Weights:
    """Each matrix as rule `rms16-int8-v1` makes it: 16 / rms, rounded, clipped to +-127; float32 integers."""

    def one(w: Array) -> Array:
        factor = 16.0 / np.sqrt(np.mean(w.astype(np.float64) ** 2))
        out: Array = np.clip(np.rint(w * factor), -127, 127).astype(np.float32)
        return out

    def layer(m: Layer) -> Layer:
        return Layer(*(one(getattr(m, field.name)) for field in fields(Layer)))

    return replace(
        weights, embedding=one(weights.embedding), layers=(layer(weights.layers[0]), layer(weights.layers[1]))
    )


def variants(work: Path, tokenizer_json: Path) -> dict[str, Weights]:
    """Five further small models from other seeds, briefly trained, and fine-tuned offspring of two of them.

    About 5 minutes on one core the first time; `work` keeps them.

    Args:
        work: folder that the checkpoints are kept in.
        tokenizer_json: the shipped models' tokenizer.

    Returns:
        weights by name; `<name>-offspring` comes from `<name>`.
    """
    from tokenizers import Tokenizer

    missing = [run for run in VARIANTS if not (work / run.name / "model.safetensors").exists()]
    if missing:
        tokenizer = Tokenizer.from_file(str(tokenizer_json))
        texts = dict(zip(("pretraining", "fine-tuning"), standard_library_text(), strict=True))
        streams = {name: torch.tensor(token_stream(text, tokenizer)) for name, text in texts.items()}
    for run in missing:
        model = new_model(run.init_seed)
        if run.start_from:
            model.load_state_dict(
                {n: t.float() for n, t in load_file(work / run.start_from / "model.safetensors").items()}
            )
        train(model, run, streams[run.text])
        torch.use_deterministic_algorithms(False)
        folder = work / run.name
        folder.mkdir(parents=True, exist_ok=True)
        model.config.save_pretrained(folder)
        state = {n: t.detach().bfloat16().contiguous() for n, t in model.state_dict().items()}
        save_file(state, folder / "model.safetensors.part")
        (folder / "model.safetensors.part").rename(folder / "model.safetensors")
    return {run.name: read_llama(work / run.name, tokenizer_json) for run in VARIANTS}
