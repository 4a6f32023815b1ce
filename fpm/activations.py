"""Real activations of a shipped model, for `huref feedforward`: `python -m fpm.activations CHECKPOINT -o FILE.npy`.

Runs the model on a text with transformers, and keeps what enters the norm before one block's feed-forward part.
"""

from __future__ import annotations

from pathlib import Path
from typing import Any

import click
import numpy as np
import numpy.typing as npt
import torch

TEXT = "Return a new list that holds the items of the sequence in sorted order."


def feed_forward_activations(checkpoint: Path, layer: int, text: str, count: int) -> tuple[npt.NDArray[Any], ...]:
    """Inputs of block `layer`'s feed-forward norm at the first `count` tokens of `text`, and what the part adds.

    Two arrays, float32 [count, d]. Raises ValueError when the text has fewer tokens.
    """
    from transformers import AutoModelForCausalLM, AutoTokenizer

    tokens = AutoTokenizer.from_pretrained(checkpoint)(text, return_tensors="pt").input_ids[:, :count]
    if tokens.shape[1] < count:
        raise ValueError(f"the text has {tokens.shape[1]} tokens, {count} are wanted")
    model = AutoModelForCausalLM.from_pretrained(checkpoint, dtype=torch.float32)
    block = model.model.layers[layer]
    kept: dict[str, torch.Tensor] = {}
    handles = [
        block.post_attention_layernorm.register_forward_pre_hook(lambda _m, inputs: kept.update(x=inputs[0])),
        block.mlp.register_forward_hook(lambda _m, _inputs, output: kept.update(y=output)),
    ]
    with torch.no_grad():
        model(tokens)
    for handle in handles:
        handle.remove()
    return tuple(kept[name][0].numpy().astype(np.float32) for name in ("x", "y"))


@click.command()
@click.argument("checkpoint", type=click.Path(path_type=Path))
@click.option("-o", "--output", "target", required=True, type=click.Path(path_type=Path))
@click.option("--layer", default=3, show_default=True)
@click.option("--count", default=8, show_default=True, help="How many tokens.")
@click.option("--text", default=TEXT, show_default=True)
def main(checkpoint: Path, target: Path, layer: int, count: int, text: str) -> None:
    """Write the activations, float32 [count, d], in numpy's format."""
    np.save(target, feed_forward_activations(checkpoint, layer, text, count)[0])


if __name__ == "__main__":
    main()
