"""Checkpoints that are changed without much training: pruned, rounded, extended, shortened, merged, upcycled.

Those that lose parts are trained a little afterwards (`recover`), as such models are in practice.
"""

from __future__ import annotations

import copy
import json
from typing import Any

import torch
from tokenizers import Tokenizer
from torch import Tensor, nn
from transformers import LlamaConfig, MixtralConfig

from fpm.checkpoints.text import token_stream
from fpm.evidence.anatomy import Anatomy
from fpm.evidence.corpora import Corpus
from fpm.evidence.models import of_config
from fpm.evidence.rearrangements import Model
from fpm.evidence.training import Schedule, train
from fpm.evidence.workshop import Made, Recipe, Workshop

RECOVERY_RATE = 1e-3


def rebuilt(parts: Model, config: Any, **changes: Any) -> nn.Module:
    """A model of `config` with `changes`, and the weights of `parts`."""
    new = copy.deepcopy(config)
    for key, value in changes.items():
        setattr(new, key, value)
    if "num_hidden_layers" in changes and getattr(new, "layer_types", None) is not None:
        new.layer_types = new.layer_types[: new.num_hidden_layers]
    model = of_config(new)
    model.load_state_dict(Anatomy.of(model).packed(parts))
    return model


def block_matrices(model: nn.Module) -> dict[str, Tensor]:
    """Every matrix of every block, by name: what is pruned and rounded."""
    return {name: p.data for name, p in model.named_parameters() if p.ndim == 2 and ".layers." in name}


def recover(shop: Workshop, model: nn.Module, share: float, text: str = "stdlib") -> dict[str, Any]:
    """Train a little on the base's text; the record, empty for no training."""
    if share == 0:
        return {}
    return train(model, shop.corpus(text), Schedule(shop.size.steps(share), RECOVERY_RATE, 7000), shop.size)


def magnitude_pruned(shop: Workshop, recipe: Recipe, *, share: float) -> Made:
    """In each matrix of each block the smallest entries become 0, `share` of them."""
    model = shop.load(recipe.parent)
    for matrix in block_matrices(model).values():
        border = matrix.abs().flatten().kthvalue(max(1, round(share * matrix.numel()))).values
        matrix[matrix.abs() <= border] = 0
    return Made(model, shop.tokenizer(recipe.parent))


def neurons_pruned(shop: Workshop, recipe: Recipe, *, share: float, recovery: float) -> Made:
    """The neurons whose rows have the smallest norms are taken out of every block, then training."""
    model = shop.load(recipe.parent)
    anatomy = Anatomy.of(model)
    parts = anatomy.unpacked(model)
    for layer in parts["layers"]:
        size = layer["up"].norm(dim=1) * layer["down"].norm(dim=1)
        kept = size.argsort(descending=True)[: len(size) - round(share * len(size))].sort().values
        for key in ("up", "down", "gate", "bup", "bgate"):
            if layer[key] is not None:
                layer[key] = layer[key][kept]
    smaller = rebuilt(parts, model.config, intermediate_size=len(parts["layers"][0]["up"]))
    return Made(smaller, shop.tokenizer(recipe.parent), recover(shop, smaller, recovery))


def heads_pruned(shop: Workshop, recipe: Recipe, *, recovery: float) -> Made:
    """The weakest head of every block is zeroed, then training. (transformers wants heads that divide the width.)"""
    model = shop.load(recipe.parent)
    anatomy = Anatomy.of(model)
    parts = anatomy.unpacked(model)
    for layer in parts["layers"]:
        weakest = int(layer["o"].flatten(1).norm(dim=1).argmin())
        for key in ("q", "o", "bq"):
            if layer[key] is not None:
                layer[key][weakest] = 0
    smaller = rebuilt(parts, model.config)
    return Made(smaller, shop.tokenizer(recipe.parent), recover(shop, smaller, recovery))


def expand_groups(layer: Model, repeat: int) -> None:
    """Keys and values that query heads shared become each head's own."""
    for key in ("k", "v", "bk", "bv"):
        if layer[key] is not None:
            layer[key] = layer[key].repeat_interleave(repeat, 0)


def rounded(shop: Workshop, recipe: Recipe, *, bits: int, group: int) -> Made:
    """Round trip through integers of `bits` bits, symmetric, one scale for each `group` entries of a row."""
    model = shop.load(recipe.parent)
    for matrix in block_matrices(model).values():
        matrix.copy_(round_trip(matrix, bits, group))
    return Made(model, shop.tokenizer(recipe.parent))


def round_trip(matrix: Tensor, bits: int, group: int) -> Tensor:
    """`matrix` [rows, columns] as integers would keep it; `group` divides the columns or is the whole row (0)."""
    groups = matrix.reshape(len(matrix), -1, group or matrix.shape[1])
    limit = 2 ** (bits - 1) - 1
    scale = groups.abs().amax(-1, keepdim=True).clamp_min(1e-12) / limit
    out: Tensor = ((groups / scale).round().clamp(-limit, limit) * scale).reshape(matrix.shape)
    return out


