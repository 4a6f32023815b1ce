"""Families: every role is cut out of the right tensor, also for layouts that later families will use."""

import json
from collections.abc import Callable
from pathlib import Path
from types import MappingProxyType

import numpy as np
import pytest
from small_models import SIZES, VOCAB, tokenizer_document

from prover.checkpoint import open_checkpoint
from prover.families import (
    FAMILIES,
    LLAMA,
    PER_HEAD_QKV,
    ROLES,
    STACKED_GATE_UP,
    STACKED_QKV,
    ConfigKeys,
    Family,
    Shape,
    Source,
    family_of,
    supported_architectures,
)
from prover.terms import read_matrices, read_matrix

torch = pytest.importorskip("torch")
transformers = pytest.importorskip("transformers")

GPT2 = Family(
    name="gpt2",
    architectures=("GPT2LMHeadModel",),
    embedding="transformer.wte.weight",
    roles=MappingProxyType(
        {
            "q": Source("transformer.h.{i}.attn.c_attn.weight", transposed=True, packing=STACKED_QKV),
            "k": Source("transformer.h.{i}.attn.c_attn.weight", transposed=True, packing=STACKED_QKV),
            "v": Source("transformer.h.{i}.attn.c_attn.weight", transposed=True, packing=STACKED_QKV),
            "o": Source("transformer.h.{i}.attn.c_proj.weight"),
            "up": Source("transformer.h.{i}.mlp.c_fc.weight", transposed=True),
            "down": Source("transformer.h.{i}.mlp.c_proj.weight"),
        }
    ),
    attention_norm="transformer.h.{i}.ln_1.weight",
    ffn_norm="transformer.h.{i}.ln_2.weight",
    norm="layernorm",
    keys=ConfigKeys("n_embd", "n_head", "n_head_kv", "n_head_dim", "n_inner", "n_layer"),
)
NEOX = Family(
    name="gpt_neox",
    architectures=("GPTNeoXForCausalLM",),
    embedding="gpt_neox.embed_in.weight",
    roles=MappingProxyType(
        {
            **{
                role: Source("gpt_neox.layers.{i}.attention.query_key_value.weight", packing=PER_HEAD_QKV)
                for role in ("q", "k", "v")
            },
            "o": Source("gpt_neox.layers.{i}.attention.dense.weight", transposed=True),
            "up": Source("gpt_neox.layers.{i}.mlp.dense_h_to_4h.weight"),
            "down": Source("gpt_neox.layers.{i}.mlp.dense_4h_to_h.weight", transposed=True),
        }
    ),
    attention_norm="gpt_neox.layers.{i}.input_layernorm.weight",
    ffn_norm="gpt_neox.layers.{i}.post_attention_layernorm.weight",
    norm="layernorm",
)
PHI3 = Family(
    name="phi3",
    architectures=("Phi3ForCausalLM",),
    embedding="model.embed_tokens.weight",
    roles=MappingProxyType(
        {
            **LLAMA.roles,
            **{r: Source("model.layers.{i}.self_attn.qkv_proj.weight", packing=STACKED_QKV) for r in ("q", "k", "v")},
            "up": Source("model.layers.{i}.mlp.gate_up_proj.weight", packing=STACKED_GATE_UP),
        }
    ),
    attention_norm=LLAMA.attention_norm,
    ffn_norm=LLAMA.ffn_norm,
)
EVERY = (*FAMILIES, GPT2, NEOX, PHI3)


def _llama() -> transformers.PreTrainedModel:
    return transformers.LlamaForCausalLM(transformers.LlamaConfig(**SIZES))


def _mistral() -> transformers.PreTrainedModel:
    config = transformers.MistralConfig(
        vocab_size=VOCAB,
        hidden_size=64,
        intermediate_size=96,
        num_hidden_layers=2,
        num_attention_heads=4,
        num_key_value_heads=2,
        head_dim=24,
    )
    return transformers.MistralForCausalLM(config)


def _gpt2() -> transformers.PreTrainedModel:
    return transformers.GPT2LMHeadModel(
        transformers.GPT2Config(vocab_size=VOCAB, n_embd=48, n_layer=2, n_head=3, n_inner=100, n_positions=32)
    )


def _neox() -> transformers.PreTrainedModel:
    config = transformers.GPTNeoXConfig(
        vocab_size=VOCAB, hidden_size=48, num_hidden_layers=3, num_attention_heads=3, intermediate_size=100
    )
    return transformers.GPTNeoXForCausalLM(config)


