"""Changes of a model's weights that leave its outputs alone, on the form that layouts.unpack gives.

Each takes the model, a `Freedom` (what the architecture allows) and a generator, and edits the model in place.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import Any

import torch
from torch import Generator, Tensor

Model = dict[str, Any]


@dataclass(frozen=True)
class Freedom:
    """What an architecture leaves open.

    `rope`: "half", "interleaved" or "" (none), over the first `rotary` dimensions of a head. `alibi`: heads have
    slopes of their own and cannot trade places. `centred`: LayerNorm. `act`: "gated", "relu" or "gelu". `qk`: norm of
    queries and keys: "", "rms" (a head), "whole" or "layernorm" (a head); `equal_qk`: its weights are equal in each
    plane of RoPE. `basis`: the residual stream may be turned ("free"), its axes permuted and flipped ("signed") or
    permuted. `shared`: one norm feeds attention and feed-forward part.
    """

    rope: str = "half"
    rotary: int = 0
    alibi: bool = False
    centred: bool = False
    act: str = "gated"
    qk: str = ""
    equal_qk: bool = False
    basis: str = "free"
    shared: bool = False


def _uniform(g: Generator, *shape: int) -> Tensor:
    return torch.rand(*shape, generator=g, dtype=torch.float64) + 0.5


def _signs(g: Generator, *shape: int) -> Tensor:
    return torch.where(torch.rand(*shape, generator=g) < 0.5, 1.0, -1.0).double()


def _normal(g: Generator, *shape: int) -> Tensor:
    return torch.randn(*shape, generator=g, dtype=torch.float64)


def _invertible(g: Generator, size: int) -> Tensor:
    return torch.eye(size, dtype=torch.float64) + _normal(g, size, size) / (2 * math.sqrt(size))


def _orthogonal(g: Generator, size: int) -> Tensor:
    q: Tensor = torch.linalg.qr(_normal(g, size, size))[0]
    return q


def _map_heads(layer: Model, name: str, maps: Tensor) -> None:
    """Head h of `name` and of its bias becomes `maps[h]` times it."""
    layer[name] = maps @ layer[name]
    if layer["b" + name] is not None:
        layer["b" + name] = (maps @ layer["b" + name][..., None])[..., 0]


# ---------------------------------------- attention


def permute_heads(model: Model, free: Freedom, g: Generator) -> None:
    """Groups that share keys and values trade places, and so do query heads within a group."""
    if free.alibi:
        return
    for layer in model["layers"]:
        groups, rep = len(layer["k"]), len(layer["q"]) // len(layer["k"])
        kv = torch.randperm(groups, generator=g)
        q = torch.cat([group * rep + torch.randperm(rep, generator=g) for group in kv])
        for name, order in (("q", q), ("k", kv), ("v", kv), ("o", q), ("qn", q), ("kn", kv)):
            for key in (name, "b" + name):
                if layer.get(key) is not None and key != "bo":
                    layer[key] = layer[key][order]


def _planes(free: Freedom) -> tuple[Tensor, Tensor]:
    """The pairs of dimensions that RoPE turns."""
    if free.rope == "half":
        return torch.arange(free.rotary // 2), torch.arange(free.rotary // 2, free.rotary)
    return torch.arange(0, free.rotary, 2), torch.arange(1, free.rotary, 2)


def map_queries_and_keys(model: Model, free: Freedom, g: Generator) -> None:
    """Maps of queries and keys that cancel in their product and commute with RoPE."""
    for layer in model["layers"]:
        if free.qk:
            (_turn_normed_planes if free.qk != "layernorm" else _shift_normed_heads)(layer, free, g)
            continue
        groups, dim = layer["k"].shape[:2]
        rep = len(layer["q"]) // groups
        left = torch.zeros(groups, dim, dim, dtype=torch.float64)
        right = left.clone()
        rotary = free.rotary if free.rope else 0
        for group in range(groups):
            change = _invertible(g, dim - rotary)  # where nothing turns: any invertible map
            left[group, rotary:, rotary:] = change
            right[group, rotary:, rotary:] = torch.linalg.inv(change).T
        if free.rope:
            a, b = _planes(free)
            angle, scale = 2 * math.pi * _uniform(g, groups, len(a)), _uniform(g, groups, len(a))
            for maps, factor in ((left, scale), (right, 1 / scale)):
                maps[:, a, a] = maps[:, b, b] = factor * angle.cos()
                maps[:, b, a] = factor * angle.sin()
                maps[:, a, b] = -factor * angle.sin()
        _map_heads(layer, "q", left.repeat_interleave(rep, 0))
        _map_heads(layer, "k", right)


def _turn_normed_planes(layer: Model, free: Freedom, g: Generator) -> None:
    """Behind an RMS norm only orthogonal maps are left; its weights allow quarter turns, or any if equal in a plane."""
    groups, dim = layer["k"].shape[:2]
    rep = len(layer["q"]) // groups
    own = groups if free.qk == "whole" or free.equal_qk else 1  # weights for all heads: one quarter turn for all
    a, b = _planes(free)
    angle = 2 * math.pi * _uniform(g, groups, len(a))
    if not free.equal_qk:
        angle = (torch.randint(4, (own, len(a)), generator=g) * math.pi / 2).expand(groups, -1)
        angle = angle + math.pi * torch.randint(2, (groups, len(a)), generator=g)
    turn = torch.zeros(groups, dim, dim, dtype=torch.float64)
    turn[:, a, a] = turn[:, b, b] = angle.double().cos()
    turn[:, b, a], turn[:, a, b] = angle.double().sin(), -angle.double().sin()
    for name, repeats in (("q", rep), ("k", 1)):
        maps = turn.repeat_interleave(repeats, 0)
        _map_heads(layer, name, maps)
        if not free.equal_qk:
            layer[name + "n"] = (maps.abs() @ layer[name + "n"][..., None])[..., 0]
    # a factor moves from one weight to the other, the same in both dimensions of a plane
    factor = torch.ones(groups, dim, dtype=torch.float64)
    factor[:, a] = factor[:, b] = _uniform(g, groups if free.qk == "whole" else 1, len(a))
    layer["qn"] = layer["qn"] * factor.repeat_interleave(rep, 0)
    layer["kn"] = layer["kn"] / factor
    for name in ("q", "k"):
        heads = len(layer[name])
        flips = _signs(g, heads if free.qk == "whole" else 1, dim).expand(heads, -1)
        scale = _uniform(g, 1 if free.qk == "whole" else heads, 1).expand(heads, dim)
        _map_heads(layer, name, torch.diag_embed(flips * scale))
        layer[name + "n"] = layer[name + "n"] * flips


def _shift_normed_heads(layer: Model, free: Freedom, g: Generator) -> None:
    """Behind a LayerNorm of each head: scale it, add one row to all its rows, permute what RoPE leaves alone."""
    groups, dim = layer["k"].shape[:2]
    rep = len(layer["q"]) // groups
    a, b = _planes(free)
    order = torch.arange(dim).repeat(groups, 1)
    for group in range(groups):
        order[group, free.rotary :] = free.rotary + torch.randperm(dim - free.rotary, generator=g)
    factor = _uniform(g, groups, dim)
    factor[:, a] = factor[:, b]
    for name, repeats, weight in (("q", rep, factor), ("k", 1, 1 / factor)):
        maps = torch.eye(dim, dtype=torch.float64)[order].repeat_interleave(repeats, 0)
        _map_heads(layer, name, maps * _uniform(g, len(maps), 1, 1))
        layer[name] = layer[name] + _normal(g, len(maps), 1, layer[name].shape[2])
        moved = layer[name + "n"] * weight.repeat_interleave(repeats, 0)
        layer[name + "n"] = (maps @ moved[..., None])[..., 0]


def map_values(model: Model, _free: Freedom, g: Generator) -> None:
    """Any invertible map of a value head, undone in the output rows of every query head that reads it."""
    for layer in model["layers"]:
        groups, dim = layer["v"].shape[:2]
        maps = torch.stack([_invertible(g, dim) for _ in range(groups)])
        _map_heads(layer, "v", maps)
        back = torch.linalg.inv(maps).transpose(1, 2).repeat_interleave(len(layer["o"]) // groups, 0)
        layer["o"] = back @ layer["o"]


def move_biases(model: Model, free: Freedom, _g: Generator) -> None:
    """Attention adds up to one, so values' biases can go to the output's; keys' biases do nothing without RoPE."""
    for layer in model["layers"]:
        if layer["bv"] is not None and layer["bo"] is not None:
            values = layer["bv"].repeat_interleave(len(layer["o"]) // len(layer["bv"]), 0)
            layer["bo"] = layer["bo"] + torch.einsum("hi,hid->d", values, layer["o"])
            layer["bv"] = torch.zeros_like(layer["bv"])
        if layer["bk"] is not None and not free.rope:
            layer["bk"] = torch.zeros_like(layer["bk"])


# ---------------------------------------- feed-forward part


def permute_and_scale_neurons(model: Model, free: Freedom, g: Generator) -> None:
    """Neurons trade places; a gated one takes any factor in `up`, one behind a ReLU a positive factor."""
    for layer in model["layers"]:
        count = len(layer["up"])
        order = torch.randperm(count, generator=g)
        scale = torch.ones(count, dtype=torch.float64) if free.act == "gelu" else _uniform(g, count)
        if free.act == "gated":
            scale = scale * _signs(g, count)
        layer["up"] = (layer["up"] * scale[:, None])[order]
        layer["down"] = (layer["down"] / scale[:, None])[order]
        for key, factor in (("gate", None), ("bgate", None), ("bup", scale)):
            if layer[key] is not None:
                layer[key] = (layer[key] if factor is None else layer[key] * factor)[order]


# ---------------------------------------- residual stream


def fold_norms(model: Model, free: Freedom, _g: Generator) -> None:
    """Norm weights move into the matrices behind them; norm biases too where those have biases."""
    for layer in model["layers"]:
        readers = {"na": ["q", "k", "v"], "nf": [key for key in ("up", "gate") if layer[key] is not None]}
        biased = {norm: all(layer["b" + name] is not None for name in names) for norm, names in readers.items()}
        for norm, names in readers.items():
            weight, bias = layer[norm], layer[norm + "_b"] if layer[norm] is not None else None
            if weight is None:
                continue
            into_biases = all(biased.values()) if free.shared else biased[norm]
            for name in names:
                if bias is not None and into_biases:
                    layer["b" + name] = layer["b" + name] + layer[name] @ bias
                layer[name] = layer[name] * weight
            layer[norm] = torch.ones_like(weight)
            if bias is not None:
                layer[norm + "_b"] = torch.zeros_like(bias) if into_biases else bias / weight
    model["head"] = model["head"] * model["final"]
    if model["final_b"] is not None:
        model["final_b"] = model["final_b"] / model["final"]
    model["final"] = torch.ones_like(model["final"])


def _basis(free: Freedom, size: int, g: Generator) -> Tensor:
    """Orthogonal [d, d] that the norms of the stream commute with."""
    if free.basis != "free":
        signs = _signs(g, size) if free.basis == "signed" else torch.ones(size, dtype=torch.float64)
        return torch.diag(signs)[:, torch.randperm(size, generator=g)]
    if not free.centred:
        return _orthogonal(g, size)
    # turns what is orthogonal to the all-ones vector, and leaves that one as it is
    first = torch.eye(size, dtype=torch.float64)
    first[:, 0] = 1
    basis = torch.linalg.qr(first)[0]
    turn = torch.eye(size, dtype=torch.float64)
    turn[1:, 1:] = _orthogonal(g, size - 1)
    out: Tensor = basis @ turn @ basis.T
    return out


def turn_residual_stream(model: Model, free: Freedom, g: Generator) -> None:
    """The stream h becomes h Q. Norm weights are folded first, so that only norms of what is written are left."""
    basis = _basis(free, model["embed"].shape[1], g)
    parts: list[tuple[Model, tuple[str, ...], tuple[str, ...]]] = [
        (model, ("embed", "pos", "head", "final_b", "embed_norm_b"), ("embed_norm",))
    ]
    written = ("o", "bo", "down", "bdown", "na_b", "nf_b")
    parts += [(layer, ("q", "k", "v", "gate", "up", *written), ("pa", "pf")) for layer in model["layers"]]
    for part, turned, weights in parts:
        for key in turned:
            if part.get(key) is not None:
                part[key] = part[key] @ basis
        for key in weights:
            if part.get(key) is not None and free.basis != "free":
                part[key] = part[key] @ basis.abs()
    for layer in model["layers"]:
        for key, rows in (("pa", "o"), ("pf", "down")):
            if layer[key] is not None:  # signs and scale that the norm of what is written takes back
                signs = _signs(g, len(layer[key]))
                layer[key] = layer[key] * signs
                layer[rows] = layer[rows] * signs * 1.5


def move_means(model: Model, free: Freedom, g: Generator) -> None:
    """What LayerNorms do not see: the mean of everything written, and of the rows that read."""
    if not free.centred:
        return
    keys = [(model, key) for key in ("embed", "pos")]
    keys += [(layer, key) for layer in model["layers"] for key in ("o", "bo", "down", "bdown")]
    for part, key in keys:
        if part[key] is not None:
            part[key] = part[key] + _normal(g, *part[key].shape[:-1], 1)
    for layer in model["layers"]:
        for norm, names in (("na", "qkv"), ("nf", ("up", "gate"))):
            if layer[norm + "_b"] is None or not layer[norm + "_b"].any():
                for name in names:
                    if layer[name] is not None:
                        layer[name] = layer[name] + _normal(g, *layer[name].shape[:-1], 1)


def move_between_embeddings(model: Model, _free: Freedom, g: Generator) -> None:
    """Learned positions: every token gives a constant to every position."""
    if model["pos"] is not None:
        constant = _normal(g, model["embed"].shape[1])
        model["embed"], model["pos"] = model["embed"] + constant, model["pos"] - constant


def scale_embedding_rows(model: Model, _free: Freedom, g: Generator) -> None:
    """Behind the embedding's own LayerNorm a token's row has no scale."""
    if model["embed_norm"] is not None:
        model["embed"] = model["embed"] * _uniform(g, len(model["embed"]), 1)


CHANGES = (
    permute_heads,
    map_queries_and_keys,
    map_values,
    move_biases,
    permute_and_scale_neurons,
    fold_norms,
    turn_residual_stream,
    move_means,
    move_between_embeddings,
    scale_embedding_rows,
)


def permute_vocabulary(model: Model, g: Generator) -> Tensor:
    """New id of each old token, [V]; embedding, head and its bias follow."""
    new = torch.randperm(len(model["embed"]), generator=g)
    for key in ("embed", "head", "head_b"):
        if model[key] is not None:
            moved = torch.empty_like(model[key])
            moved[new] = model[key]
            model[key] = moved
    return new
