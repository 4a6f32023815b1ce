"""Where the zoo's two architectures keep their weights, and their terms with gradients (docs/protocol.md section 3)."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, replace
from typing import Any

import torch
from torch import Tensor, nn

from circuits.errors import UsageError
from fpm.evidence.layouts import LLAMA, NEOX, Layout, Sizes, pack, unpack
from fpm.evidence.rearrangements import Freedom, Model

LAYERS_USED = 2


@dataclass(frozen=True)
class Anatomy:
    """An architecture's layout, sizes, and what it leaves open to rearrangements."""

    layout: Layout
    sizes: Sizes
    free: Freedom

    @classmethod
    def of(cls, model: nn.Module) -> Anatomy:
        """Of a model of the zoo.

        Raises:
            UsageError: neither Llama nor GPT-NeoX.
        """
        config: Any = model.config
        heads, layers = config.num_attention_heads, config.num_hidden_layers
        if config.model_type == "llama":
            sizes = Sizes(heads, config.num_key_value_heads, config.head_dim, layers)
            return cls(LLAMA, sizes, Freedom(rope="half", rotary=config.head_dim))
        if config.model_type == "gpt_neox":
            dim = config.hidden_size // heads
            rotary = int(dim * config.rope_parameters.get("partial_rotary_factor", 1.0))
            # transformers 5 has its own name for the head, in memory only
            layout = replace(NEOX, head="lm_head") if "lm_head.weight" in model.state_dict() else NEOX
            return cls(layout, Sizes(heads, heads, dim, layers), Freedom("half", rotary, centred=True, act="gelu"))
        raise UsageError(f"zoo: no anatomy of {config.model_type!r}", step="zoo")

    def unpacked(self, model: nn.Module) -> Model:
        """Weights in the common form, float64, apart from the model's."""
        return unpack({name: t.double() for name, t in model.state_dict().items()}, self.layout, self.sizes)

    def packed(self, parts: Model) -> dict[str, Tensor]:
        """A state dict, float32."""
        return {name: t.float() for name, t in pack(parts, self.layout, self.sizes).items()}


def projected_terms(state: Mapping[str, Tensor], anatomy: Anatomy, ids: Tensor, matrix: Tensor) -> Tensor:
    """The six projected, folded terms, each at norm 1: [6, g, g], differentiable.

    Args:
        state: parameters by name.
        anatomy: of the model.
        ids: int64 [K], the rule's tokens.
        matrix: P, [g, K].
    """
    parts = unpack(dict(state), anatomy.layout, anatomy.sizes)

    def rows(tensor: Tensor, norm: Tensor | None = None) -> Tensor:
        flat = tensor.reshape(-1, tensor.shape[-1])
        if norm is not None:
            flat = flat * norm
        return flat - flat.mean(1, keepdim=True) if anatomy.free.centred else flat

    a = matrix @ rows(parts["embed"][ids])
    repeat = anatomy.sizes.heads // anatomy.sizes.kv_heads
    out = []
    for layer in parts["layers"][-LAYERS_USED:]:
        key, value = (layer[name].repeat_interleave(repeat, 0) for name in ("k", "v"))
        pairs = (
            (rows(layer["q"], layer["na"]), rows(key, layer["na"])),
            (rows(value, layer["na"]), rows(layer["o"])),
            (rows(layer["up"], layer["nf"]), rows(layer["down"])),
        )
        for left, right in pairs:
            term = (a @ left.T) @ (a @ right.T).T
            out.append(term / term.norm())
    return torch.stack(out)