def _phi3() -> transformers.PreTrainedModel:
    config = transformers.Phi3Config(
        vocab_size=VOCAB,
        hidden_size=64,
        intermediate_size=96,
        num_hidden_layers=2,
        num_attention_heads=4,
        num_key_value_heads=2,
        pad_token_id=0,
    )
    return transformers.Phi3ForCausalLM(config)


def write(model: transformers.PreTrainedModel, folder: Path) -> Path:
    model.save_pretrained(folder)
    (folder / "tokenizer.json").write_text(json.dumps(tokenizer_document()))
    return folder


@pytest.mark.parametrize("make", [_llama, _mistral, _phi3, _gpt2, _neox])
def test_every_matrix_has_the_shape_of_its_role(
    make: Callable[[], transformers.PreTrainedModel], tmp_path: Path
) -> None:
    torch.manual_seed(1)
    model = make()
    checkpoint = open_checkpoint(write(model, tmp_path), EVERY)
    shape = checkpoint.shape
    ids = tuple(range(1, 33))
    for matrix, name in zip(read_matrices(checkpoint, ids), shape.matrix_names(), strict=True):
        assert matrix.name == name
        role = name.rsplit(".", 1)[-1]
        assert matrix.stored.shape == (32 if role == "embedding" else shape.rows(role), shape.hidden_size)


@pytest.mark.parametrize("make", [_phi3, _gpt2, _neox])
@pytest.mark.parametrize("role", ["q", "k", "v", "up"])
def test_reading_roles_compute_what_the_model_computes(
    make: Callable[[], transformers.PreTrainedModel], role: str, tmp_path: Path
) -> None:
    """What the role's rows give on a hidden state is a part of what the model's own module gives: the right one."""
    torch.manual_seed(2)
    model = make()
    checkpoint = open_checkpoint(write(model, tmp_path), EVERY)
    shape = checkpoint.shape
    blocks = {
        "phi3": ("model.layers.1.self_attn.qkv_proj", "model.layers.1.mlp.gate_up_proj"),
        "gpt2": ("transformer.h.1.attn.c_attn", "transformer.h.1.mlp.c_fc"),
        "gpt_neox": ("gpt_neox.layers.1.attention.query_key_value", "gpt_neox.layers.1.mlp.dense_h_to_4h"),
    }
    module = model.get_submodule(blocks[shape.family][role == "up"])
    hidden = torch.randn(shape.hidden_size)
    with torch.no_grad():  # without the bias
        out = (module(hidden[None, None]) - module(torch.zeros_like(hidden)[None, None]))[0, 0].numpy()
    if role == "up":
        expected = out[-shape.intermediate_size :]
    elif shape.family == "gpt_neox":
        expected = out.reshape(shape.heads, 3, shape.head_dim)[:, "qkv".index(role)].reshape(-1)
    else:
        sizes = [shape.rows(part) for part in ("q", "k", "v")]
        begin = sum(sizes[: "qkv".index(role)])
        expected = out[begin : begin + shape.rows(role)]
    stored = read_matrix(checkpoint, 1, role).stored
    assert np.allclose(stored @ hidden.numpy(), expected, atol=1e-5)


def test_layernorm_families_are_centred(tmp_path: Path) -> None:
    checkpoint = open_checkpoint(write(_gpt2(), tmp_path), EVERY)
    for matrix in read_matrices(checkpoint, tuple(range(1, 33))):
        assert np.abs(matrix.full().mean(axis=1)).max() < 1e-12


def test_norm_plus_one_adds_one() -> None:
    plus_one = Family("x", ("X",), "e", LLAMA.roles, "a", "f", norm="rms_plus_one")
    assert plus_one.column_scale(np.array([0.0, -0.5], np.float32)).tolist() == [1.0, 0.5]
    assert LLAMA.column_scale(np.array([0.0, -0.5], np.float32)).tolist() == [0.0, -0.5]


def test_names() -> None:
    assert family_of("MistralForCausalLM") is LLAMA
    assert family_of("Nothing") is None
    assert supported_architectures() == ("LlamaForCausalLM", "MistralForCausalLM")
    assert len({name for family in FAMILIES for name in family.architectures}) == len(supported_architectures())


def test_matrix_names_and_order() -> None:
    shape = Shape("llama", 8, 4, 2, 2, 12, 6, (4, 5), 100)
    names = shape.matrix_names()
    assert names[0] == "embedding"
    for l_index, i in enumerate((4, 5)):
        for r_index, role in enumerate(ROLES):
            assert names[1 + 6 * l_index + r_index] == f"layers.{i}.{role}"
