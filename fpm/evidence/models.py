"""The zoo's architectures in two sizes, and checkpoints as Hugging Face directories."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch
import transformers
from torch import nn
from transformers import AutoModelForCausalLM, GPTNeoXConfig, LlamaConfig

from circuits.errors import UsageError
from fpm.checkpoints.text import VOCAB_SIZE

transformers.logging.set_verbosity_error()  # type: ignore[no-untyped-call]
transformers.logging.disable_progress_bar()  # type: ignore[no-untyped-call]

FAMILIES = ("llama", "gpt_neox")


@dataclass(frozen=True)
class Size:
    """Widths, and the length of a base's training. `ffn` is Llama's (gated), `ffn_neox` GPT-NeoX's."""

    name: str
    hidden: int
    layers: int
    heads: int
    kv_heads: int
    ffn: int
    ffn_neox: int
    context: int  # tokens a sequence
    batch: int  # sequences a step
    base_steps: int

    def steps(self, share: float) -> int:
        """Steps that are this share of a base's, at least 2."""
        return max(2, round(share * self.base_steps))


FULL = Size("full", 64, 6, 4, 2, 176, 256, context=128, batch=8, base_steps=240)
TINY = Size("tiny", 32, 4, 2, 1, 48, 64, context=32, batch=4, base_steps=6)
SIZES = {size.name: size for size in (FULL, TINY)}


def new_model(family: str, size: Size, seed: int) -> nn.Module:
    """An untrained model.

    Raises:
        UsageError: a family that the zoo does not have.
    """
    torch.manual_seed(seed)
    common: dict[str, Any] = {
        "vocab_size": VOCAB_SIZE,
        "hidden_size": size.hidden,
        "num_hidden_layers": size.layers,
        "num_attention_heads": size.heads,
        "max_position_embeddings": 2 * size.context,
        "bos_token_id": 0,
        "eos_token_id": 0,
        "pad_token_id": None,
        "tie_word_embeddings": False,
    }
    config: Any
    if family == "llama":
        head_dim = size.hidden // size.heads
        config = LlamaConfig(intermediate_size=size.ffn, num_key_value_heads=size.kv_heads, head_dim=head_dim, **common)
    elif family == "gpt_neox":
        config = GPTNeoXConfig(intermediate_size=size.ffn_neox, **common)
    else:
        raise UsageError(f"zoo: no family {family!r}", step="zoo", hint=f"known: {', '.join(FAMILIES)}")
    return of_config(config)


def of_config(config: Any) -> nn.Module:
    """An untrained model of a transformers config, float32."""
    model: nn.Module = AutoModelForCausalLM.from_config(config, dtype=torch.float32)  # type: ignore[no-untyped-call]
    return model


def load_model(folder: Path) -> nn.Module:
    """The model of a checkpoint directory, float32, for training or evaluation."""
    model: nn.Module = AutoModelForCausalLM.from_pretrained(folder, dtype=torch.float32, local_files_only=True)
    return model


def save_model(model: nn.Module, folder: Path, tokenizer: str) -> None:
    """config.json, model.safetensors (float32) and tokenizer.json, nothing else."""
    model.save_pretrained(folder)  # type: ignore[operator]
    (folder / "generation_config.json").unlink(missing_ok=True)
    (folder / "tokenizer.json").write_text(tokenizer, "utf-8")
