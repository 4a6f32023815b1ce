"""Where each architecture keeps its weights: written down a second time, apart from prover/checkpoint/family_table.py.

`unpack` brings a state dict to one form, [heads, head_dim, d] and so on; `pack` brings it back. That these slices are
right is shown by forward passes: a change made on the wrong rows changes the outputs.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import Any

import torch
from torch import Tensor

State = dict[str, Tensor]


@dataclass(frozen=True)
class Sizes:
    """Sizes that slices depend on."""

    heads: int
    kv_heads: int
    head_dim: int
    layers: int


@dataclass(frozen=True)
class Layout:
    """Names without ".weight"; those of a layer follow `layer`, in which {} is its index."""

    embed: str
    final: str
    layer: str
    norms: tuple[str, str]
    qkv: tuple[str, ...]
    o: str
    up: str
    down: str
    packing: str = "stacked"  # or "grouped": how one `qkv` tensor is packed
    gate: str = ""  # equal to `up`: gate and up in one tensor
    head: str = "lm_head"
    pos: str = ""
    post: tuple[str, str] = ("", "")
    head_norms: tuple[str, str] = ("", "")
    norm_style: str = "shared"  # [head_dim] for all heads; "whole": [heads * head_dim]; "each": a tensor a head
    embed_norm: str = ""
    conv1d: bool = False
    plus_one: bool = False


def _split(packed: Tensor, sizes: Sizes, packing: str) -> list[Tensor]:
    """q, k, v as [heads, head_dim, columns]."""
    h, g, dim = sizes.heads, sizes.kv_heads, sizes.head_dim
    if packing == "stacked":
        return [part.reshape(-1, dim, packed.shape[1]) for part in torch.split(packed, [h * dim, g * dim, g * dim])]
    groups = packed.reshape(g, h // g + 2, dim, packed.shape[1])
    return [groups[:, :-2].reshape(h, dim, -1), groups[:, -2], groups[:, -1]]


def _join(parts: list[Tensor], sizes: Sizes, packing: str) -> Tensor:
    columns = parts[0].shape[2]
    if packing == "stacked":
        return torch.cat([part.reshape(-1, columns) for part in parts])
    q = parts[0].reshape(sizes.kv_heads, -1, sizes.head_dim, columns)
    return torch.cat([q, parts[1][:, None], parts[2][:, None]], 1).reshape(-1, columns)


def unpack(state: State, layout: Layout, sizes: Sizes) -> dict[str, Any]:
    """Keys: embed, pos, head, head_b, final, final_b, embed_norm(_b), and `layers`, a list of dicts with q, k, v, o,
    gate, up, down (all [..., d]), their biases as bq ..., norms na, nf, post norms pa, pf, head norms qn, kn."""
    one = 1.0 if layout.plus_one else 0.0

    def optional(name: str) -> Tensor | None:
        return state[name].clone() if name in state else None

    def norm(name: str, key: str) -> dict[str, Tensor | None]:
        weight = optional(name + ".weight")
        return {key: None if weight is None else weight + one, key + "_b": optional(name + ".bias")}

    model: dict[str, Any] = {
        "embed": state[layout.embed + ".weight"].clone(),
        "head_b": optional(layout.head + ".bias"),
    }
    head = optional(layout.head + ".weight")
    model["head"] = model["embed"].clone() if head is None else head
    model["pos"] = optional(layout.pos + ".weight")
    model |= norm(layout.final, "final") | norm(layout.embed_norm, "embed_norm")
    model["layers"] = []
    for i in range(sizes.layers):
        at = layout.layer.format(i)
        layer: dict[str, Any] = {}
        for key, name in (("na", layout.norms[0]), ("nf", layout.norms[1])):
            layer |= norm(at + name, key)
        for key, name in (("pa", layout.post[0]), ("pf", layout.post[1])):
            layer |= norm(at + name, key) if name else {key: None}

        def linear(name: str, at: str = at, writes: bool = False) -> tuple[Tensor, Tensor | None]:
            """Rows of length d, and the bias."""
            weight = state[at + name + ".weight"].clone()
            return (weight.T if writes != layout.conv1d else weight), optional(at + name + ".bias")

        if len(layout.qkv) == 1:
            packed, packed_bias = linear(layout.qkv[0])
            layer |= dict(zip("qkv", _split(packed, sizes, layout.packing), strict=True))
            biases: Sequence[Tensor | None] = (
                [None] * 3 if packed_bias is None else _split(packed_bias[:, None], sizes, layout.packing)
            )
        else:
            weights, biases = zip(*(linear(name) for name in layout.qkv), strict=True)
            layer |= {key: w.reshape(-1, sizes.head_dim, w.shape[1]) for key, w in zip("qkv", weights, strict=True)}
        for key, bias in zip(("bq", "bk", "bv"), biases, strict=True):
            layer[key] = None if bias is None else bias.reshape(-1, sizes.head_dim)
        o, layer["bo"] = linear(layout.o, writes=True)
        layer["o"] = o.reshape(sizes.heads, sizes.head_dim, -1)
        layer["up"], layer["bup"] = linear(layout.up)
        layer["gate"] = layer["bgate"] = None
        if layout.gate == layout.up:
            layer["gate"], layer["up"] = layer["up"].chunk(2)
        elif layout.gate:
            layer["gate"], layer["bgate"] = linear(layout.gate)
        layer["down"], layer["bdown"] = linear(layout.down, writes=True)
        for key, name, count in (
            ("qn", layout.head_norms[0], sizes.heads),
            ("kn", layout.head_norms[1], sizes.kv_heads),
        ):
            layer[key] = _head_norm(state, at + name, count, layout, sizes) + one if name else None
        model["layers"].append(layer)
    return model


def _head_norm(state: State, name: str, count: int, layout: Layout, sizes: Sizes) -> Tensor:
    """[count, head_dim]"""
    if layout.norm_style == "each":
        return torch.stack([state[f"{name}.norms.{h}.weight"] for h in range(count)])
    weight = state[name + ".weight"]
    return weight.reshape(count, -1) if layout.norm_style == "whole" else weight.repeat(count, 1)


def pack(model: dict[str, Any], layout: Layout, sizes: Sizes) -> State:
    """The state dict that `unpack` makes this form of."""
    one = 1.0 if layout.plus_one else 0.0
    state: dict[str, Tensor | None] = {
        layout.embed + ".weight": model["embed"],
        layout.head + ".weight": model["head"],
        layout.head + ".bias": model["head_b"],
        layout.pos + ".weight": model["pos"],
    }

    def norm(name: str, values: dict[str, Any], key: str) -> None:
        state[name + ".weight"] = None if values.get(key) is None else values[key] - one
        state[name + ".bias"] = values.get(key + "_b")

    norm(layout.final, model, "final")
    norm(layout.embed_norm, model, "embed_norm")
    for i, layer in enumerate(model["layers"]):
        at = layout.layer.format(i)
        for key, name in zip(("na", "nf", "pa", "pf"), (*layout.norms, *layout.post), strict=True):
            norm(at + name, layer, key)

        def linear(name: str, rows: Tensor, bias: Tensor | None, at: str = at, writes: bool = False) -> None:
            rows = rows.reshape(-1, rows.shape[-1])
            state[at + name + ".weight"] = rows.T if writes != layout.conv1d else rows
            state[at + name + ".bias"] = None if bias is None else bias.reshape(-1)

        if len(layout.qkv) == 1:
            bias = None if layer["bq"] is None else [layer[key][..., None] for key in ("bq", "bk", "bv")]
            linear(
                layout.qkv[0],
                _join([layer[key] for key in "qkv"], sizes, layout.packing),
                None if bias is None else _join(bias, sizes, layout.packing),
            )
        else:
            for key, name in zip("qkv", layout.qkv, strict=True):
                linear(name, layer[key], layer["b" + key])
        linear(layout.o, layer["o"], layer["bo"], writes=True)
        if layout.gate == layout.up:
            linear(layout.up, torch.cat([layer["gate"], layer["up"]]), None)
        else:
            linear(layout.up, layer["up"], layer["bup"])
            if layout.gate:
                linear(layout.gate, layer["gate"], layer["bgate"])
        linear(layout.down, layer["down"], layer["bdown"], writes=True)
        for key, name in zip(("qn", "kn"), layout.head_norms, strict=True):
            if not name:
                continue
            weight = layer[key] - one
            if layout.norm_style == "each":
                state.update({f"{at}{name}.norms.{h}.weight": row for h, row in enumerate(weight)})
            else:
                state[at + name + ".weight"] = weight.reshape(-1) if layout.norm_style == "whole" else weight[0]
    return {name: value.contiguous() for name, value in state.items() if value is not None}


LLAMA = Layout(
    "model.embed_tokens",
    "model.norm",
    "model.layers.{}.",
    ("input_layernorm", "post_attention_layernorm"),
    ("self_attn.q_proj", "self_attn.k_proj", "self_attn.v_proj"),
    "self_attn.o_proj",
    "mlp.up_proj",
    "mlp.down_proj",
    gate="mlp.gate_proj",
)
QWEN3 = replace(LLAMA, head_norms=("self_attn.q_norm", "self_attn.k_norm"))
GEMMA = replace(LLAMA, plus_one=True)
GEMMA2 = replace(
    GEMMA,
    norms=("input_layernorm", "pre_feedforward_layernorm"),
    post=("post_attention_layernorm", "post_feedforward_layernorm"),
)
GEMMA3 = replace(GEMMA2, head_norms=QWEN3.head_norms)
GEMMA3_WITH_PICTURES = replace(
    GEMMA3,
    embed="language_model.model.embed_tokens",
    final="language_model.model.norm",
    layer="language_model.model.layers.{}.",
    head="language_model.lm_head",
)
OLMO2 = replace(
    QWEN3, norms=("", ""), post=("post_attention_layernorm", "post_feedforward_layernorm"), norm_style="whole"
)
PHI3 = replace(LLAMA, qkv=("self_attn.qkv_proj",), gate="mlp.gate_up_proj", up="mlp.gate_up_proj")
GLM = replace(LLAMA, gate="mlp.gate_up_proj", up="mlp.gate_up_proj")
BAICHUAN = replace(LLAMA, qkv=("self_attn.W_pack",))
INTERNLM2 = Layout(
    "model.tok_embeddings",
    "model.norm",
    "model.layers.{}.",
    ("attention_norm", "ffn_norm"),
    ("attention.wqkv",),
    "attention.wo",
    "feed_forward.w3",
    "feed_forward.w2",
    packing="grouped",
    gate="feed_forward.w1",
    head="output",
)
CHATGLM = Layout(
    "transformer.embedding.word_embeddings",
    "transformer.encoder.final_layernorm",
    "transformer.encoder.layers.{}.",
    ("input_layernorm", "post_attention_layernorm"),
    ("self_attention.query_key_value",),
    "self_attention.dense",
    "mlp.dense_h_to_4h",
    "mlp.dense_4h_to_h",
    gate="mlp.dense_h_to_4h",
    head="transformer.output_layer",
)
GPT2 = Layout(
    "transformer.wte",
    "transformer.ln_f",
    "transformer.h.{}.",
    ("ln_1", "ln_2"),
    ("attn.c_attn",),
    "attn.c_proj",
    "mlp.c_fc",
    "mlp.c_proj",
    pos="transformer.wpe",
    conv1d=True,
)
GPTJ = replace(
    GPT2,
    norms=("ln_1", "ln_1"),
    qkv=("attn.q_proj", "attn.k_proj", "attn.v_proj"),
    o="attn.out_proj",
    up="mlp.fc_in",
    down="mlp.fc_out",
    pos="",
    conv1d=False,
)
BLOOM = Layout(
    "transformer.word_embeddings",
    "transformer.ln_f",
    "transformer.h.{}.",
    ("input_layernorm", "post_attention_layernorm"),
    ("self_attention.query_key_value",),
    "self_attention.dense",
    "mlp.dense_h_to_4h",
    "mlp.dense_4h_to_h",
    packing="grouped",
    embed_norm="transformer.word_embeddings_layernorm",
)
FALCON_7B = replace(BLOOM, norms=("input_layernorm", "input_layernorm"), embed_norm="")
FALCON_40B = replace(FALCON_7B, norms=("ln_attn", "ln_mlp"))
FALCON_RW = replace(BLOOM, embed_norm="")
NEOX = replace(
    BLOOM,
    embed="gpt_neox.embed_in",
    final="gpt_neox.final_layer_norm",
    layer="gpt_neox.layers.{}.",
    qkv=("attention.query_key_value",),
    o="attention.dense",
    head="embed_out",
    embed_norm="",
)
OPT = Layout(
    "model.decoder.embed_tokens",
    "model.decoder.final_layer_norm",
    "model.decoder.layers.{}.",
    ("self_attn_layer_norm", "final_layer_norm"),
    ("self_attn.q_proj", "self_attn.k_proj", "self_attn.v_proj"),
    "self_attn.out_proj",
    "fc1",
    "fc2",
    pos="model.decoder.embed_positions",
)
MPT = Layout(
    "transformer.wte",
    "transformer.norm_f",
    "transformer.blocks.{}.",
    ("norm_1", "norm_2"),
    ("attn.Wqkv",),
    "attn.out_proj",
    "ffn.up_proj",
    "ffn.down_proj",
)
STABLELM = LLAMA
STABLELM_PARALLEL_QK = replace(
    LLAMA,
    norms=("input_layernorm", "input_layernorm"),
    head_norms=("self_attn.q_layernorm", "self_attn.k_layernorm"),
    norm_style="each",
)
