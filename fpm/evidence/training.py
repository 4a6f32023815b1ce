"""One training loop for the whole zoo: AdamW, warm-up, cosine decay or a constant rate, one thread, fixed seeds."""

from __future__ import annotations

import math
import time
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor, nn

from fpm.evidence.corpora import Corpus
from fpm.evidence.models import Size

POINTS = 8  # measurements of the held-out loss in a run
HELD_OUT_SEQUENCES = 32

Batch = Tensor
Loss = Callable[[nn.Module, Batch], Tensor]


@dataclass(frozen=True)
class Schedule:
    """`seed` draws the order of the text. `constant`: no decay, as if the run went on."""

    steps: int
    learning_rate: float
    seed: int
    constant: bool = False

    def factor(self, step: int) -> float:
        """Share of the learning rate at `step` (from 1): linear warm-up, then cosine to 5%, or constant."""
        warm_up = max(2, self.steps // 20)
        if self.constant:
            return min(1.0, step / warm_up)
        progress = max(0.0, (step - warm_up) / max(1, self.steps - warm_up))
        return min(step / warm_up, 0.05 + 0.95 * 0.5 * (1 + math.cos(math.pi * progress)))


def language_loss(model: nn.Module, batch: Batch) -> Tensor:
    """Mean cross-entropy of the next token, natural logarithm."""
    loss: Tensor = model(input_ids=batch, labels=batch).loss
    return loss


def optimizer_of(model: nn.Module, learning_rate: float) -> torch.optim.AdamW:
    """AdamW; matrices decay by 0.1, vectors not at all."""
    trained = [p for p in model.parameters() if p.requires_grad]
    return torch.optim.AdamW(
        [
            {"params": [p for p in trained if p.ndim > 1], "weight_decay": 0.1},
            {"params": [p for p in trained if p.ndim == 1], "weight_decay": 0.0},
        ],
        lr=learning_rate,
        betas=(0.9, 0.95),
    )


def train(
    model: nn.Module,
    corpus: Corpus,
    schedule: Schedule,
    size: Size,
    loss_of: Loss = language_loss,
) -> dict[str, Any]:
    """Train in place.

    Args:
        model: a causal language model.
        corpus: its training part is learnt from.
        schedule: steps, rate, seed.
        size: batch and context.
        loss_of: the loss of a batch int64 [batch, context].

    Returns:
        the record: schedule, tokens seen, processor seconds, and the loss curve.
    """
    torch.use_deterministic_algorithms(True)
    order = torch.Generator().manual_seed(schedule.seed)
    torch.manual_seed(schedule.seed)  # dropout of adapters, if any
    optimizer = optimizer_of(model, schedule.learning_rate)
    started = time.process_time()
    model.train()
    curve = [{"step": 0, "training": math.nan, "held_out": held_out_loss(model, corpus, size)}]
    recent: list[float] = []
    every = max(1, schedule.steps // POINTS)
    for step in range(1, schedule.steps + 1):
        for group in optimizer.param_groups:
            group["lr"] = schedule.learning_rate * schedule.factor(step)
        begins = torch.randint(len(corpus.training) - size.context, (size.batch,), generator=order)
        loss = loss_of(model, sequences(corpus.training, begins, size.context))
        optimizer.zero_grad()
        loss.backward()  # type: ignore[no-untyped-call]
        torch.nn.utils.clip_grad_norm_(model.parameters(), 1.0)
        optimizer.step()
        recent.append(float(loss.detach()))
        if step % every == 0 or step == schedule.steps:
            measured = held_out_loss(model, corpus, size)
            curve.append({"step": step, "training": sum(recent) / len(recent), "held_out": measured})
            recent = []
    curve[0]["training"] = curve[0]["held_out"]
    return {
        "text": corpus.name,
        "steps": schedule.steps,
        "learning_rate": schedule.learning_rate,
        "seed": schedule.seed,
        "tokens": schedule.steps * size.batch * size.context,
        "processor_seconds": round(time.process_time() - started, 1),
        "loss": [{key: round(value, 4) for key, value in point.items()} for point in curve],
    }


def sequences(stream: Tensor, begins: Tensor, context: int) -> Batch:
    """int64 [len(begins), context]: the sequences that begin at these places."""
    return torch.stack([stream[begin : begin + context] for begin in begins.tolist()])


@torch.no_grad()
def held_out_loss(model: nn.Module, corpus: Corpus, size: Size) -> float:
    """Mean loss over 32 sequences, evenly spread over the held-out text, natural logarithm."""
    was_training = model.training
    model.train(False)
    begins = torch.linspace(0, len(corpus.held_out) - size.context, HELD_OUT_SEQUENCES).long()
    loss = float(language_loss(model, sequences(corpus.held_out, begins, size.context)))
    model.train(was_training)
    return loss
