"""Training of the three shipped Llama models: AdamW, warm-up, cosine decay, one core, fixed seeds."""

from __future__ import annotations

import hashlib
import math
import platform
import sys
import time
from dataclasses import asdict, dataclass
from typing import Any

import torch
import transformers
from torch import Tensor
from transformers import LlamaConfig, LlamaForCausalLM

from fpm.checkpoints.text import VOCAB_SIZE

CONTEXT = 128  # tokens a sequence
BATCH = 8  # sequences a step
HELD_OUT = 0.05  # share of the text, at its end, that is only measured
EVERY = 50  # steps between measurements of the held-out loss


@dataclass(frozen=True)
class Run:
    """One training run. `init_seed` draws the weights, `data_seed` the order of the text."""

    name: str
    text: str  # "pretraining" or "fine-tuning"
    steps: int
    learning_rate: float
    init_seed: int
    data_seed: int
    start_from: str = ""  # name of the run whose result is trained further


RUNS = (
    Run("base", "pretraining", steps=1000, learning_rate=3e-3, init_seed=1, data_seed=11),
    Run("independent", "pretraining", steps=1000, learning_rate=3e-3, init_seed=2, data_seed=22),
    Run(
        "offspring",
        "fine-tuning",
        steps=300,
        learning_rate=5e-4,
        init_seed=1,
        data_seed=33,
        start_from="base",
    ),
)


def new_model(seed: int) -> LlamaForCausalLM:
    """An untrained Llama: d = 128, 4 layers, 4 heads, 2 key/value heads, d_ff = 344."""
    torch.manual_seed(seed)
    config = LlamaConfig(
        vocab_size=VOCAB_SIZE,
        hidden_size=128,
        intermediate_size=344,
        num_hidden_layers=4,
        num_attention_heads=4,
        num_key_value_heads=2,
        max_position_embeddings=2 * CONTEXT,
        bos_token_id=0,
        eos_token_id=0,
        pad_token_id=None,
        tie_word_embeddings=False,
    )
    return LlamaForCausalLM(config)


def train(model: LlamaForCausalLM, run: Run, stream: Tensor) -> dict[str, Any]:
    """Train `model` in place on `stream` (int64 [tokens]); returns the run record with its loss curve."""
    torch.use_deterministic_algorithms(True)
    border = int(len(stream) * (1 - HELD_OUT))
    training, held_out = stream[:border], stream[border:]
    order = torch.Generator().manual_seed(run.data_seed)
    decayed = [p for p in model.parameters() if p.ndim > 1]
    plain = [p for p in model.parameters() if p.ndim == 1]
    optimizer = torch.optim.AdamW(
        [{"params": decayed, "weight_decay": 0.1}, {"params": plain, "weight_decay": 0.0}],
        lr=run.learning_rate,
        betas=(0.9, 0.95),
    )
    warm_up = max(10, run.steps // 20)
    started = time.monotonic()
    curve = [{"step": 0, "training": math.nan, "held_out": _held_out_loss(model, held_out)}]
    recent: list[float] = []
    for step in range(1, run.steps + 1):
        progress = max(0.0, (step - warm_up) / (run.steps - warm_up))
        factor = min(step / warm_up, 0.05 + 0.95 * 0.5 * (1 + math.cos(math.pi * progress)))
        for group in optimizer.param_groups:
            group["lr"] = run.learning_rate * factor
        begins = torch.randint(len(training) - CONTEXT, (BATCH,), generator=order)
        batch = torch.stack([training[begin : begin + CONTEXT] for begin in begins.tolist()])
        loss = model(input_ids=batch, labels=batch).loss
        optimizer.zero_grad()
        loss.backward()
        torch.nn.utils.clip_grad_norm_(model.parameters(), 1.0)
        optimizer.step()
        recent.append(float(loss.detach()))
        if step % EVERY == 0 or step == run.steps:
            point = {
                "step": step,
                "training": sum(recent) / len(recent),
                "held_out": _held_out_loss(model, held_out),
            }
            curve.append(point)
            recent = []
            seconds = time.monotonic() - started
            print(
                f"{run.name} step {step}/{run.steps} training {point['training']:.3f}"
                f" held out {point['held_out']:.3f} ({seconds:.0f} s)",
                file=sys.stderr,
                flush=True,
            )
    curve[0]["training"] = curve[0]["held_out"]
    return {
        "run": asdict(run),
        "batch": BATCH,
        "context": CONTEXT,
        "parameters": sum(p.numel() for p in model.parameters()),
        "text_tokens": len(stream),
        "text_sha256": hashlib.sha256(stream.numpy().astype("<i4").tobytes()).hexdigest(),
        "versions": {
            "python": platform.python_version(),
            "torch": torch.__version__,
            "transformers": transformers.__version__,
        },
        "seconds": round(time.monotonic() - started, 1),
        "loss": [{key: round(value, 4) for key, value in point.items()} for point in curve],
    }


def _held_out_loss(model: LlamaForCausalLM, held_out: Tensor) -> float:
    """Mean loss over 32 sequences, evenly spread over the held-out text, natural logarithm."""
    begins = torch.linspace(0, len(held_out) - CONTEXT, 32).long()
    batch = torch.stack([held_out[begin : begin + CONTEXT] for begin in begins.tolist()])
    model.train(False)
    with torch.no_grad():
        loss = float(model(input_ids=batch, labels=batch).loss)
    model.train()
    return loss