def vocabulary_extended(shop: Workshop, recipe: Recipe, *, count: int, in_table: bool, share: float) -> Made:
    """New tokens, their embeddings near the mean, then training on numpy's text.

    `in_table`: merges of another tokenizer go into `model.vocab`, as when a model learns a language (the rule then
    chooses other tokens); otherwise special tokens go into `added_tokens`, as in chat models (it chooses the same).
    """
    model = shop.load(recipe.parent)
    tokenizer = shop.tokenizer(recipe.parent)
    corpus = shop.corpus("numpy")
    if in_table:
        other = shop.library.tokenizer_file("numpy").read_text("utf-8")
        tokenizer = with_merges(tokenizer, other, count)
        corpus = Corpus("numpy", torch.tensor(token_stream(shop.library.text("numpy"), Tokenizer.from_str(tokenizer))))
    else:
        document = json.loads(tokenizer)
        first, template = len(document["model"]["vocab"]), document["added_tokens"][0]
        extra = [{**template, "id": first + i, "content": f"<|extra_{i}|>"} for i in range(count)]
        document["added_tokens"] += extra
        tokenizer = json.dumps(document, ensure_ascii=False)
    torch.manual_seed(7100)
    rows = Tokenizer.from_str(tokenizer).get_vocab_size()
    model.resize_token_embeddings(rows, mean_resizing=True)  # type: ignore[operator]
    record = train(model, corpus, Schedule(shop.size.steps(share), RECOVERY_RATE, 7100), shop.size)
    return Made(model, tokenizer, record)


def with_merges(tokenizer: str, other: str, count: int) -> str:
    """tokenizer.json with the first `count` merges of another byte-level BPE that are new to it and can be done."""
    document, source = json.loads(tokenizer), json.loads(other)
    vocabulary = document["model"]["vocab"]
    added = 0
    for left, right in source["model"]["merges"]:
        if added < count and left in vocabulary and right in vocabulary and left + right not in vocabulary:
            vocabulary[left + right] = len(vocabulary)
            document["model"]["merges"].append([left, right])
            added += 1
    return json.dumps(document, ensure_ascii=False)


def blocks_dropped(shop: Workshop, recipe: Recipe, *, blocks: list[int], recovery: float) -> Made:
    """Without these blocks (negative: from the end), then training."""
    model = shop.load(recipe.parent)
    anatomy = Anatomy.of(model)
    parts = anatomy.unpacked(model)
    count = len(parts["layers"])
    gone = {block % count for block in blocks}
    parts["layers"] = [layer for i, layer in enumerate(parts["layers"]) if i not in gone]
    shorter = rebuilt(parts, model.config, num_hidden_layers=count - len(gone))
    return Made(shorter, shop.tokenizer(recipe.parent), recover(shop, shorter, recovery))


def merged(shop: Workshop, recipe: Recipe) -> Made:
    """The mean of the parent's and another offspring's weights."""
    model = shop.load(recipe.parent)
    other = shop.load(recipe.needs[0]).state_dict()
    model.load_state_dict({name: (t + other[name]) / 2 for name, t in model.state_dict().items()})
    return Made(model, shop.tokenizer(recipe.parent))


# ---------------------------------------- mixture of experts


def upcycled(shop: Workshop, recipe: Recipe, *, experts: int, noise: float, share: float, text: str) -> Made:
    """Llama to Mixtral: every expert a copy of the feed-forward part plus noise, a new router, then training."""
    model = shop.load(recipe.parent)
    config = model.config
    wide = MixtralConfig(
        num_local_experts=experts,
        num_experts_per_tok=2,
        **{key: getattr(config, key) for key in _SHARED_WITH_MIXTRAL},
    )
    torch.manual_seed(7200)
    mixture = of_config(wide)
    state, out = model.state_dict(), mixture.state_dict()
    for name in out:
        if ".mlp." not in name:
            out[name] = state[name]
            continue
        at = name.split(".mlp.")[0] + ".mlp."
        if name.endswith("gate_up_proj"):
            dense = torch.cat([state[at + "gate_proj.weight"], state[at + "up_proj.weight"]])
        elif name.endswith("down_proj"):
            dense = state[at + "down_proj.weight"]
        else:
            continue  # the router stays as it was drawn
        copies = dense.expand(experts, *dense.shape)
        out[name] = copies + noise * dense.std() * torch.randn(copies.shape)
    mixture.load_state_dict(out)
    record = train(mixture, shop.corpus(text), Schedule(shop.size.steps(share), RECOVERY_RATE, 7200), shop.size)
    return Made(mixture, shop.tokenizer(recipe.parent), record)


_SHARED_WITH_MIXTRAL = (
    "vocab_size",
    "hidden_size",
    "intermediate_size",
    "num_hidden_layers",
    "num_attention_heads",
    "num_key_value_heads",
    "head_dim",
    "max_position_embeddings",
    "rms_norm_eps",
    "rope_parameters",
    "bos_token_id",
    "eos_token_id",
    "pad_token_id",
    "tie_word_embeddings",
)


def mean_of_experts(shop: Workshop, recipe: Recipe) -> Made:
    """A mixture read as a Llama with the mean of each block's experts: what an auditor can still compare."""
    model = shop.load(recipe.parent)
    config = LlamaConfig(**{key: getattr(model.config, key) for key in _SHARED_WITH_MIXTRAL})
    dense = of_config(config)
    state, out = model.state_dict(), dense.state_dict()
    for name in out:
        at = name.split(".mlp.")[0] + ".mlp."
        if name in state:
            out[name] = state[name]
        elif "down_proj" in name:
            out[name] = state[at + "experts.down_proj"].mean(0)
        else:
            gate, up = state[at + "experts.gate_up_proj"].mean(0).chunk(2)
            out[name] = gate if "gate_proj" in name else up
    dense.load_state_dict(out)
    return Made(dense, shop.tokenizer(recipe.parent))
