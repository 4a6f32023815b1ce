"""Attacks on the fingerprint that need no training: weights rearranged, parts without effect added, noise.

The rearrangements are those of fpm/evidence/rearrangements.py, which the prover's tests apply to every family.
"""

from __future__ import annotations

import json
from collections.abc import Sequence

import torch
from torch import Generator, Tensor

from fpm.evidence import rearrangements
from fpm.evidence.anatomy import Anatomy
from fpm.evidence.rearrangements import Model
from fpm.evidence.surgery import expand_groups, rebuilt
from fpm.evidence.workshop import Made, Recipe, Workshop

QUIET = 1e-6  # size of what an idle block writes, against a real one's


def rearranged(shop: Workshop, recipe: Recipe, *, changes: Sequence[str], vocabulary: bool = False) -> Made:
    """Changes that leave the outputs alone, by name, in order; `vocabulary`: token ids are permuted too."""
    model = shop.load(recipe.parent)
    anatomy = Anatomy.of(model)
    parts = anatomy.unpacked(model)
    generator = torch.Generator().manual_seed(8000)
    for name in changes:
        getattr(rearrangements, name)(parts, anatomy.free, generator)
    tokenizer, record = shop.tokenizer(recipe.parent), {}
    if vocabulary:
        new_ids = rearrangements.permute_vocabulary(parts, generator)
        tokenizer = renumbered(tokenizer, new_ids)
        record = {"new_ids": new_ids.tolist()}
    return Made(rebuilt(parts, model.config), tokenizer, record)


def renumbered(tokenizer: str, new_ids: Tensor) -> str:
    """tokenizer.json with the token of id i at `new_ids[i]`."""
    document = json.loads(tokenizer)
    vocabulary = {string: int(new_ids[i]) for string, i in document["model"]["vocab"].items()}
    document["model"]["vocab"] = dict(sorted(vocabulary.items(), key=lambda item: item[1]))
    for token in document["added_tokens"]:
        token["id"] = int(new_ids[token["id"]])
    return json.dumps(document, ensure_ascii=False)


def groups_expanded(shop: Workshop, recipe: Recipe) -> Made:
    """Every query head gets keys and values of its own, copies of those it shared (Llama)."""
    model = shop.load(recipe.parent)
    anatomy = Anatomy.of(model)
    parts = anatomy.unpacked(model)
    for layer in parts["layers"]:
        expand_groups(layer, anatomy.sizes.heads // anatomy.sizes.kv_heads)
    heads = anatomy.sizes.heads
    return Made(rebuilt(parts, model.config, num_key_value_heads=heads), shop.tokenizer(recipe.parent))


def idle_blocks_added(shop: Workshop, recipe: Recipe, *, count: int) -> Made:
    """Blocks of random weights at the end that write almost nothing to the residual stream."""
    model = shop.load(recipe.parent)
    anatomy = Anatomy.of(model)
    parts = anatomy.unpacked(model)
    generator = torch.Generator().manual_seed(8100)
    for _ in range(count):
        last: Model = parts["layers"][-1]
        layer = {key: None if value is None else _alike(value, generator) for key, value in last.items()}
        for key in ("o", "bo", "down", "bdown"):
            written = layer[key]
            layer[key] = None if written is None else QUIET * written
        parts["layers"].append(layer)
    longer = rebuilt(parts, model.config, num_hidden_layers=len(parts["layers"]))
    return Made(longer, shop.tokenizer(recipe.parent))


def _alike(value: Tensor, generator: Generator) -> Tensor:
    """Random numbers with the size of `value`; vectors (norms, biases) are kept."""
    if value.ndim == 1:
        return value
    return value.std() * torch.randn(value.shape, generator=generator, dtype=value.dtype)


def idle_parts_added(shop: Workshop, recipe: Recipe, *, loudness: float) -> Made:
    """In every block as many heads and neurons again, random, that add nothing.

    New heads have random queries and keys and write zeros. New neurons: behind a gate of zeros, `up` and `down` are
    random (Llama); without a gate `down` has to be zero (GPT-NeoX). Heads can only be added where the width allows.
    """
    model = shop.load(recipe.parent)
    anatomy = Anatomy.of(model)
    parts = anatomy.unpacked(model)
    generator = torch.Generator().manual_seed(8200)
    gated = anatomy.free.act == "gated"
    for layer in parts["layers"]:
        new = {key: _alike(layer[key], generator) for key in ("up", "down", "q", "k", "v", "o")}
        layer["up"] = torch.cat([layer["up"], loudness * new["up"]])
        layer["down"] = torch.cat([layer["down"], (loudness if gated else 0.0) * new["down"]])
        if gated:
            layer["gate"] = torch.cat([layer["gate"], torch.zeros_like(layer["gate"])])
            for key in ("q", "k"):
                layer[key] = torch.cat([layer[key], loudness * new[key]])
            layer["v"] = torch.cat([layer["v"], new["v"]])
            layer["o"] = torch.cat([layer["o"], torch.zeros_like(layer["o"])])
        elif layer["bup"] is not None:
            layer["bup"] = torch.cat([layer["bup"], torch.zeros_like(layer["bup"])])
    changes = {"intermediate_size": len(parts["layers"][0]["up"])}
    if gated:
        sizes = anatomy.sizes
        changes |= {"num_attention_heads": 2 * sizes.heads, "num_key_value_heads": 2 * sizes.kv_heads}
    return Made(rebuilt(parts, model.config, **changes), shop.tokenizer(recipe.parent))


def noisy(shop: Workshop, recipe: Recipe, *, size: float) -> Made:
    """Gaussian noise on every matrix, embedding and head too, `size` of its standard deviation."""
    model = shop.load(recipe.parent)
    generator = torch.Generator().manual_seed(8300)
    matrices = [p.data for p in model.parameters() if p.ndim == 2]
    for matrix in matrices:
        matrix += size * matrix.std() * torch.randn(matrix.shape, generator=generator)
    return Made(model, shop.tokenizer(recipe.parent))
